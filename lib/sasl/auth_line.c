/* auth_line.c - see auth_line.h. */
#include "lib/sasl/auth_line.h"

static bool unescape(struct arena *a, struct slice s, const char **out)
{
    char *text = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\0')
            return false;
        if (c == '\001') {
            if (++i == s.n)
                return false;
            switch (s.p[i]) {
            case '1':
                break;
            case 't':
                c = '\t';
                break;
            case 'r':
                c = '\r';
                break;
            case 'n':
                c = '\n';
                break;
            default:
                return false;
            }
        }
        text[n++] = c;
    }
    text[n] = '\0';
    *out = text;
    return true;
}

bool auth_line_parse(struct arena *a, struct slice line, struct auth_line *out)
{
    out->n = 0;
    for (;;) {
        if (out->n == AUTH_LINE_FIELDS)
            return false;
        ptrdiff_t tab = slice_find(line, '\t');
        struct slice f = tab < 0 ? line : slice_make(line.p, (size_t)tab);
        if (!unescape(a, f, &out->field[out->n++]))
            return false;
        if (tab < 0)
            return true;
        line.p += tab + 1;
        line.n -= (size_t)tab + 1;
    }
}

const char *auth_line_get(const struct auth_line *l, size_t from, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = from; i < l->n; i++)
        if (strncmp(l->field[i], name, n) == 0 && (l->field[i][n] == '=' || l->field[i][n] == '\0'))
            return l->field[i] + n + (l->field[i][n] == '=');
    return NULL;
}

bool auth_line_u64(const struct auth_line *l, size_t i, unsigned long long max, unsigned long long *value)
{
    return i < l->n && slice_to_u64(slice_of(l->field[i]), max, value);
}

void auth_line_escape(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        static const char special[] = "\001\t\r\n", code[] = "1trn";
        const char *s = strchr(special, *text);
        if (s != NULL) {
            buf_putc(out, '\001');
            buf_putc(out, code[s - special]);
        } else {
            buf_putc(out, *text);
        }
    }
}

void auth_line_put(struct buf *out, const char *name, const char *text)
{
    if (text == NULL || *text == '\0')
        return;
    buf_putc(out, '\t');
    buf_puts(out, name);
    buf_putc(out, '=');
    auth_line_escape(out, text);
}
