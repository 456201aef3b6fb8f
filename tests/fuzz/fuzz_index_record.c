/* Records of the mailbox index: what parses has a name that stays in its folder. */
#include "lib/store/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct index_record r;
    if (index_record_parse(slice_make((const char *)data, size), &r))
        if (r.file.n < 5 || r.file.p[3] != '/' || slice_find(slice_make(r.file.p + 4, r.file.n - 4), '/') >= 0 ||
            slice_find(r.uidl, '\0') >= 0)
            __builtin_trap();
    return 0;
}
