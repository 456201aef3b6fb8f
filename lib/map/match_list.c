/* match_list.c - lists of patterns (postconf(5)): the first pattern that matches decides, "!" in front of it turns the
 * answer round. "/file/name" stands for the patterns in that file, "type:name" for the keys of a table. */
#include "lib/map/match_list.h"
#include "lib/base/log.h"
#include "lib/conf/lines.h"
#include "lib/map/cidr.h"
#include "lib/map/map_private.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define FILE_NESTING_MAX 10

struct pattern {
    bool negate;
    char *text;  /* folded; "" for a table */
    bool is_net; /* net is set */
    struct cidr net;
    struct maps *table; /* one table */
    bool whole_only;    /* the table takes whole subjects only */
};

struct match_list {
    struct conf *conf;
    char *parameter;
    bool parents;
    VEC(struct pattern) patterns;
};

static bool add_patterns(struct match_list *l, struct slice text, bool negate, int depth, struct buf *err);

static bool add_file(struct match_list *l, struct slice name, bool negate, int depth, struct buf *err)
{
    BUF_AUTO content = BUF((size_t)64 << 20);
    BUF_AUTO line = BUF((size_t)1 << 20);
    MEM_AUTO char *path = mem_strndup(name.p, name.n);
    struct lines in;
    if (depth >= FILE_NESTING_MAX) {
        buf_printf(err, "%s: files that name files, more than %d deep: %s", l->parameter, FILE_NESTING_MAX, path);
        return false;
    }
    if (!lines_read_file(path, &content, err))
        return false;
    lines_init(&in, buf_slice(&content));
    while (lines_next(&in, &line, NULL, NULL))
        if (!add_patterns(l, buf_slice(&line), negate, depth + 1, err))
            return false;
    return true;
}

static bool add_table(struct match_list *l, struct slice title, bool negate, struct buf *err)
{
    struct pattern p = {.negate = negate, .text = mem_strdup("")};
    MEM_AUTO char *text = mem_printf("{%.*s}", SLICE_ARG(title));
    p.whole_only = slice_starts_fold(title, SLICE("regexp:")) || slice_starts_fold(title, SLICE("pcre:")) ||
                   slice_starts_fold(title, SLICE("cidr:"));
    p.table = maps_open(l->conf, l->parameter, text, err);
    VEC_PUSH(&l->patterns, p);
    return p.table != NULL;
}

static void add_text(struct match_list *l, struct slice text, bool negate)
{
    struct pattern p = {.negate = negate, .text = mem_strndup(text.p, text.n)};
    const char *wrong = cidr_parse(text, &p.net);
    str_lower(p.text);
    p.is_net = wrong == NULL;
    if (wrong && slice_find(text, '/') >= 0)
        log_warn("%s: \"%.*s\": %s", l->parameter, SLICE_ARG(text), wrong);
    VEC_PUSH(&l->patterns, p);
}

static bool add_pattern(struct match_list *l, struct slice item, bool negate, int depth, struct buf *err)
{
    while (item.n > 0 && *item.p == '!') {
        negate = !negate;
        item = slice_make(item.p + 1, item.n - 1);
    }
    map_strip_braces(&item);
    if (item.n == 0) {
        buf_printf(err, "%s: no pattern after '!'", l->parameter);
        return false;
    }
    if (*item.p == '/')
        return add_file(l, item, negate, depth, err);
    if (*item.p != '[' && slice_find(item, ':') >= 0) {
        struct cidr net;
        if (!cidr_parse(item, &net)) {
            buf_printf(err, "%s: \"%.*s\": an IPv6 address goes inside of []", l->parameter, SLICE_ARG(item));
            return false;
        }
        return add_table(l, item, negate, err);
    }
    add_text(l, item, negate);
    return true;
}

static bool add_patterns(struct match_list *l, struct slice text, bool negate, int depth, struct buf *err)
{
    struct slice item;
    while (map_next_item(&text, &item))
        if (!add_pattern(l, item, negate, depth, err))
            return false;
    return true;
}

struct match_list *match_list_open(struct conf *conf, const char *parameter, const char *value, bool parents,
                                   struct buf *err)
{
    struct match_list *l = MEM_NEW(struct match_list);
    l->conf = conf;
    l->parameter = mem_strdup(parameter);
    l->parents = parents;
    if (!add_patterns(l, slice_of(value ? value : ""), false, 0, err))
        match_list_close(&l);
    return l;
}

