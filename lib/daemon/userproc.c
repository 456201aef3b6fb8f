/* userproc.c - see userproc.h. Each process has a control socket, over which the daemon passes one end of a socket pair
 * for each new connection; its end tells the process that the daemon is gone, and the daemon that the process is. */
#include "lib/daemon/userproc.h"

#include "lib/base/hash.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/daemon/daemon.h"
#include "lib/daemon/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IDLE_CONNECTIONS = 32 };

struct userproc {
    struct userproc_pool *pool;
    char key[32]; /* "uid:gid" */
    pid_t pid;
    int control;
    struct fiber *watcher;
    struct list idle; /* connections: struct held */
    unsigned n_idle, busy;
    int64_t last_use;
    struct list all; /* of the pool, most recently used first */
    bool gone;
};

struct held {
    struct ipc_conn *conn;
    struct userproc *proc;
    struct list link;
};

struct userproc_pool {
    struct userproc_config config;
    struct hash *by_key;
    struct list all, lent; /* lent: struct held */
    unsigned n;
    struct waitq freed;
};

/* ---- the child ---- */

struct child {
    const struct userproc_config *config;
    int control;
    unsigned connections;
    int64_t idle_since;
};
static struct child child; /* one for a process, after fork */

static void serve_fiber(void *arg)
{
    child.config->serve(ipc_conn_new((int)(intptr_t)arg));
    if (--child.connections == 0)
        child.idle_since = clock_mono();
}

static int receive_fd(int control)
{
    char byte;
    int fd = -1;
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } c;
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c.space};
    ssize_t n = recvmsg(control, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return -2;
    struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(h), sizeof fd);
    return fd;
}

static void child_main(void *arg)
{
    struct io io;
    loop_at_idle(log_flush);
    if (child.config->start)
        child.config->start();
    io_init(&io, child.control);
    child.idle_since = clock_mono();
    for (;;) {
        io_attempt(&io, IO_READ);
        int fd = receive_fd(child.control);
        if (fd >= 0) {
            fcntl(fd, F_SETFL, O_NONBLOCK);
            child.connections++;
            fiber_start(child.config->name, serve_fiber, (void *)(intptr_t)fd);
            continue;
        }
        if (fd == -1)
            break;
        enum wait w = io_wait(&io, IO_READ,
                              child.connections ? deadline_in(child.config->idle_seconds)
                                                : child.idle_since + child.config->idle_seconds * NSEC_PER_SEC);
        if (w == WAIT_TIMEOUT && !child.connections &&
            clock_mono() - child.idle_since >= child.config->idle_seconds * NSEC_PER_SEC)
            break;
    }
    /* The daemon is gone, or there is nothing to do: what runs may end by itself. */
    if (child.connections && child.config->orphaned)
        child.config->orphaned();
    while (child.connections && fiber_sleep(deadline_in(1)) == WAIT_TIMEOUT)
        ;
    log_flush();
    _exit(0);
}

static bool become_user(uid_t uid, gid_t gid, const char *name)
{
    if (!daemon_is_root())
        return uid == geteuid();
    int groups = name ? initgroups(name, gid) : setgroups(0, NULL);
    return groups == 0 && setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0 &&
           (uid == 0 || setuid(0) != 0);
}

/* Closes every descriptor but the standard streams, a and b (or -1). */
static void close_others(int a, int b)
{
    int low = a < b ? a : b, high = a < b ? b : a, from = 3;
    for (int pass = 0; pass < 2; pass++) {
        int keep = pass == 0 ? low : high;
        if (keep < from)
            continue;
        if (keep > from)
            close_range((unsigned)from, (unsigned)keep - 1, 0);
        from = keep + 1;
    }
    close_range((unsigned)from, ~0U, 0);
}

/* Runs in the fiber of the parent that forked; it never returns to that fiber's work. */
static void child_begin(const struct userproc_config *config, int control, uid_t uid, gid_t gid, const char *name)
{
    close_others(control, log_fd());
    loop_after_fork();
    signal(SIGPIPE, SIG_IGN);
    if (!become_user(uid, gid, name)) {
        log_error("cannot become user %u: %s", (unsigned)uid, strerror(errno));
        log_flush();
        _exit(1);
    }
    BUF_AUTO err = BUF(300);
    if (config->confined && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !sandbox_filter(NEEDS_MAIL_WRITE, &err))) {
        log_error("cannot confine a process of user %u: %s", (unsigned)uid, err.len ? buf_cstr(&err) : strerror(errno));
        log_flush();
        _exit(1);
    }
    if (config->rlimit_as)
        setrlimit(RLIMIT_AS, &(struct rlimit){(rlim_t)config->rlimit_as, (rlim_t)config->rlimit_as});
    child = (struct child){.config = config, .control = control};
    fiber_start("userproc", child_main, NULL);
    for (;;)
        fiber_sleep(DEADLINE_NEVER);
}

/* ---- the parent ---- */

struct userproc_pool *userproc_pool_new(const struct userproc_config *c)
{
    struct userproc_pool *p = MEM_NEW(struct userproc_pool);
    p->config = *c;
    p->by_key = hash_new();
    list_init(&p->all);
    list_init(&p->lent);
    waitq_init(&p->freed);
    return p;
}

static void drop_idle(struct userproc *u)
{
    for (struct list *l; (l = list_pop(&u->idle));) {
        struct held *h = LIST_ENTRY(l, struct held, link);
        ipc_conn_free(&h->conn);
        free(h);
    }
    u->n_idle = 0;
}

