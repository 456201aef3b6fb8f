/* main.c - smtpd, the SMTP server: takes mail from the network (smtp), from users (submission, submissions), checks
 * client, sender and recipients against the operator's restrictions, and hands each message to cleanup. One process
 * serves many sessions at a time. It runs as the network user in the queue directory, and reaches nothing but the
 * sockets of cleanup, trivial-rewrite, anvil and auth. */
#include "smtpd/smtpd.h"

struct smtpd_params smtpd_params;

/* clang-format off */
static const struct param table[] = {
#define PARAM_OWNER struct smtpd_params
#include "lib/conf/param_table.h"
#include "smtpd/params.def"
#include "lib/conf/param_end.h"
};
/* clang-format on */

int main(int argc, char **argv)
{
    static const struct daemon smtpd = {
        .name = "smtpd",
        .summary = "SMTP server",
        .params = table,
        .n_params = sizeof table / sizeof *table,
        .params_struct = &smtpd_params,
        .user = DAEMON_AS_NET,
        .needs = NEEDS_INET,
        .before_sandbox = smtpd_shared_open,
        .start = smtpd_shared_start,
        .session = smtpd_session,
    };
    return daemon_main(argc, argv, &smtpd);
}
