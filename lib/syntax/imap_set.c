/* Sequence sets. "*" is the highest number there is, so that "*:1" and "9:*" of 3 messages have a meaning. */
#include "lib/syntax/imap_set.h"

#include "lib/base/vec.h"

static bool bound(struct imap_cursor *c, uint32_t *out)
{
    if (imap_char(c, '*')) {
        *out = UINT32_MAX;
        return true;
    }
    return imap_number(c, out) && *out != 0;
}

static bool range(struct imap_cursor *c, struct imap_range *out)
{
    if (!bound(c, &out->first))
        return false;
    out->last = out->first;
    if (imap_char(c, ':') && !bound(c, &out->last))
        return false;
    if (out->first > out->last)
        *out = (struct imap_range){out->last, out->first};
    return true;
}

bool imap_set_parse(struct imap_cursor *c, struct imap_set *out)
{
    struct slice before = c->rest;
    VEC(struct imap_range) ranges = {0};
    struct imap_range r;
    bool ok;
    do {
        ok = range(c, &r);
        if (ok)
            VEC_PUSH(&ranges, r);
    } while (ok && imap_char(c, ','));
    if (ok)
        *out = (struct imap_set){arena_memdup(c->arena, ranges.items, ranges.n * sizeof r), ranges.n, false};
    else
        c->rest = before;
    VEC_FREE(&ranges);
    return ok;
}

static struct imap_range meant(struct imap_range r, uint32_t highest)
{
    if (r.last != UINT32_MAX)
        return r;
    if (r.first <= highest)
        return (struct imap_range){r.first, highest};
    return (struct imap_range){highest, r.first == UINT32_MAX ? highest : r.first}; /* "9:*" of 3 is 3:9 */
}

static int by_first(const void *a, const void *b)
{
    uint32_t x = ((const struct imap_range *)a)->first, y = ((const struct imap_range *)b)->first;
    return x < y ? -1 : x > y;
}

void imap_set_settle(struct imap_set *s, uint32_t highest)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++)
        s->ranges[i] = meant(s->ranges[i], highest);
    if (s->n > 0) /* an empty set has no ranges to point to */
        qsort(s->ranges, s->n, sizeof *s->ranges, by_first);
    for (size_t i = 1; i < s->n; i++) {
        struct imap_range *before = &s->ranges[kept];
        if (s->ranges[i].first > before->last)
            s->ranges[++kept] = s->ranges[i];
        else if (s->ranges[i].last > before->last)
            before->last = s->ranges[i].last;
    }
    s->n = s->n ? kept + 1 : 0;
    s->settled = true;
}

static bool settled_has(const struct imap_set *s, uint32_t wanted)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->ranges[middle].last < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->n && s->ranges[low].first <= wanted && wanted != 0;
}

bool imap_set_has(const struct imap_set *s, uint32_t wanted, uint32_t highest)
{
    if (s->settled)
        return settled_has(s, wanted);
    for (size_t i = 0; i < s->n; i++) {
        struct imap_range r = meant(s->ranges[i], highest);
        if (wanted >= r.first && wanted <= r.last && wanted != 0)
            return true;
    }
    return false;
}

void imap_set_print(struct buf *out, const uint32_t *numbers, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t end = i;
        while (end + 1 < n && numbers[end + 1] == numbers[end] + 1)
            end++;
        buf_printf(out, i ? ",%u" : "%u", numbers[i]);
        if (end > i)
            buf_printf(out, ":%u", numbers[end]);
        i = end + 1;
    }
}
