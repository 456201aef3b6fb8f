/* maps.c - lists of tables. A table that cannot be opened defers what depends on it; it is opened again later. */
#include "lib/base/log.h"
#include "lib/map/map_private.h"

#include <stdlib.h>

struct entry {
    struct map *map; /* NULL while it cannot be opened */
    char *title;
    char *why;
    int64_t next_try;
};

struct maps {
    struct conf *conf;
    char *parameter;
    VEC(struct entry) entries;
};

static void try_open(struct maps *m, struct entry *e)
{
    BUF_AUTO err = BUF(2000);
    e->map = map_open(m->conf, e->title, &err);
    e->next_try = clock_mono() + NSEC_PER_SEC;
    if (e->map)
        return;
    if (!e->why || strcmp(e->why, buf_cstr(&err)) != 0)
        log_error("%s: %s", m->parameter, buf_cstr(&err));
    free(e->why);
    e->why = mem_strdup(buf_cstr(&err));
}

struct maps *maps_open(struct conf *conf, const char *parameter, const char *value, struct buf *err)
{
    struct maps *m = MEM_NEW(struct maps);
    struct slice rest = slice_of(value ? value : ""), item;
    m->conf = conf;
    m->parameter = mem_strdup(parameter);
    while (m && map_next_item(&rest, &item)) {
        map_strip_braces(&item);
        struct entry e = {.title = mem_strndup(item.p, item.n)};
        VEC_PUSH(&m->entries, e);
        if (!strchr(e.title, ':')) {
            buf_printf(err, "%s: \"%s\": expected type:name", parameter, e.title);
            maps_close(&m);
        } else {
            try_open(m, &m->entries.items[m->entries.n - 1]);
        }
    }
    return m;
}

void maps_close(struct maps **mp)
{
    struct maps *m = *mp;
    if (!m)
        return;
    for (size_t i = 0; i < m->entries.n; i++) {
        map_close(&m->entries.items[i].map);
        free(m->entries.items[i].title);
        free(m->entries.items[i].why);
    }
    VEC_FREE(&m->entries);
    free(m->parameter);
    free(m);
    *mp = NULL;
}

bool maps_is_empty(const struct maps *m)
{
    return !m || m->entries.n == 0;
}

/* partial: only tables for which parts of an address make sense. */
enum map_status maps_lookup_part(struct maps *m, const char *key, bool partial, struct buf *out, const char **title)
{
    for (size_t i = 0; m && i < m->entries.n; i++) {
        struct entry *e = &m->entries.items[i];
        if (!e->map && clock_mono() >= e->next_try)
            try_open(m, e);
        if (!e->map) {
            buf_puts(out, e->why);
            return MAP_TRY_AGAIN;
        }
        if (partial && map_is_pattern(e->map))
            continue;
        enum map_status s = map_lookup(e->map, key, out);
        if (s == MAP_NOT_FOUND)
            continue;
        if (title)
            *title = e->title;
        return s;
    }
    return MAP_NOT_FOUND;
}

enum map_status maps_lookup_title(struct maps *m, const char *key, struct buf *out, const char **title)
{
    return maps_lookup_part(m, key, false, out, title);
}

enum map_status maps_lookup(struct maps *m, const char *key, struct buf *out)
{
    return maps_lookup_part(m, key, false, out, NULL);
}