void match_list_close(struct match_list **lp)
{
    struct match_list *l = *lp;
    if (!l)
        return;
    for (size_t i = 0; i < l->patterns.n; i++) {
        maps_close(&l->patterns.items[i].table);
        free(l->patterns.items[i].text);
    }
    VEC_FREE(&l->patterns);
    free(l->parameter);
    free(l);
    *lp = NULL;
}

bool match_list_is_empty(const struct match_list *l)
{
    return !l || l->patterns.n == 0;
}

static enum map_status in_table(struct pattern *p, const char *key)
{
    BUF_AUTO value = BUF((size_t)1 << 20);
    return maps_lookup(p->table, key, &value);
}

/* The name, then its parents: as they are, or with a dot in front. */
static enum map_status table_domain(const struct match_list *l, struct pattern *p, const char *domain)
{
    enum map_status s = in_table(p, domain);
    for (const char *dot = strchr(domain, '.'); s == MAP_NOT_FOUND && dot && dot[1] && !p->whole_only;
         dot = strchr(dot + 1, '.'))
        s = in_table(p, l->parents ? dot + 1 : dot);
    return s;
}

static bool text_domain(const struct match_list *l, const struct pattern *p, struct slice domain)
{
    struct slice text = slice_of(p->text);
    if (slice_eq_fold(domain, text))
        return true;
    if (text.n == 0 || domain.n <= text.n || !slice_ends_fold(domain, text))
        return false;
    return *text.p == '.' ? !l->parents : l->parents && domain.p[domain.n - text.n - 1] == '.';
}

static enum map_status domain_matches(const struct match_list *l, struct pattern *p, const char *domain)
{
    if (p->table)
        return table_domain(l, p, domain);
    return text_domain(l, p, slice_of(domain)) ? MAP_FOUND : MAP_NOT_FOUND;
}

static enum map_status decide(const struct pattern *p)
{
    return p->negate ? MAP_NOT_FOUND : MAP_FOUND;
}

enum map_status match_list_domain(struct match_list *l, const char *domain)
{
    for (size_t i = 0; l && i < l->patterns.n; i++) {
        struct pattern *p = &l->patterns.items[i];
        enum map_status s = domain_matches(l, p, domain);
        if (s != MAP_NOT_FOUND)
            return s == MAP_FOUND ? decide(p) : s;
    }
    return MAP_NOT_FOUND;
}

enum map_status match_list_string(struct match_list *l, const char *s)
{
    for (size_t i = 0; l && i < l->patterns.n; i++) {
        struct pattern *p = &l->patterns.items[i];
        enum map_status r = p->table ? in_table(p, s) : str_eq_fold(p->text, s) ? MAP_FOUND : MAP_NOT_FOUND;
        if (r != MAP_NOT_FOUND)
            return r == MAP_FOUND ? decide(p) : r;
    }
    return MAP_NOT_FOUND;
}

static enum map_status host_matches(const struct match_list *l, struct pattern *p, const char *name,
                                    const struct cidr_address *address, const char *text)
{
    enum map_status s = name ? domain_matches(l, p, name) : MAP_NOT_FOUND;
    if (s != MAP_NOT_FOUND || address->family == 0)
        return s;
    if (p->table)
        return in_table(p, text);
    return p->is_net && cidr_contains(&p->net, address) ? MAP_FOUND : MAP_NOT_FOUND;
}

enum map_status match_list_host(struct match_list *l, const char *name, const struct sockaddr *addr)
{
    struct cidr_address address;
    char text[INET6_ADDRSTRLEN] = "";
    cidr_from_sockaddr(addr, &address);
    if (address.family)
        inet_ntop(address.family, address.bytes, text, sizeof text);
    for (size_t i = 0; l && i < l->patterns.n; i++) {
        struct pattern *p = &l->patterns.items[i];
        enum map_status s = host_matches(l, p, name, &address, text);
        if (s != MAP_NOT_FOUND)
            return s == MAP_FOUND ? decide(p) : s;
    }
    return MAP_NOT_FOUND;
}
