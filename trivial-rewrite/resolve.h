/* resolve.h - which class an address is of, and which transport, nexthop and recipient it goes to. The look-ups are the
 * caller's, so that nothing here knows of files. */
#pragma once
#include "lib/ipc/messages.h"
#include "lib/map/map.h"
#include "trivial-rewrite/rewrite.h"

enum resolve_list { LIST_LOCAL, LIST_VIRTUAL_ALIAS, LIST_VIRTUAL_MAILBOX, LIST_RELAY };
enum resolve_table { TABLE_TRANSPORT, TABLE_SENDER_RELAYHOST, TABLE_SENDER_TRANSPORT, TABLE_RELOCATED };

struct resolve_lookups {
    void *ctx;
    /* Whether a domain ("example.com", "[192.0.2.1]") is of the list. For LIST_LOCAL own address literals count. */
    enum map_status (*in_list)(void *ctx, enum resolve_list list, const char *domain);
    /* An address in the order of canonical(5) (for TABLE_TRANSPORT: user+ext@domain and user@domain alone). */
    enum map_status (*by_address)(void *ctx, enum resolve_table table, const char *address, struct buf *out);
    /* Part of an address, as it is: a domain, ".parent", "*". */
    enum map_status (*by_key)(void *ctx, enum resolve_table table, const char *key, struct buf *out);
};

struct resolve_rules {
    struct rewrite_rules rewrite; /* of the local context */
    const char *myhostname, *local_transport, *virtual_transport, *relay_transport, *default_transport, *relayhost;
    const char *empty_recipient, *empty_relayhost_key, *empty_transport_key;
    bool transport_parents; /* example.com in transport_maps matches sub.example.com */
    bool dequote, null_domain, numeric_domain, relocated_prefix, table_name_in_error;
};

/* The strings of *out live in the arena. Never fails: trouble is in out->flags (RESOLVE_ERROR, RESOLVE_TRY_AGAIN). */
void resolve_address(const struct resolve_rules *r, const struct resolve_lookups *l, struct arena *a,
                     const char *sender, const char *address, struct msg_resolved *out);

/* "transport:nexthop", "transport", ":nexthop", ":" of transport(5) applied to what was found without the table.
 * Exposed for its test. */
void resolve_transport_entry(struct arena *a, const char *entry, const char *domain, struct msg_resolved *out);
