/* dotted.c - see dotted.h. */
#include "pop3d/dotted.h"

struct dotted dotted_all(void)
{
    return (struct dotted){.lines = -1};
}

struct dotted dotted_top(int64_t lines)
{
    return (struct dotted){.lines = lines};
}

/* A part of a line, without its end. */
static void put_text(struct dotted *d, const char *p, size_t n, struct buf *out)
{
    if (n == 0)
        return;
    if (d->line_size == 0 && *p == '.')
        buf_putc(out, '.');
    buf_append(out, p, n);
    d->line_size += n;
    d->cr = p[n - 1] == '\r';
}

static void end_line(struct dotted *d, struct buf *out)
{
    if (d->cr)
        buf_putc(out, '\n');
    else
        buf_append(out, "\r\n", 2);
    bool empty = d->line_size == (d->cr ? 1 : 0);
    d->line_size = 0;
    d->cr = false;
    if (d->in_body && d->lines > 0)
        d->lines--;
    else if (!d->in_body && empty)
        d->in_body = true;
    d->done = d->in_body && d->lines == 0;
}

void dotted_feed(struct dotted *d, struct slice in, struct buf *out)
{
    while (in.n && !d->done) {
        const char *lf = memchr(in.p, '\n', in.n);
        size_t n = lf ? (size_t)(lf - in.p) : in.n;
        put_text(d, in.p, n, out);
        if (lf)
            end_line(d, out);
        n += lf != NULL;
        in = slice_make(in.p + n, in.n - n);
    }
}

void dotted_end(struct dotted *d, struct buf *out)
{
    if (d->line_size)
        end_line(d, out);
    buf_puts(out, ".\r\n");
}
