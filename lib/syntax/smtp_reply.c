/* smtp_reply.c - see smtp_reply.h. The first pass only looks for the end, because most calls find a reply whole. */
#include "lib/syntax/smtp_reply.h"

#include "lib/base/buf.h"

#include <stdio.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The line's text without its end; false when there is no whole line. *next is behind the LF. */
static bool next_line(struct slice in, size_t pos, struct slice *line, size_t *next)
{
    const char *lf = pos < in.n ? memchr(in.p + pos, '\n', in.n - pos) : NULL;
    if (!lf)
        return false;
    size_t end = (size_t)(lf - in.p);
    *next = end + 1;
    if (end > pos && in.p[end - 1] == '\r')
        end--;
    *line = slice_make(in.p + pos, end - pos);
    return true;
}

static bool line_is_reply(struct slice l)
{
    return l.n >= 3 && l.p[0] >= '2' && l.p[0] <= '5' && is_digit(l.p[1]) && is_digit(l.p[2]) &&
           (l.n == 3 || l.p[3] == ' ' || l.p[3] == '-');
}

static enum smtp_reply_status find_end(struct slice in, size_t *used, size_t *n_lines)
{
    struct slice line;
    size_t next;
    *used = *n_lines = 0;
    while (next_line(in, *used, &line, &next)) {
        if (!line_is_reply(line) || next > SMTP_REPLY_MAX)
            return SMTP_REPLY_BROKEN;
        *used = next;
        ++*n_lines;
        if (line.n == 3 || line.p[3] == ' ')
            return SMTP_REPLY_OK;
    }
    return in.n > SMTP_REPLY_MAX ? SMTP_REPLY_BROKEN : SMTP_REPLY_MORE;
}

/* "5.1.1" followed by a blank or the end, of the same class as the code. */
static bool find_dsn(struct slice text, char class, char dsn[16])
{
    size_t i = 0, dots = 0, digits = 0;
    for (; i < text.n && i < 15 && (is_digit(text.p[i]) || text.p[i] == '.'); i++) {
        bool dot = text.p[i] == '.';
        if (dot && digits == 0)
            return false;
        digits = dot ? 0 : digits + 1;
        dots += dot;
        if (digits > 3)
            return false;
    }
    if (dots != 2 || digits == 0 || text.p[0] != class || text.p[1] != '.' || class == '3')
        return false;
    if (i < text.n && text.p[i] != ' ')
        return false;
    snprintf(dsn, 16, "%.*s", (int)i, text.p);
    return true;
}

static void append_text(struct buf *b, struct slice line)
{
    if (b->len > 0)
        buf_putc(b, ' ');
    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];
        buf_putc(b, c == '\t' ? ' ' : (c < ' ' || c == 0x7f) ? '?' : line.p[i]);
    }
}

enum smtp_reply_status smtp_reply_parse(struct slice in, struct arena *a, struct smtp_reply *r, size_t *used)
{
    *r = (struct smtp_reply){.text = ""};
    enum smtp_reply_status st = find_end(in, used, &r->n_lines);
    if (st != SMTP_REPLY_OK)
        return st;
    r->lines = ARENA_ARRAY(a, struct slice, r->n_lines);
    BUF_AUTO text = BUF(SMTP_REPLY_MAX + 1);
    struct slice line = {0};
    size_t pos = 0;
    for (size_t i = 0; i < r->n_lines; i++) {
        next_line(in, pos, &line, &pos);
        size_t skip = line.n > 3 ? 4 : 3;
        r->lines[i] = slice_make(line.p + skip, line.n - skip);
        append_text(&text, line);
    }
    r->code = (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
    r->has_dsn = find_dsn(r->lines[r->n_lines - 1], line.p[0], r->dsn);
    if (!r->has_dsn)
        snprintf(r->dsn, sizeof r->dsn, "%c.0.0", line.p[0]);
    r->text = arena_strdup(a, buf_cstr(&text));
    return SMTP_REPLY_OK;
}
