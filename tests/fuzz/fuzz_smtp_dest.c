/* Next hops, and messages on their way to the wire: in pieces or whole, they come out the same, with CRLF only and a
 * dot at the end. */
#include "smtp/smtp_content.h"
#include "smtp/smtp_dest.h"
#include <stdint.h>

static void content(struct slice in, size_t cut, size_t limit, struct buf *out)
{
    struct smtp_content c = {.line_limit = limit};
    smtp_content_encode(&c, slice_make(in.p, cut), out);
    smtp_content_encode(&c, slice_make(in.p + cut, in.n - cut), out);
    smtp_content_end(&c, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ARENA_AUTO a = arena_new();
    BUF_AUTO whole = BUF(1 << 24), parts = BUF(1 << 24);
    struct slice in = slice_make((const char *)data, size);
    struct smtp_dest *dests;
    const char *err = NULL;
    size_t n = smtp_dest_parse(a, arena_slice(a, in), size & 1, 25, &dests, &err);
    if (n == 0 && !err)
        __builtin_trap();
    size_t cut = size ? data[0] % (size + 1) : 0, limit = size % 3 ? 20 + size % 50 : 0;
    content(in, 0, limit, &whole);
    content(in, cut, limit, &parts);
    if (!slice_eq(buf_slice(&whole), buf_slice(&parts)))
        __builtin_trap();
    struct slice out = buf_slice(&whole);
    if (out.n < 3 || memcmp(out.p + out.n - 3, ".\r\n", 3) != 0)
        __builtin_trap();
    for (size_t i = 0; i < out.n; i++)
        if (out.p[i] == '\n' && (i == 0 || out.p[i - 1] != '\r'))
            __builtin_trap();
    for (size_t i = 0; i + 4 < out.n; i++)
        if (memcmp(out.p + i, "\n.\r\n", 4) == 0)
            __builtin_trap();
    return 0;
}
