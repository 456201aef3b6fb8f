/* postqueue_flush.c - see postqueue_flush.h. */
#include "command/postqueue_flush.h"

#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/ipc/ipc.h"
#include "lib/rt/fiber.h"

#include <stdlib.h>
#include <sysexits.h>

enum { PATIENCE = 10, ANSWER = 600 }; /* seconds */

struct flush {
    const char *command;
    bool connected;
    enum ipc_status status;
    uint32_t outcome;
};

static void ask(void *arg)
{
    struct flush *f = arg;
    struct ipc_conn *c = ipc_connect("public/qmgr", deadline_in(PATIENCE));
    if (!c)
        return;
    f->connected = true;
    int64_t deadline = deadline_in(ANSWER);
    struct msg_qmgr_command command = {.command = f->command};
    struct msg_qmgr_command_reply reply = {0};
    struct arena *a = arena_new();
    f->status = ipc_send(c, &ipc_type_qmgr_command, &command, deadline);
    if (f->status == IPC_OK)
        f->status = ipc_recv(c, &ipc_type_qmgr_command_reply, a, &reply, deadline);
    f->outcome = reply.outcome;
    arena_free(&a);
    ipc_conn_free(&c);
}

void postqueue_flush(const char *command)
{
    struct flush f = {.command = command};
    loop_run("postqueue", ask, &f);
    if (!f.connected || f.status != IPC_OK) {
        log_at(LOG_LEVEL_FATAL, "Cannot flush mail queue - mail system is down");
        log_flush();
        exit(EX_UNAVAILABLE);
    }
    if (f.outcome != OUTCOME_OK) {
        log_at(LOG_LEVEL_FATAL, "Cannot flush mail queue - the queue manager refused \"%s\"", command);
        log_flush();
        exit(EX_UNAVAILABLE);
    }
}
