/* smtp_content.c - see smtp_content.h. */
#include "smtp/smtp_content.h"

/* Part of a line, or all of it. The blank that starts a continuation counts as one of its bytes. */
static void append_broken(struct smtp_content *c, struct slice part, struct buf *out)
{
    while (part.n > 0) {
        size_t room = c->line_limit > c->column ? c->line_limit - c->column : 0;
        if (room == 0) {
            buf_append(out, "\r\n ", 3);
            c->column = c->line_limit > 1 ? 1 : 0;
            continue;
        }
        size_t n = part.n < room ? part.n : room;
        buf_append(out, part.p, n);
        c->column += n;
        part = slice_make(part.p + n, part.n - n);
    }
}

void smtp_content_encode(struct smtp_content *c, struct slice in, struct buf *out)
{
    while (in.n > 0) {
        const char *lf = memchr(in.p, '\n', in.n);
        size_t n = lf ? (size_t)(lf - in.p) : in.n;
        if (n > 0 && in.p[0] == '.' && !c->open_line)
            buf_putc(out, '.');
        if (c->line_limit)
            append_broken(c, slice_make(in.p, n), out);
        else
            buf_append(out, in.p, n);
        c->column = lf ? 0 : c->column;
        c->open_line = !lf;
        if (lf)
            buf_append(out, "\r\n", 2);
        n += lf != NULL;
        in = slice_make(in.p + n, in.n - n);
    }
}

void smtp_content_end(struct smtp_content *c, struct buf *out)
{
    if (c->open_line)
        buf_append(out, "\r\n", 2);
    buf_append(out, ".\r\n", 3);
    c->open_line = false;
}
