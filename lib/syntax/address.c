/* address.c - one mail address: its external (quoted) and internal form, its parts, the SMTP path. Pure; every input
 * is a stranger's, so nothing is assumed but its length. */
#include "lib/syntax/address.h"

#include <arpa/inet.h>

enum { LITERAL_MAX = 255 };

/* Characters of an atom (RFC 5322 atext), and all of UTF-8 beyond ASCII (RFC 6531). */
static bool is_atext(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 0x80 || (u > ' ' && u < 0x7f && !strchr("()<>@,;:\\\"[].", c));
}

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

ptrdiff_t address_at(const char *address)
{
    const char *at = strrchr(address, '@');
    return at ? at - address : -1;
}

const char *address_domain(const char *address)
{
    const char *at = strrchr(address, '@');
    return at ? at + 1 : NULL;
}

static bool is_dot_string(struct slice s)
{
    if (s.n == 0 || s.p[0] == '.' || s.p[s.n - 1] == '.')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.' ? s.p[i - 1] == '.' : !is_atext(s.p[i]))
            return false;
    }
    return true;
}

static void quote_local(struct buf *out, struct slice local)
{
    if (is_dot_string(local)) {
        buf_append_slice(out, local);
        return;
    }
    buf_putc(out, '"');
    for (size_t i = 0; i < local.n; i++) {
        char c = local.p[i];
        if (c == '"' || c == '\\' || c == '\r')
            buf_putc(out, '\\');
        buf_putc(out, c);
    }
    buf_putc(out, '"');
}

/* A quoted string at in[*pos] == '"': its content without quotes and backslashes. */
static bool take_quoted(struct slice in, size_t *pos, struct buf *out)
{
    for (size_t i = *pos + 1; i < in.n; i++) {
        if (in.p[i] == '"') {
            *pos = i + 1;
            return true;
        }
        if (in.p[i] == '\\' && ++i == in.n)
            return false;
        if (is_control(in.p[i]))
            return false;
        buf_putc(out, in.p[i]);
    }
    return false;
}

/* Words and dots up to the '@' or the end. */
static bool take_local(struct slice in, size_t *pos, struct buf *out)
{
    size_t start = *pos;
    while (*pos < in.n && in.p[*pos] != '@') {
        char c = in.p[*pos];
        if (c == '"') {
            if (!take_quoted(in, pos, out))
                return false;
        } else if (is_atext(c) || c == '.') {
            buf_putc(out, c);
            ++*pos;
        } else if (c == '\\' && *pos + 1 < in.n && !is_control(in.p[*pos + 1])) {
            buf_putc(out, in.p[*pos + 1]); /* RFC 821 allowed it outside quotes */
            *pos += 2;
        } else {
            return false;
        }
    }
    return *pos > start;
}

/* "[" dtext "]", or atoms and dots. */
static bool take_domain(struct slice in, size_t *pos, struct buf *out)
{
    size_t start = *pos;
    if (start < in.n && in.p[start] == '[') {
        size_t i = start + 1;
        while (i < in.n && in.p[i] != ']' && in.p[i] != '[' && in.p[i] != '\\' && in.p[i] != '@' && in.p[i] > ' ' &&
               in.p[i] != 0x7f)
            i++;
        if (i == in.n || in.p[i] != ']' || i - start > LITERAL_MAX)
            return false;
        *pos = i + 1;
    } else {
        while (*pos < in.n && (is_atext(in.p[*pos]) || in.p[*pos] == '.'))
            ++*pos;
    }
    buf_append(out, in.p + start, *pos - start);
    return *pos > start;
}

/* Whether what follows the last '@' can stand on the right side of one. If not, that '@' belongs to a local part. */
static bool is_domain(const char *text)
{
    BUF_AUTO ignored = BUF(BUF_MAX_DEFAULT);
    struct slice in = slice_of(text);
    size_t pos = 0;
    return take_domain(in, &pos, &ignored) && pos == in.n;
}

void address_quote(struct buf *out, const char *internal)
{
    if (*internal == 0)
        return;
    ptrdiff_t at = address_at(internal);
    if (at >= 0 && !is_domain(internal + at + 1))
        at = -1;
    quote_local(out, slice_make(internal, at < 0 ? strlen(internal) : (size_t)at));
    if (at >= 0)
        buf_puts(out, internal + at);
}

const char *address_external(struct arena *a, const char *internal)
{
    BUF_AUTO b = BUF(BUF_MAX_DEFAULT);
    address_quote(&b, internal);
    return arena_strdup(a, buf_cstr(&b));
}

/* "@a,@b:" is copied as it is. True also when there is none. */
static bool take_route(struct slice in, size_t *pos, struct buf *out)
{
    while (*pos < in.n && in.p[*pos] == '@') {
        buf_putc(out, '@');
        ++*pos;
        if (!take_domain(in, pos, out) || *pos == in.n || (in.p[*pos] != ',' && in.p[*pos] != ':'))
            return false;
        buf_putc(out, in.p[*pos]);
        if (in.p[(*pos)++] == ':')
            return true;
    }
    return *pos == 0;
}

