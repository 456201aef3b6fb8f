/* map.c - the table of map types, and what all of them share. */
#include "lib/map/map.h"
#include "lib/base/log.h"
#include "lib/map/map_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

static const struct map_type *const types[] = {
#define MAP_TYPE(name) &map_type_##name,
#include "lib/map/types.def"
#undef MAP_TYPE
};
#define N_TYPES (sizeof types / sizeof *types)

const char *const *map_types(void)
{
    static const char *names[N_TYPES + 1];
    for (size_t i = 0; i < N_TYPES; i++)
        names[i] = types[i]->name;
    return names;
}

static const struct map_type *find_type(const char *text, size_t n)
{
    for (size_t i = 0; i < N_TYPES; i++)
        if (strlen(types[i]->name) == n && memcmp(types[i]->name, text, n) == 0)
            return types[i];
    return NULL;
}

static void unknown_type(const char *title, size_t n, struct buf *err)
{
    buf_printf(err, "%s: unsupported map type \"%.*s\"; known types:", title, (int)n, title);
    for (size_t i = 0; i < N_TYPES; i++)
        buf_printf(err, " %s", types[i]->name);
}

struct map *map_open_flags(struct conf *conf, const char *type_name, unsigned flags, struct buf *err)
{
    const char *colon = strchr(type_name, ':');
    if (!colon) {
        buf_printf(err, "%s: expected type:name", type_name);
        return NULL;
    }
    const struct map_type *type = find_type(type_name, (size_t)(colon - type_name));
    if (!type) {
        unknown_type(type_name, (size_t)(colon - type_name), err);
        return NULL;
    }
    struct map *m = MEM_NEW(struct map);
    m->type = type;
    m->conf = conf;
    m->pattern = type->pattern;
    m->title = mem_strdup(type_name);
    m->name = m->title + (colon - type_name) + 1;
    m->flags = flags;
    m->file.dirfd = -1;
    if (!type->open(m, err))
        map_close(&m);
    return m;
}

struct map *map_open(struct conf *conf, const char *type_name, struct buf *err)
{
    return map_open_flags(conf, type_name, 0, err);
}

void map_close(struct map **mp)
{
    struct map *m = *mp;
    if (!m)
        return;
    m->type->close(m);
    map_file_fini(&m->file);
    free(m->title);
    free(m);
    *mp = NULL;
}

const char *map_title(const struct map *m)
{
    return m->title;
}

bool map_is_pattern(const struct map *m)
{
    return m->pattern;
}

const char *map_fold(const struct map *m, const char *key, char *small, size_t size, char **heap)
{
    *heap = NULL;
    if (!m->type->folds || (m->flags & MAP_NO_FOLD))
        return key;
    size_t n = strlen(key);
    char *to = n < size ? small : (*heap = mem_alloc(n + 1));
    for (size_t i = 0; i <= n; i++)
        to[i] = ascii_lower(key[i]);
    return to;
}

enum map_status map_lookup(struct map *m, const char *key, struct buf *out)
{
    char small[256], *heap;
    const char *folded = map_fold(m, key, small, sizeof small, &heap);
    enum map_status s = m->type->lookup(m, folded, out);
    free(heap);
    return s;
}

bool map_each(struct map *m, bool (*fn)(void *ctx, const char *key, const char *value), void *ctx, struct buf *err)
{
    if (m->type->each)
        return m->type->each(m, fn, ctx, err);
    buf_printf(err, "%s: a table of this type cannot be listed", m->title);
    return false;
}

enum map_status map_fail(struct map *m, struct buf *out, const char *fmt, ...)
{
    BUF_AUTO text = BUF(1000);
    va_list ap;
    va_start(ap, fmt);
    buf_printf(&text, "%s: ", m->title);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    if (!m->warned)
        log_warn("%s", buf_cstr(&text));
    m->warned = true;
    buf_append_slice(out, buf_slice(&text));
    return MAP_TRY_AGAIN;
}

bool map_next_item(struct slice *rest, struct slice *item)
{
    size_t n = 0, level = 0;
    while (rest->n > 0 && (isspace((unsigned char)*rest->p) || *rest->p == ','))
        *rest = slice_make(rest->p + 1, rest->n - 1);
    if (rest->n == 0)
        return false;
    for (; n < rest->n; n++) {
        char c = rest->p[n];
        if (c == '{')
            level++;
        else if (c == '}' && level > 0)
            level--;
        else if (level == 0 && (isspace((unsigned char)c) || c == ','))
            break;
    }
    *item = slice_make(rest->p, n);
    *rest = slice_make(rest->p + n, rest->n - n);
    return true;
}

bool map_strip_braces(struct slice *s)
{
    struct slice t = slice_trim(*s);
    if (t.n < 2 || t.p[0] != '{' || t.p[t.n - 1] != '}')
        return false;
    *s = slice_trim(slice_make(t.p + 1, t.n - 2));
    return true;
}

/* The key in double quotes may hold blanks; a backslash takes the next character as it is. */
static char *unquote(char *p, char **key)
{
    char *to = ++p;
    *key = to;
    for (; *p && *p != '"'; p++) {
        if (*p == '\\' && p[1])
            p++;
        *to++ = *p;
    }
    if (*p != '"')
        return NULL;
    p++;
    bool ok = isspace((unsigned char)*p);
    *to = '\0';
    return ok ? p : NULL;
}

bool map_source_line(char *line, char **key, char **value)
{
    char *p = line;
    while (isspace((unsigned char)*p))
        p++;
    if (*p == '"') {
        p = unquote(p, key);
        if (!p)
            return false;
    } else {
        *key = p;
        while (*p && !isspace((unsigned char)*p))
            p++;
        if (*p)
            *p++ = '\0';
    }
    while (isspace((unsigned char)*p))
        p++;
    for (char *end = p + strlen(p); end > p && isspace((unsigned char)end[-1]);)
        *--end = '\0';
    *value = p;
    return **key && *p;
}
