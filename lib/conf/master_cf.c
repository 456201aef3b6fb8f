/* master_cf.c - reading master.cf(5). Seven fields and a command with arguments; { } around an argument keeps its
 * blanks. The columns are kept as written too, for postconf -M. */
#include "lib/conf/master_cf.h"
#include "lib/base/mem.h"
#include "lib/conf/lines.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define MASTER_CF_MAX ((size_t)4 << 20)

struct reader {
    struct arena *arena;
    const char *file;
    int line;
    bool chroot_default;
    struct buf *err;
};

static const struct {
    const char *name;
    enum service_type type;
} types[] = {
    {"inet", SERVICE_INET},
    {"unix", SERVICE_UNIX},
    {"fifo", SERVICE_FIFO},
    {"pass", SERVICE_PASS},
    {"unix-dgram", SERVICE_UNIX_DGRAM},
};

const char *service_type_name(enum service_type t)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == t)
            return types[i].name;
    return "unknown";
}

static bool fail(struct reader *r, const char *what, struct slice at)
{
    buf_printf(r->err, "%s, line %d: %s: \"%.*s\"", r->file, r->line, what, (int)(at.n < 100 ? at.n : 100), at.p);
    return false;
}

/* The length of a { } group at the front of s, or 0 when it is not closed. */
static size_t group_length(struct slice s)
{
    size_t level = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '{')
            level++;
        else if (s.p[i] == '}' && --level == 0)
            return i + 1;
    }
    return 0;
}

/* "{ name = value }" becomes "name=value"; other groups lose their braces and outer blanks. */
static char *group_text(struct reader *r, struct slice group, bool assignment)
{
    struct slice inner = slice_trim(slice_make(group.p + 1, group.n - 2));
    ptrdiff_t eq = assignment ? slice_find(inner, '=') : -1;
    if (eq < 0)
        return arena_slice(r->arena, inner);
    struct slice name = slice_trim(slice_make(inner.p, (size_t)eq));
    struct slice value = slice_trim(slice_make(inner.p + eq + 1, inner.n - (size_t)eq - 1));
    return arena_printf(r->arena, "%.*s=%.*s", SLICE_ARG(name), SLICE_ARG(value));
}

/* The next argument; false at the end, or with *failed. */
static bool next_argument(struct reader *r, struct slice *rest, bool assignment, char **arg, bool *failed)
{
    while (rest->n > 0 && isspace((unsigned char)*rest->p))
        *rest = slice_make(rest->p + 1, rest->n - 1);
    if (rest->n == 0)
        return false;
    size_t n = 0;
    if (*rest->p == '{') {
        n = group_length(*rest);
        if (n == 0 || (n < rest->n && !isspace((unsigned char)rest->p[n]))) {
            *failed = true;
            return fail(r, n == 0 ? "missing '}'" : "unexpected text after '}'", *rest);
        }
        *arg = group_text(r, slice_make(rest->p, n), assignment);
    } else {
        while (n < rest->n && !isspace((unsigned char)rest->p[n]))
            n++;
        *arg = arena_strndup(r->arena, rest->p, n);
    }
    *rest = slice_make(rest->p + n, rest->n - n);
    return true;
}

static bool read_arguments(struct reader *r, struct service *s, struct slice rest)
{
    size_t cap = rest.n / 2 + 2;
    bool failed = false, after_o = false;
    char *arg = NULL;
    s->args = ARENA_ARRAY(r->arena, const char *, cap + 1);
    while (next_argument(r, &rest, after_o, &arg, &failed)) {
        if (after_o && !strchr(arg, '='))
            return fail(r, "-o needs name=value", slice_of(arg));
        after_o = !after_o && strcmp(arg, "-o") == 0;
        s->args[s->n_args++] = arg;
    }
    if (!failed && after_o)
        return fail(r, "-o needs name=value", slice_of(s->command));
    return !failed;
}

static bool yes_no(struct reader *r, const char *what, struct slice field, bool preset, bool *value)
{
    *value = preset;
    if (field.n == 1 && (*field.p == 'y' || *field.p == 'n' || *field.p == '-')) {
        if (*field.p != '-')
            *value = *field.p == 'y';
        return true;
    }
    MEM_AUTO char *text = mem_printf("invalid %s field (expected y, n or -)", what);
    return fail(r, text, field);
}

