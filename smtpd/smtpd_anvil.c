/* smtpd_anvil.c - limits by client address; anvil counts for all processes. An anvil that cannot be reached limits
 * nobody. */
#include "smtpd/smtpd.h"

enum { ANVIL_SECONDS = 10 };

static bool ask(struct session *s, enum anvil_op op, struct msg_anvil_reply *reply)
{
    struct msg_anvil_request request = {.op = op, .service = daemon_env->service, .client = s->client_addr};
    return ipc_call(smtpd_shared.anvil, &ipc_type_anvil_request, &request, &ipc_type_anvil_reply, s->call, reply,
                    deadline_in(ANVIL_SECONDS)) == IPC_OK;
}

static bool within(struct session *s, uint32_t value, int64_t limit, const char *what)
{
    if (limit == 0 || value <= limit)
        return true;
    log_warn("%s limit exceeded: %u from %s for service %s", what, value, s->namaddr, daemon_env->service);
    return false;
}

bool smtpd_anvil_event(struct session *s, enum anvil_op op, int64_t limit, const char *what)
{
    struct msg_anvil_reply reply;
    if (!s->limited || limit == 0 || !ask(s, op, &reply))
        return true;
    return within(s, reply.rate, limit, what);
}

bool smtpd_anvil_connect(struct session *s)
{
    struct msg_anvil_reply reply;
    if (!smtpd_shared.limits || s->peer->sa_family == AF_UNIX)
        return true;
    s->limited = match_list_host(smtpd_shared.limit_exceptions, s->client_name, s->peer) == MAP_NOT_FOUND;
    if (!s->limited || !ask(s, ANVIL_CONNECT, &reply))
        return true;
    s->connected_to_anvil = true;
    if (within(s, reply.count, smtpd_params.smtpd_client_connection_count_limit, "Connection concurrency") &&
        within(s, reply.rate, smtpd_params.smtpd_client_connection_rate_limit, "Connection rate"))
        return true;
    smtpd_reply(s, "421 4.7.0 %s Error: too many connections from %s", daemon_env->common.myhostname, s->client_addr);
    return false;
}

void smtpd_anvil_disconnect(struct session *s)
{
    struct msg_anvil_reply reply;
    if (s->connected_to_anvil)
        ask(s, ANVIL_DISCONNECT, &reply);
}
