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
        *out = (struct imap_set){arena_memdup(c->arena, ranges.items, ranges.n * sizeof r), ranges.n};
    else
        c->rest = before;
    VEC_FREE(&ranges);
    return ok;
}

bool imap_set_has(const struct imap_set *s, uint32_t wanted, uint32_t highest)
{
    for (size_t i = 0; i < s->n; i++) {
        uint32_t first = s->ranges[i].first, last = s->ranges[i].last;
        if (last == UINT32_MAX) {
            last = highest;
            if (first > last) { /* "9:*" of 3 is 3:9 */
                uint32_t high = first == UINT32_MAX ? last : first;
                first = last;
                last = high;
            }
        }
        if (wanted >= first && wanted <= last && wanted != 0)
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
