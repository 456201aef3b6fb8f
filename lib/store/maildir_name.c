/* Names of message files: the part before the colon names the message, the letters after ":2," are its flags. */
#include "lib/store/maildir_name.h"

static const char letters[] = "DFPRST";

static int64_t size_field(struct slice base, const char *key)
{
    for (size_t i = 0; i + 3 < base.n; i++) {
        if (base.p[i] != ',' || base.p[i + 1] != key[0] || base.p[i + 2] != '=')
            continue;
        struct slice digits = {base.p + i + 3, 0};
        while (digits.p + digits.n < base.p + base.n && digits.p[digits.n] >= '0' && digits.p[digits.n] <= '9')
            digits.n++;
        unsigned long long value;
        return slice_to_u64(digits, INT64_MAX, &value) ? (int64_t)value : -1;
    }
    return -1;
}

static void parse_letters(const char *p, size_t n, struct maildir_name *out)
{
    for (size_t i = 0; i < n && p[i] != ','; i++) {
        const char *known = p[i] ? strchr(letters, p[i]) : NULL;
        if (known)
            out->flags |= 1U << (known - letters);
        else if (p[i] >= 'a' && p[i] <= 'z')
            out->keywords |= UINT32_C(1) << (p[i] - 'a');
    }
}

void maildir_name_parse(struct slice name, struct maildir_name *out)
{
    *out = (struct maildir_name){.base = name};
    ptrdiff_t colon = slice_find(name, ':');
    if (colon >= 0) {
        out->base.n = (size_t)colon;
        const char *info = name.p + colon;
        size_t n = name.n - (size_t)colon;
        if (n >= 3 && info[1] == '2' && info[2] == ',')
            parse_letters(info + 3, n - 3, out);
    }
    out->size = size_field(out->base, "S");
    out->virtual_size = size_field(out->base, "W");
}

void maildir_name_print(struct buf *out, struct slice base, unsigned flags, uint32_t keywords)
{
    buf_append_slice(out, base);
    buf_puts(out, ":2,");
    for (unsigned i = 0; letters[i]; i++)
        if (flags & 1U << i)
            buf_putc(out, letters[i]);
    for (unsigned i = 0; i < 26; i++)
        if (keywords & UINT32_C(1) << i)
            buf_putc(out, (char)('a' + i));
}
