/* postconf_main.c - main.cf: printing and changing. */
#include "command/postconf.h"
#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "lib/conf/lines.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static void note_unused(void *ctx, const char *name, const char *text)
{
    hash_put(ctx, name, ctx);
}

static struct hash *unused_names(struct postconf *p)
{
    struct hash *h = hash_new();
    conf_check_names(p->conf, p->services, note_unused, h);
    return h;
}

static void warn_undefined(void *ctx, const char *file, const char *name)
{
    log_warn("%s: undefined parameter: %s", file, name);
}

void postconf_warn_undefined(struct postconf *p)
{
    conf_check_references(p->conf, p->services, p->master_cf, warn_undefined, NULL);
}

void postconf_main_warn(struct postconf *p)
{
    if (!p->services)
        log_warn("%s", p->services_error);
    struct hash *unused = unused_names(p);
    const char *name, *raw;
    for (size_t it = 0; conf_next(p->conf, &it, &name, &raw);)
        if (hash_get(unused, name))
            log_warn("%s: unused parameter: %s=%s", p->main_cf, name, raw);
    hash_free(&unused, NULL);
}

/* The default, unexpanded unless it is something that the system gives. */
static const char *preset_text(struct postconf *p, const char *name)
{
    const char *preset = conf_default(name);
    if (!preset || !strstr(preset, "$merpati_"))
        return preset;
    return conf_value(p->conf, name, NULL);
}

/* "smtp_destination_concurrency_limit" of a delivery agent in master.cf: its default. */
static const char *transport_preset(struct postconf *p, const char *name)
{
    const char *suffix, *preset;
    for (size_t i = 0; (suffix = conf_transport_suffix(i, &preset)); i++) {
        size_t n = strlen(name), m = strlen(suffix);
        if (n <= m || strcmp(name + n - m, suffix) != 0)
            continue;
        for (const struct service *s = p->services; s; s = s->next)
            if (strlen(s->name) == n - m && memcmp(s->name, name, n - m) == 0)
                return preset;
    }
    return NULL;
}

static void print_one(struct postconf *p, const char *name, const char *value)
{
    BUF_AUTO out = BUF(BUF_MAX_DEFAULT);
    if (p->expand && (!p->defaults || strchr(value, '$'))) {
        BUF_AUTO err = BUF(2000);
        BUF_AUTO expanded = BUF(BUF_MAX_DEFAULT);
        if (!conf_expand(p->conf, value, &expanded, &err))
            log_fatal("%s: %s", name, buf_cstr(&err));
        value = arena_strdup(p->arena, buf_cstr(&expanded));
    }
    if (p->no_values) {
        puts(name);
        return;
    }
    if (!p->no_names)
        buf_printf(&out, "%s =%s", name, *value ? " " : "");
    postconf_fold(p, value, out.len, &out);
    puts(buf_cstr(&out));
}

