/* conf_check.c - names in main.cf that nothing reads: most often a slip of the pen. */
#include "lib/conf/conf.h"
#include "lib/conf/conf_private.h"
#include "lib/conf/master_cf.h"

#include <ctype.h>

/* Collects every $name of a text into `used`. Braces inside of braces are found too, as each '$' is looked at. */
static void collect_names(struct hash *used, const char *text)
{
    for (const char *p = text; (p = strchr(p, '$'));) {
        p++;
        if (*p == '$') {
            p++;
            continue;
        }
        if (*p == '{' || *p == '(')
            p++;
        while (isspace((unsigned char)*p))
            p++;
        size_t n = 0;
        while (isalnum((unsigned char)p[n]) || p[n] == '_')
            n++;
        if (n == 0)
            continue;
        MEM_AUTO char *name = mem_strndup(p, n);
        hash_put(used, name, used);
        p += n;
    }
}

/* Every $name of a text that has no value: neither known nor set. */
static void report_undefined(struct conf *c, const char *file, const char *text,
                             void (*report)(void *ctx, const char *file, const char *name), void *ctx)
{
    for (const char *p = text; (p = strchr(p, '$'));) {
        p++;
        if (*p == '$') {
            p++;
            continue;
        }
        p += *p == '{' || *p == '(';
        size_t n = 0;
        while (isalnum((unsigned char)p[n]) || p[n] == '_')
            n++;
        if (n == 0)
            continue;
        MEM_AUTO char *name = mem_strndup(p, n);
        if (!conf_is_known(name) && !conf_raw(c, name))
            report(ctx, file, name);
        p += n;
    }
}

void conf_check_references(struct conf *c, const struct service *services, const char *master_cf,
                           void (*report)(void *ctx, const char *file, const char *name), void *ctx)
{
    for (const struct conf_entry *e = c->first; e; e = e->next)
        if (!conf_is_template(e->name))
            report_undefined(c, c->file, e->raw, report, ctx);
    for (const struct service *s = services; s; s = s->next)
        for (size_t i = 0; i + 1 < s->n_args && s->args[i][0] == '-'; i++)
            if (strcmp(s->args[i], "-o") == 0)
                report_undefined(c, master_cf, s->args[++i], report, ctx);
}

static void collect_list(struct hash *used, const char *list)
{
    struct slice rest = slice_of(list ? list : ""), token;
    while (slice_token(&rest, " \t\r\n,", &token)) {
        MEM_AUTO char *name = mem_strndup(token.p, token.n);
        hash_put(used, name, used);
    }
}

/* "ldap:accounts" without a slash names parameters accounts_server_host and so on; noted as "accounts_*". */
static void collect_databases(struct hash *used, const char *text)
{
    static const char *const types[] = {"ldap:", "mysql:", "pgsql:", "sqlite:", "memcache:"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        for (const char *p = text; (p = strstr(p, types[i]));) {
            p += strlen(types[i]);
            size_t n = 0;
            while (isalnum((unsigned char)p[n]) || p[n] == '_')
                n++;
            if (n == 0)
                continue;
            MEM_AUTO char *name = mem_printf("%.*s_*", (int)n, p);
            hash_put(used, name, used);
        }
    }
}

static bool is_database_part(const struct hash *used, const char *name)
{
    for (const char *bar = name; (bar = strchr(bar, '_')); bar++) {
        MEM_AUTO char *key = mem_printf("%.*s_*", (int)(bar - name), name);
        if (hash_get(used, key))
            return true;
    }
    return false;
}

static bool is_transport_name(const struct service *services, const char *name)
{
    const char *suffix;
    for (size_t i = 0; (suffix = conf_transport_suffix(i, NULL)); i++) {
        size_t n = strlen(name), m = strlen(suffix);
        if (n <= m || strcmp(name + n - m, suffix) != 0)
            continue;
        for (const struct service *s = services; s; s = s->next)
            if (strlen(s->name) == n - m && memcmp(s->name, name, n - m) == 0)
                return true;
    }
    return false;
}

static void collect_all(struct conf *c, const struct service *services, struct hash *used)
{
    for (const struct conf_entry *e = c->first; e; e = e->next) {
        collect_names(used, e->raw);
        collect_databases(used, e->raw);
    }
    for (const struct service *s = services; s; s = s->next)
        for (size_t i = 0; i < s->n_args; i++) {
            collect_names(used, s->args[i]);
            collect_databases(used, s->args[i]);
        }
    collect_list(used, conf_value(c, "smtpd_restriction_classes", NULL));
}

void conf_check_names(struct conf *c, const struct service *services,
                      void (*report)(void *ctx, const char *name, const char *text), void *ctx)
{
    struct hash *used = hash_new();
    collect_all(c, services, used);
    for (const struct conf_entry *e = c->first; e; e = e->next) {
        if (conf_is_known(e->name) || hash_get(used, e->name) || is_transport_name(services, e->name) ||
            is_database_part(used, e->name))
            continue;
        BUF_AUTO text = BUF(2000);
        const char *near = conf_nearest_name(e->name);
        buf_printf(&text, "%s: unused parameter: %s=%s", conf_origin(c, e->name), e->name, e->raw);
        if (near)
            buf_printf(&text, " (did you mean %s?)", near);
        report(ctx, e->name, buf_cstr(&text));
    }
    hash_free(&used, NULL);
}
