/* fuzz_mime_structure.c - parts, structure and envelope of any text. */
#include "lib/syntax/mime_structure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct buf out = BUF(BUF_MAX_DEFAULT);
    struct mime_part *p = mime_parse(a, slice_make((const char *)data, size));
    mime_print_structure(&out, p, true);
    mime_print_structure(&out, p, false);
    mime_print_envelope(&out, a, p->header);
    mime_find(p, SLICE("1.2.3"));
    buf_fini(&out);
    arena_free(&a);
    return 0;
}