/* many_at: user@host1@host2, which routing resolves, is let through. */
static bool unquote(struct slice in, bool many_at, struct buf *out)
{
    size_t pos = 0;
    if (!take_route(in, &pos, out) || !take_local(in, &pos, out))
        return false;
    for (unsigned domains = 0; pos < in.n; domains++) {
        if (in.p[pos] != '@' || (domains > 0 && !many_at))
            return false;
        buf_putc(out, '@');
        pos++;
        if (!take_domain(in, &pos, out))
            return false;
    }
    return !out->overflow;
}

bool address_unquote(struct slice external, struct buf *out)
{
    return unquote(external, false, out);
}

static bool owner_or_request(struct slice local)
{
    return slice_starts_fold(local, SLICE("owner-")) || slice_ends_fold(local, SLICE("-request"));
}

void address_split_extension(struct arena *a, const char *local, const char *delimiters, const char **user,
                             const char **extension)
{
    *user = local;
    *extension = NULL;
    if (!delimiters || *delimiters == 0 || str_eq_fold(local, "mailer-daemon") || str_eq_fold(local, "double-bounce"))
        return;
    if (strchr(delimiters, '-') && owner_or_request(slice_of(local)))
        return;
    size_t n = strcspn(local, delimiters);
    if (n == 0 || local[n] == 0)
        return;
    *user = arena_strndup(a, local, n);
    *extension = arena_strdup(a, local + n + 1);
}

/* Length of "<...>" with its brackets, or 0. A '>' within quotes does not end it. */
static size_t path_length(struct slice in)
{
    bool quoted = false;
    for (size_t i = 1; i < in.n; i++) {
        char c = in.p[i];
        if (c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (c == '>' && !quoted)
            return i + 1;
    }
    return 0;
}

/* Length of a path that came without brackets: up to a blank outside quotes. */
static size_t bare_length(struct slice in)
{
    bool quoted = false;
    size_t i = 0;
    for (; i < in.n && (quoted || (in.p[i] != ' ' && in.p[i] != '\t')); i++) {
        if (in.p[i] == '\\')
            i++;
        else if (in.p[i] == '"')
            quoted = !quoted;
    }
    return i < in.n ? i : in.n;
}

bool address_parse_path(struct slice in, bool strict, struct buf *internal, struct slice *rest)
{
    while (!strict && in.n > 0 && (in.p[0] == ' ' || in.p[0] == '\t'))
        in = slice_make(in.p + 1, in.n - 1);
    size_t n;
    struct slice address;
    if (in.n > 0 && in.p[0] == '<') {
        if ((n = path_length(in)) == 0)
            return false;
        address = slice_make(in.p + 1, n - 2);
    } else {
        if (strict || (n = bare_length(in)) == 0)
            return false;
        address = slice_make(in.p, n);
    }
    *rest = slice_make(in.p + n, in.n - n);
    if (!strict)
        address = slice_trim(address);
    return address.n == 0 ? in.p[0] == '<' : unquote(address, !strict, internal);
}

bool hostname_valid(const char *name)
{
    size_t n = strlen(name), label = 0;
    bool all_numeric = true;
    if (n == 0 || n > 255)
        return false;
    for (size_t i = 0; i <= n; i++) {
        char c = name[i];
        if (c == '.' || c == 0) {
            if (label == 0 || label > 63 || name[i - 1] == '-')
                return false;
            label = 0;
            continue;
        }
        bool digit = c >= '0' && c <= '9';
        bool letter = (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '_';
        if (!digit && !letter && (c != '-' || label == 0))
            return false;
        all_numeric = all_numeric && digit;
        label++;
    }
    return !all_numeric;
}

bool hostname_is_fqdn(const char *name)
{
    return hostname_valid(name) && strchr(name, '.') != NULL;
}

/* Four numbers up to 255, zeros before them allowed. */
static bool is_ipv4(const char *text)
{
    unsigned fields = 0, value = 0, digits = 0, first = 0;
    for (;; text++) {
        if (*text >= '0' && *text <= '9') {
            value = value * 10 + (unsigned)(*text - '0');
            if (++digits > 3 || value > 255)
                return false;
            continue;
        }
        if (digits == 0 || (*text != '.' && *text != 0) || ++fields > 4)
            return false;
        first = fields == 1 ? value : first;
        if (*text == 0)
            return fields == 4 && first > 0;
        value = digits = 0;
    }
}

bool address_literal_valid(const char *literal)
{
    char text[INET6_ADDRSTRLEN + 1];
    unsigned char bytes[16];
    size_t n = strlen(literal);
    if (n < 3 || literal[0] != '[' || literal[n - 1] != ']')
        return false;
    struct slice in = slice_make(literal + 1, n - 2);
    int family = AF_INET;
    if (slice_starts_fold(in, SLICE("IPv6:"))) {
        in = slice_make(in.p + 5, in.n - 5);
        family = AF_INET6;
    }
    if (in.n >= sizeof text)
        return false;
    memcpy(text, in.p, in.n);
    text[in.n] = 0;
    return family == AF_INET ? is_ipv4(text) : inet_pton(family, text, bytes) == 1;
}
