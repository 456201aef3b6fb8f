/* discard - throws mail away and reports every recipient as delivered.
 *
 * The next hop is the text for the log, with or without an enhanced status code before it. */
#include "lib/daemon/daemon.h"
#include "lib/queue/agent.h"
#include "support/error/status_text.h"

static void deliver(struct agent_delivery *d)
{
    struct status_text t = status_text_split(d->request.nexthop, "2.0.0");
    t.dsn[0] = '2'; /* whatever the text says, the mail counts as delivered */
    struct agent_result r = {.result = result_ok(t.dsn, "%s", t.text)};
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
    const struct daemon discard = {
        .name = "discard",
        .summary = "delivery to nowhere",
        .user = DAEMON_AS_OWNER,
        .before_sandbox = configure,
        .request = request,
    };
    return daemon_main(argc, argv, &discard);
}
