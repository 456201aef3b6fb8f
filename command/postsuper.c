/* postsuper.c - the postmaster's hand in the queue: delete, hold, release, requeue, expire; purge and repair.
 *
 * postsuper [-psSv] [-c DIR] [-d ID] [-e ID] [-f ID] [-h ID] [-H ID] [-r ID] [queue ...]; ID may be ALL, or - to read
 * ids from standard input. A message that the queue manager works on is asked from it first. */
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/common.h"
#include "lib/ipc/ipc.h"
#include "lib/queue/queue.h"
#include "lib/rt/fiber.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 5, QUEUES_MOST = 8, STALE_SECONDS = 86400 };

static const char *const all_queues[] = {"hold", "incoming", "active", "deferred", "maildrop", NULL};
static const char *const hold_from[] = {"incoming", "active", "deferred", NULL};
static const char *const hold_only[] = {"hold", NULL};
static const char *const requeue_from[] = {"hold", "incoming", "active", "deferred", NULL};

static struct ipc_pool *qmgr;

static void tell_qmgr(const char *fmt, const char *id)
{
    ARENA_AUTO a = arena_new();
    struct msg_qmgr_command q = {.command = arena_printf(a, fmt, id)};
    struct msg_qmgr_command_reply r;
    if (!qmgr)
        qmgr = ipc_pool_new("private/qmgr", 1);
    ipc_call(qmgr, &ipc_type_qmgr_command, &q, &ipc_type_qmgr_command_reply, a, &r, deadline_in(PATIENCE_SECONDS));
}

/* ---- what is done with one message; each logs what it did ---- */

static bool act_delete(const char *id, const char *queue)
{
    if (!queue_remove(id, queue))
        return false;
    log_info("%s: removed", id);
    return true;
}

static bool act_hold(const char *id, const char *queue)
{
    if (!queue_move(id, queue, "hold"))
        return false;
    log_info("%s: placed on hold", id);
    return true;
}

static bool act_release(const char *id, const char *queue)
{
    if (!queue_move(id, queue, "deferred"))
        return false;
    log_info("%s: released from hold", id);
    tell_qmgr("flush-id %s", id);
    return true;
}

static bool act_requeue(const char *id, const char *queue)
{
    char path[300];
    if (!queue_move(id, queue, "maildrop"))
        return false;
    chmod(queue_path(path, sizeof path, "maildrop", id), 0744);
    log_info("%s: requeued", id);
    return true;
}

static bool mark_expired(const char *id, const char *queue)
{
    FD_AUTO fd = queue_open(id, queue, true);
    struct queue_history h = {.event = QUEUE_EXPIRE_NOW, .time = time(NULL)};
    return fd >= 0 && queue_history_append(fd, &h, 1) && queue_history_sync(fd);
}

static bool act_expire(const char *id, const char *queue)
{
    if (!mark_expired(id, queue))
        return false;
    log_info("%s: expired", id);
    if (strcmp(queue, "active") == 0 && queue_move(id, "active", "deferred"))
        queue = "deferred";
    if (strcmp(queue, "deferred") == 0)
        tell_qmgr("flush-id %s", id);
    return true;
}

static bool act_expire_and_release(const char *id, const char *queue)
{
    if (strcmp(queue, "hold") == 0 && !queue_move(id, "hold", "deferred"))
        return false;
    return act_expire(id, strcmp(queue, "hold") == 0 ? "deferred" : queue);
}

static struct action {
    char option;
    bool (*act)(const char *id, const char *queue);
    const char *const *queues;
    const char *total;
    unsigned count;
} actions[] = {
    {'d', act_delete, all_queues, "Deleted", 0},
    {'h', act_hold, hold_from, "Placed on hold", 0},
    {'H', act_release, hold_only, "Released from hold", 0},
    {'r', act_requeue, requeue_from, "Requeued", 0},
    {'e', act_expire, requeue_from, "Force-expired", 0},
    {'f', act_expire_and_release, requeue_from, "Force-expired", 0},
};

static void act_on(struct action *a, const char *id, const char *const *queues)
{
    if (!queue_id_valid(id)) {
        log_warn("bad queue id: %s", id);
        return;
    }
    /* Once more, if it moved on while qmgr was asked. */
    for (int attempt = 0; attempt < 3; attempt++) {
        const char *queue = queue_find(id, queues);
        if (!queue)
            return;
        if (strcmp(queue, "active") == 0) {
            tell_qmgr("forget %s", id);
            queue = queue_find(id, queues);
        }
        if (queue && a->act(id, queue)) {
            a->count++;
            return;
        }
    }
}

