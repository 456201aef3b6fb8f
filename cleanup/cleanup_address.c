/* cleanup_address.c - one address through rewriting, canonical tables and masquerading. */
#include "cleanup/cleanup.h"

#include "lib/base/log.h"
#include "lib/syntax/address.h"

static void try_again(struct cleanup *m, const char *what)
{
    struct result r = result_try_again("4.3.0", "Error: queue file write error");
    log_warn("%s: %s: temporary lookup failure; message not accepted, try again later", m->queue_id, what);
    cleanup_fail(m, 451, &r);
}

/* An address that trivial-rewrite would leave alone needs no question. */
static bool is_canonical(const char *address)
{
    const char *domain = address_domain(address);
    return domain && strchr(domain, '.') && domain[strlen(domain) - 1] != '.' && !strchr(address, '%') &&
           !strchr(address, '!') && !strchr(address, ':') && strchr(address, '@') == domain - 1;
}

const char *cleanup_rewrite(struct cleanup *m, const char *address, const char *context)
{
    const char *out = address;
    if (!*address || is_canonical(address))
        return address;
    if (!rewrite_addresses(cleanup_tables.rewrite, m->arena, context, &address, 1, &out)) {
        try_again(m, "address rewriting");
        return address;
    }
    return out;
}

bool cleanup_is_local_domain(void *ctx, const char *domain)
{
    return str_eq_fold(domain, daemon_env->common.myorigin) ||
           match_list_domain(cleanup_tables.mydestination, domain) == MAP_FOUND;
}

/* One canonical table; the same address comes back when there is nothing in it. */
static const char *canonical(struct cleanup *m, struct maps *maps, const char *address)
{
    BUF_AUTO found = BUF(IPC_ADDR);
    struct slice extension;
    if (maps_is_empty(maps))
        return address;
    enum map_status st = maps_lookup_address(maps, address, daemon_env->common.recipient_delimiter, MAPS_DEFAULT,
                                             cleanup_is_local_domain, NULL, &found, &extension);
    if (st == MAP_TRY_AGAIN)
        try_again(m, "canonical tables");
    if (st != MAP_FOUND || !found.len)
        return address;
    struct address_token *tokens;
    if (address_list_parse(m->arena, buf_slice(&found), &tokens) == 0)
        return address;
    const char *result = tokens[0].address;
    if (result[0] == '@') /* "@newdomain" keeps the user name */
        result = arena_printf(m->arena, "%.*s%s",
                              (int)(address_at(address) < 0 ? (ptrdiff_t)strlen(address) : address_at(address)),
                              address, result);
    else if (extension.n && cleanup_tables.propagate_canonical && address_at(result) >= 0)
        result = arena_printf(m->arena, "%.*s%.*s%s", (int)address_at(result), result, SLICE_ARG(extension),
                              result + address_at(result));
    return cleanup_rewrite(m, result, "local");
}

/* Cuts the host from "user@host.domain" for each domain that masquerade_domains lists; "!domain" is an exception. */
static const char *masquerade(struct cleanup *m, const char *address)
{
    const char *domain = address_domain(address);
    struct slice rest = slice_of(cleanup_params.masquerade_domains), word;
    if (!domain)
        return address;
    const char *user = arena_strndup(m->arena, address, (size_t)(domain - address - 1));
    if (match_list_string(cleanup_tables.masquerade_exceptions, user) == MAP_FOUND)
        return address;
    while (slice_token(&rest, " \t\r\n,", &word)) {
        bool keep = word.p[0] == '!';
        struct slice parent = keep ? slice_make(word.p + 1, word.n - 1) : word;
        struct slice have = slice_of(domain);
        bool equal = slice_eq_fold(have, parent);
        bool below = have.n > parent.n && slice_ends_fold(have, parent) && have.p[have.n - parent.n - 1] == '.';
        if (equal || (below && keep))
            return address;
        if (below)
            return arena_printf(m->arena, "%s@%.*s", user, SLICE_ARG(parent));
    }
    return address;
}

const char *cleanup_map_address(struct cleanup *m, const char *address, enum address_class class)
{
    const struct cleanup_tables *t = &cleanup_tables;
    if (!*address)
        return address;
    if (m->begin.flags & CLEANUP_MAP) {
        if (t->sender_canonical_classes & class)
            address = canonical(m, t->sender_canonical, address);
        if (t->recipient_canonical_classes & class)
            address = canonical(m, t->recipient_canonical, address);
        if (t->canonical_classes & class)
            address = canonical(m, t->canonical, address);
    }
    if ((t->masquerade_classes & class) && *cleanup_params.masquerade_domains)
        address = masquerade(m, address);
    return address;
}
