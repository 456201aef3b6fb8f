/* accept.c - see accept.h. Several workers wait on the same listening socket; the kernel wakes one of them. A worker at
 * its limit leaves the socket alone, so that the others, or the backlog, take the next. */
#include "lib/daemon/accept.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

enum { LISTENERS_MOST = 64, PAUSE_MS = 100 };

static struct {
    struct fiber *fibers[LISTENERS_MOST];
    int n;
    bool stopped;
    struct waitq changed; /* a session ended */
    int64_t idle_since;
} acceptor;

struct accepted {
    int fd;
    struct sockaddr_storage peer, local;
};

static void session_over(void)
{
    daemon_env->sessions--;
    if (!daemon_env->sessions)
        acceptor.idle_since = clock_mono();
    waitq_wake_all(&acceptor.changed);
}

void daemon_hold(void)
{
    daemon_env->sessions++;
}

void daemon_release(void)
{
    session_over();
}

/* One byte is one request: what wakes pickup and the like. */
static void read_wakeups(int fd)
{
    struct io io;
    char requests[32];
    io_init(&io, fd);
    for (;;) {
        io_attempt(&io, IO_READ);
        ssize_t n = read(fd, requests, sizeof requests);
        for (ssize_t i = 0; i < n; i++)
            daemon_env->daemon->wakeup(requests[i]);
        if (n == 0 || (n < 0 && errno != EAGAIN) || (n < 0 && io_wait(&io, IO_READ, deadline_in(10)) != WAIT_OK))
            break;
    }
    io_fini(&io);
    close(fd);
}

static void session_fiber(void *arg)
{
    struct accepted *a = arg;
    const struct daemon *d = daemon_env->daemon;
    if (d->request)
        d->request(ipc_conn_new(a->fd));
    else if (d->session)
        d->session(stream_new(a->fd, 0), (struct sockaddr *)&a->peer, (struct sockaddr *)&a->local);
    else
        read_wakeups(a->fd);
    free(a);
    session_over();
}

static void take(int fd, const struct sockaddr_storage *peer)
{
    struct accepted *a = MEM_NEW(struct accepted);
    socklen_t len = sizeof a->local;
    int one = 1;
    a->fd = fd;
    a->peer = *peer;
    if (getsockname(fd, (struct sockaddr *)&a->local, &len) != 0)
        a->local.ss_family = AF_UNSPEC;
    if (peer->ss_family == AF_INET || peer->ss_family == AF_INET6) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    }
    daemon_env->sessions++;
    fiber_start(daemon_env->daemon->name, session_fiber, a);
}

static bool full(void)
{
    /* A daemon that is one process by its nature (auth) serves all; maxproc 1 says only that there is one. */
    int64_t limit = daemon_env->daemon->session && !daemon_env->daemon->single ? daemon_env->maxproc : 0;
    int64_t hard = daemon_env->common.worker_sessions_limit;
    if (!limit || limit > hard)
        limit = hard;
    return daemon_env->sessions >= limit;
}

/* Accepts what is there; false when the socket is of no use any more. */
static bool accept_some(int fd)
{
    while (!full() && !acceptor.stopped) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        int client = accept4(fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0) {
            take(client, &peer);
            /* One at a time between looks at the other fibers: a flood of connections must not starve the sessions, nor
             * one worker take them all. */
            return true;
        }
        if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
            return true;
        log_warn("accept: %s", strerror(errno));
        if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
            return false;
        fiber_sleep(deadline_in_ms(PAUSE_MS));
    }
    return true;
}

static void forget_self(void)
{
    for (int i = 0; i < acceptor.n; i++)
        if (acceptor.fibers[i] == fiber_self())
            acceptor.fibers[i] = NULL;
}

static void accept_fiber(void *arg)
{
    int fd = (int)(intptr_t)arg;
    struct io io;
    io_init_shared(&io, fd);
    while (!acceptor.stopped) {
        if (full()) {
            io_fini(&io);
            waitq_wait(&acceptor.changed, DEADLINE_NEVER);
            io_init_shared(&io, fd);
        } else if (io_wait(&io, IO_READ, DEADLINE_NEVER) != WAIT_OK || !accept_some(fd)) {
            break;
        }
    }
    io_fini(&io);
    if (acceptor.stopped)
        close(fd); /* who drains for an hour does not hold the port */
    forget_self();
}

/* A fifo is no listener: it is read itself, by one worker. */
static void fifo_fiber(void *arg)
{
    int fd = (int)(intptr_t)arg;
    struct io io;
    char requests[32];
    io_init(&io, fd);
    while (io_wait(&io, IO_READ, DEADLINE_NEVER) == WAIT_OK) {
        ssize_t n = read(fd, requests, sizeof requests);
        for (ssize_t i = 0; i < n; i++)
            daemon_env->daemon->wakeup(requests[i]);
    }
    io_fini(&io);
    forget_self();
}

void accept_start(int first, int n)
{
    waitq_init(&acceptor.changed);
    acceptor.idle_since = clock_mono();
    bool fifo = strcmp(daemon_env->type, "fifo") == 0;
    for (int i = 0; i < n && i < LISTENERS_MOST; i++)
        acceptor.fibers[acceptor.n++] =
            fiber_start(fifo ? "fifo" : "accept", fifo ? fifo_fiber : accept_fiber, (void *)(intptr_t)(first + i));
}

void accept_stop(void)
{
    acceptor.stopped = true;
    for (int i = 0; i < acceptor.n; i++)
        if (acceptor.fibers[i])
            fiber_cancel(acceptor.fibers[i]);
    acceptor.n = 0;
}

int64_t accept_idle_seconds(void)
{
    return daemon_env->sessions ? 0 : (clock_mono() - acceptor.idle_since) / NSEC_PER_SEC;
}

void accept_wait_empty(int64_t deadline)
{
    while (daemon_env->sessions)
        if (waitq_wait(&acceptor.changed, deadline) != WAIT_OK)
            return;
}
