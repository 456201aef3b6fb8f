/* Encodings: what decodes is encoded and decoded again to the same; what is encoded always decodes. */
#include "lib/syntax/codec.h"
#include <stdint.h>

typedef void encoder(struct buf *out, struct slice in);
typedef bool decoder(struct buf *out, struct slice in);

static void base64(struct buf *out, struct slice in)
{
    base64_encode(out, in.p, in.n);
}

static void both_ways(struct slice in, encoder *encode, decoder *decode)
{
    BUF_AUTO plain = BUF(1 << 22), text = BUF(1 << 22), again = BUF(1 << 22);
    encode(&text, in);
    if (!decode(&plain, buf_slice(&text)) || !slice_eq(buf_slice(&plain), in))
        __builtin_trap();
    buf_reset(&plain);
    buf_reset(&text);
    if (!decode(&plain, in))
        return;
    encode(&text, buf_slice(&plain));
    if (!decode(&again, buf_slice(&text)) || !slice_eq(buf_slice(&again), buf_slice(&plain)))
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make((const char *)data, size);
    both_ways(in, base64, base64_decode);
    both_ways(in, xtext_encode, xtext_decode);
    if (is_ascii(in) && !utf8_valid(in))
        __builtin_trap();
    return 0;
}
