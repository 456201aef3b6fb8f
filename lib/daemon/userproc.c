/* userproc.c - see userproc.h. The processes are made by the spawner (userproc_spawner.h). Each has a control socket,
 * over which the daemon passes one end of a socket pair for each new connection; its end tells the process that the
 * daemon is gone, and the daemon that the process is. */
#include "lib/daemon/userproc.h"

#include "lib/base/hash.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/daemon/daemon.h"
#include "lib/daemon/userproc_spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IDLE_CONNECTIONS = 32 };

struct userproc {
    struct userproc_pool *pool;
    char key[32]; /* "uid:gid" */
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
    int spawner;
    struct fiber *spawner_watch;
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

/* In a process of its own, as the user. */
static void run_child(const struct userproc_config *config, int control)
{
    child = (struct child){.config = config, .control = control};
    loop_run("userproc", child_main, NULL);
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
    p->spawner = spawner_start(&p->config, run_child);
    daemon_env->processes = p;
    if (p->spawner < 0)
        log_fatal("cannot start the process for processes of users: %s", strerror(errno));
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
    u->watcher = NULL;
    release_if_over(u);
}

/* Without it there is nothing that we could do: master starts us anew. */
static void spawner_watch_fiber(void *arg)
{
    struct userproc_pool *p = arg;
    struct io io;
    char byte;
    io_init(&io, p->spawner);
    do
        io_attempt(&io, IO_READ);
    while (recv(p->spawner, &byte, 1, MSG_DONTWAIT) != 0 && io_wait(&io, IO_READ, DEADLINE_NEVER) == WAIT_OK);
    log_error("the process that starts processes of users has ended");
    log_flush();
    _exit(1);
}

struct groups {
    const char *user;
    gid_t gid, *list;
    int n;
};

/* The name service may wait for the network: on a pool thread. */
static void ask_groups(void *arg)
{
    struct groups *g = arg;
    g->n = SPAWNER_GROUPS_MAX;
    if (getgrouplist(g->user, g->gid, g->list, &g->n) < 0)
        g->n = SPAWNER_GROUPS_MAX; /* as many as it takes */
}

static bool request_process(struct userproc_pool *p, uid_t uid, gid_t gid, const char *name, int control)
{
    struct groups g = {.user = name, .gid = gid};
    if (name && daemon_is_root()) {
        g.list = mem_alloc(SPAWNER_GROUPS_MAX * sizeof *g.list);
        thread_run(ask_groups, &g);
    }
    bool ok = spawner_request(p->spawner, uid, gid, g.list, (size_t)g.n, control);
    int error = errno;
    free(g.list);
    errno = error;
    return ok;
}

static struct userproc *start_process(struct userproc_pool *p, const char *key, uid_t uid, gid_t gid, const char *name)
{
    int pair[2];
    if (!p->spawner_watch)
        p->spawner_watch = fiber_start("spawner-watch", spawner_watch_fiber, p);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return NULL;
    bool ok = request_process(p, uid, gid, name, pair[1]);
    int error = errno;
    close(pair[1]);
    struct userproc *other = hash_get(p->by_key, key);
    if (!ok || other) { /* another fiber may have been faster, while the groups were asked for */
        close(pair[0]);
        errno = error;
        return other;
    }
    struct userproc *u = MEM_NEW(struct userproc);
    u->pool = p;
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
    if (!daemon_is_root()) { /* everything runs as the caller */
        uid = geteuid();
        gid = getegid();
    }
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

void userproc_probe(struct userproc_pool *p)
{
    enum { PROBE_ID = 65533 };
    int pair[2];
    char byte;
    uid_t uid = daemon_is_root() ? PROBE_ID : geteuid();
    gid_t gid = daemon_is_root() ? PROBE_ID : getegid();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return;
    spawner_request(p->spawner, uid, gid, NULL, 0, pair[1]);
    close(pair[1]);
    if (read(pair[0], &byte, 1) != 0) /* its end is the child's */
        log_error("the probe of processes of users failed");
    close(pair[0]);
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
