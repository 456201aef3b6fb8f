/* Content parser: however the input is cut, the same content, end and size come out. First byte: mode and cut. */
#include "lib/base/buf.h"
#include "lib/syntax/smtp_data.h"

#include <stdint.h>
#include <stdlib.h>

static void emit(void *ctx, const char *p, size_t n)
{
    buf_append(ctx, p, n);
}

static size_t run(int mode, size_t piece, struct slice in, struct buf *out, struct smtp_data *d)
{
    size_t i = 0;
    smtp_data_init(d, (enum smtp_data_eod)(mode % 3), mode >= 3);
    while (i < in.n && !d->done) {
        size_t n = in.n - i < piece ? in.n - i : piece;
        i += smtp_data_feed(d, slice_make(in.p + i, n), emit, out);
    }
    if (!d->done)
        smtp_data_finish(d, emit, out);
    return i;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct slice in = slice_make((const char *)data + 1, size - 1);
    BUF_AUTO whole = BUF(BUF_MAX_DEFAULT);
    BUF_AUTO cut = BUF(BUF_MAX_DEFAULT);
    struct smtp_data a, b;
    size_t n = run(data[0] % 6, in.n + 1, in, &whole, &a);
    size_t m = run(data[0] % 6, 1 + (size_t)data[0] / 6, in, &cut, &b);
    if (n != m || a.size != b.size || a.saw_bare_lf != b.saw_bare_lf || !slice_eq(buf_slice(&whole), buf_slice(&cut)))
        abort();
    return 0;
}
