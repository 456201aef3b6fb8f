/* tables.c - what the resolver looks into: the domain lists and tables that main.cf names, opened before the privileges
 * go and read-only afterwards. */
#include "lib/daemon/daemon.h"
#include "lib/map/match_list.h"
#include "lib/rt/addr.h"
#include "lib/rt/own_addr.h"
#include "trivial-rewrite/trivial_rewrite.h"

static struct tables {
    struct match_list *lists[4]; /* by enum resolve_list */
    struct maps *maps[4];        /* by enum resolve_table */
    struct own_addr *own;
    struct resolve_rules rules;
    struct rewrite_rules remote;
    struct resolve_lookups lookups;
} tables;

/* Whether a list says that in this parameter example.com means its subdomains too. */
static bool parents_match(const char *parameter)
{
    struct slice rest = slice_of(daemon_env->common.parent_domain_matches_subdomains), word;
    while (slice_token(&rest, ", \t\r\n", &word)) {
        if (slice_eq_fold(word, slice_of(parameter)))
            return true;
    }
    return false;
}

static bool is_own_literal(const char *domain)
{
    struct sockaddr_storage ss;
    socklen_t len;
    return *domain == '[' && addr_parse(domain, 0, &ss, &len) && own_addr_has(tables.own, (struct sockaddr *)&ss);
}

static enum map_status in_list(void *ctx, enum resolve_list list, const char *domain)
{
    const struct tables *t = ctx;
    if (list == LIST_RELAY)
        return match_list_domain(t->lists[list], domain);
    enum map_status st = match_list_string(t->lists[list], domain);
    if (st == MAP_NOT_FOUND && list == LIST_LOCAL && is_own_literal(domain))
        return MAP_FOUND;
    return st;
}

static bool is_local_domain(void *ctx, const char *domain)
{
    return str_eq_fold(domain, daemon_env->common.myorigin) || in_list(ctx, LIST_LOCAL, domain) == MAP_FOUND;
}

static enum map_status by_address(void *ctx, enum resolve_table table, const char *address, struct buf *out)
{
    struct tables *t = ctx;
    if (maps_is_empty(t->maps[table]))
        return MAP_NOT_FOUND;
    if (!strchr(address, '@')) /* "<>" */
        return maps_lookup(t->maps[table], address, out);
    unsigned strategy = table == TABLE_TRANSPORT ? MAPS_FULL | MAPS_NOEXT : MAPS_DEFAULT;
    return maps_lookup_address(t->maps[table], address, daemon_env->common.recipient_delimiter, strategy,
                               is_local_domain, t, out, NULL);
}

static enum map_status by_key(void *ctx, enum resolve_table table, const char *key, struct buf *out)
{
    struct tables *t = ctx;
    return maps_is_empty(t->maps[table]) ? MAP_NOT_FOUND : maps_lookup_part(t->maps[table], key, true, out, NULL);
}

static bool open_lists(struct buf *err)
{
    const struct common_params *c = &daemon_env->common;
    const struct {
        const char *name, *value;
    } rows[4] = {
        [LIST_LOCAL] = {"mydestination", c->mydestination},
        [LIST_VIRTUAL_ALIAS] = {"virtual_alias_domains", c->virtual_alias_domains},
        [LIST_VIRTUAL_MAILBOX] = {"virtual_mailbox_domains", c->virtual_mailbox_domains},
        [LIST_RELAY] = {"relay_domains", c->relay_domains},
    };
    for (int i = 0; i < 4; i++) {
        tables.lists[i] =
            match_list_open(daemon_env->conf, rows[i].name, rows[i].value, parents_match(rows[i].name), err);
        if (!tables.lists[i])
            return false;
    }
    return true;
}

static bool open_maps(struct buf *err)
{
    const struct trivial_rewrite_params *p = &trivial_rewrite_params;
    const struct {
        const char *name, *value;
    } rows[4] = {
        [TABLE_TRANSPORT] = {"transport_maps", daemon_env->common.transport_maps},
        [TABLE_SENDER_RELAYHOST] = {"sender_dependent_relayhost_maps", p->sender_dependent_relayhost_maps},
        [TABLE_SENDER_TRANSPORT] = {"sender_dependent_default_transport_maps",
                                    p->sender_dependent_default_transport_maps},
        [TABLE_RELOCATED] = {"relocated_maps", daemon_env->common.relocated_maps},
    };
    for (int i = 0; i < 4; i++) {
        tables.maps[i] = maps_open(daemon_env->conf, rows[i].name, rows[i].value, err);
        if (!tables.maps[i])
            return false;
    }
    return true;
}

static void fill_rules(void)
{
    const struct common_params *c = &daemon_env->common;
    const struct trivial_rewrite_params *p = &trivial_rewrite_params;
    struct rewrite_rules rewrite = {.origin = c->myorigin,
                                    .domain = c->mydomain,
                                    .append_at_myorigin = c->append_at_myorigin,
                                    .append_dot_mydomain = c->append_dot_mydomain,
                                    .swap_bangpath = c->swap_bangpath,
                                    .allow_percent_hack = c->allow_percent_hack};
    tables.remote = rewrite;
    tables.remote.origin = tables.remote.domain = c->remote_header_rewrite_domain;
    tables.rules = (struct resolve_rules){
        .rewrite = rewrite,
        .myhostname = c->myhostname,
        .local_transport = c->local_transport,
        .virtual_transport = c->virtual_transport,
        .relay_transport = c->relay_transport,
        .default_transport = c->default_transport,
        .relayhost = c->relayhost,
        .empty_recipient = c->empty_address_recipient,
        .empty_relayhost_key = p->empty_address_relayhost_maps_lookup_key,
        .empty_transport_key = p->empty_address_default_transport_maps_lookup_key,
        .transport_parents = parents_match("transport_maps"),
        .dequote = c->resolve_dequoted_address,
        .null_domain = p->resolve_null_domain,
        .numeric_domain = p->resolve_numeric_domain,
        .relocated_prefix = p->relocated_prefix_enable,
        .table_name_in_error = c->show_user_unknown_table_name,
    };
    tables.lookups = (struct resolve_lookups){&tables, in_list, by_address, by_key};
}

bool tables_open(struct buf *err)
{
    tables.own = own_addr_new(daemon_env->common.inet_interfaces, daemon_env->common.proxy_interfaces, err);
    if (!tables.own || !open_lists(err) || !open_maps(err))
        return false;
    fill_rules();
    return true;
}

const struct resolve_rules *tables_rules(void)
{
    return &tables.rules;
}

const struct resolve_lookups *tables_lookups(void)
{
    return &tables.lookups;
}

const struct rewrite_rules *tables_rewrite_rules(const char *context)
{
    return strcmp(context, "remote") == 0 ? &tables.remote : &tables.rules.rewrite;
}
