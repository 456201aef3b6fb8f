/* resolve.c - see resolve.h. First the address is peeled: as long as its domain is ours, routing characters in the
 * local part name another destination. Then the domain's class gives transport and nexthop, then the tables have their
 * say. */
#include "trivial-rewrite/resolve.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/syntax/address.h"

/* Each turn of peeling takes a domain away; an address that needs more is nonsense. */
enum { MOST_TURNS = 100 };

struct resolution {
    const struct resolve_rules *rules;
    const struct resolve_lookups *lookups;
    struct arena *arena;
    const char *sender;
    const char *address; /* as peeled so far */
    const char *domain;  /* the recipient's, in the end */
    bool is_local;
    struct msg_resolved *out;
};

static bool in_list(struct resolution *r, enum resolve_list list, const char *domain)
{
    enum map_status st = r->lookups->in_list(r->lookups->ctx, list, domain);
    if (st == MAP_TRY_AGAIN)
        r->out->flags |= RESOLVE_TRY_AGAIN;
    return st == MAP_FOUND;
}

/* NULL when not found, or when the table could not be asked (flagged). */
static const char *look_up(struct resolution *r, enum resolve_table table, const char *key, bool whole)
{
    BUF_AUTO b = BUF(IPC_ADDR * 4);
    enum map_status st = whole ? r->lookups->by_address(r->lookups->ctx, table, key, &b)
                               : r->lookups->by_key(r->lookups->ctx, table, key, &b);
    if (st == MAP_TRY_AGAIN)
        r->out->flags |= RESOLVE_TRY_AGAIN;
    return st == MAP_FOUND ? arena_strdup(r->arena, buf_cstr(&b)) : NULL;
}

/* ---- peeling ---- */

static bool has_routing(const struct resolve_rules *r, const char *local)
{
    if (!r->dequote && strpbrk(local, " \t\"\\()<>,;:[]@"))
        return false;
    return strchr(local, '@') || (r->rewrite.swap_bangpath && strchr(local, '!')) ||
           (r->rewrite.allow_percent_hack && strchr(local, '%'));
}

static bool strip_tail(struct resolution *r, char *address)
{
    size_t n = strlen(address);
    if (n > 1 && address[n - 1] == '.' && address[n - 2] != '.' && address[n - 2] != '@')
        address[--n] = '\0';
    if (n == 0 || address[n - 1] != '@' || !r->rules->null_domain)
        return false;
    address[n - 1] = '\0';
    return true;
}

/* One turn. False when the address is as it will stay: r->address without our own domain, which is in r->domain, or
 * with a domain that is not ours. */
static bool peel(struct resolution *r)
{
    char *address = arena_strdup(r->arena, r->address);
    r->address = address;
    if (strip_tail(r, address))
        return true;
    char *at = strrchr(address, '@');
    r->is_local = !at || in_list(r, LIST_LOCAL, at + 1);
    if (!r->is_local || (r->out->flags & RESOLVE_TRY_AGAIN))
        return false;
    if (at) {
        *at = '\0';
        r->domain = at + 1;
    }
    if (!has_routing(r->rules, address))
        return false;
    BUF_AUTO b = BUF(IPC_ADDR * 4);
    rewrite_address(&r->rules->rewrite, address, &b);
    if (b.overflow || strcmp(buf_cstr(&b), address) == 0) {
        /* "a@b" as a local part stays as it is: its own domain is looked at next. */
        if (address_at(address) < 0)
            return false;
    } else {
        r->address = arena_strdup(r->arena, buf_cstr(&b));
    }
    r->out->flags |= RESOLVE_ROUTED;
    return true;
}

static bool domain_is_valid(const struct resolve_rules *r, const char *domain)
{
    if (*domain == '[')
        return address_literal_valid(domain);
    if (r->numeric_domain && *domain && domain[strspn(domain, "0123456789.")] == 0)
        return true;
    if (r->null_domain && *domain == 0)
        return true;
    char *ascii_only = NULL; /* U-labels: bytes beyond ASCII are judged as letters */
    for (const char *p = domain; *p && !ascii_only; p++) {
        if ((unsigned char)*p >= 0x80)
            ascii_only = mem_strdup(domain);
    }
    for (char *p = ascii_only; p && *p; p++)
        *p = (unsigned char)*p >= 0x80 ? 'x' : *p;
    bool ok = hostname_valid(ascii_only ? ascii_only : domain);
    free(ascii_only);
    return ok;
}

/* Fills out->recipient and r->domain. */
static void finish_recipient(struct resolution *r)
{
    struct msg_resolved *out = r->out;
    if (!r->is_local) {
        char *at = strrchr(r->address, '@');
        r->domain = at + 1;
        out->recipient = r->address;
        if (has_routing(r->rules, arena_strndup(r->arena, r->address, (size_t)(at - r->address))))
            out->flags |= RESOLVE_ROUTED;
    } else {
        const char *local = *r->address ? r->address : r->rules->empty_recipient;
        if (!r->domain)
            r->domain = r->rules->myhostname;
        out->recipient = arena_printf(r->arena, "%s@%s", local, r->domain);
    }
    if (!domain_is_valid(r->rules, r->domain))
        out->flags |= RESOLVE_ERROR;
    char *folded = arena_strdup(r->arena, r->domain);
    str_lower(folded);
    r->domain = folded;
}

/* ---- class, transport, nexthop ---- */

static const char *const list_names[] = {"mydestination", "virtual_alias_domains", "virtual_mailbox_domains",
                                         "relay_domains"};

static void warn_conflict(struct resolution *r, enum resolve_list first, enum resolve_list second)
{
    if (in_list(r, second, r->domain))
        log_warn("do not list domain %s in BOTH %s and %s", r->domain, list_names[first], list_names[second]);
}

