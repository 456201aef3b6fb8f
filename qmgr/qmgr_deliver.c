/* qmgr_deliver.c - requests to delivery agents. Each transport has a few fibers that take what the scheduler gives,
 * over connections that stay open. */
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "qmgr/qmgr.h"

#include <errno.h>
#include <stdio.h>

enum { CONNECT_SECONDS = 5, IDLE_CONNECTIONS = 200 };

static struct transport *transport_find(const char *name)
{
    struct conf *c = daemon_env->conf;
    const struct qmgr_params *p = &qmgr_params;
    struct transport *t = hash_get(qmgr.transports, name);
    if (t)
        return t;
    bool local = strcmp(name, "local") == 0;
    int64_t *maxproc = hash_get(qmgr.maxproc, name);
    struct schedule_settings s = {.maxproc = (unsigned)(maxproc ? *maxproc : daemon_env->common.default_process_limit)};
    s.initial =
        (unsigned)conf_transport_int(c, name, "_initial_destination_concurrency", p->initial_destination_concurrency);
    s.limit = (unsigned)conf_transport_int(c, name, "_destination_concurrency_limit",
                                           local ? p->local_destination_concurrency_limit
                                                 : p->default_destination_concurrency_limit);
    s.recipient_limit = (unsigned)conf_transport_int(c, name, "_destination_recipient_limit",
                                                     local ? p->local_destination_recipient_limit
                                                           : p->default_destination_recipient_limit);
    s.cohort_limit = (double)conf_transport_int(c, name, "_destination_concurrency_failed_cohort_limit",
                                                p->default_destination_concurrency_failed_cohort_limit);
    s.rate_delay = conf_transport_time(c, name, "_destination_rate_delay", p->default_destination_rate_delay);
    const char *up = conf_transport_str(c, name, "_destination_concurrency_positive_feedback",
                                        p->default_destination_concurrency_positive_feedback);
    const char *down = conf_transport_str(c, name, "_destination_concurrency_negative_feedback",
                                          p->default_destination_concurrency_negative_feedback);
    if (!schedule_parse_feedback(up, &s.positive) || !schedule_parse_feedback(down, &s.negative)) {
        log_warn("transport %s: bad concurrency feedback %s or %s; 1 is used", name, up, down);
        s.positive = s.negative = (struct feedback){1, FEEDBACK_FIXED};
    }
    t = transport_new(name, &s);
    MEM_AUTO char *service = mem_printf("private/%s", name);
    t->owner_data = ipc_pool_new(service, IDLE_CONNECTIONS);
    hash_put(qmgr.transports, name, t);
    return t;
}

static void run_transport(struct transport *t);

/* ---- entries ---- */

static void entry_free(struct entry *e)
{
    list_remove(&e->message_link);
    free(e->recipients);
    free(e);
}

/* The entry is over, and with the last one the round. */
static void entry_over(struct entry *e)
{
    struct message *m = e->message;
    entry_free(e);
    if (--m->pending == 0)
        message_finish(m);
}

static void add_entry(struct message *m, struct transport *t, const char *nexthop, const uint32_t *recipients,
                      unsigned n)
{
    struct entry *e = MEM_NEW(struct entry);
    e->message = m;
    e->recipients = mem_alloc(n * sizeof *e->recipients);
    memcpy(e->recipients, recipients, n * sizeof *recipients);
    e->n_recipients = n;
    list_append(&m->entries, &e->message_link);
    m->pending++;
    schedule_add(transport_destination(t, nexthop), e);
}

static void by_agent(struct message *m, const char *service, const uint32_t *recipients, unsigned n, const char *dsn,
                     const char *text)
{
    MEM_AUTO char *nexthop = mem_printf("%s %s", dsn, text);
    deliver_enqueue(m, service, nexthop, recipients, n);
}

void deliver_by_retry(struct message *m, const uint32_t *recipients, unsigned n, const char *dsn, const char *text)
{
    by_agent(m, qmgr_params.retry_service_name, recipients, n, dsn, text);
}

void deliver_by_error(struct message *m, const uint32_t *recipients, unsigned n, const char *dsn, const char *text)
{
    by_agent(m, qmgr_params.error_service_name, recipients, n, dsn, text);
}

/* Without any agent that could log it: noted and logged here. */
static void defer_here(struct message *m, const uint32_t *recipients, unsigned n, const char *dsn, const char *text)
{
    for (unsigned i = 0; i < n; i++) {
        log_info("%s: to=<%s>, relay=none, delay=0, delays=0/0/0/0, dsn=%s, status=deferred (%s)", m->id,
                 m->m.recipients[recipients[i]].address, dsn, text);
        m->notes[recipients[i]] = (struct outcome_note){.kind = NOTE_DEFERRED,
                                                        .dsn = arena_strdup(m->arena, dsn),
                                                        .text = arena_strdup(m->arena, text),
                                                        .relay = "",
                                                        .diagnostic = "",
                                                        .remote_mta = "",
                                                        .action = ""};
    }
}

