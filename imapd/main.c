/* imapd - mailbox access with IMAP (RFC 3501).
 *
 * The service of type inet talks to clients until they have logged in; it has no rights of its own. The service
 * imap-session (type unix) asks auth who the login was, and passes the client to a process that has become the
 * mailbox's owner and serves all of its sessions. */
#include "imapd/imap_session.h"
#include "imapd/imapd.h"
#include "lib/base/log.h"
#include "lib/daemon/daemon.h"
#include "lib/login/spawn.h"
#include "lib/store/mailbox.h"

#include <string.h>

struct imapd_params imapd_params;
/* clang-format off */
const struct param imapd_param_table[] = {
#define PARAM_OWNER struct imapd_params
#include "lib/conf/param_table.h"
#include "imapd/params.def"
#include "lib/conf/param_end.h"
};
/* clang-format on */
const size_t imapd_param_count = sizeof imapd_param_table / sizeof *imapd_param_table;

static void refuse(struct stream *s, const struct msg_session_open *open, const char *text)
{
    stream_printf(s, deadline_in(10), "%s NO [LIMIT] %s\r\n* BYE Too many connections.\r\n", open->tag, text);
}

static void start_front(void)
{
    log_set_tag(daemon_env->common.login_log_tag);
}

static bool open_spawner(struct buf *err)
{
    mailbox_setup();
    spawn_open(&(struct spawn_settings){.protocol = "imap", .session = imap_session, .refuse = refuse});
    return true;
}

static const struct daemon front = {
    .name = "imapd",
    .summary = "IMAP server",
    .params = imapd_param_table,
    .n_params = sizeof imapd_param_table / sizeof *imapd_param_table,
    .params_struct = &imapd_params,
    .user = DAEMON_AS_NET,
    .before_sandbox = imap_front_setup,
    .start = start_front,
    .session = imap_front_session,
};
static const struct daemon spawner = {
    .name = "imapd",
    .summary = "IMAP server",
    .params = imapd_param_table,
    .n_params = sizeof imapd_param_table / sizeof *imapd_param_table,
    .params_struct = &imapd_params,
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
