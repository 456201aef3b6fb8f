/* postqueue_flush.c - see postqueue_flush.h. */
#include "command/postqueue_flush.h"

#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/ipc/ipc.h"
#include "lib/rt/fiber.h"

#include <stdlib.h>
#include <sysexits.h>

enum { PATIENCE = 10, ANSWER = 600 }; /* seconds */
enum { AGAIN_MS = 50 };

struct flush {
    const char *command;
    bool connected;
    enum ipc_status status;
    uint32_t outcome;
};

/* One try. */
static void ask_once(struct flush *f, int64_t patience)
{
    struct ipc_conn *c = ipc_connect("public/qmgr", patience);
    f->connected = c != NULL;
    if (!c)
        return;
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

/* A queue manager that gives way to another, at a reload, closes what it has not begun: the other one is asked. */
static void ask(void *arg)
{
    struct flush *f = arg;
    int64_t patience = deadline_in(PATIENCE);
    do
        ask_once(f, patience);
    while (f->connected && f->status == IPC_CLOSED && clock_mono() < patience &&
           fiber_sleep(deadline_in_ms(AGAIN_MS)) == WAIT_TIMEOUT);
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
