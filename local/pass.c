/* pass.c - a recipient goes to another delivery agent, as mailbox_transport and fallback_transport say. That agent logs
 * the outcome; here it is only handed back. */
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "local/expand.h"

#include <string.h>

static struct ipc_pool *pool_of(const char *transport)
{
    enum { IDLE = 4 };
    static struct hash *pools;
    if (pools == NULL)
        pools = hash_new();
    struct ipc_pool *p = hash_get(pools, transport);
    if (p == NULL) {
        MEM_AUTO char *path = mem_printf("private/%s", transport);
        p = ipc_pool_new(path, IDLE);
        hash_put(pools, transport, p);
    }
    return p;
}

struct verdict pass_to(struct work *w, const struct scope *s, const char *destination)
{
    struct msg_deliver_request q = w->d->request;
    struct msg_deliver_recipient rcpt = *w->rcpt;
    struct msg_deliver_reply *reply = ARENA_NEW(w->a, struct msg_deliver_reply);
    const char *colon = strchr(destination, ':');
    q.transport = colon != NULL ? arena_strndup(w->a, destination, (size_t)(colon - destination)) : destination;
    if (colon != NULL && colon[1] != '\0')
        q.nexthop = colon + 1;
    rcpt.address = s->address;
    q.sender = s->sender;
    q.recipients = &rcpt;
    q.n_recipients = 1;
    enum ipc_status st = ipc_call(pool_of(q.transport), &ipc_type_deliver_request, &q, &ipc_type_deliver_reply, w->a,
                                  reply, deadline_in(daemon_env->common.ipc_timeout));
    if (st != IPC_OK || reply->n_results != 1 || reply->results[0].outcome > OUTCOME_NEVER) {
        log_warn("private/%s: %s", q.transport, st != IPC_OK ? ipc_strerror(st) : "no result");
        return verdict_of(result_try_again("4.3.0", "mail transport unavailable"));
    }
    const struct msg_deliver_result *m = &reply->results[0];
    struct verdict v = verdict_of(m->outcome == OUTCOME_OK      ? result_ok(m->dsn, "%s", m->text)
                                  : m->outcome == OUTCOME_NEVER ? result_never(m->dsn, "%s", m->text)
                                                                : result_try_again(m->dsn, "%s", m->text));
    v.passed = m;
    v.told = true;
    return v;
}
