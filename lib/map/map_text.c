/* map_text.c - texthash (the source of a compiled table, read into memory) and inline. */
#include "lib/base/log.h"
#include "lib/conf/lines.h"
#include "lib/map/map_private.h"

#include <stdlib.h>

struct text_table {
    struct arena *arena;
    struct hash *entries;
};

static struct text_table *table_new(void)
{
    struct text_table *t = MEM_NEW(struct text_table);
    t->arena = arena_new();
    t->entries = hash_new();
    return t;
}

static void table_free(struct text_table *t)
{
    if (!t)
        return;
    hash_free(&t->entries, NULL);
    arena_free(&t->arena);
    free(t);
}

static void table_add(struct map *m, struct text_table *t, char *key, const char *value, int line)
{
    if (!(m->flags & MAP_NO_FOLD))
        str_lower(key);
    if (hash_get(t->entries, key)) {
        log_warn("%s, line %d: duplicate entry: \"%s\"", m->title, line, key);
        return;
    }
    hash_put(t->entries, key, arena_strdup(t->arena, value));
}

static struct text_table *read_table(struct map *m, struct buf *err)
{
    BUF_AUTO text = BUF(0);
    BUF_AUTO line = BUF((size_t)1 << 24);
    struct lines in;
    int number;
    if (!map_file_read(&m->file, &text, err))
        return NULL;
    struct text_table *t = table_new();
    lines_init(&in, buf_slice(&text));
    while (lines_next(&in, &line, &number, NULL)) {
        char *key, *value;
        MEM_AUTO char *copy = mem_strdup(buf_cstr(&line));
        if (map_source_line(copy, &key, &value))
            table_add(m, t, key, value, number);
        else
            log_warn("%s, line %d: expected format: key whitespace value", m->file.path, number);
    }
    return t;
}

static bool texthash_open(struct map *m, struct buf *err)
{
    map_file_init(&m->file, m->name);
    m->state = read_table(m, err);
    return m->state != NULL;
}

static void reload(struct map *m)
{
    BUF_AUTO err = BUF(1000);
    struct text_table *t = read_table(m, &err);
    if (!t) {
        log_warn("%s: %s; keeping the old content", m->title, buf_cstr(&err));
        return;
    }
    table_free(m->state);
    m->state = t;
}

static void text_close(struct map *m)
{
    table_free(m->state);
}

static enum map_status text_lookup(struct map *m, const char *key, struct buf *out)
{
    if (m->file.path && map_file_changed(&m->file))
        reload(m);
    struct text_table *t = m->state;
    const char *value = hash_get(t->entries, key);
    if (!value)
        return MAP_NOT_FOUND;
    buf_puts(out, value);
    return MAP_FOUND;
}

static bool text_each(struct map *m, bool (*fn)(void *ctx, const char *key, const char *value), void *ctx,
                      struct buf *err)
{
    struct text_table *t = m->state;
    size_t it = 0;
    const char *key;
    void *value;
    while (hash_next(t->entries, &it, &key, &value))
        if (!fn(ctx, key, value))
            break;
    return true;
}

/* inline:{ key=value, { key = text with blanks } } */
static bool inline_open(struct map *m, struct buf *err)
{
    struct slice rest = slice_of(m->name), item;
    struct text_table *t = table_new();
    m->state = t;
    if (!map_strip_braces(&rest)) {
        buf_printf(err, "%s: expected inline:{ key=value, ... }", m->title);
        return false;
    }
    while (map_next_item(&rest, &item)) {
        map_strip_braces(&item);
        ptrdiff_t eq = slice_find(item, '=');
        struct slice key = slice_trim(slice_make(item.p, eq < 0 ? 0 : (size_t)eq));
        if (key.n == 0) {
            buf_printf(err, "%s: \"%.*s\": expected key=value", m->title, SLICE_ARG(item));
            return false;
        }
        struct slice value = slice_trim(slice_make(item.p + eq + 1, item.n - (size_t)eq - 1));
        MEM_AUTO char *k = mem_strndup(key.p, key.n);
        MEM_AUTO char *v = mem_strndup(value.p, value.n);
        table_add(m, t, k, v, 1);
    }
    if (hash_count(t->entries) > 0)
        return true;
    buf_printf(err, "%s: empty table", m->title);
    return false;
}

const struct map_type map_type_texthash = {.name = "texthash",
                                           .folds = true,
                                           .open = texthash_open,
                                           .lookup = text_lookup,
                                           .close = text_close,
                                           .each = text_each};
const struct map_type map_type_inline = {.name = "inline",
                                         .folds = true,
                                         .open = inline_open,
                                         .lookup = text_lookup,
                                         .close = text_close,
                                         .each = text_each};
