/* qmgr_message.c - a message comes into the active queue: read, resolved, handed to the scheduler. */
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "qmgr/qmgr.h"

#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

bool qmgr_has_room(void)
{
    return (int64_t)hash_count(qmgr.active) < qmgr_params.qmgr_message_active_limit &&
           (int64_t)qmgr.recipients < qmgr_params.qmgr_message_recipient_limit;
}

void message_free(struct message **mp)
{
    struct message *m = *mp;
    if (!m)
        return;
    if (hash_get(qmgr.active, m->id) == m)
        hash_remove(qmgr.active, m->id);
    qmgr.recipients -= m->m.n_recipients;
    if (m->fd >= 0)
        close(m->fd);
    struct arena *a = m->arena;
    *mp = NULL;
    arena_free(&a);
    waitq_wake_all(&qmgr.message_gone);
    if (qmgr.more_incoming && qmgr_has_room()) {
        qmgr.more_incoming = false;
        scan_request(true, false, false);
    }
}

struct reading {
    struct message *m;
    const char *queue;
    struct buf why;
    enum queue_read result;
    bool open;
    bool locked; /* its writer is still at it and will tell */
};

static void read_file(void *arg)
{
    struct reading *r = arg;
    if (r->open)
        r->m->fd = queue_open(r->m->id, r->queue, false);
    r->locked = r->open && r->m->fd >= 0 && flock(r->m->fd, LOCK_SH | LOCK_NB) != 0;
    if (r->m->fd < 0 || r->locked) {
        r->result = QUEUE_READ_ERROR;
        return;
    }
    r->result = queue_read(r->m->fd, r->m->arena, &r->m->m, &r->why);
}

/* False when the message cannot go on; it was put where it belongs. */
static bool read_message(struct message *m, const char *queue)
{
    struct reading r = {.m = m, .queue = queue, .why = BUF(300), .open = m->fd < 0};
    /* A file that cleanup has just written is in memory: reading it blocks nobody. */
    if (r.open)
        thread_run(read_file, &r);
    else
        read_file(&r);
    if (r.result == QUEUE_READ_DAMAGED || r.result == QUEUE_READ_INCOMPLETE) {
        log_warn("%s: the queue file in %s is damaged (%s) -- moved to the corrupt queue", m->id, queue,
                 buf_cstr(&r.why));
        if (!queue_move(m->id, queue, "corrupt"))
            log_error("%s: cannot move it from %s to corrupt: %s", m->id, queue, strerror(errno));
    } else if (r.result == QUEUE_READ_ERROR && r.why.len) {
        log_warn("%s: cannot read the queue file in %s: %s", m->id, queue, buf_cstr(&r.why));
    }
    qmgr.rescan_incoming |= r.locked;
    buf_fini(&r.why);
    return r.result == QUEUE_READ_OK;
}

/* ---- where each recipient goes ---- */

struct route {
    const char *transport, *nexthop;
    uint32_t *recipients;
    unsigned n;
    struct route *next;
};

static struct route *route_for(struct arena *a, struct route **routes, const char *transport, const char *nexthop,
                               size_t most)
{
    struct route **at = routes;
    for (; *at; at = &(*at)->next)
        if (strcmp((*at)->transport, transport) == 0 && strcmp((*at)->nexthop, nexthop) == 0)
            return *at;
    *at = ARENA_NEW(a, struct route);
    **at = (struct route){.transport = transport, .nexthop = nexthop, .recipients = ARENA_ARRAY(a, uint32_t, most)};
    return *at;
}

static bool deferred_by_configuration(const char *transport)
{
    struct slice rest = slice_of(qmgr_params.defer_transports), word;
    while (slice_token(&rest, " \t\r\n,", &word))
        if (slice_eq(word, slice_of(transport)))
            return true;
    return false;
}

static void put_error(struct message *m, uint32_t index, const char *dsn, const char *text)
{
    deliver_by_error(m, &index, 1, dsn, text);
}

static void put_retry(struct message *m, uint32_t index, const char *dsn, const char *text)
{
    deliver_by_retry(m, &index, 1, dsn, text);
}

