/* map_compose.c - tables made of tables: unionmap, pipemap, randmap, and proxy, which opens its table directly. */
#include "lib/map/map_private.h"

#include <stdlib.h>

struct parts {
    VEC(struct map *) maps;
    VEC(char *) texts;
};

static void parts_close(struct map *m)
{
    struct parts *p = m->state;
    if (!p)
        return;
    for (size_t i = 0; i < p->maps.n; i++)
        map_close(&p->maps.items[i]);
    for (size_t i = 0; i < p->texts.n; i++)
        free(p->texts.items[i]);
    VEC_FREE(&p->maps);
    VEC_FREE(&p->texts);
    free(p);
}

/* Every item of "{ a, b }" through `add`. */
static bool each_item(struct map *m, bool (*add)(struct map *m, struct slice item, struct buf *err), struct buf *err)
{
    struct slice rest = slice_of(m->name), item;
    size_t n = 0;
    m->state = MEM_NEW(struct parts);
    if (map_strip_braces(&rest))
        for (; map_next_item(&rest, &item); n++) {
            map_strip_braces(&item);
            if (!add(m, item, err))
                return false;
        }
    if (n == 0)
        buf_printf(err, "%s: expected %s:{ item, ... }", m->title, m->type->name);
    return n > 0;
}

static bool add_map(struct map *m, struct slice item, struct buf *err)
{
    struct parts *p = m->state;
    MEM_AUTO char *title = mem_strndup(item.p, item.n);
    struct map *part = map_open_flags(m->conf, title, m->flags, err);
    if (part) {
        VEC_PUSH(&p->maps, part);
        m->pattern = m->pattern || part->pattern;
    }
    return part != NULL;
}

static bool add_text(struct map *m, struct slice item, struct buf *err)
{
    struct parts *p = m->state;
    VEC_PUSH(&p->texts, mem_strndup(item.p, item.n));
    return true;
}

static bool maps_open_all(struct map *m, struct buf *err)
{
    return each_item(m, add_map, err);
}

static bool randmap_open(struct map *m, struct buf *err)
{
    return each_item(m, add_text, err);
}

static enum map_status unionmap_lookup(struct map *m, const char *key, struct buf *out)
{
    struct parts *p = m->state;
    size_t found = 0;
    for (size_t i = 0; i < p->maps.n; i++) {
        BUF_AUTO value = BUF(BUF_MAX_DEFAULT);
        enum map_status s = map_lookup(p->maps.items[i], key, &value);
        if (s == MAP_TRY_AGAIN) {
            buf_append_slice(out, buf_slice(&value));
            return s;
        }
        if (s == MAP_FOUND) {
            buf_puts(out, found++ ? "," : "");
            buf_append_slice(out, buf_slice(&value));
        }
    }
    return found ? MAP_FOUND : MAP_NOT_FOUND;
}

static enum map_status pipemap_lookup(struct map *m, const char *key, struct buf *out)
{
    struct parts *p = m->state;
    MEM_AUTO char *text = mem_strdup(key);
    for (size_t i = 0; i < p->maps.n; i++) {
        BUF_AUTO value = BUF(BUF_MAX_DEFAULT);
        enum map_status s = map_lookup(p->maps.items[i], text, &value);
        if (s == MAP_TRY_AGAIN)
            buf_append_slice(out, buf_slice(&value));
        if (s != MAP_FOUND)
            return s;
        free(text);
        text = buf_steal(&value);
    }
    buf_puts(out, text);
    return MAP_FOUND;
}

static enum map_status randmap_lookup(struct map *m, const char *key, struct buf *out)
{
    struct parts *p = m->state;
    int64_t now = clock_mono();
    buf_puts(out, p->texts.items[hash_bytes(&now, sizeof now) % p->texts.n]);
    return MAP_FOUND;
}

static bool proxy_open(struct map *m, struct buf *err)
{
    m->state = MEM_NEW(struct parts);
    return add_map(m, slice_of(m->name), err);
}

static enum map_status proxy_lookup(struct map *m, const char *key, struct buf *out)
{
    return map_lookup(((struct parts *)m->state)->maps.items[0], key, out);
}

static bool proxy_each(struct map *m, bool (*fn)(void *ctx, const char *key, const char *value), void *ctx,
                       struct buf *err)
{
    return map_each(((struct parts *)m->state)->maps.items[0], fn, ctx, err);
}

const struct map_type map_type_unionmap = {
    .name = "unionmap", .open = maps_open_all, .lookup = unionmap_lookup, .close = parts_close};
const struct map_type map_type_pipemap = {
    .name = "pipemap", .open = maps_open_all, .lookup = pipemap_lookup, .close = parts_close};
const struct map_type map_type_randmap = {
    .name = "randmap", .open = randmap_open, .lookup = randmap_lookup, .close = parts_close};
const struct map_type map_type_proxy = {
    .name = "proxy", .open = proxy_open, .lookup = proxy_lookup, .close = parts_close, .each = proxy_each};
