/* slice.c - see slice.h. */
#include "lib/base/slice.h"

char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

char ascii_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

static bool fold_equal(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ascii_lower(a[i]) != ascii_lower(b[i]))
            return false;
    return true;
}

bool slice_eq_fold(struct slice a, struct slice b)
{
    return a.n == b.n && fold_equal(a.p, b.p, a.n);
}

bool slice_starts_fold(struct slice s, struct slice prefix)
{
    return s.n >= prefix.n && fold_equal(s.p, prefix.p, prefix.n);
}

bool slice_ends_fold(struct slice s, struct slice suffix)
{
    return s.n >= suffix.n && fold_equal(s.p + s.n - suffix.n, suffix.p, suffix.n);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice s)
{
    while (s.n && is_blank(s.p[0]))
        s.p++, s.n--;
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

ptrdiff_t slice_find(struct slice s, char c)
{
    const char *hit = s.n ? memchr(s.p, c, s.n) : NULL;
    return hit ? hit - s.p : -1;
}

ptrdiff_t slice_rfind(struct slice s, char c)
{
    const char *hit = s.n ? memrchr(s.p, c, s.n) : NULL;
    return hit ? hit - s.p : -1;
}

bool slice_token(struct slice *rest, const char *separators, struct slice *token)
{
    size_t i = 0;
    while (i < rest->n && rest->p[i] && strchr(separators, rest->p[i]))
        i++;
    size_t start = i;
    while (i < rest->n && !(rest->p[i] && strchr(separators, rest->p[i])))
        i++;
    *token = slice_make(rest->p + start, i - start);
    *rest = slice_make(rest->p + i, rest->n - i);
    return token->n > 0;
}

bool slice_to_u64(struct slice s, unsigned long long max, unsigned long long *value)
{
    unsigned long long v = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(s.p[i] - '0');
        if (digit > 9 || __builtin_mul_overflow(v, 10ULL, &v) || __builtin_add_overflow(v, digit, &v) || v > max)
            return false;
    }
    *value = v;
    return true;
}

bool str_eq_fold(const char *a, const char *b)
{
    return slice_eq_fold(slice_of(a), slice_of(b));
}

void str_lower(char *s)
{
    for (; *s; s++)
        *s = ascii_lower(*s);
}
