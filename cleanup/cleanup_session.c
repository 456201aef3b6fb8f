/* cleanup_session.c - the protocol of cleanup: begin, recipients and content, end. See lib/ipc/messages.h. */
#include "cleanup/cleanup.h"

#include "lib/base/log.h"

#include <stdio.h>

enum { PIECE_TIMEOUT_SECONDS = 3600 };

bool cleanup_failed(const struct cleanup *m)
{
    return m->error.outcome != OUTCOME_OK;
}

void cleanup_fail(struct cleanup *m, int code, const struct result *r)
{
    if (cleanup_failed(m))
        return;
    m->error = *r;
    m->code = code;
}

static void message_free(struct cleanup **mp)
{
    struct cleanup *m = *mp;
    if (!m)
        return;
    queue_writer_free(&m->writer);
    VEC_FREE(&m->recipients);
    VEC_FREE(&m->copies);
    hash_free(&m->seen, NULL);
    buf_fini(&m->header);
    buf_fini(&m->line);
    struct arena *a = m->arena;
    *mp = NULL;
    arena_free(&a);
}

/* The limit is that of the queue file: what Postfix's own keeps beside a small message counts here as well, so that the
 * same messages pass. */
static uint64_t content_limit(void)
{
    enum { ENVELOPE_SHARE = 850 };
    int64_t limit = daemon_env->common.message_size_limit;
    return limit > ENVELOPE_SHARE ? (uint64_t)(limit - ENVELOPE_SHARE) : 1;
}

/* Opens the queue file and says its id. NULL when that cannot be done, or said. */
static struct cleanup *begin(struct ipc_conn *c)
{
    struct arena *a = arena_new();
    struct cleanup *m = ARENA_NEW(a, struct cleanup);
    struct result r;
    m->arena = a;
    if (ipc_recv(c, &ipc_type_cleanup_begin, a, &m->begin, deadline_in(PIECE_TIMEOUT_SECONDS)) != IPC_OK) {
        message_free(&m);
        return NULL;
    }
    m->header = BUF(BUF_MAX_DEFAULT);
    m->line = BUF(BUF_MAX_DEFAULT);
    m->seen = hash_new();
    m->hold = m->begin.flags & CLEANUP_HOLD;
    m->discard = m->begin.flags & CLEANUP_DISCARD;
    m->filter = m->begin.content_filter;
    m->redirect = m->begin.redirect_to;
    m->writer = queue_writer_new("incoming", daemon_env->common.enable_long_queue_ids, &r);
    struct msg_cleanup_begun begun = {.queue_id = m->writer ? queue_writer_id(m->writer) : "",
                                      .error = m->writer ? "" : r.text};
    if (!m->writer)
        log_warn("%s", r.text);
    else if (daemon_env->common.message_size_limit)
        queue_writer_size_limit(m->writer, content_limit());
    if (ipc_send(c, &ipc_type_cleanup_begun, &begun, deadline_in(PIECE_TIMEOUT_SECONDS)) != IPC_OK || !m->writer) {
        message_free(&m);
        return NULL;
    }
    m->queue_id = queue_writer_id(m->writer);
    m->sender =
        *m->begin.sender ? cleanup_map_address(m, cleanup_rewrite(m, m->begin.sender, "local"), ENVELOPE_SENDER) : "";
    return m;
}

static struct result commit(struct cleanup *m)
{
    const struct msg_cleanup_begin *b = &m->begin;
    struct queue_envelope e = {
        .sender = m->sender,
        .dsn_envid = b->dsn_envid,
        .body_type = m->is_8bit ? "8BITMIME" : b->body_type,
        .context = b->context,
        .client_name = b->client_name,
        .client_addr = b->client_addr,
        .client_port = b->client_port,
        .client_proto = b->client_proto,
        .client_helo = b->client_helo,
        .sasl_method = b->sasl_method,
        .sasl_username = b->sasl_username,
        .sasl_sender = b->sasl_sender,
        .content_filter = m->redirect && *m->redirect ? "" : m->filter, /* which REDIRECT overrides */
        .redirect_to = "",                                              /* done here: see cleanup_envelope.c */
        .origin = b->origin,
        .syslog_name = b->syslog_name,
        .dsn_ret = b->dsn_ret,
        .hop = b->hop,
        .verbose_dsn = b->verbose_dsn,
        .create_usec = clock_wall_usec(),
    };
    e.arrival_usec = b->arrival_usec ? b->arrival_usec : e.create_usec;
    e.flags =
        (b->flags & CLEANUP_SMTPUTF8 ? QUEUE_SMTPUTF8 : 0) | (strcmp(b->origin, "bounce") == 0 ? QUEUE_BOUNCE : 0);
    return queue_writer_commit(m->writer, m->hold ? "hold" : "incoming", &e);
}