static bool is_dead(struct transport *t)
{
    if (t->dead_until && t->dead_until <= clock_mono())
        t->dead_until = 0;
    return t->dead_until != 0;
}

static bool is_own_agent(const struct transport *t)
{
    return strcmp(t->name, qmgr_params.retry_service_name) == 0 || strcmp(t->name, qmgr_params.error_service_name) == 0;
}

static void put_off(struct message *m, const struct transport *t, const uint32_t *recipients, unsigned n,
                    const char *dsn, const char *text)
{
    if (is_own_agent(t))
        defer_here(m, recipients, n, dsn, text);
    else
        deliver_by_retry(m, recipients, n, dsn, text);
}

void deliver_enqueue(struct message *m, const char *transport, const char *nexthop, const uint32_t *recipients,
                     unsigned n)
{
    struct transport *t = transport_find(transport);
    if (is_dead(t)) {
        put_off(m, t, recipients, n, "4.3.0", "mail transport unavailable");
        return;
    }
    unsigned limit = t->settings.recipient_limit;
    for (unsigned done = 0; done < n;) {
        unsigned piece = limit && n - done > limit ? limit : n - done;
        /* With one recipient a time, the recipient is the destination. */
        const char *key = limit == 1 ? m->m.recipients[recipients[done]].address : nexthop;
        struct destination *d = transport_destination(t, key);
        if (schedule_is_dead(d, clock_mono())) {
            MEM_AUTO char *text = mem_printf("delivery temporarily suspended: %s", d->dead_text);
            put_off(m, t, recipients + done, piece, d->dead_dsn, text);
        } else {
            add_entry(m, t, key, recipients + done, piece);
            if (limit == 1 && strcmp(key, nexthop) != 0) {
                free(d->route);
                d->route = mem_strdup(nexthop);
            }
        }
        done += piece;
    }
    run_transport(t);
}

/* ---- a delivery ---- */

static void fill_request(struct msg_deliver_request *q, struct arena *a, const struct entry *e)
{
    const struct message *m = e->message;
    const struct queue_envelope *v = &m->m.envelope;
    const struct destination *d = e->destination;
    *q = (struct msg_deliver_request){
        .queue_id = m->id,
        .queue_name = "active",
        .transport = d->transport->name,
        .nexthop = d->route ? d->route : d->nexthop,
        .sender = v->sender,
        .dsn_envid = v->dsn_envid,
        .dsn_ret = v->dsn_ret,
        .body_type = v->body_type,
        .content_offset = v->content_offset,
        .content_size = v->content_size,
        .arrival_usec = v->arrival_usec,
        .active_usec = m->active_usec,
        .hop = v->hop,
        .context = v->context,
        .client_name = v->client_name,
        .client_addr = v->client_addr,
        .client_port = v->client_port,
        .client_proto = v->client_proto,
        .client_helo = v->client_helo,
        .sasl_method = v->sasl_method,
        .sasl_username = v->sasl_username,
        .sasl_sender = v->sasl_sender,
        .file = m->fd,
    };
    q->flags = (v->flags & QUEUE_SMTPUTF8 ? DELIVER_SMTPUTF8 : 0) |
               (list_empty(&d->entries) && d->busy < 2 ? 0 : DELIVER_REUSE_CONNECTION);
    q->recipients = ARENA_ARRAY(a, struct msg_deliver_recipient, e->n_recipients);
    q->n_recipients = e->n_recipients;
    for (unsigned i = 0; i < e->n_recipients; i++) {
        const struct queue_recipient *r = &m->m.recipients[e->recipients[i]];
        q->recipients[i] =
            (struct msg_deliver_recipient){e->recipients[i], r->address, r->orig_address, r->dsn_orcpt, r->dsn_notify};
    }
}

static void note_result(struct message *m, const struct msg_deliver_result *r)
{
    static const int kinds[] = {NOTE_DELIVERED, NOTE_DEFERRED, NOTE_FAILED};
    if (r->index >= m->m.n_recipients || r->outcome > OUTCOME_NEVER)
        return;
    struct outcome_note *n = &m->notes[r->index];
    n->kind = kinds[r->outcome];
    if (r->outcome == OUTCOME_OK && !(m->m.recipients[r->index].dsn_notify & DSN_NOTIFY_SUCCESS))
        return; /* nobody asks any more */
    n->dsn = arena_strdup(m->arena, r->dsn);
    n->text = arena_strdup(m->arena, r->text);
    n->relay = arena_strdup(m->arena, r->relay);
    n->diagnostic = arena_strdup(m->arena, r->diagnostic);
    n->remote_mta = arena_strdup(m->arena, r->remote_mta);
    n->action = arena_strdup(m->arena, r->action);
    n->address = arena_strdup(m->arena, r->address);
}

/* Recipients that the agent said nothing of. */
static void note_missing(const struct entry *e)
{
    struct message *m = e->message;
    for (unsigned i = 0; i < e->n_recipients; i++)
        if (m->notes[e->recipients[i]].kind == NOTE_NONE)
            m->notes[e->recipients[i]] = (struct outcome_note){.kind = NOTE_DEFERRED,
                                                               .dsn = "4.3.0",
                                                               .text = "unknown mail transport error",
                                                               .relay = "",
                                                               .diagnostic = "",
                                                               .remote_mta = "",
                                                               .action = ""};
}

