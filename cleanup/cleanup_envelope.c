/* cleanup_envelope.c - recipients: rewritten, copied to (bcc), expanded by virtual aliases, freed of duplicates, and
 * put into the queue file. */
#include "cleanup/cleanup.h"

#include "lib/base/log.h"
#include "lib/syntax/address.h"

struct expansion {
    struct cleanup *m;
    const struct msg_cleanup_recipient *from;
    const char *orig; /* as it was before any table */
    size_t count;
    bool failed;
};

/* Whether this recipient was there before. With enable_original_recipient, two originals that lead to one address are
 * two. */
static bool is_duplicate(struct cleanup *m, const char *address, const char *orig,
                         const struct msg_cleanup_recipient *from)
{
    static char present[1];
    int64_t limit = cleanup_params.duplicate_filter_limit;
    char *key =
        arena_printf(m->arena, "%s\n%s\n%s\n%u", address, daemon_env->common.enable_original_recipient ? orig : "",
                     from->dsn_orcpt, (unsigned)from->dsn_notify);
    str_lower(key);
    if (hash_get(m->seen, key))
        return true;
    if (!limit || (int64_t)m->seen_count < limit) {
        hash_put(m->seen, key, present);
        m->seen_count++;
    }
    return false;
}

static void put(struct cleanup *m, const char *address, const char *orig, const struct msg_cleanup_recipient *from)
{
    const char *orcpt = from->dsn_orcpt;
    if (*m->redirect) { /* to one address, once */
        if (queue_writer_recipients(m->writer))
            return;
        address = cleanup_rewrite(m, m->redirect, "local");
    }
    if (!*orcpt && *from->address) /* as the client gave it */
        orcpt = arena_printf(m->arena, "rfc822;%s", from->address);
    if (!is_duplicate(m, address, orig, from))
        queue_writer_recipient(m->writer, &(struct queue_recipient){.address = address,
                                                                    .orig_address = orig,
                                                                    .dsn_orcpt = orcpt,
                                                                    .dsn_notify = from->dsn_notify});
}

static void fail_expansion(struct expansion *x, const char *why)
{
    log_warn("%s: unreasonable virtual_alias_maps %s for %s -- message not accepted, try again later", x->m->queue_id,
             why, x->orig);
    struct result r = result_try_again("4.6.0", "Alias expansion error");
    cleanup_fail(x->m, 451, &r);
    x->failed = true;
}

/* The addresses that one look-up gives, with their domains, in the arena; 0 when there is nothing in the tables. */
static size_t look_up(struct expansion *x, const char *address, const char ***results)
{
    struct cleanup *m = x->m;
    BUF_AUTO found = BUF(1 << 20);
    struct slice extension;
    enum map_status st =
        maps_lookup_address(cleanup_tables.virtual_alias, address, daemon_env->common.recipient_delimiter, MAPS_DEFAULT,
                            cleanup_is_local_domain, NULL, &found, &extension);
    if (st == MAP_TRY_AGAIN) {
        log_warn("%s: virtual_alias_maps lookup problem for %s -- message not accepted, try again later", m->queue_id,
                 address);
        struct result r = result_try_again("4.3.0", "Error: queue file write error");
        cleanup_fail(m, 451, &r);
        x->failed = true;
    }
    if (st != MAP_FOUND)
        return 0;
    struct address_token *tokens;
    size_t n = address_list_parse(m->arena, buf_slice(&found), &tokens);
    *results = ARENA_ARRAY(m->arena, const char *, n + 1);
    for (size_t i = 0; i < n; i++) {
        const char *one = tokens[i].address;
        ptrdiff_t at = address_at(one);
        if (at == 0) { /* "@domain" keeps the user name */
            ptrdiff_t own = address_at(address);
            one = arena_printf(m->arena, "%.*s%s", (int)(own < 0 ? (ptrdiff_t)strlen(address) : own), address, one);
        } else if (extension.n && cleanup_tables.propagate_virtual) {
            at = at < 0 ? (ptrdiff_t)strlen(one) : at;
            one = arena_printf(m->arena, "%.*s%.*s%s", (int)at, one, SLICE_ARG(extension), one + at);
        }
        (*results)[i] = cleanup_rewrite(m, one, "local");
    }
    return n;
}

