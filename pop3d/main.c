/* pop3d - mailbox access with POP3 (RFC 1939, 2449, 2595, 5034).
 *
 * The service of type inet talks to clients until they have logged in; it has no rights of its own. The service
 * pop3-session (type unix) asks auth who the login was, and passes the client to a process that has become the
 * mailbox's owner. A message goes away at QUIT only; what the client sees is fixed at its login. */
#include "pop3d/pop3d.h"

#include "lib/base/log.h"
#include "lib/daemon/daemon.h"
#include "lib/login/spawn.h"
#include "lib/store/mailbox.h"

#include <string.h>

struct pop3d_params pop3d_params;
/* clang-format off */
const struct param pop3d_param_table[] = {
#define PARAM_OWNER struct pop3d_params
#include "lib/conf/param_table.h"
#include "pop3d/params.def"
#include "lib/conf/param_end.h"
};
/* clang-format on */
const size_t pop3d_param_count = sizeof pop3d_param_table / sizeof *pop3d_param_table;

static void start_front(void)
{
    log_set_tag(daemon_env->common.login_log_tag);
}

static bool open_spawner(struct buf *err)
{
    mailbox_setup();
    spawn_open(&(struct spawn_settings){.protocol = "pop3", .session = session_run, .refuse = session_refuse});
    return true;
}

static const struct daemon front = {
    .name = "pop3d",
    .summary = "POP3 server",
    .params = pop3d_param_table,
    .n_params = sizeof pop3d_param_table / sizeof *pop3d_param_table,
    .params_struct = &pop3d_params,
    .user = DAEMON_AS_NET,
    .before_sandbox = front_setup,
    .start = start_front,
    .session = front_session,
};
static const struct daemon spawner = {
    .name = "pop3d",
    .summary = "POP3 server",
    .params = pop3d_param_table,
    .n_params = sizeof pop3d_param_table / sizeof *pop3d_param_table,
    .params_struct = &pop3d_params,
    .user = DAEMON_AS_OWNER,
    .single = true,
    .before_sandbox = open_spawner,
    .start = spawn_begin,
    .request = spawn_request,
};

int main(int argc, char **argv)
{
    bool unix_service = false;
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "-t") == 0)
            unix_service = strcmp(argv[i + 1], "unix") == 0;
    return daemon_main(argc, argv, unix_service ? &spawner : &front);
}