/* Parameter "transport:nexthop"; without a nexthop the fallback. */
static void set_route(struct resolution *r, const char *value, const char *fallback_nexthop)
{
    const char *colon = strchr(value, ':');
    r->out->transport = colon ? arena_strndup(r->arena, value, (size_t)(colon - value)) : value;
    r->out->nexthop = colon && colon[1] ? colon + 1 : fallback_nexthop;
}

static const char *relay_nexthop(struct resolution *r)
{
    const char *key = *r->sender ? r->sender : r->rules->empty_relayhost_key;
    const char *host = look_up(r, TABLE_SENDER_RELAYHOST, key, true);
    if (host)
        return str_eq_fold(host, "dunno") ? r->domain : host;
    return *r->rules->relayhost ? r->rules->relayhost : r->domain;
}

static void route_default(struct resolution *r)
{
    const char *key = *r->sender ? r->sender : r->rules->empty_transport_key;
    const char *entry = look_up(r, TABLE_SENDER_TRANSPORT, key, true);
    if (!entry || str_eq_fold(entry, "dunno"))
        entry = r->rules->default_transport;
    r->out->flags |= RESOLVE_DEFAULT;
    set_route(r, entry, relay_nexthop(r));
}

static void route_by_class(struct resolution *r)
{
    struct msg_resolved *out = r->out;
    if (r->is_local) {
        out->flags |= RESOLVE_LOCAL;
        warn_conflict(r, LIST_LOCAL, LIST_VIRTUAL_ALIAS);
        warn_conflict(r, LIST_LOCAL, LIST_VIRTUAL_MAILBOX);
        set_route(r, r->rules->local_transport, r->domain);
    } else if (in_list(r, LIST_VIRTUAL_ALIAS, r->domain)) {
        out->flags |= RESOLVE_VIRTUAL_ALIAS;
        warn_conflict(r, LIST_VIRTUAL_ALIAS, LIST_VIRTUAL_MAILBOX);
        warn_conflict(r, LIST_VIRTUAL_ALIAS, LIST_RELAY);
        out->transport = "error";
        out->nexthop =
            r->rules->table_name_in_error ? "5.1.1 User unknown in virtual alias table" : "5.1.1 User unknown";
    } else if (in_list(r, LIST_VIRTUAL_MAILBOX, r->domain)) {
        out->flags |= RESOLVE_VIRTUAL_MAILBOX;
        warn_conflict(r, LIST_VIRTUAL_MAILBOX, LIST_RELAY);
        set_route(r, r->rules->virtual_transport, r->domain);
    } else if (in_list(r, LIST_RELAY, r->domain)) {
        out->flags |= RESOLVE_RELAY;
        set_route(r, r->rules->relay_transport, relay_nexthop(r));
    } else {
        route_default(r);
    }
}

/* ---- tables ---- */

static bool takes_text(const char *transport)
{
    return strcmp(transport, "error") == 0 || strcmp(transport, "retry") == 0;
}

void resolve_transport_entry(struct arena *a, const char *entry, const char *domain, struct msg_resolved *out)
{
    const char *colon = strchr(entry, ':');
    size_t n = colon ? (size_t)(colon - entry) : strlen(entry);
    const char *nexthop = colon ? colon + 1 : "";
    while (*nexthop == ' ' || *nexthop == '\t')
        nexthop++;
    if (n > 0) {
        out->transport = arena_strndup(a, entry, n);
        if (*nexthop == 0)
            nexthop = takes_text(out->transport) ? "Address is undeliverable" : domain;
    }
    if (*nexthop)
        out->nexthop = nexthop;
}

static const char *transport_by_domain(struct resolution *r)
{
    const char *key = r->domain;
    while (*key) {
        const char *entry = look_up(r, TABLE_TRANSPORT, key, false);
        if (entry || (r->out->flags & RESOLVE_TRY_AGAIN))
            return entry;
        /* From example.com to .example.com's parent form: ".com", or "com" where parents match. */
        const char *dot = strchr(key + 1, '.');
        if (!dot || *r->domain == '[')
            break;
        key = r->rules->transport_parents ? dot + 1 : dot;
    }
    return look_up(r, TABLE_TRANSPORT, "*", false);
}

static void apply_tables(struct resolution *r)
{
    struct msg_resolved *out = r->out;
    if (!(out->flags & RESOLVE_VIRTUAL_ALIAS)) {
        const char *entry = look_up(r, TABLE_TRANSPORT, out->recipient, true);
        if (!entry && !(out->flags & RESOLVE_TRY_AGAIN))
            entry = transport_by_domain(r);
        if (entry)
            resolve_transport_entry(r->arena, entry, r->domain, out);
    }
    const char *moved = look_up(r, TABLE_RELOCATED, out->recipient, true);
    if (moved) {
        out->transport = "error";
        out->nexthop = r->rules->relocated_prefix ? arena_printf(r->arena, "5.1.6 User has moved to %s", moved) : moved;
    }
}

void resolve_address(const struct resolve_rules *rules, const struct resolve_lookups *lookups, struct arena *a,
                     const char *sender, const char *address, struct msg_resolved *out)
{
    *out = (struct msg_resolved){.transport = "", .nexthop = "", .recipient = address};
    struct resolution r = {
        .rules = rules, .lookups = lookups, .arena = a, .sender = sender, .address = address, .out = out};
    int turns = 0;
    while (peel(&r)) {
        if (++turns == MOST_TURNS) {
            out->flags |= RESOLVE_ERROR;
            r.is_local = true;
            break;
        }
    }
    if (out->flags & RESOLVE_TRY_AGAIN)
        return;
    finish_recipient(&r);
    route_by_class(&r);
    if (!(out->flags & RESOLVE_TRY_AGAIN))
        apply_tables(&r);
}
