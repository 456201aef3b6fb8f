/* Words of IMAP commands. */
#include "lib/syntax/imap_text.h"

static bool is_atom_char(char c)
{
    return c > ' ' && c < 127 && !strchr("(){%*\"\\]", c);
}

static bool is_astring_char(char c)
{
    return is_atom_char(c) || c == ']';
}

static bool is_list_char(char c)
{
    return is_astring_char(c) || c == '%' || c == '*';
}

static bool is_tag_char(char c)
{
    return is_astring_char(c) && c != '+';
}

static void advance(struct imap_cursor *c, size_t n)
{
    c->rest = slice_make(c->rest.p + n, c->rest.n - n);
}

static bool take_while(struct imap_cursor *c, bool (*fits)(char), struct slice *out)
{
    size_t n = 0;
    while (n < c->rest.n && fits(c->rest.p[n]))
        n++;
    *out = slice_make(c->rest.p, n);
    advance(c, n);
    return n > 0;
}

/* "{n}" or "{n+}" at the front: how long it is, 0 when it is not there. */
static size_t literal_mark(struct slice s, uint64_t *size, bool *synchronizing)
{
    size_t n = 1;
    if (s.n < 3 || s.p[0] != '{')
        return 0;
    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    unsigned long long value;
    if (!slice_to_u64(slice_make(s.p + 1, n - 1), INT64_MAX, &value))
        return 0;
    *size = value;
    *synchronizing = !(n < s.n && s.p[n] == '+');
    n += !*synchronizing;
    return n < s.n && s.p[n] == '}' ? n + 1 : 0;
}

bool imap_literal_announced(struct slice line, uint64_t *size, bool *synchronizing)
{
    ptrdiff_t at = slice_rfind(line, '{');
    if (at < 0)
        return false;
    struct slice mark = slice_make(line.p + at, line.n - (size_t)at);
    return literal_mark(mark, size, synchronizing) == mark.n;
}

bool imap_char(struct imap_cursor *c, char wanted)
{
    if (c->rest.n == 0 || c->rest.p[0] != wanted)
        return false;
    advance(c, 1);
    return true;
}

bool imap_space(struct imap_cursor *c)
{
    return imap_char(c, ' ');
}

bool imap_at_end(const struct imap_cursor *c)
{
    return c->rest.n == 0;
}

bool imap_atom(struct imap_cursor *c, struct slice *out)
{
    return take_while(c, is_atom_char, out);
}

bool imap_word(struct imap_cursor *c, const char *word)
{
    struct slice before = c->rest, atom;
    if (imap_atom(c, &atom) && slice_eq_fold(atom, slice_of(word)))
        return true;
    c->rest = before;
    return false;
}

bool imap_tag(struct imap_cursor *c, struct slice *out)
{
    return take_while(c, is_tag_char, out);
}

static bool quoted(struct imap_cursor *c, struct slice *out)
{
    char *text = arena_alloc(c->arena, c->rest.n);
    size_t n = 0;
    for (size_t i = 1; i < c->rest.n; i++) {
        char x = c->rest.p[i];
        if (x == '"') {
            *out = slice_make(text, n);
            advance(c, i + 1);
            return true;
        }
        if (x == '\\' && ++i < c->rest.n) {
            x = c->rest.p[i];
            if (x != '"' && x != '\\')
                return false;
        }
        if (x == '\0' || x == '\r' || x == '\n')
            return false;
        text[n++] = x;
    }
    return false;
}

static bool literal(struct imap_cursor *c, struct slice *out)
{
    uint64_t size;
    bool synchronizing;
    size_t mark = literal_mark(c->rest, &size, &synchronizing);
    if (!mark || c->rest.n - mark < 2 || c->rest.p[mark] != '\r' || c->rest.p[mark + 1] != '\n' ||
        size > c->rest.n - mark - 2)
        return false;
    *out = slice_make(c->rest.p + mark + 2, (size_t)size);
    if (memchr(out->p, '\0', out->n))
        return false;
    advance(c, mark + 2 + (size_t)size);
    return true;
}

bool imap_string(struct imap_cursor *c, struct slice *out)
{
    if (c->rest.n == 0)
        return false;
    return c->rest.p[0] == '"' ? quoted(c, out) : literal(c, out);
}

bool imap_astring(struct imap_cursor *c, struct slice *out)
{
    return imap_string(c, out) || take_while(c, is_astring_char, out);
}

bool imap_list_mailbox(struct imap_cursor *c, struct slice *out)
{
    return imap_string(c, out) || take_while(c, is_list_char, out);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool number(struct imap_cursor *c, unsigned long long max, unsigned long long *value)
{
    struct slice before = c->rest, digits;
    if (take_while(c, is_digit, &digits) && slice_to_u64(digits, max, value))
        return true;
    c->rest = before;
    return false;
}

bool imap_number(struct imap_cursor *c, uint32_t *out)
{
    unsigned long long value;
    if (!number(c, UINT32_MAX, &value))
        return false;
    *out = (uint32_t)value;
    return true;
}

bool imap_number64(struct imap_cursor *c, uint64_t *out)
{
    unsigned long long value;
    if (!number(c, INT64_MAX, &value))
        return false;
    *out = value;
    return true;
}

bool imap_flag(struct imap_cursor *c, struct slice *out)
{
    struct slice before = c->rest, name;
    bool system = imap_char(c, '\\');
    if (!imap_atom(c, &name)) {
        c->rest = before;
        return false;
    }
    *out = slice_make(before.p, name.n + system);
    return true;
}

static bool quotable(struct slice s)
{
    if (s.n > 1000)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\0' || s.p[i] == '\r' || s.p[i] == '\n' || (unsigned char)s.p[i] >= 127)
            return false;
    return true;
}

void imap_print_string(struct buf *out, struct slice s)
{
    if (!quotable(s)) {
        buf_printf(out, "{%zu}\r\n", s.n);
        buf_append_slice(out, s);
        return;
    }
    buf_putc(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            buf_putc(out, '\\');
        buf_putc(out, s.p[i]);
    }
    buf_putc(out, '"');
}

void imap_print_nstring(struct buf *out, struct slice s)
{
    if (s.p)
        imap_print_string(out, s);
    else
        buf_puts(out, "NIL");
}

void imap_print_astring(struct buf *out, struct slice s)
{
    size_t n = 0;
    while (n < s.n && is_astring_char(s.p[n]))
        n++;
    if (n == 0 || n < s.n || slice_eq_fold(s, SLICE("NIL")))
        imap_print_string(out, s);
    else
        buf_append_slice(out, s);
}
