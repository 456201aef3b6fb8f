/* conf.c - reading main.cf: one hash of settings that remembers where each came from. Values stay as written until
 * somebody asks for them; then they are expanded once and kept. */
#include "lib/conf/conf.h"
#include "lib/conf/conf_private.h"
#include "lib/conf/lines.h"

#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#define MAIN_CF_MAX ((size_t)16 << 20)

const char *conf_default_dir(void)
{
    /* A set-gid program does not follow a stranger's variable; root could read anything anyway. */
    const char *dir = getuid() == 0 ? getenv("MAIL_CONFIG") : secure_getenv("MAIL_CONFIG");
    return dir && *dir ? dir : MERPATI_CONFIG_DIR;
}

static struct conf *conf_new(const char *dir)
{
    struct conf *c = MEM_NEW(struct conf);
    c->arena = arena_new();
    c->dir = arena_strdup(c->arena, dir);
    c->file = arena_printf(c->arena, "%s/main.cf", dir);
    c->tail = &c->first;
    c->by_name = hash_new();
    c->expanded = hash_new();
    c->computed = hash_new();
    return c;
}

void conf_free(struct conf **cp)
{
    struct conf *c = *cp;
    if (!c)
        return;
    hash_free(&c->by_name, NULL);
    hash_free(&c->expanded, NULL);
    hash_free(&c->computed, NULL);
    arena_free(&c->arena);
    VEC_FREE(&c->warnings);
    VEC_FREE(&c->expanding);
    free(c);
    *cp = NULL;
}

const char *conf_dir(const struct conf *c)
{
    return c->dir;
}

const char *conf_file(const struct conf *c)
{
    return c->file;
}

void conf_warn(struct conf *c, const char *text)
{
    VEC_PUSH(&c->warnings, text);
}

const char *conf_warning(const struct conf *c, size_t i)
{
    return i < c->warnings.n ? c->warnings.items[i] : NULL;
}

/* Expanded values depend on each other: any change forgets them all. */
static void set(struct conf *c, const char *name, const char *value, int line)
{
    struct conf_entry *e = hash_get(c->by_name, name);
    if (!e) {
        e = ARENA_NEW(c->arena, struct conf_entry);
        e->name = arena_strdup(c->arena, name);
        *c->tail = e;
        c->tail = &e->next;
        hash_put(c->by_name, e->name, e);
    } else if (line > 0 && strcmp(e->raw, value) != 0) {
        conf_warn(c,
                  arena_printf(c->arena, "%s, line %d: overriding earlier entry: %s=%s", c->file, line, name, e->raw));
    }
    e->raw = arena_strdup(c->arena, value);
    e->line = line;
    hash_free(&c->expanded, NULL);
    hash_free(&c->computed, NULL);
    c->expanded = hash_new();
    c->computed = hash_new();
}

/* Cuts "name = value" in place. NULL and both parts set, or what is wrong with it. */
static const char *split_assignment(char *text, char **name, char **value)
{
    char *p = text;
    while (isspace((unsigned char)*p))
        p++;
    *name = p;
    while (*p && *p != '=' && !isspace((unsigned char)*p))
        p++;
    if (p == *name)
        return *p ? "missing attribute name" : "empty text in place of name = value";
    char *end = p;
    while (isspace((unsigned char)*p))
        p++;
    if (*p != '=')
        return "missing '=' after attribute name";
    p++;
    while (isspace((unsigned char)*p))
        p++;
    *end = '\0';
    *value = p;
    for (char *q = p + strlen(p); q > p && isspace((unsigned char)q[-1]);)
        *--q = '\0';
    return NULL;
}

static bool parse_line(struct conf *c, const char *text, int line, struct buf *err)
{
    if (isspace((unsigned char)*text)) {
        conf_warn(c, arena_printf(c->arena, "%s, line %d: logical line must not start with whitespace: \"%.30s%s\"",
                                  c->file, line, text, strlen(text) > 30 ? "..." : ""));
        return true;
    }
    char *copy = arena_strdup(c->arena, text), *name, *value;
    const char *wrong = split_assignment(copy, &name, &value);
    if (wrong) {
        buf_printf(err, "%s, line %d: %s: \"%.100s\"", c->file, line, wrong, text);
        return false;
    }
    set(c, name, value, line);
    return true;
}

struct conf *conf_parse(const char *dir, struct slice text, struct buf *err)
{
    struct conf *c = conf_new(dir);
    BUF_AUTO line = BUF(MAIN_CF_MAX);
    struct lines in;
    int number;
    bool ok = true;
    lines_init(&in, text);
    while (ok && lines_next(&in, &line, &number, NULL)) {
        ok = strlen(buf_cstr(&line)) == line.len;
        if (!ok)
            buf_printf(err, "%s, line %d: a NUL byte in the text", c->file, number);
        else
            ok = parse_line(c, buf_cstr(&line), number, err);
    }
    if (!ok)
        conf_free(&c);
    return c;
}

struct conf *conf_load(const char *dir, struct buf *err)
{
    BUF_AUTO path = BUF(4096);
    BUF_AUTO text = BUF(MAIN_CF_MAX);
    if (!dir)
        dir = conf_default_dir();
    buf_printf(&path, "%s/main.cf", dir);
    if (!lines_read_file(buf_cstr(&path), &text, err))
        return NULL;
    return conf_parse(dir, buf_slice(&text), err);
}

bool conf_override(struct conf *c, const char *assignment, struct buf *err)
{
    char *copy = arena_strdup(c->arena, assignment), *name, *value;
    const char *wrong = split_assignment(copy, &name, &value);
    if (wrong) {
        buf_printf(err, "-o %s: %s", assignment, wrong);
        return false;
    }
    set(c, name, value, 0);
    return true;
}

const char *conf_raw(const struct conf *c, const char *name)
{
    const struct conf_entry *e = hash_get(c->by_name, name);
    return e ? e->raw : NULL;
}

const char *conf_origin(const struct conf *c, const char *name)
{
    const struct conf_entry *e = hash_get(c->by_name, name);
    if (!e)
        return NULL;
    return e->line ? arena_printf(c->arena, "%s, line %d", c->file, e->line) : "-o";
}

bool conf_next(const struct conf *c, size_t *it, const char **name, const char **raw)
{
    /* The list is short and the walk rare: `it` is an index. */
    const struct conf_entry *e = c->first;
    for (size_t i = 0; e && i < *it; i++)
        e = e->next;
    if (!e)
        return false;
    ++*it;
    *name = e->name;
    *raw = e->raw;
    return true;
}
