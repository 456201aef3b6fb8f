/* error - delivers nothing: every recipient fails, for the reason that the transport's next hop gives.
 *
 * As the service "error" it returns mail to the sender; under any other name, such as "retry", it defers mail. The
 * next hop is the reason, with or without an enhanced status code before it: "5.1.1 no such user". */
#include "lib/daemon/daemon.h"
#include "lib/queue/agent.h"
#include "support/error/status_text.h"

static void deliver(struct agent_delivery *d)
{
    bool permanent = strcmp(daemon_env->service, "error") == 0;
    struct status_text t = status_text_split(d->request.nexthop, permanent ? "5.0.0" : "4.0.0");
    struct agent_result r = {.result =
                                 permanent ? result_never(t.dsn, "%s", t.text) : result_try_again(t.dsn, "%s", t.text)};
    agent_report_rest(d, &r);
}

static void request(struct ipc_conn *c)
{
    agent_serve(c, deliver);
}

static bool configure(struct buf *err)
{
    agent_configure(&daemon_env->common);
    return true;
}

int main(int argc, char **argv)
{
    const struct daemon error = {
        .name = "error",
        .summary = "failure of all recipients, for a given reason",
        .user = DAEMON_AS_OWNER,
        .before_sandbox = configure,
        .request = request,
    };
    return daemon_main(argc, argv, &error);
}
