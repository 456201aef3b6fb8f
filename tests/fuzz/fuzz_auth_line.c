/* Lines of the authentication protocol: what was parsed is printed and parsed again to the same. */
#include "lib/sasl/auth_line.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct auth_line l, again;
    if (auth_line_parse(a, slice_make((const char *)data, size), &l)) {
        struct buf b = BUF(1 << 20);
        for (size_t i = 0; i < l.n; i++) {
            if (i > 0)
                buf_putc(&b, '\t');
            auth_line_escape(&b, l.field[i]);
        }
        if (!auth_line_parse(a, buf_slice(&b), &again) || again.n != l.n)
            abort();
        for (size_t i = 0; i < l.n; i++)
            if (strcmp(l.field[i], again.field[i]) != 0)
                abort();
        buf_fini(&b);
    }
    arena_free(&a);
    return 0;
}