static void act_on_all(struct action *a, const char *const *queues)
{
    for (; *queues; queues++) {
        const char *const one[] = {*queues, NULL};
        struct queue_scan *s = queue_scan_open(*queues);
        char id[QUEUE_ID_MAX + 1];
        while (queue_scan_next(s, id))
            act_on(a, id, one);
        queue_scan_close(&s);
    }
}

static void act_on_input(struct action *a, const char *const *queues)
{
    char line[300];
    while (fgets(line, sizeof line, stdin)) {
        struct slice id = slice_trim(slice_of(line));
        MEM_AUTO char *text = mem_strndup(id.p, id.n);
        act_on(a, text, queues);
    }
}

/* ---- purge and repair ---- */

/* Files that were never completed: their names hold a dot. */
static void purge(const char *queue)
{
    DIR *d = opendir(queue);
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[600];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", queue, e->d_name);
        if (strstr(e->d_name, ".tmp") && lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
            time(NULL) - st.st_mtime > STALE_SECONDS && unlink(path) == 0)
            log_info("removed stale file %s", path);
    }
    if (d)
        closedir(d);
}

/* Files that hashing wants elsewhere. */
static void repair(const char *queue)
{
    struct queue_scan *s = queue_scan_open(queue);
    char id[QUEUE_ID_MAX + 1], path[600];
    while (queue_scan_next(s, id)) {
        struct stat st;
        if (lstat(queue_path(path, sizeof path, queue, id), &st) == 0)
            continue;
        char found[600];
        snprintf(found, sizeof found, "%s/%s", queue, id);
        if (lstat(found, &st) == 0 && rename(found, path) != 0)
            log_warn("%s: cannot move it to %s: %s", found, path, strerror(errno));
    }
    queue_scan_close(&s);
}

struct work {
    int argc;
    char **argv;
    int rc;
};

static int run(int argc, char **argv)
{
    const char *queues[QUEUES_MOST] = {NULL};
    bool maintenance = true;
    int option;
    optind = 1;
    while ((option = getopt(argc, argv, "c:d:e:f:h:H:pr:sSv")) != -1)
        ;
    for (int i = optind, n = 0; i < argc && n < QUEUES_MOST - 1; i++)
        queues[n++] = argv[i];
    optind = 1;
    while ((option = getopt(argc, argv, "c:d:e:f:h:H:pr:sSv")) != -1)
        for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
            struct action *a = &actions[i];
            if (a->option != option)
                continue;
            maintenance = false;
            const char *const *where = queues[0] ? queues : a->queues;
            if (strcmp(optarg, "ALL") == 0)
                act_on_all(a, where);
            else if (strcmp(optarg, "-") == 0)
                act_on_input(a, where);
            else
                act_on(a, optarg, where);
        }
    for (size_t i = 0; i < 5 && maintenance; i++) {
        purge(all_queues[i]);
        repair(all_queues[i]);
    }
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (actions[i].count)
            log_info("%s: %u message%s", actions[i].total, actions[i].count, actions[i].count == 1 ? "" : "s");
    ipc_pool_free(&qmgr);
    return 0;
}

static void first_fiber(void *arg)
{
    struct work *w = arg;
    w->rc = run(w->argc, w->argv);
}

int main(int argc, char **argv)
{
    BUF_AUTO err = BUF(1000);
    struct common_params p;
    struct stat st;
    const char *dir = NULL;
    int option;
    log_open("postsuper", LOG_SINK_STDERR, 2);
    while ((option = getopt(argc, argv, "c:d:e:f:h:H:pr:sSv")) != -1) {
        if (option == 'c')
            dir = optarg;
        if (option == '?') {
            fprintf(stderr, "usage: postsuper [-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] [-f "
                            "queue_id (force-expire)] [-h queue_id (hold)] "
                            "[-H queue_id (un-hold)] [-p (purge temporary files)] [-r queue_id (requeue)] [-s "
                            "(structure fix)] [-S (structure repair)] "
                            "[-v (verbose)] [queue...]\n");
            return 1;
        }
    }
    struct conf *c = conf_load(dir, &err);
    conf_register(common_param_table, common_param_count);
    if (!c || !conf_bind(c, common_param_table, common_param_count, &p, &err))
        log_fatal("%s", buf_cstr(&err));
    BUF_AUTO names = BUF(300);
    const char *hashed = conf_value(c, "hash_queue_names", &names);
    queue_set_hashing(hashed ? hashed : "deferred, defer", 1);
    if (chdir(p.queue_directory) != 0 || stat("incoming", &st) != 0)
        log_fatal("queue_directory = %s: %s", p.queue_directory, strerror(errno));
    if (geteuid() != 0 && geteuid() != st.st_uid)
        log_fatal("use of this command is reserved for the superuser");
    struct work w = {argc, argv, 0};
    loop_run("postsuper", first_fiber, &w);
    conf_free(&c);
    return w.rc;
}
