/* qmgr_bounce.c - asks for notices: who is to be told what of which recipients (RFC 3461). */
#include "lib/base/log.h"
#include "qmgr/qmgr.h"

#include <stdio.h>

static struct ipc_pool *pool_of(const char *kind)
{
    static struct ipc_pool *pools[3];
    const char *const names[3] = {qmgr_params.bounce_service_name, qmgr_params.defer_service_name,
                                  qmgr_params.trace_service_name};
    int which = strcmp(kind, "failure") == 0 ? 0 : strcmp(kind, "delay") == 0 ? 1 : 2;
    if (!pools[which]) {
        char service[300];
        snprintf(service, sizeof service, "private/%s", names[which]);
        pools[which] = ipc_pool_new(service, 4);
    }
    return pools[which];
}

/* Whether this recipient belongs into this notice, and with which action. NULL: no. */
static const char *action_for(const struct message *m, size_t i, const char *kind)
{
    const struct queue_recipient *r = &m->m.recipients[i];
    const struct outcome_note *n = &m->notes[i];
    unsigned notify = r->dsn_notify;
    if (strcmp(kind, "failure") == 0)
        return r->state == RCPT_FAILED && (!notify || (notify & DSN_NOTIFY_FAILURE)) ? "failed" : NULL;
    if (strcmp(kind, "delay") == 0)
        return r->state == RCPT_TODO && !r->delay_told && (!notify || (notify & DSN_NOTIFY_DELAY)) ? "delayed" : NULL;
    if (n->kind != NOTE_DELIVERED || !(notify & DSN_NOTIFY_SUCCESS) || !n->action || strcmp(n->action, "none") == 0)
        return NULL;
    return *n->action ? n->action : "delivered";
}

static size_t collect(struct message *m, const char *kind, struct msg_bounce_recipient *out)
{
    size_t n = 0;
    for (size_t i = 0; i < m->m.n_recipients; i++) {
        const char *action = action_for(m, i, kind);
        const struct queue_recipient *r = &m->m.recipients[i];
        const struct outcome_note *note = &m->notes[i];
        bool delivered = note->kind == NOTE_DELIVERED;
        if (!action)
            continue;
        out[n++] = (struct msg_bounce_recipient){
            .address = note->address && *note->address ? note->address : r->address,
            .orig_address = r->orig_address,
            .dsn_orcpt = r->dsn_orcpt,
            .dsn_notify = r->dsn_notify,
            .action = action,
            .dsn = delivered ? note->dsn : r->last_dsn,
            .text = delivered ? note->text : r->last_text,
            .remote_mta = delivered ? note->remote_mta : r->last_remote_mta,
            .diagnostic = delivered ? note->diagnostic : r->last_diagnostic,
            .attempt_time = r->last_attempt ? r->last_attempt : clock_wall_usec() / 1000000,
        };
    }
    return n;
}

bool bounce_notice(struct message *m, const char *kind)
{
    const struct queue_envelope *e = &m->m.envelope;
    struct msg_bounce_recipient *recipients = ARENA_ARRAY(m->arena, struct msg_bounce_recipient, m->m.n_recipients + 1);
    struct msg_bounce_reply reply = {.outcome = OUTCOME_TRY_AGAIN};
    size_t n = collect(m, kind, recipients);
    enum { AT_ONCE = 2000 };
    bool ok = true;
    for (size_t done = 0; done < n && ok; done += AT_ONCE) {
        struct msg_bounce_request q = {
            .kind = kind,
            .queue_id = m->id,
            .queue_name = "active",
            .sender = e->sender,
            .dsn_envid = e->dsn_envid,
            .dsn_ret = e->dsn_ret,
            .flags = e->flags & QUEUE_SMTPUTF8 ? DELIVER_SMTPUTF8 : 0,
            .body_type = e->body_type,
            .content_offset = e->content_offset,
            .content_size = e->content_size,
            .arrival_usec = e->arrival_usec,
            .retry_until = e->arrival_usec / 1000000 + qmgr_params.maximal_queue_lifetime,
            .recipients = recipients + done,
            .n_recipients = n - done < AT_ONCE ? n - done : AT_ONCE,
            .file = m->fd,
        };
        enum ipc_status st = ipc_call(pool_of(kind), &ipc_type_bounce_request, &q, &ipc_type_bounce_reply, m->arena,
                                      &reply, deadline_in(qmgr_params.qmgr_daemon_timeout));
        ok = st == IPC_OK && reply.outcome == OUTCOME_OK;
        if (!ok)
            log_warn("%s: no %s notice: the bounce service %s", m->id, kind,
                     st == IPC_OK ? "could not queue one" : ipc_strerror(st));
    }
    return ok;
}
