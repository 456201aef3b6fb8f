/* The text form: "3 V<validity> N<next> G<guid>", then "<uid> <fields> :<file name>" by rising UID. */
#include "lib/store/uidlist.h"

static bool take_line(struct slice *rest, struct slice *line)
{
    ptrdiff_t end = slice_find(*rest, '\n');
    if (end < 0)
        return false;
    *line = slice_make(rest->p, (size_t)end);
    *rest = slice_make(rest->p + end + 1, rest->n - (size_t)end - 1);
    return true;
}

static bool parse_u32(struct slice s, uint32_t *value)
{
    unsigned long long v;
    if (!slice_to_u64(s, UINT32_MAX, &v))
        return false;
    *value = (uint32_t)v;
    return true;
}

static bool parse_header(struct uidlist *l, struct slice line)
{
    struct slice token;
    BUF_AUTO more = BUF(1000);
    if (!slice_token(&line, " ", &token) || !slice_eq(token, SLICE("3")))
        return false;
    while (slice_token(&line, " ", &token)) {
        struct slice value = slice_make(token.p + 1, token.n - 1);
        if (token.p[0] == 'V' || token.p[0] == 'N') {
            if (!parse_u32(value, token.p[0] == 'V' ? &l->validity : &l->next))
                return false;
            continue;
        }
        buf_puts(&more, more.len ? " " : "");
        buf_append_slice(&more, token);
    }
    if (more.len)
        l->fields = buf_steal(&more);
    return l->validity != 0 && l->next != 0;
}

static bool parse_entry(struct uidlist *l, struct slice line)
{
    struct slice rest = line, token;
    uint32_t uid, last = l->entries.n ? l->entries.items[l->entries.n - 1].uid : 0;
    ptrdiff_t colon = slice_find(line, ':');
    if (colon < 0 || !slice_token(&rest, " ", &token) || !parse_u32(token, &uid) || uid <= last || uid == UINT32_MAX)
        return false;
    struct slice name = slice_make(line.p + colon + 1, line.n - (size_t)colon - 1);
    ptrdiff_t info = slice_find(name, ':');
    if (info >= 0)
        name.n = (size_t)info;
    if (name.n == 0 || memchr(name.p, '/', name.n) || memchr(name.p, '\0', name.n) || line.p + colon < rest.p)
        return false;
    struct slice fields = slice_trim(slice_make(rest.p, (size_t)(line.p + colon - rest.p)));
    struct uidlist_entry e = {uid, mem_strndup(name.p, name.n), mem_strndup(fields.p, fields.n)};
    VEC_PUSH(&l->entries, e);
    if (l->next <= uid) /* appended since the header was written */
        l->next = uid + 1;
    return true;
}

bool uidlist_parse(struct uidlist *l, struct slice text)
{
    struct slice line;
    *l = (struct uidlist){.next = 0};
    bool ok = take_line(&text, &line) && parse_header(l, line);
    while (ok && take_line(&text, &line))
        ok = parse_entry(l, line);
    if (ok)
        return true;
    uidlist_fini(l);
    l->next = 1;
    return false;
}

void uidlist_print(const struct uidlist *l, struct buf *out)
{
    buf_printf(out, "3 V%u N%u", l->validity, l->next);
    if (l->fields)
        buf_printf(out, " %s", l->fields);
    buf_putc(out, '\n');
    for (size_t i = 0; i < l->entries.n; i++) {
        const struct uidlist_entry *e = &l->entries.items[i];
        buf_printf(out, "%u %s%s:%s\n", e->uid, e->fields, *e->fields ? " " : "", e->base);
    }
}

uint32_t uidlist_add(struct uidlist *l, struct slice base)
{
    if (l->next == 0 || l->next == UINT32_MAX)
        return 0;
    struct uidlist_entry e = {l->next++, mem_strndup(base.p, base.n), mem_strdup("")};
    VEC_PUSH(&l->entries, e);
    return e.uid;
}

void uidlist_fini(struct uidlist *l)
{
    for (size_t i = 0; i < l->entries.n; i++) {
        free(l->entries.items[i].base);
        free(l->entries.items[i].fields);
    }
    VEC_FREE(&l->entries);
    free(l->fields);
    *l = (struct uidlist){.next = 0};
}

char *uidlist_pop3_uidl(const struct uidlist_entry *e)
{
    struct slice rest = slice_of(e->fields), token;
    while (slice_token(&rest, " ", &token))
        if (token.p[0] == 'P') /* nothing after it: the name is the UIDL */
            return token.n > 1 ? mem_strndup(token.p + 1, token.n - 1) : mem_strdup(e->base);
    return NULL;
}
