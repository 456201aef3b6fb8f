/* auth - checks passwords and looks up users, for smtpd, imapd, pop3d and other programs that speak the Dovecot
 * authentication protocol.
 *
 * It listens on private/auth. Every peer may authenticate a user (PLAIN, LOGIN); only root and the owner of the mail
 * system may look users up, and claim a login for the process that opens the user's mailbox. Passwords come from
 * passwd-files, shadow(5) or PAM (auth_passdb). Failures are logged as Dovecot does, with the client's address, and the
 * answer is held back. */
#include "auth/auth.h"
#include "lib/base/log.h"
#include "lib/daemon/daemon.h"

struct auth_params auth_params;
/* clang-format off */
const struct param auth_param_table[] = {
#define PARAM_OWNER struct auth_params
#include "lib/conf/param_table.h"
#include "auth/params.def"
#include "lib/conf/param_end.h"
};
/* clang-format on */
const size_t auth_param_count = sizeof auth_param_table / sizeof *auth_param_table;

static bool open_all(struct buf *err)
{
    const struct common_params *p = &daemon_env->common;
    const char *own[3] = {p->myhostname, p->mydomain, p->myorigin};
    if (strstr(auth_params.auth_passdb, "pam") != NULL)
        daemon_env->needs |= NEEDS_PAM;
    return backends_open(own, err);
}

static void start(void)
{
    ARENA_AUTO a = arena_new();
    struct daemon_passwd pw;
    bool error;
    if (daemon_getpwnam(a, daemon_env->common.mail_owner, &pw, &error))
        session_start(pw.uid);
    log_set_tag(auth_params.auth_log_tag);
}

static const struct daemon auth = {
    .name = "auth",
    .summary = "password checks and user look-ups",
    .params = auth_param_table,
    .n_params = sizeof auth_param_table / sizeof *auth_param_table,
    .params_struct = &auth_params,
    .user = DAEMON_AS_ROOT,
    .needs = NEEDS_CONF_READ | NEEDS_NAMES,
    .single = true,
    .before_sandbox = open_all,
    .start = start,
    .session = session_serve,
    .drain = session_drain,
};

int main(int argc, char **argv)
{
    return daemon_main(argc, argv, &auth);
}
