/* qmgr_scan.c - finding mail: what cleanup tells of, what lies in incoming, what is due in deferred; and the commands
 * of postqueue and postsuper. */
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "qmgr/qmgr.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FORGET_SECONDS = 5, RESCAN_SECONDS = 1 };

struct found {
    char id[QUEUE_ID_MAX + 1];
};

struct look {
    const char *queue;
    bool by_time;
    VEC(struct found) ids;
};

static bool is_due(const char *queue, const char *id)
{
    char path[PATH_MAX];
    struct stat st;
    return stat(queue_path(path, sizeof path, queue, id), &st) == 0 && st.st_mtime <= time(NULL);
}

static void look_through(void *arg)
{
    struct look *l = arg;
    struct queue_scan *s = queue_scan_open(l->queue);
    struct found f;
    while (queue_scan_next(s, f.id))
        if (!l->by_time || is_due(l->queue, f.id))
            VEC_PUSH(&l->ids, f);
    queue_scan_close(&s);
}

/* After a kill: what was active is incoming again. */
static void recover_active(void *arg)
{
    struct look l = {.queue = "active"};
    look_through(&l);
    for (size_t i = 0; i < l.ids.n; i++)
        queue_move(l.ids.items[i].id, "active", "incoming");
    VEC_FREE(&l.ids);
}

static void scan(const char *queue, bool by_time)
{
    struct look l = {.queue = queue, .by_time = by_time};
    thread_run(look_through, &l);
    for (size_t i = 0; i < l.ids.n && !daemon_env->draining; i++) {
        if (!qmgr_has_room()) {
            qmgr.more_incoming |= strcmp(queue, "incoming") == 0;
            break;
        }
        message_activate(l.ids.items[i].id, queue, -1);
    }
    VEC_FREE(&l.ids);
}

void scan_request(bool incoming, bool deferred, bool flush)
{
    qmgr.scan_incoming |= incoming;
    qmgr.scan_deferred |= deferred || flush;
    qmgr.flush |= flush;
    waitq_wake_all(&qmgr.scan_wanted);
}

static void scan_fiber(void *arg)
{
    thread_run(recover_active, NULL);
    scan("incoming", false);
    scan("deferred", true);
    int64_t next = deadline_in(qmgr_params.queue_run_delay);
    for (;;) {
        int64_t until = qmgr.rescan_incoming ? deadline_in(RESCAN_SECONDS) : next;
        if (!qmgr.scan_incoming && !qmgr.scan_deferred && waitq_wait(&qmgr.scan_wanted, until) == WAIT_TIMEOUT) {
            bool is_run = !qmgr.rescan_incoming;
            scan_request(true, is_run, false);
            next = is_run ? deadline_in(qmgr_params.queue_run_delay) : next;
        }
        qmgr.rescan_incoming = false;
        bool incoming = qmgr.scan_incoming, deferred = qmgr.scan_deferred, flush = qmgr.flush;
        qmgr.scan_incoming = qmgr.scan_deferred = qmgr.flush = false;
        if (flush)
            deliver_revive_all();
        if (incoming)
            scan("incoming", false);
        if (deferred)
            scan("deferred", !flush);
    }
}

void scan_start(void)
{
    fiber_start("scan", scan_fiber, NULL);
}

/* ---- commands ---- */

/* Lets go of an active message, so that postsuper may do as it likes with the file. */
static void forget(const char *id)
{
    struct message *m = hash_get(qmgr.active, id);
    int64_t until = deadline_in(FORGET_SECONDS);
    if (!m)
        return;
    m->forgotten = true;
    if (!m->finishing) {
        m->pending++;
        deliver_withdraw(m);
        if (--m->pending == 0)
            message_finish(m);
    }
    while (hash_get(qmgr.active, id))
        if (waitq_wait(&qmgr.message_gone, until) != WAIT_OK)
            break;
}

static void flush_one(const char *id)
{
    static const char *const queues[] = {"deferred", "incoming", NULL};
    const char *queue = queue_find(id, queues);
    deliver_revive_all();
    if (queue)
        message_activate(id, queue, -1);
}

struct site_look {
    const char *site;
    struct look l;
};

