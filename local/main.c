/* local - delivers to the users of this system: aliases(5), .forward files, mailboxes, commands and files.
 *
 * A recipient is looked up in alias_maps; then as a system user, whose .forward is obeyed; then the message goes to
 * mailbox_command, home_mailbox or mail_spool_directory. Commands and files get the rights of the user whose .forward
 * names them, or of default_privs when an alias does. Addresses elsewhere are forwarded as a new message. */
#include "lib/daemon/daemon.h"
#include "local/delivery.h"

static void deliver(struct agent_delivery *d)
{
    for (size_t i = 0; i < d->request.n_recipients; i++) {
        struct agent_result r = {.relay = "local", .result = result_ok("2.0.0", "delivers to mailbox")};
        if (d->request.flags & DELIVER_PROBE)
            agent_report(d, i, &r);
        else
            expand_recipient(d, i);
    }
}

static void request(struct ipc_conn *c)
{
    agent_serve(c, deliver);
}

int main(int argc, char **argv)
{
    const struct daemon local = {
        .name = "local",
        .summary = "delivery to local users",
        .params = local_param_table,
        .n_params = local_param_count,
        .params_struct = &local_params,
        .user = DAEMON_AS_OWNER,
        .needs = NEEDS_CONF_READ | NEEDS_NAMES,
        .before_sandbox = expand_open,
        .start = expand_start,
        .request = request,
    };
    return daemon_main(argc, argv, &local);
}
