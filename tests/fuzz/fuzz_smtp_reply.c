/* fuzz_smtp_reply.c - what a server may send: one reply after the other, each within the text. */
#include "lib/syntax/smtp_reply.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ARENA_AUTO a = arena_new();
    struct slice in = slice_make((const char *)data, size);
    struct smtp_reply r;
    size_t used;
    while (smtp_reply_parse(in, a, &r, &used) == SMTP_REPLY_OK) {
        if (used == 0 || used > in.n || r.code < 200 || r.code > 599 || r.n_lines == 0 || strchr(r.text, '\n'))
            abort();
        for (size_t i = 0; i < r.n_lines; i++) {
            if (r.lines[i].p < in.p || r.lines[i].p + r.lines[i].n > in.p + used)
                abort();
        }
        in = slice_make(in.p + used, in.n - used);
    }
    return 0;
}
