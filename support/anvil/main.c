/* main.c - counts connections and requests by client, for the limits of smtpd(8).
 *
 * All smtpd processes ask this one. A connection is counted for the process that told of it, and forgotten with that
 * process. */
#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/daemon/daemon.h"
#include "support/anvil/anvil_table.h"

#include <stdio.h>

static struct anvil_params {
/* clang-format off */
#include "lib/conf/param_struct.h"
#include "support/anvil/params.def"
#include "lib/conf/param_end.h"
    /* clang-format on */
} params;

static const struct param param_table[] = {
/* clang-format off */
#define PARAM_OWNER struct anvil_params
#include "lib/conf/param_table.h"
#include "support/anvil/params.def"
#include "lib/conf/param_end.h"
    /* clang-format on */
};

static struct {
    struct anvil_table *table;
    struct hash *open; /* pid to how many connections of ours it has */
} state;

static int64_t now(void)
{
    return clock_mono() / NSEC_PER_SEC;
}

static struct anvil_counts answer(const struct msg_anvil_request *q, pid_t pid)
{
    switch ((enum anvil_op)q->op) {
    case ANVIL_CONNECT:
        return anvil_table_connect(state.table, q->service, q->client, pid, now());
    case ANVIL_DISCONNECT:
        anvil_table_disconnect(state.table, q->service, q->client, pid);
        break;
    case ANVIL_MESSAGE:
        return anvil_table_event(state.table, q->service, q->client, 1, 1, now());
    case ANVIL_RECIPIENT:
        return anvil_table_event(state.table, q->service, q->client, 2, 1, now());
    case ANVIL_NEWTLS:
        return anvil_table_event(state.table, q->service, q->client, 3, 1, now());
    case ANVIL_AUTH:
        return anvil_table_event(state.table, q->service, q->client, 4, 1, now());
    case ANVIL_LOOKUP:
        return anvil_table_event(state.table, q->service, q->client, ANVIL_RATES, 0, now());
    }
    return (struct anvil_counts){0};
}

static void count_connection(pid_t pid, int change)
{
    char name[20];
    snprintf(name, sizeof name, "%d", (int)pid);
    int *n = hash_get(state.open, name);
    if (!n) {
        n = MEM_NEW(int);
        hash_put(state.open, name, n);
    }
    *n += change;
    if (*n > 0)
        return;
    free(hash_remove(state.open, name));
    anvil_table_process_gone(state.table, pid);
}

static void request(struct ipc_conn *c)
{
    pid_t pid = 0;
    uid_t uid;
    gid_t gid;
    struct arena *a = arena_new();
    ipc_peer(c, &pid, &uid, &gid);
    count_connection(pid, 1);
    while (ipc_await_request(c)) {
        struct msg_anvil_request q;
        if (ipc_recv(c, &ipc_type_anvil_request, a, &q, DEADLINE_NEVER) != IPC_OK)
            break;
        struct anvil_counts counts = answer(&q, pid);
        struct msg_anvil_reply r = {.count = counts.connections, .rate = counts.rate};
        if (ipc_send(c, &ipc_type_anvil_reply, &r, deadline_in(10)) != IPC_OK)
            break;
        arena_reset(a);
    }
    count_connection(pid, -1);
    arena_free(&a);
    ipc_conn_free(&c);
}

static void log_peaks(void)
{
    static const char *const kinds[] = {"connection rate", "message rate", "recipient rate",
                                        "newtls rate",     "auth rate",    "connection count"};
    for (unsigned i = 0; i <= ANVIL_RATES; i++) {
        struct anvil_peak p = anvil_table_peak(state.table, i);
        time_t when = (time_t)p.when;
        struct tm tm;
        char stamp[30];
        if (!p.value)
            continue;
        localtime_r(&when, &tm);
        strftime(stamp, sizeof stamp, "%b %e %H:%M:%S", &tm);
        if (i < ANVIL_RATES)
            log_info("statistics: max %s %u/%llds for (%s) at %s", kinds[i], p.value,
                     (long long)params.anvil_rate_time_unit, p.who, stamp);
        else
            log_info("statistics: max %s %u for (%s) at %s", kinds[i], p.value, p.who, stamp);
    }
}

static void housekeeping(void *arg)
{
    int64_t next = deadline_in(params.anvil_status_update_time);
    while (fiber_sleep(deadline_in(params.anvil_rate_time_unit)) == WAIT_TIMEOUT) {
        anvil_table_expire(state.table, now());
        if (clock_mono() < next)
            continue;
        log_peaks();
        next = deadline_in(params.anvil_status_update_time);
    }
}

static void start(void)
{
    state.table = anvil_table_new(params.anvil_rate_time_unit, (size_t)params.anvil_client_limit);
    state.open = hash_new();
    fiber_start("housekeeping", housekeeping, NULL);
}

static const struct daemon anvil_daemon = {
    .name = "anvil",
    .summary = "counts connections and requests by client",
    .params = param_table,
    .n_params = sizeof param_table / sizeof param_table[0],
    .params_struct = &params,
    .user = DAEMON_AS_OWNER,
    .single = true,
    .start = start,
    .request = request,
    .drain = log_peaks,
};

int main(int argc, char **argv)
{
    return daemon_main(argc, argv, &anvil_daemon);
}