/* It takes no further connection; what is lent out goes on. */
static void retire(struct userproc *u)
{
    if (u->gone)
        return;
    u->gone = true;
    if (hash_get(u->pool->by_key, u->key) == u)
        hash_remove(u->pool->by_key, u->key);
    drop_idle(u);
    shutdown(u->control, SHUT_RDWR);
}

static void release_if_over(struct userproc *u)
{
    if (!u->gone || u->busy || u->watcher)
        return;
    list_remove(&u->all);
    u->pool->n--;
    waitq_wake_all(&u->pool->freed);
    close(u->control);
    free(u);
}

static void reap(void *arg)
{
    waitpid(*(pid_t *)arg, NULL, 0);
}

/* Notices the end of the process. */
static void watch_fiber(void *arg)
{
    struct userproc *u = arg;
    struct io io;
    char byte;
    io_init(&io, u->control);
    for (;;) {
        io_attempt(&io, IO_READ);
        ssize_t n = recv(u->control, &byte, 1, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            break;
        io_wait(&io, IO_READ, DEADLINE_NEVER);
    }
    io_fini(&io);
    retire(u);
    pid_t pid = u->pid;
    thread_run(reap, &pid);
    u->watcher = NULL;
    release_if_over(u);
}

static struct userproc *start_process(struct userproc_pool *p, const char *key, uid_t uid, gid_t gid, const char *name)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return NULL;
    log_flush(); /* or the child would write these lines again */
    pid_t pid = fork();
    if (pid == 0)
        child_begin(&p->config, pair[1], uid, gid, name);
    int error = errno;
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        errno = error;
        return NULL;
    }
    struct userproc *u = MEM_NEW(struct userproc);
    u->pool = p;
    u->pid = pid;
    u->control = pair[0];
    snprintf(u->key, sizeof u->key, "%s", key);
    list_init(&u->idle);
    list_prepend(&p->all, &u->all);
    hash_put(p->by_key, key, u);
    p->n++;
    u->watcher = fiber_start("userproc-watch", watch_fiber, u);
    return u;
}

/* Makes room for one more process: the one that was idle longest ends. */
static bool make_way(struct userproc_pool *p, int64_t deadline)
{
    while (p->config.most_processes && p->n >= p->config.most_processes) {
        struct userproc *oldest = NULL;
        LIST_EACH (l, &p->all) {
            struct userproc *u = LIST_ENTRY(l, struct userproc, all);
            if (!u->busy && !u->gone && (!oldest || u->last_use < oldest->last_use))
                oldest = u;
        }
        if (oldest)
            retire(oldest);
        if (waitq_wait(&p->freed, deadline) != WAIT_OK) {
            errno = ETIMEDOUT;
            return false;
        }
    }
    return true;
}

static bool send_fd(int control, int fd)
{
    char byte = 'c';
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } c = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c.space};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(h), &fd, sizeof fd);
    return sendmsg(control, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

static struct ipc_conn *connect_to(struct userproc *u)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return NULL;
    bool sent = send_fd(u->control, pair[1]);
    int error = errno;
    close(pair[1]);
    if (!sent) {
        close(pair[0]);
        errno = error;
        return NULL;
    }
    return ipc_conn_new(pair[0]);
}

static struct ipc_conn *lend(struct userproc *u, struct held *h)
{
    list_append(&u->pool->lent, &h->link);
    u->busy++;
    u->last_use = clock_mono();
    return h->conn;
}

struct ipc_conn *userproc_take(struct userproc_pool *p, uid_t uid, gid_t gid, const char *name, int64_t deadline)
{
    char key[32];
    snprintf(key, sizeof key, "%u:%u", (unsigned)uid, (unsigned)gid);
    for (int attempt = 0; attempt < 3; attempt++) {
        struct userproc *u = hash_get(p->by_key, key);
        if (!u) {
            if (!make_way(p, deadline))
                return NULL;
            u = hash_get(p->by_key, key); /* another fiber may have started it meanwhile */
            if (!u && !(u = start_process(p, key, uid, gid, name)))
                return NULL;
        }
        for (struct list *l; (l = list_pop(&u->idle));) {
            struct held *h = LIST_ENTRY(l, struct held, link);
            u->n_idle--;
            if (ipc_conn_usable(h->conn))
                return lend(u, h);
            ipc_conn_free(&h->conn);
            free(h);
        }
        struct ipc_conn *c = connect_to(u);
        if (c) {
            struct held *h = MEM_NEW(struct held);
            *h = (struct held){.conn = c, .proc = u};
            return lend(u, h);
        }
        retire(u);
    }
    errno = EPIPE;
    return NULL;
}

void userproc_give(struct userproc_pool *p, struct ipc_conn **c, bool ok)
{
    if (!*c)
        return;
    LIST_EACH (l, &p->lent) {
        struct held *h = LIST_ENTRY(l, struct held, link);
        if (h->conn != *c)
            continue;
        struct userproc *u = h->proc;
        list_remove(&h->link);
        u->busy--;
        *c = NULL;
        if (ok && !u->gone && u->n_idle < IDLE_CONNECTIONS && ipc_conn_usable(h->conn)) {
            list_prepend(&u->idle, &h->link);
            u->n_idle++;
        } else {
            ipc_conn_free(&h->conn);
            free(h);
        }
        release_if_over(u);
        return;
    }
    ipc_conn_free(c);
}
