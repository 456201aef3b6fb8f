/* showq - lists the queue to whoever connects.
 *
 * The list is meant for postqueue(1), which prints it as people know it from mailq. It takes no input. */
#include "lib/base/log.h"
#include "lib/daemon/daemon.h"
#include "lib/queue/queue.h"
#include "lib/queue/queue_report.h"

static struct showq_params {
/* clang-format off */
#include "lib/conf/param_struct.h"
#include "support/showq/params.def"
#include "lib/conf/param_end.h"
    /* clang-format on */
} showq_params;

static const struct param param_table[] = {
/* clang-format off */
#define PARAM_OWNER struct showq_params
#include "lib/conf/param_table.h"
#include "support/showq/params.def"
#include "lib/conf/param_end.h"
    /* clang-format on */
};

enum { BATCH = 64 * 1024 };

struct batch {
    struct queue_report *report;
    struct buf out;
    bool more;
};

static void fill(void *arg)
{
    struct batch *b = arg;
    b->more = queue_report_fill(b->report, &b->out, BATCH);
}

static void session(struct stream *s, const struct sockaddr *peer, const struct sockaddr *local)
{
    struct batch b = {.report = queue_report_new(daemon_env->common.empty_address_recipient),
                      .out = BUF(BUF_MAX_DEFAULT)};
    int64_t timeout = daemon_env->common.ipc_timeout;
    enum stream_status st = STREAM_OK;
    do {
        buf_reset(&b.out);
        thread_run(fill, &b);
        st = stream_write(s, b.out.data, b.out.len, deadline_in(timeout));
    } while (st == STREAM_OK && b.more && !b.out.overflow);
    if (b.out.overflow)
        log_warn("a message has too many recipients to be listed");
    buf_fini(&b.out);
    queue_report_free(&b.report);
    stream_close(&s, deadline_in(timeout));
}

static bool before_sandbox(struct buf *err)
{
    queue_set_hashing(showq_params.hash_queue_names, (int)showq_params.hash_queue_depth);
    return true;
}

int main(int argc, char **argv)
{
    const struct daemon showq = {
        .name = "showq",
        .summary = "lists the mail queue",
        .params = param_table,
        .n_params = sizeof param_table / sizeof param_table[0],
        .params_struct = &showq_params,
        .user = DAEMON_AS_OWNER,
        .needs = NEEDS_QUEUE_WRITE,
        .before_sandbox = before_sandbox,
        .session = session,
    };
    return daemon_main(argc, argv, &showq);
}