/* Everything that waits for a destination that died goes the way of deferred mail. */
static void put_off_waiting(struct destination *d)
{
    MEM_AUTO char *text = mem_printf("delivery temporarily suspended: %s", d->dead_text);
    for (struct entry *w; (w = schedule_take_waiting(d));) {
        struct message *m = w->message;
        m->pending++; /* so that it is not over in between */
        put_off(m, d->transport, w->recipients, w->n_recipients, d->dead_dsn, text);
        m->pending--;
        entry_over(w);
    }
}

/* The agent cannot be reached: the transport is left alone for a while. */
static void transport_failed(struct transport *t)
{
    size_t it = 0;
    const char *key;
    void *p;
    log_warn("connect to private/%s: %s", t->name, errno ? strerror(errno) : "no answer");
    t->dead_until = deadline_in(qmgr_params.transport_retry_time);
    while (hash_next(t->destinations, &it, &key, &p))
        for (struct entry *w; (w = schedule_take_waiting(p));) {
            struct message *m = w->message;
            m->pending++;
            put_off(m, t, w->recipients, w->n_recipients, "4.3.0", "mail transport unavailable");
            m->pending--;
            entry_over(w);
        }
}

/* Sends the request, waits for the answer. A connection that was closed while it was idle is replaced; an agent that
 * died over the request leaves its recipients deferred. */
static enum ipc_status ask_agent(struct ipc_conn **c, struct transport *t, struct arena *a, const struct entry *e,
                                 struct msg_deliver_reply *reply)
{
    struct msg_deliver_request q;
    fill_request(&q, a, e);
    for (int attempt = 0;; attempt++) {
        if (!*c)
            *c = ipc_pool_take(t->owner_data, deadline_in(CONNECT_SECONDS));
        if (!*c)
            return IPC_CLOSED;
        enum ipc_status st = ipc_send(*c, &ipc_type_deliver_request, &q, deadline_in(CONNECT_SECONDS));
        if (st == IPC_OK)
            st = ipc_recv(*c, &ipc_type_deliver_reply, a, reply, DEADLINE_NEVER);
        if (st == IPC_OK)
            return IPC_OK;
        ipc_pool_give(t->owner_data, c, false);
        if (attempt)
            return IPC_BROKEN;
    }
}

static void deliver_one(struct transport *t, struct ipc_conn **c, struct entry *e)
{
    struct arena *a = arena_new();
    struct message *m = e->message;
    struct destination *d = e->destination;
    struct msg_deliver_reply reply = {0};
    enum ipc_status st = ask_agent(c, t, a, e, &reply);
    for (size_t i = 0; i < reply.n_results; i++)
        note_result(m, &reply.results[i]);
    if (t->settings.rate_delay) /* while it counts as busy */
        fiber_sleep(deadline_in(t->settings.rate_delay));
    bool dead = schedule_done(e, st == IPC_OK && !reply.site_dead);
    m->pending++; /* the message is not over before this is */
    if (st == IPC_CLOSED) {
        put_off(m, t, e->recipients, e->n_recipients, "4.3.0", "mail transport unavailable");
        transport_failed(t);
    } else {
        note_missing(e);
        if (dead && reply.site_dead && !is_own_agent(t)) {
            schedule_kill(d, deadline_in(qmgr_params.minimal_backoff_time), reply.site_dsn, reply.site_text);
            put_off_waiting(d);
        }
    }
    schedule_forget_idle(d);
    run_transport(t);
    m->pending--;
    arena_free(&a);
    entry_over(e);
}

static void delivery_fiber(void *arg)
{
    struct transport *t = arg;
    struct ipc_conn *c = NULL;
    for (struct entry *e; !daemon_env->draining && (e = schedule_next(t));)
        deliver_one(t, &c, e);
    t->fibers--;
    daemon_release();
    ipc_pool_give(t->owner_data, &c, true);
}

/* As many fibers as can work at once. */
static void run_transport(struct transport *t)
{
    unsigned most = t->settings.maxproc ? t->settings.maxproc : UINT32_MAX;
    if (t->fibers < most && !list_empty(&t->ready)) {
        t->fibers++;
        daemon_hold();
        fiber_start(t->name, delivery_fiber, t);
    }
}

void deliver_revive_all(void)
{
    size_t it = 0, it2;
    const char *key;
    void *p, *q;
    while (hash_next(qmgr.transports, &it, &key, &p)) {
        struct transport *t = p;
        t->dead_until = 0;
        for (it2 = 0; hash_next(t->destinations, &it2, &key, &q);)
            schedule_revive(q);
    }
}

void deliver_withdraw(struct message *m)
{
    LIST_EACH_SAFE (l, &m->entries) {
        struct entry *e = LIST_ENTRY(l, struct entry, message_link);
        if (list_empty(&e->link)) /* being delivered */
            continue;
        schedule_remove(e);
        entry_free(e);
        m->pending--;
    }
}