static void look_for_site(void *arg)
{
    struct site_look *s = arg;
    s->l.queue = "deferred";
    look_through(&s->l);
    size_t kept = 0;
    for (size_t i = 0; i < s->l.ids.n; i++) {
        ARENA_AUTO a = arena_new();
        BUF_AUTO why = BUF(300);
        struct queue_message m;
        FD_AUTO fd = queue_open(s->l.ids.items[i].id, "deferred", false);
        bool wanted = false;
        if (fd >= 0 && queue_read(fd, a, &m, &why) == QUEUE_READ_OK)
            for (size_t k = 0; k < m.n_recipients; k++) {
                const char *at = strrchr(m.recipients[k].address, '@');
                wanted |= at && m.recipients[k].state == RCPT_TODO && str_eq_fold(at + 1, s->site);
            }
        if (wanted)
            s->l.ids.items[kept++] = s->l.ids.items[i];
    }
    s->l.ids.n = kept;
}

static void flush_site(const char *site)
{
    struct site_look s = {.site = site};
    thread_run(look_for_site, &s);
    deliver_revive_all();
    for (size_t i = 0; i < s.l.ids.n && qmgr_has_room(); i++)
        message_activate(s.l.ids.items[i].id, "deferred", -1);
    VEC_FREE(&s.l.ids);
}

static enum outcome command(const char *text)
{
    struct slice rest = slice_of(text), verb, argument;
    slice_token(&rest, " ", &verb);
    slice_token(&rest, " ", &argument);
    MEM_AUTO char *what = mem_strndup(argument.p, argument.n);
    if (slice_eq(verb, SLICE("flush")))
        scan_request(true, true, true);
    else if (slice_eq(verb, SLICE("scan-incoming")))
        scan_request(true, false, false);
    else if (slice_eq(verb, SLICE("flush-id")) && queue_id_valid(what))
        flush_one(what);
    else if (slice_eq(verb, SLICE("forget")) && queue_id_valid(what))
        forget(what);
    else if (slice_eq(verb, SLICE("flush-site")) && *what)
        flush_site(what);
    else
        return OUTCOME_NEVER;
    return OUTCOME_OK;
}

/* The queue's state is for the mail system's own processes; others may ask for a flush. */
static bool is_trusted(const struct ipc_conn *c)
{
    pid_t pid;
    uid_t uid;
    gid_t gid;
    return ipc_peer(c, &pid, &uid, &gid) && (uid == 0 || uid == geteuid());
}

static bool serve_command(struct ipc_conn *c)
{
    ARENA_AUTO a = arena_new();
    struct msg_qmgr_command q;
    if (ipc_recv(c, &ipc_type_qmgr_command, a, &q, DEADLINE_NEVER) != IPC_OK)
        return false;
    bool allowed = is_trusted(c) || strncmp(q.command, "flush", 5) == 0;
    struct msg_qmgr_command_reply r = {.outcome = allowed ? command(q.command) : OUTCOME_NEVER};
    return ipc_send(c, &ipc_type_qmgr_command_reply, &r, deadline_in(10)) == IPC_OK;
}

static bool serve_new(struct ipc_conn *c)
{
    ARENA_AUTO a = arena_new();
    struct msg_qmgr_new q;
    if (ipc_recv(c, &ipc_type_qmgr_new, a, &q, DEADLINE_NEVER) != IPC_OK)
        return false;
    if (queue_id_valid(q.queue_id) && is_trusted(c) && qmgr_has_room() && !daemon_env->draining) {
        message_activate(q.queue_id, "incoming", q.file);
    } else {
        qmgr.more_incoming = true;
        if (q.file >= 0)
            close(q.file);
    }
    return true;
}

void qmgr_serve(struct ipc_conn *c)
{
    enum ipc_status st;
    for (bool more = true; more && ipc_await_request(c);) {
        const struct ipc_type *t = ipc_next_type(c, &st, DEADLINE_NEVER);
        more = t == &ipc_type_qmgr_new ? serve_new(c) : t == &ipc_type_qmgr_command ? serve_command(c) : false;
    }
    ipc_conn_free(&c);
}
