/* bounce - writes notices of mail that failed, is delayed or was delivered.
 *
 * The queue manager says what happened to which recipients. Bounce writes the notice (RFC 3464), for the sender and, as
 * notify_classes says, for the postmaster, and answers when it is in the queue. Notices that fail in their turn go to
 * 2bounce_notice_recipient when the class 2bounce is on, and are dropped otherwise. The services bounce, defer and
 * trace of master.cf are all this program. */
#include "bounce/bounce.h"
#include "bounce/bounce_params.h"
#include "lib/base/log.h"
#include "lib/daemon/daemon.h"

#include <unistd.h>

struct bounce_params bounce_params;

static const struct param param_table[] = {
/* clang-format off */
#define PARAM_OWNER struct bounce_params
#include "lib/conf/param_table.h"
#include "bounce/params.def"
#include "lib/conf/param_end.h"
    {"2bounce_notice_recipient", PARAM_T_STR, offsetof(struct bounce_params, two_bounce_notice_recipient), "postmaster",
     1, 0, "", "Who gets undeliverable notices (class 2bounce)."},
    /* clang-format on */
};

/* Answers one request; false when the connection is to be closed. */
static bool serve_one(struct ipc_conn *c)
{
    ARENA_AUTO a = arena_new();
    struct msg_bounce_request q;
    int64_t timeout = daemon_env->common.ipc_timeout;
    if (ipc_recv(c, &ipc_type_bounce_request, a, &q, deadline_in(timeout)) != IPC_OK)
        return false;
    struct msg_bounce_reply reply = {.outcome = OUTCOME_TRY_AGAIN};
    if (q.file >= 0)
        reply.outcome = bounce_send_notices(&q, a);
    else
        log_warn("%s: request for a notice without a file", q.queue_id);
    if (q.file >= 0)
        close(q.file);
    return ipc_send(c, &ipc_type_bounce_reply, &reply, deadline_in(timeout)) == IPC_OK;
}

static void request(struct ipc_conn *c)
{
    while (serve_one(c))
        continue;
    ipc_conn_free(&c);
}

static bool before_sandbox(struct buf *err)
{
    const char *file = conf_raw(daemon_env->conf, "bounce_template_file");
    if (file && *file)
        log_warn("bounce_template_file is not supported: notices have the built-in texts");
    return true;
}

int main(int argc, char **argv)
{
    const struct daemon bounce = {
        .name = "bounce",
        .summary = "notices of failure, delay and delivery",
        .params = param_table,
        .n_params = sizeof param_table / sizeof param_table[0],
        .params_struct = &bounce_params,
        .user = DAEMON_AS_OWNER,
        .before_sandbox = before_sandbox,
        .request = request,
    };
    return daemon_main(argc, argv, &bounce);
}
