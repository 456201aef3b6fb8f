/* smtp_data.c - see smtp_data.h. */
#include "lib/syntax/smtp_data.h"

void smtp_data_init(struct smtp_data *d, enum smtp_data_eod eod, bool strict_cr)
{
    *d = (struct smtp_data){.eod = eod, .strict_cr = strict_cr};
}

static void put(struct smtp_data *d, const char *p, size_t n, smtp_data_emit *emit, void *ctx)
{
    if (n == 0)
        return;
    emit(ctx, p, n);
    d->size += n;
    d->in_line = true;
}

static void put_crs(struct smtp_data *d, uint32_t n, smtp_data_emit *emit, void *ctx)
{
    while (n-- > 0)
        put(d, "\r", 1, emit, ctx);
}

/* An LF came, with d->cr CRs before it. */
static void end_line(struct smtp_data *d, smtp_data_emit *emit, void *ctx)
{
    bool bare = d->cr == 0;
    if (d->strict_cr && d->cr > 1)
        put_crs(d, d->cr - 1, emit, ctx);
    d->cr = 0;
    bool lone_dot = d->dot && !d->in_line;
    if (lone_dot && (d->eod == SMTP_DATA_ANY_EOD || (!bare && !d->prev_bare))) {
        d->done = true;
        return;
    }
    d->saw_bare_lf = d->saw_bare_lf || bare;
    d->prev_bare = bare;
    if (lone_dot) { /* no standard end, nor content that another server should see */
        d->dot = false;
        return;
    }
    emit(ctx, "\n", 1);
    d->size += 2;
    d->dot = d->in_line = false;
}

/* Text of a line without LF; CRs at its end may belong to a line end that is still to come. */
static void put_text(struct smtp_data *d, const char *p, size_t n, smtp_data_emit *emit, void *ctx)
{
    size_t keep = n;
    while (keep > 0 && p[keep - 1] == '\r')
        keep--;
    if (keep > 0) {
        put_crs(d, d->cr, emit, ctx);
        d->cr = 0;
        put(d, p, keep, emit, ctx);
    }
    d->cr += (uint32_t)(n - keep);
}

size_t smtp_data_feed(struct smtp_data *d, struct slice in, smtp_data_emit *emit, void *ctx)
{
    size_t i = 0;
    while (i < in.n && !d->done) {
        if (in.p[i] == '.' && !d->in_line && !d->dot && d->cr == 0 && d->eod != SMTP_DATA_NO_EOD) {
            d->dot = true;
            i++;
            continue;
        }
        const char *lf = memchr(in.p + i, '\n', in.n - i);
        size_t n = lf ? (size_t)(lf - in.p) - i : in.n - i;
        put_text(d, in.p + i, n, emit, ctx);
        i += n;
        if (lf) {
            i++;
            end_line(d, emit, ctx);
        }
    }
    return i;
}

void smtp_data_finish(struct smtp_data *d, smtp_data_emit *emit, void *ctx)
{
    if (d->in_line || d->cr > 0) {
        put_crs(d, d->cr, emit, ctx);
        d->cr = 1;
        end_line(d, emit, ctx);
    }
    d->done = true;
}