/* "transport:nexthop" of content_filter; an empty nexthop means the recipient's domain. */
static void apply_filter(struct message *m, struct msg_resolved *r)
{
    const char *filter = m->m.envelope.content_filter, *colon = strchr(filter, ':');
    if (!*filter)
        return;
    r->transport = arena_strndup(m->arena, filter, colon ? (size_t)(colon - filter) : strlen(filter));
    if (colon && colon[1])
        r->nexthop = colon + 1;
    else
        r->nexthop = strrchr(r->recipient, '@') ? strrchr(r->recipient, '@') + 1 : daemon_env->common.myhostname;
}

static void distribute(struct message *m, const uint32_t *todo, const struct msg_resolved *resolved, size_t n)
{
    struct arena *a = arena_new();
    struct route *routes = NULL;
    for (size_t i = 0; i < n; i++) {
        struct msg_resolved r = resolved[i];
        if (r.flags & RESOLVE_TRY_AGAIN) {
            put_retry(m, todo[i], "4.3.0", "address resolver failure");
            continue;
        }
        if (r.flags & RESOLVE_ERROR) {
            put_error(m, todo[i], "5.1.3", "bad address syntax");
            continue;
        }
        m->m.recipients[todo[i]].address = r.recipient;
        apply_filter(m, &r);
        if (deferred_by_configuration(r.transport)) {
            put_retry(m, todo[i], "4.3.2", "deferred transport");
            continue;
        }
        struct route *to =
            route_for(a, &routes, r.transport, *r.nexthop ? r.nexthop : daemon_env->common.myhostname, n);
        to->recipients[to->n++] = todo[i];
    }
    for (struct route *r = routes; r; r = r->next)
        deliver_enqueue(m, r->transport, r->nexthop, r->recipients, r->n);
    arena_free(&a);
}

static size_t open_recipients(const struct message *m, uint32_t *todo)
{
    size_t n = 0;
    for (size_t i = 0; i < m->m.n_recipients; i++)
        if (m->m.recipients[i].state == RCPT_TODO)
            todo[n++] = (uint32_t)i;
    return n;
}

static void resolve_and_enqueue(struct message *m, const uint32_t *todo, size_t n)
{
    const char **addresses = ARENA_ARRAY(m->arena, const char *, n + 1);
    struct msg_resolved *resolved = ARENA_ARRAY(m->arena, struct msg_resolved, n + 1);
    for (size_t i = 0; i < n; i++)
        addresses[i] = m->m.recipients[todo[i]].address;
    /* One entry more than there will be, so that the message is not over before all are in. */
    m->pending++;
    if (resolve_addresses(qmgr.rewrite, m->arena, m->m.envelope.sender, addresses, n, resolved))
        distribute(m, todo, resolved, n);
    else
        for (size_t i = 0; i < n; i++)
            put_retry(m, todo[i], "4.3.0", "address resolver failure");
    if (--m->pending == 0)
        message_finish(m);
}

static bool past_lifetime(const struct message *m)
{
    const struct queue_envelope *e = &m->m.envelope;
    int64_t lifetime = *e->sender && !(e->flags & QUEUE_BOUNCE) ? qmgr_params.maximal_queue_lifetime
                                                                : qmgr_params.bounce_queue_lifetime;
    return (e->flags & QUEUE_EXPIRE) || clock_wall_usec() - e->arrival_usec > lifetime * 1000000;
}

void message_activate(const char *id, const char *queue, int fd)
{
    if (hash_get(qmgr.active, id)) { /* a scan and cleanup's note both told of it */
        if (fd >= 0)
            close(fd);
        return;
    }
    struct arena *a = arena_new();
    struct message *m = ARENA_NEW(a, struct message);
    m->arena = a;
    m->fd = fd;
    list_init(&m->entries);
    snprintf(m->id, sizeof m->id, "%s", id);
    hash_put(qmgr.active, m->id, m);
    if (!read_message(m, queue) || (!queue_move(id, queue, "active"))) {
        message_free(&m);
        return;
    }
    qmgr.recipients += m->m.n_recipients;
    m->active_usec = clock_wall_usec();
    m->notes = ARENA_ARRAY(a, struct outcome_note, m->m.n_recipients + 1);
    m->last_chance = past_lifetime(m);
    uint32_t *todo = ARENA_ARRAY(a, uint32_t, m->m.n_recipients + 1);
    size_t n = open_recipients(m, todo);
    log_info("%s: from=<%s>, size=%llu, nrcpt=%zu (queue active)", m->id, m->m.envelope.sender,
             (unsigned long long)m->m.envelope.content_size, n);
    resolve_and_enqueue(m, todo, n);
}