/* Replies as Postfix's cleanup status texts. */
static void note_commit(struct cleanup *m, const struct result *r)
{
    if (r->outcome == OUTCOME_NEVER) {
        struct result too_big = result_never("5.3.4", "Error: message file too big");
        cleanup_fail(m, 552, &too_big);
    } else if (r->outcome == OUTCOME_TRY_AGAIN) {
        log_warn("%s: %s", m->queue_id, r->text);
        struct result again =
            result_try_again(r->dsn, strcmp(r->dsn, "4.3.1") == 0 ? "Error: insufficient system storage"
                                                                  : "Error: queue file write error");
        cleanup_fail(m, strcmp(r->dsn, "4.3.1") == 0 ? 452 : 451, &again);
    }
}

static void end(struct cleanup *m, struct ipc_conn *c)
{
    cleanup_end_content(m);
    if (!cleanup_failed(m))
        cleanup_envelope(m);
    bool queued = false;
    if (!cleanup_failed(m) && !m->discard) {
        if (queue_writer_recipients(m->writer) == 0) {
            struct result none = result_never("5.1.0", "Error: no recipients specified");
            cleanup_fail(m, 554, &none);
        } else {
            struct result r = commit(m);
            note_commit(m, &r);
            queued = result_is_ok(&r);
        }
    }
    if (m->discard) /* whatever is wrong with it */
        m->error = (struct result){0};
    struct msg_cleanup_done done = {
        .outcome = m->error.outcome, .code = (uint32_t)m->code, .dsn = m->error.dsn, .text = m->error.text};
    ipc_send(c, &ipc_type_cleanup_done, &done, deadline_in(PIECE_TIMEOUT_SECONDS));
    if (queued && !m->hold)
        cleanup_notify_qmgr(m->queue_id, queue_writer_fd(m->writer));
}

static bool take_recipient(struct cleanup *m, struct ipc_conn *c)
{
    struct msg_cleanup_recipient r;
    if (ipc_recv(c, &ipc_type_cleanup_recipient, m->arena, &r, deadline_in(PIECE_TIMEOUT_SECONDS)) != IPC_OK)
        return false;
    VEC_PUSH(&m->recipients, r);
    return true;
}

static bool take_content(struct cleanup *m, struct ipc_conn *c)
{
    ARENA_AUTO a = arena_new();
    struct msg_cleanup_content piece;
    if (ipc_recv(c, &ipc_type_cleanup_content, a, &piece, deadline_in(PIECE_TIMEOUT_SECONDS)) != IPC_OK)
        return false;
    if (!cleanup_failed(m))
        cleanup_take_content(m, piece.data);
    return true;
}

static void heed(struct cleanup *m, const struct msg_cleanup_end *decided)
{
    m->hold = m->hold || decided->flags & CLEANUP_HOLD;
    m->discard = m->discard || decided->flags & CLEANUP_DISCARD;
    if (*decided->content_filter)
        m->filter = decided->content_filter;
    if (*decided->redirect_to)
        m->redirect = decided->redirect_to;
}

/* One message; false when the connection is of no further use. */
static bool serve_message(struct ipc_conn *c)
{
    struct cleanup *m = begin(c);
    enum ipc_status st = IPC_OK;
    bool more = m != NULL;
    while (more) {
        const struct ipc_type *t = ipc_next_type(c, &st, deadline_in(PIECE_TIMEOUT_SECONDS));
        struct msg_cleanup_abort nothing;
        if (t == &ipc_type_cleanup_content) {
            more = take_content(m, c);
        } else if (t == &ipc_type_cleanup_recipient) {
            more = take_recipient(m, c);
        } else if (t == &ipc_type_cleanup_end) {
            struct msg_cleanup_end decided;
            more = ipc_recv(c, t, m->arena, &decided, DEADLINE_NEVER) == IPC_OK;
            if (more) {
                heed(m, &decided);
                end(m, c);
            }
            break;
        } else if (t == &ipc_type_cleanup_abort) {
            more = ipc_recv(c, t, m->arena, &nothing, DEADLINE_NEVER) == IPC_OK;
            break;
        } else {
            more = false;
        }
    }
    message_free(&m);
    return more;
}

void cleanup_serve(struct ipc_conn *c)
{
    while (ipc_await_request(c) && serve_message(c))
        ;
    ipc_conn_free(&c);
}
