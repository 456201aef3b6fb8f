/* Modified UTF-7: printable ASCII stands for itself, "&-" for '&', and "&...-" holds UTF-16 in base64 with ',' for '/'.
 */
#include "lib/syntax/imap_name.h"

#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* Next code point; its length, 0 when it is no UTF-8. */
static size_t next_utf8(struct slice s, uint32_t *out)
{
    unsigned char lead = (unsigned char)s.p[0];
    size_t n = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (n > s.n || (lead >= 0x80 && lead < 0xC2) || lead > 0xF4)
        return 0;
    uint32_t v = n == 1 ? lead : lead & (0x7FU >> n);
    for (size_t i = 1; i < n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c & 0xC0) != 0x80)
            return 0;
        v = v << 6 | (c & 0x3F);
    }
    *out = v;
    return v < least[n] || v > 0x10FFFF || (v >= 0xD800 && v < 0xE000) ? 0 : n;
}

struct bits {
    uint32_t value;
    unsigned n;
};

static void put_unit(struct buf *out, struct bits *b, uint32_t unit)
{
    b->value = b->value << 16 | unit;
    for (b->n += 16; b->n >= 6; b->n -= 6)
        buf_putc(out, digits[b->value >> (b->n - 6) & 63]);
    b->value &= (1U << b->n) - 1;
}

static void end_shift(struct buf *out, struct bits *b)
{
    if (b->n)
        buf_putc(out, digits[b->value << (6 - b->n) & 63]);
    buf_putc(out, '-');
}

bool imap_name_from_utf8(struct buf *out, struct slice in)
{
    bool shifted = false;
    struct bits b = {0};
    for (size_t i = 0, n; i < in.n; i += n) {
        uint32_t v;
        n = next_utf8(slice_make(in.p + i, in.n - i), &v);
        if (!n)
            return false;
        bool plain = v >= 0x20 && v < 0x7F;
        if (plain && shifted)
            end_shift(out, &b);
        if (!plain && !shifted) {
            buf_putc(out, '&');
            b = (struct bits){0};
        }
        shifted = !plain;
        if (plain)
            buf_puts(out, v == '&' ? "&-" : (char[]){(char)v, 0});
        if (shifted && v >= 0x10000)
            put_unit(out, &b, 0xD800 + ((v - 0x10000) >> 10));
        if (shifted)
            put_unit(out, &b, v >= 0x10000 ? 0xDC00 + ((v - 0x10000) & 0x3FF) : v);
    }
    if (shifted)
        end_shift(out, &b);
    return !out->overflow;
}

static void put_utf8(struct buf *out, uint32_t v)
{
    if (v < 0x80) {
        buf_putc(out, (char)v);
        return;
    }
    unsigned more = v < 0x800 ? 1 : v < 0x10000 ? 2 : 3;
    buf_putc(out, (char)((0xF00 >> (more + 1) & 0xFF) | v >> 6 * more));
    while (more--)
        buf_putc(out, (char)(0x80 | (v >> 6 * more & 0x3F)));
}

/* The digits between '&' and '-'. */
static bool unshift(struct buf *out, struct slice in)
{
    struct bits b = {0};
    uint32_t high = 0;
    for (size_t i = 0; i < in.n; i++) {
        const char *digit = in.p[i] ? strchr(digits, in.p[i]) : NULL;
        if (!digit)
            return false;
        b.value = b.value << 6 | (uint32_t)(digit - digits);
        b.n += 6;
        if (b.n < 16)
            continue;
        b.n -= 16;
        uint32_t unit = b.value >> b.n & 0xFFFF;
        b.value &= (1U << b.n) - 1;
        bool low = unit >= 0xDC00 && unit < 0xE000;
        if (low != (high != 0))
            return false;
        if (unit >= 0xD800 && unit < 0xDC00) {
            high = unit;
            continue;
        }
        put_utf8(out, low ? 0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00) : unit);
        high = 0;
    }
    return !high && b.n < 6 && b.value == 0;
}

bool imap_name_to_utf8(struct buf *out, struct slice in)
{
    size_t start = out->len;
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] != '&') {
            if (in.p[i] < 0x20 || in.p[i] == 0x7F)
                return false;
            buf_putc(out, in.p[i]);
            continue;
        }
        ptrdiff_t end = slice_find(slice_make(in.p + i + 1, in.n - i - 1), '-');
        if (end < 0)
            return false;
        if (end == 0)
            buf_putc(out, '&');
        else if (!unshift(out, slice_make(in.p + i + 1, (size_t)end)))
            return false;
        i += (size_t)end + 1;
    }
    /* One spelling only: what it means, written again, must be what came. */
    BUF_AUTO again = BUF(in.n + 1);
    return !out->overflow &&
           imap_name_from_utf8(&again, slice_make(out->data ? out->data + start : "", out->len - start)) &&
           slice_eq(buf_slice(&again), in);
}

/* Without recursion: a mismatch goes back to the last wildcard; one '*' before a later '*' need not be tried again. */
bool imap_name_matches(struct slice pattern, struct slice name, char separator)
{
    size_t p = 0, n = 0, star = SIZE_MAX, star_at = 0, percent = SIZE_MAX, percent_at = 0;
    while (n < name.n || p < pattern.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = ++p, star_at = n, percent = SIZE_MAX;
        } else if (p < pattern.n && pattern.p[p] == '%') {
            percent = ++p, percent_at = n;
        } else if (p < pattern.n && n < name.n && pattern.p[p] == name.p[n]) {
            p++, n++;
        } else if (percent != SIZE_MAX && percent_at < name.n && name.p[percent_at] != separator) {
            p = percent, n = ++percent_at;
        } else if (star != SIZE_MAX && star_at < name.n) {
            p = star, n = ++star_at, percent = SIZE_MAX;
        } else {
            return false;
        }
    }
    return true;
}
