/* main.c - the queue manager: owns the state of the queue, and says which delivery comes next.
 *
 * New mail comes with a note of cleanup and the open file; what was there before is found by looking through incoming
 * (and, by time, deferred). Recipients get transport and nexthop from trivial-rewrite, and go to delivery agents in
 * requests of one destination each. What each attempt brought is appended to the queue file; a message is removed when
 * each recipient is delivered, or returned with the notice on stable storage. */
#include "qmgr/qmgr.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/master_cf.h"

struct qmgr_params qmgr_params;
struct qmgr qmgr;

static const struct param param_table[] = {
/* clang-format off */
#define PARAM_OWNER struct qmgr_params
#include "lib/conf/param_table.h"
#include "qmgr/params.def"
#include "lib/conf/param_end.h"
    /* clang-format on */
};

/* How many deliveries each transport may do at a time: master.cf's maxproc. */
static bool read_maxproc(struct buf *err)
{
    struct arena *a = arena_new();
    MEM_AUTO char *file = mem_printf("%s/master.cf", conf_dir(daemon_env->conf));
    struct service *v = master_cf_read(a, file, false, err);
    bool ok = v != NULL;
    for (; v; v = v->next) {
        int64_t *n = MEM_NEW(int64_t);
        *n = v->maxproc < 0 ? daemon_env->common.default_process_limit : v->maxproc;
        if (v->type == SERVICE_UNIX)
            free(hash_put(qmgr.maxproc, v->name, n));
        else
            free(n);
    }
    arena_free(&a);
    return ok;
}

static bool before_sandbox(struct buf *err)
{
    queue_set_hashing(qmgr_params.hash_queue_names, (int)qmgr_params.hash_queue_depth);
    qmgr.active = hash_new();
    qmgr.transports = hash_new();
    qmgr.maxproc = hash_new();
    waitq_init(&qmgr.scan_wanted);
    waitq_init(&qmgr.message_gone);
    char *service = mem_printf("private/%s", qmgr_params.rewrite_service_name); /* for the life of the process */
    qmgr.rewrite = rewrite_client_new(service, qmgr_params.rewrite_cache_time);
    return read_maxproc(err);
}

static void wakeup(char request)
{
    scan_request(true, request == 'D' || request == 'F', request == 'F');
}

static const struct daemon qmgr_daemon = {
    .name = "qmgr",
    .summary = "owns the queue and schedules deliveries",
    .params = param_table,
    .n_params = sizeof param_table / sizeof param_table[0],
    .params_struct = &qmgr_params,
    .user = DAEMON_AS_OWNER,
    .needs = NEEDS_QUEUE_WRITE,
    .single = true,
    .before_sandbox = before_sandbox,
    .start = scan_start,
    .request = qmgr_serve,
    .wakeup = wakeup,
};

int main(int argc, char **argv)
{
    return daemon_main(argc, argv, &qmgr_daemon);
}
