/* What any local user may give to postdrop: what is taken is encoded and taken again with the same recipients. */
#include "command/drop_wire.h"
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ARENA_AUTO a = arena_new();
    struct drop d, again;
    size_t used = 0, used_again = 0;
    if (!drop_decode(slice_make((const char *)data, size), a, &d, &used))
        return 0;
    if (used > size)
        __builtin_trap();
    BUF_AUTO text = BUF(1 << 24);
    drop_encode(&d, &text);
    if (!drop_decode(buf_slice(&text), a, &again, &used_again) || again.n_recipients != d.n_recipients ||
        used_again != text.len)
        __builtin_trap();
    return 0;
}
