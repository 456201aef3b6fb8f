/* map_simple.c - static, fail and environ. */
#include "lib/map/map_private.h"

#include <stdlib.h>

static bool open_nothing(struct map *m, struct buf *err)
{
    return true;
}

static void close_state(struct map *m)
{
    free(m->state);
}

/* static:text or static:{ text }: the same answer for every key. */
static bool static_open(struct map *m, struct buf *err)
{
    struct slice text = slice_of(m->name);
    map_strip_braces(&text);
    m->state = mem_strndup(text.p, text.n);
    return true;
}

static enum map_status static_lookup(struct map *m, const char *key, struct buf *out)
{
    buf_puts(out, m->state);
    return MAP_FOUND;
}

/* fail:text: every look-up fails for now. */
static enum map_status fail_lookup(struct map *m, const char *key, struct buf *out)
{
    return map_fail(m, out, "this table fails always");
}

static enum map_status environ_lookup(struct map *m, const char *key, struct buf *out)
{
    const char *value = secure_getenv(key);
    if (!value)
        return MAP_NOT_FOUND;
    buf_puts(out, value);
    return MAP_FOUND;
}

const struct map_type map_type_static = {
    .name = "static", .open = static_open, .lookup = static_lookup, .close = close_state};
const struct map_type map_type_fail = {
    .name = "fail", .open = open_nothing, .lookup = fail_lookup, .close = close_state};
const struct map_type map_type_environ = {
    .name = "environ", .open = open_nothing, .lookup = environ_lookup, .close = close_state};
