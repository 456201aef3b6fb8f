/* smtp_deliver.c - a delivery request: destinations in order, the hosts of each by preference, sessions until every
 * recipient has a result or nobody is left to ask. An open connection to the same destination is used first. */
#include "smtp/smtp.h"

/* Over a connection that was open already. Its death says nothing about the host: a fresh one is made. */
static void try_idle_session(struct smtp_delivery *s, const struct smtp_dest *dest, bool last_dest)
{
    struct smtp_session *x;
    while (s->left > 0 && (x = smtp_session_take(dest->text)) != NULL) {
        s->final_server = last_dest;
        smtp_xfer(s, x);
        bool died = x->broken;
        smtp_session_end(s, &x);
        if (!died)
            return;
    }
}

static void run_session(struct smtp_delivery *s, struct smtp_session *x, const struct smtp_dest *dest)
{
    if (smtp_hello(s, x, dest))
        smtp_xfer(s, x);
    else
        x->last_use = true; /* nothing for the next delivery */
    smtp_session_end(s, &x);
}

/* A host of the list. False when it could not be connected to. */
static bool try_host(struct smtp_delivery *s, const struct smtp_dest *dest, const struct smtp_host *host)
{
    for (s->plaintext = false;;) {
        struct smtp_session *x = host ? smtp_connect(s, dest, host) : smtp_connect_unix(s, dest);
        if (!x)
            return false;
        bool was_plaintext = s->plaintext;
        run_session(s, x, dest);
        /* TLS at level may failed: the same host once more without it. */
        if (was_plaintext || !s->plaintext || s->left == 0)
            return true;
    }
}

static bool below(size_t n, int64_t limit)
{
    return limit <= 0 || n < (size_t)limit;
}

static void try_hosts(struct smtp_delivery *s, const struct smtp_dest *dest, const struct smtp_hosts *hosts,
                      bool last_dest)
{
    size_t sessions = 0;
    for (size_t i = 0; i < hosts->n && s->left > 0; i++) {
        if (!below(i, smtp_params.smtp_mx_address_limit) || !below(sessions, smtp_params.smtp_mx_session_limit))
            return;
        bool more = i + 1 < hosts->n && below(i + 1, smtp_params.smtp_mx_address_limit) &&
                    below(sessions + 1, smtp_params.smtp_mx_session_limit);
        s->final_server = last_dest && !more;
        sessions += try_host(s, dest, &hosts->items[i]);
    }
}

static void try_destination(struct smtp_delivery *s, const struct smtp_dest *dest, bool last_dest)
{
    try_idle_session(s, dest, last_dest);
    if (s->left == 0 || !smtp_tls_choose(s, dest))
        return;
    if (dest->is_unix) {
        s->final_server = last_dest;
        try_host(s, dest, NULL);
        return;
    }
    struct smtp_hosts hosts = smtp_addr_find(s, dest);
    try_hosts(s, dest, &hosts, last_dest);
}

static const char *all_destinations(struct smtp_delivery *s)
{
    const char *fallback = smtp_params.smtp_fallback_relay;
    return *fallback ? arena_printf(s->arena, "%s, %s", s->d->request.nexthop, fallback) : s->d->request.nexthop;
}

void smtp_deliver(struct agent_delivery *d)
{
    struct smtp_delivery s = {.d = d, .arena = d->arena};
    for (size_t i = 0; i < d->request.n_recipients; i++)
        s.left += !d->reported[i];
    struct smtp_dest *dests;
    const char *err = "";
    size_t n = smtp_dest_parse(s.arena, all_destinations(&s), smtp_program.lmtp, smtp_program.port, &dests, &err);
    if (n == 0) {
        s.why.result = result_try_again("4.3.5", "mail system configuration error: %s", err);
        smtp_report_rest(&s);
        return;
    }
    for (size_t i = 0; i < n && s.left > 0; i++)
        try_destination(&s, &dests[i], i + 1 == n);
    smtp_report_rest(&s);
}