/* Follows one address until the tables know nothing more of it; an address that gives itself is final. */
static void expand(struct expansion *x, const char *address, int64_t level)
{
    const char **results;
    if (x->failed || cleanup_failed(x->m))
        return;
    if (level > cleanup_params.virtual_alias_recursion_limit) {
        fail_expansion(x, "nesting");
        return;
    }
    size_t n = (x->m->begin.flags & CLEANUP_MAP) && !maps_is_empty(cleanup_tables.virtual_alias)
                   ? look_up(x, address, &results)
                   : 0;
    if (n == 0) {
        if ((int64_t)++x->count > cleanup_params.virtual_alias_expansion_limit)
            fail_expansion(x, "map expansion size");
        else
            put(x->m, address, x->orig, x->from);
        return;
    }
    for (size_t i = 0; i < n && !x->failed; i++) {
        if ((int64_t)strlen(results[i]) > cleanup_params.virtual_alias_address_length_limit) {
            fail_expansion(x, "result length");
        } else if (str_eq_fold(results[i], address)) {
            x->count++;
            put(x->m, address, x->orig, x->from);
        } else {
            expand(x, results[i], level + 1);
        }
    }
}

static void add_copy(struct cleanup *m, const char *to, const char *why)
{
    struct msg_cleanup_recipient copy = {
        .address = to, .orig_address = "", .dsn_orcpt = "", .dsn_notify = DSN_NOTIFY_NEVER};
    const char *address = cleanup_map_address(m, cleanup_rewrite(m, to, "local"), ENVELOPE_RECIPIENT);
    struct expansion x = {.m = m, .from = &copy, .orig = address};
    log_debug("%s: %s copy to %s", m->queue_id, why, address);
    expand(&x, address, 0);
}

static void copy_by_map(struct cleanup *m, struct maps *maps, const char *address, const char *why)
{
    BUF_AUTO found = BUF(IPC_ADDR);
    if (maps_is_empty(maps) || !*address)
        return;
    enum map_status st = maps_lookup_address(maps, address, daemon_env->common.recipient_delimiter, MAPS_DEFAULT,
                                             cleanup_is_local_domain, NULL, &found, NULL);
    if (st == MAP_TRY_AGAIN) {
        struct result r = result_try_again("4.3.0", "Error: queue file write error");
        cleanup_fail(m, 451, &r);
    } else if (st == MAP_FOUND) {
        const char *to = arena_slice(m->arena, slice_trim(buf_slice(&found)));
        if (to[0] == '@' && address_at(address) >= 0)
            to = arena_printf(m->arena, "%.*s%s", (int)address_at(address), address, to);
        add_copy(m, to, why);
    }
}

static void add_recipient(struct cleanup *m, const struct msg_cleanup_recipient *r)
{
    const char *address = cleanup_rewrite(m, r->address, "local");
    /* What the log and X-Original-To show is the address before any table, in full form. */
    struct expansion x = {.m = m, .from = r, .orig = *r->orig_address ? r->orig_address : address};
    address = cleanup_map_address(m, address, ENVELOPE_RECIPIENT);
    expand(&x, address, 0);
    if (m->begin.flags & CLEANUP_BCC)
        copy_by_map(m, cleanup_tables.recipient_bcc, address, "recipient_bcc_maps");
}

void cleanup_envelope(struct cleanup *m)
{
    for (size_t i = 0; i < m->recipients.n && !cleanup_failed(m); i++)
        add_recipient(m, &m->recipients.items[i]);
    if ((m->begin.flags & CLEANUP_BCC) && queue_writer_recipients(m->writer)) {
        copy_by_map(m, cleanup_tables.sender_bcc, m->sender, "sender_bcc_maps");
        if (*cleanup_params.always_bcc)
            add_copy(m, cleanup_params.always_bcc, "always_bcc");
    }
    for (size_t i = 0; i < m->copies.n && !cleanup_failed(m); i++)
        add_copy(m, m->copies.items[i], "BCC action");
}

void cleanup_add_extracted(struct cleanup *m, const char *address)
{
    struct msg_cleanup_recipient r = {.address = address, .orig_address = "", .dsn_orcpt = ""};
    VEC_PUSH(&m->recipients, r);
}
