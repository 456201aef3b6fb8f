/* drop_wire.c - see drop_wire.h. */
#include "command/drop_wire.h"

#include <stdio.h>

enum { RECIPIENTS_MOST = 100000 };

static void pair(struct buf *out, const char *name, const char *value)
{
    buf_append(out, name, strlen(name) + 1);
    buf_append(out, value ? value : "", strlen(value ? value : "") + 1);
}

static void number(struct buf *out, const char *name, uint32_t value)
{
    char text[20];
    snprintf(text, sizeof text, "%u", value);
    pair(out, name, text);
}

void drop_encode(const struct drop *d, struct buf *out)
{
    pair(out, "sender", d->sender);
    pair(out, "fullname", d->fullname);
    pair(out, "envid", d->envid);
    pair(out, "body_type", d->body_type);
    number(out, "ret", d->ret);
    number(out, "notify", d->notify);
    number(out, "flags", d->flags);
    number(out, "verbose", d->verbose);
    for (size_t i = 0; i < d->n_recipients; i++)
        pair(out, "recipient", d->recipients[i]);
    buf_putc(out, '\0');
}

static bool next_string(struct slice *in, struct slice *s)
{
    ptrdiff_t end = slice_find(*in, '\0');
    if (end < 0)
        return false;
    *s = slice_make(in->p, (size_t)end);
    *in = slice_make(in->p + end + 1, in->n - (size_t)end - 1);
    return true;
}

static bool set_number(struct slice value, uint32_t *out)
{
    unsigned long long v;
    if (!slice_to_u64(value, UINT32_MAX, &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

static bool take(struct drop *d, struct arena *a, struct slice name, struct slice value)
{
    const struct {
        const char *name;
        const char **text;
        uint32_t *number;
    } known[] = {{"sender", &d->sender, NULL},       {"fullname", &d->fullname, NULL}, {"envid", &d->envid, NULL},
                 {"body_type", &d->body_type, NULL}, {"ret", NULL, &d->ret},           {"notify", NULL, &d->notify},
                 {"flags", NULL, &d->flags},         {"verbose", NULL, &d->verbose}};
    if (slice_eq(name, SLICE("recipient"))) {
        if (d->n_recipients == RECIPIENTS_MOST)
            return false;
        d->recipients[d->n_recipients++] = arena_slice(a, value);
        return true;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!slice_eq(name, slice_of(known[i].name)))
            continue;
        if (known[i].number)
            return set_number(value, known[i].number);
        *known[i].text = arena_slice(a, value);
        return true;
    }
    return false;
}

bool drop_decode(struct slice in, struct arena *a, struct drop *d, size_t *used)
{
    struct slice rest = in, name, value;
    *d = (struct drop){.sender = "", .fullname = "", .envid = "", .body_type = ""};
    size_t most = 0;
    for (size_t i = 0; i < in.n; i++)
        most += in.p[i] == '\0';
    d->recipients = ARENA_ARRAY(a, const char *, most + 1);
    while (next_string(&rest, &name)) {
        if (name.n == 0) {
            *used = in.n - rest.n;
            return true;
        }
        if (!next_string(&rest, &value) || !take(d, a, name, value))
            return false;
    }
    return false;
}
