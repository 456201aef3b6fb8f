/* codec.c - see codec.h. Decoders are strict: what an encoder would not have written is refused. */
#include "lib/syntax/codec.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *out, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (; n > 0; p += 3) {
        size_t take = n < 3 ? n : 3;
        uint32_t v = (uint32_t)p[0] << 16 | (take > 1 ? (uint32_t)p[1] << 8 : 0) | (take > 2 ? p[2] : 0);
        char four[4] = {base64_digits[v >> 18], base64_digits[v >> 12 & 63],
                        take > 1 ? base64_digits[v >> 6 & 63] : '=', take > 2 ? base64_digits[v & 63] : '='};
        buf_append(out, four, 4);
        n -= take;
    }
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four digits; `pad` of them are '=' (the last group alone may have them). */
static bool base64_group(struct buf *out, const char *p, unsigned pad)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < 4; i++) {
        int d = i >= 4 - pad ? 0 : base64_value(p[i]);
        if (d < 0)
            return false;
        v = v << 6 | (uint32_t)d;
    }
    /* Bits that nobody encodes must be zero. */
    if ((pad == 1 && (v & 0xff)) || (pad == 2 && (v & 0xffff)))
        return false;
    char three[3] = {(char)(v >> 16), (char)(v >> 8), (char)v};
    buf_append(out, three, 3 - pad);
    return true;
}

bool base64_decode(struct buf *out, struct slice in)
{
    if (in.n % 4 != 0)
        return false;
    for (size_t i = 0; i < in.n; i += 4) {
        unsigned pad = 0;
        if (i + 4 == in.n && in.p[i + 3] == '=')
            pad = in.p[i + 2] == '=' ? 2 : 1;
        if (!base64_group(out, in.p + i, pad))
            return false;
    }
    return true;
}

void xtext_encode(struct buf *out, struct slice in)
{
    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = (unsigned char)in.p[i];
        if (c > ' ' && c < 0x7f && c != '+' && c != '=')
            buf_putc(out, in.p[i]);
        else
            buf_printf(out, "+%02X", c);
    }
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool xtext_decode(struct buf *out, struct slice in)
{
    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = (unsigned char)in.p[i];
        if (c <= ' ' || c == 0x7f || c == '=')
            return false;
        if (c != '+') {
            buf_putc(out, in.p[i]);
            continue;
        }
        int high = i + 2 < in.n ? hex_value(in.p[i + 1]) : -1, low = i + 2 < in.n ? hex_value(in.p[i + 2]) : -1;
        if (high < 0 || low < 0)
            return false;
        buf_putc(out, (char)(high << 4 | low));
        i += 2;
    }
    return true;
}

/* ---- CRC-32C (Castagnoli) ---- */

static uint32_t crc32c_plain(uint32_t crc, const unsigned char *p, size_t n)
{
    while (n-- > 0) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78U & (0U - (crc & 1)));
    }
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const unsigned char *p, size_t n)
{
    uint64_t c = crc;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        c = _mm_crc32_u64(c, word);
    }
    crc = (uint32_t)c;
    while (n-- > 0)
        crc = _mm_crc32_u8(crc, *p++);
    return crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc32c_sse42(~crc, p, n);
#endif
    return ~crc32c_plain(~crc, p, n);
}

/* ---- characters ---- */

bool is_ascii(struct slice s)
{
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        uint64_t word;
        memcpy(&word, s.p + i, 8);
        if (word & UINT64_C(0x8080808080808080))
            return false;
    }
    for (; i < s.n; i++) {
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    }
    return true;
}

/* Length of the well-formed sequence at p (Unicode table 3-7), or 0. */
static size_t utf8_sequence(const unsigned char *p, size_t n)
{
    static const struct {
        unsigned char first, last, second_low, second_high, length;
    } rows[] = {{0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
                {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        if (p[0] < rows[r].first || p[0] > rows[r].last)
            continue;
        size_t length = rows[r].length;
        if (length > n || (length > 1 && (p[1] < rows[r].second_low || p[1] > rows[r].second_high)))
            return 0;
        for (size_t i = 2; i < length; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return 0;
        }
        return length;
    }
    return 0;
}

bool utf8_valid(struct slice s)
{
    for (size_t i = 0; i < s.n;) {
        size_t n = utf8_sequence((const unsigned char *)s.p + i, s.n - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}
