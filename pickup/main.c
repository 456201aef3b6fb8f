/* main.c - picks up mail from the maildrop queue, where sendmail(1) and postdrop(1) put it.
 *
 * It looks when postdrop wakes it, and every so often (the wakeup column of master.cf). Each message is given to
 * cleanup, and removed from maildrop when cleanup has made a queue file of it. */
#include "pickup/pickup.h"

#include "lib/base/mem.h"
#include "lib/base/vec.h"
#include "lib/queue/queue.h"

struct pickup_params pickup_params;

static const struct param param_table[] = {
/* clang-format off */
#define PARAM_OWNER struct pickup_params
#include "lib/conf/param_table.h"
#include "pickup/params.def"
#include "lib/conf/param_end.h"
    /* clang-format on */
};

/* Read-only but for this: whether a look is asked for. */
static struct {
    bool wanted;
    struct waitq more;
    struct ipc_pool *cleanup;
} state;

struct found {
    char id[QUEUE_ID_MAX + 1];
};
struct look {
    VEC(struct found) ids;
};

static void look_through(void *arg)
{
    struct look *l = arg;
    struct queue_scan *s = queue_scan_open("maildrop");
    struct found f;
    while (queue_scan_next(s, f.id))
        VEC_PUSH(&l->ids, f);
    queue_scan_close(&s);
}

static void pickup_fiber(void *arg)
{
    for (;;) {
        while (!state.wanted)
            if (waitq_wait(&state.more, DEADLINE_NEVER) == WAIT_CANCELLED)
                return;
        state.wanted = false;
        struct look l = {0};
        thread_run(look_through, &l);
        for (size_t i = 0; i < l.ids.n && !daemon_env->draining; i++)
            pickup_message(state.cleanup, l.ids.items[i].id);
        VEC_FREE(&l.ids);
    }
}

static void wakeup(char request)
{
    state.wanted = true;
    waitq_wake_all(&state.more);
}

static void start(void)
{
    char *service = mem_printf("private/%s", pickup_params.cleanup_service_name); /* for the life of the process */
    state.cleanup = ipc_pool_new(service, 2);
    waitq_init(&state.more);
    state.wanted = true;
    fiber_start("pickup", pickup_fiber, NULL);
}

static const struct daemon pickup_daemon = {
    .name = "pickup",
    .summary = "takes up mail that local users dropped",
    .params = param_table,
    .n_params = sizeof param_table / sizeof param_table[0],
    .params_struct = &pickup_params,
    .user = DAEMON_AS_OWNER,
    .needs = NEEDS_QUEUE_WRITE,
    .single = true,
    .start = start,
    .wakeup = wakeup,
};

int main(int argc, char **argv)
{
    return daemon_main(argc, argv, &pickup_daemon);
}