static bool number(struct reader *r, const char *what, struct slice field, int preset, int *value)
{
    unsigned long long v;
    *value = preset;
    if (slice_eq(field, SLICE("-")))
        return true;
    if (!slice_to_u64(field, 1000000000, &v)) {
        MEM_AUTO char *text = mem_printf("invalid %s field (expected a number or -)", what);
        return fail(r, text, field);
    }
    *value = (int)v;
    return true;
}

static bool read_columns(struct reader *r, struct service *s, const struct slice field[5])
{
    struct slice wakeup = field[3];
    for (int i = 0; i < 5; i++)
        snprintf(s->raw[i], sizeof s->raw[i], "%.*s", SLICE_ARG(field[i]));
    s->wakeup_only_if_used = wakeup.n > 1 && wakeup.p[wakeup.n - 1] == '?';
    if (s->wakeup_only_if_used)
        wakeup.n--;
    if (!yes_no(r, "private", field[0], true, &s->is_private) ||
        !yes_no(r, "unprivileged", field[1], true, &s->unprivileged) ||
        !yes_no(r, "chroot", field[2], r->chroot_default, &s->chroot) || !number(r, "wakeup", wakeup, 0, &s->wakeup) ||
        !number(r, "process_limit", field[4], -1, &s->maxproc))
        return false;
    if (s->type == SERVICE_INET && s->is_private)
        return fail(r, "an inet service cannot be private", slice_of(s->name));
    return true;
}

static bool read_type(struct reader *r, struct service *s, struct slice field)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (slice_eq(field, slice_of(types[i].name))) {
            s->type = types[i].type;
            return true;
        }
    return fail(r, "invalid type field (expected inet, unix, fifo, pass or unix-dgram)", field);
}

static struct service *read_service(struct reader *r, struct slice line)
{
    struct service *s = ARENA_NEW(r->arena, struct service);
    struct slice name, type, column[5], command, rest = line;
    bool enough = slice_token(&rest, " \t\r\n\v\f", &name) && slice_token(&rest, " \t\r\n\v\f", &type);
    for (int i = 0; i < 5; i++)
        enough = enough && slice_token(&rest, " \t\r\n\v\f", &column[i]);
    if (!enough || !slice_token(&rest, " \t\r\n\v\f", &command)) {
        fail(r, "bad field count (expected name, type, private, unpriv, chroot, wakeup, maxproc, command)", line);
        return NULL;
    }
    s->line = r->line;
    s->name = arena_slice(r->arena, name);
    s->command = arena_slice(r->arena, command);
    if (!read_type(r, s, type) || !read_columns(r, s, column) || !read_arguments(r, s, rest))
        return NULL;
    return s;
}

static bool is_duplicate(struct reader *r, const struct service *list, const struct service *s)
{
    for (const struct service *o = list; o; o = o->next)
        if (o->type == s->type && strcmp(o->name, s->name) == 0) {
            buf_printf(r->err, "%s, line %d: duplicate entry for service \"%s %s\", first seen in line %d", r->file,
                       r->line, s->name, service_type_name(s->type), o->line);
            return true;
        }
    return false;
}

struct service *master_cf_parse(struct arena *a, const char *file, struct slice text, bool chroot_default,
                                struct buf *err)
{
    struct reader r = {.arena = a, .file = file, .chroot_default = chroot_default, .err = err};
    struct service *first = NULL, **tail = &first;
    BUF_AUTO line = BUF(MASTER_CF_MAX);
    struct lines in;
    lines_init(&in, text);
    while (lines_next(&in, &line, &r.line, NULL)) {
        if (strlen(buf_cstr(&line)) != line.len) {
            fail(&r, "a NUL byte in the text", buf_slice(&line));
            return NULL;
        }
        if (isspace((unsigned char)*buf_cstr(&line))) {
            fail(&r, "logical line must not start with whitespace", buf_slice(&line));
            return NULL;
        }
        struct service *s = read_service(&r, buf_slice(&line));
        if (!s || is_duplicate(&r, first, s))
            return NULL;
        *tail = s;
        tail = &s->next;
    }
    if (!first)
        buf_printf(err, "%s: no services in this file", file);
    return first;
}

struct service *master_cf_read(struct arena *a, const char *file, bool chroot_default, struct buf *err)
{
    BUF_AUTO text = BUF(MASTER_CF_MAX);
    if (!lines_read_file(file, &text, err))
        return NULL;
    return master_cf_parse(a, file, buf_slice(&text), chroot_default, err);
}