/* Whether it is of a wanted class; then its text. */
static const char *text_of(struct postconf *p, const struct hash *unused, const char *name)
{
    const char *raw = p->defaults ? NULL : conf_raw(p->conf, name), *preset;
    if (conf_is_known(name))
        return !(p->classes & CLASS_BUILTIN) ? NULL : raw ? raw : p->only_set ? NULL : preset_text(p, name);
    if ((preset = transport_preset(p, name)))
        return !(p->classes & CLASS_SERVICE) ? NULL : raw ? raw : p->only_set ? NULL : preset;
    if (raw && (p->classes & CLASS_USER) && !hash_get(unused, name))
        return raw;
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_delivery_agent(const struct service *s)
{
    static const char *const agents[] = {"error", "lmtp", "local", "pipe", "smtp", "virtual"};
    for (size_t i = 0; i < sizeof agents / sizeof *agents; i++)
        if (strcmp(s->command, agents[i]) == 0)
            return s->type != SERVICE_INET;
    return false;
}

struct names {
    VEC(const char *) list;
};

static void add_transport_names(struct postconf *p, struct names *all)
{
    const char *suffix;
    for (const struct service *s = p->services; s; s = s->next)
        for (size_t i = 0; (suffix = conf_transport_suffix(i, NULL)); i++) {
            bool timed = strcmp(suffix, "_time_limit") == 0;
            if (timed ? strcmp(s->command, "pipe") == 0 || strcmp(s->command, "spawn") == 0 : is_delivery_agent(s))
                VEC_PUSH(&all->list, arena_printf(p->arena, "%s%s", s->name, suffix));
        }
}

static void print_all(struct postconf *p, const struct hash *unused)
{
    struct names all = {0};
    const char **known, *name, *raw, *last = "";
    size_t n = conf_known_names(p->arena, &known);
    for (size_t i = 0; i < n; i++)
        VEC_PUSH(&all.list, known[i]);
    add_transport_names(p, &all);
    for (size_t it = 0; !p->defaults && conf_next(p->conf, &it, &name, &raw);)
        VEC_PUSH(&all.list, name);
    qsort(all.list.items, all.list.n, sizeof *all.list.items, compare);
    for (size_t i = 0; i < all.list.n; i++) {
        name = all.list.items[i];
        const char *text = strcmp(name, last) != 0 ? text_of(p, unused, name) : NULL;
        last = name;
        if (text)
            print_one(p, name, text);
    }
    VEC_FREE(&all.list);
}

void postconf_main_print(struct postconf *p, char **names, int n)
{
    struct hash *unused = p->defaults ? hash_new() : unused_names(p);
    for (int i = 0; i < n; i++) {
        const char *text = text_of(p, unused, names[i]);
        if (text) {
            print_one(p, names[i], text);
        } else if (!conf_is_known(names[i]) && !transport_preset(p, names[i])) {
            fflush(stdout);
            log_warn("%s: unknown parameter", names[i]);
        }
    }
    if (n == 0)
        print_all(p, unused);
    hash_free(&unused, NULL);
}

struct change {
    char *name, *value;
    size_t seen;
};

static struct change parse_change(struct postconf *p, const char *arg)
{
    struct change c = {0};
    if (p->edit != EDIT_SET) {
        if (strchr(arg, '='))
            log_fatal("-X or -# requires names without value");
        c.name = arena_strdup(p->arena, arg);
        return c;
    }
    const char *eq = strchr(arg, '=');
    struct slice name = slice_trim(slice_make(arg, eq ? (size_t)(eq - arg) : 0));
    if (!eq)
        log_fatal("missing '=' after attribute name: \"%s\"", arg);
    if (name.n == 0)
        log_fatal("missing attribute name: \"%s\"", arg);
    if (strchr(arg, '\n'))
        log_fatal("-e, -X, or -# accepts no multi-line input");
    c.name = arena_slice(p->arena, name);
    c.value = arena_slice(p->arena, slice_trim(slice_of(eq + 1)));
    return c;
}

static struct change *find_change(struct change *list, int n, struct slice line)
{
    size_t len = 0;
    while (len < line.n && line.p[len] != '=' && !isspace((unsigned char)line.p[len]))
        len++;
    for (int i = 0; i < n; i++)
        if (slice_eq(slice_make(line.p, len), slice_of(list[i].name)))
            return &list[i];
    return NULL;
}

static void append_setting(const struct change *c, struct buf *out)
{
    buf_printf(out, "%s = %s\n", c->name, c->value);
}

static bool is_text(struct slice line)
{
    struct slice t = slice_trim(line);
    return t.n > 0 && *t.p != '#';
}

/* One physical line. `at` is the change that the logical line it belongs to is subject to. */
static void edit_line(struct postconf *p, struct slice line, struct change *at, bool starts, struct buf *out)
{
    if (!at || !is_text(line)) {
        buf_append_slice(out, line);
        buf_putc(out, '\n');
    } else if (p->edit == EDIT_COMMENT) {
        buf_printf(out, "#%.*s\n", SLICE_ARG(line));
    } else if (p->edit == EDIT_SET && starts) {
        append_setting(at, out);
    }
    if (at && starts && at->seen++ == 1)
        log_warn("%s: multiple entries for \"%s\"", p->main_cf, at->name);
}

void postconf_main_edit(struct postconf *p, char **args, int n)
{
    BUF_AUTO text = BUF((size_t)16 << 20);
    BUF_AUTO out = BUF((size_t)32 << 20);
    BUF_AUTO err = BUF(1000);
    struct change *list = ARENA_ARRAY(p->arena, struct change, (size_t)n + 1), *at = NULL;
    if (n == 0)
        log_fatal("-e, -X, or -# requires names or name=value pairs");
    for (int i = 0; i < n; i++)
        list[i] = parse_change(p, args[i]);
    if (!lines_read_file(p->main_cf, &text, &err))
        log_fatal("%s", buf_cstr(&err));
    for (struct slice rest = buf_slice(&text); rest.n > 0;) {
        ptrdiff_t nl = slice_find(rest, '\n');
        struct slice line = slice_make(rest.p, nl < 0 ? rest.n : (size_t)nl);
        bool starts = is_text(line) && !isspace((unsigned char)*line.p);
        if (starts)
            at = find_change(list, n, line);
        edit_line(p, line, at, starts, &out);
        size_t used = line.n + (nl >= 0);
        rest = slice_make(rest.p + used, rest.n - used);
    }
    for (int i = 0; i < n && p->edit == EDIT_SET; i++)
        if (list[i].seen == 0)
            append_setting(&list[i], &out);
    postconf_publish(p->main_cf, &out);
}
