/* ipc.c - see ipc.h. A frame is {u32 length of the body, u32 type} and the body. */
#include "lib/ipc/ipc.h"

#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/rt/addr.h"
#include "lib/rt/fiber.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { HEAD = 8, FRAME_MAX = 4 << 20, IN_FIRST = 4096, FDS_WAITING = 8, FLUSH_AT = 65536, RETRY_MS = 50 };

struct ipc_conn {
    struct io io;
    char *in;
    size_t in_start, in_end, in_cap;
    size_t held; /* bytes of the last message, which its BYTES fields still point into */
    struct buf out;
    uint64_t received; /* bytes in all: the place in the stream of in_end */
    struct waiting_fd {
        int fd;
        uint64_t end; /* of the read that it came with, which is within its message or at that one's end */
    } fds[FDS_WAITING];
    unsigned n_fds;
    bool drained;
    bool lockstep;
    struct list idle; /* in a pool */
};

const char *ipc_strerror(enum ipc_status s)
{
    static const char *const text[] = {"no error", "connection closed", "timed out", "cancelled", "malformed message"};
    return text[s];
}

struct ipc_conn *ipc_conn_new(int fd)
{
    struct ipc_conn *c = MEM_NEW(struct ipc_conn);
    io_init(&c->io, fd);
    c->out = BUF(2 * (size_t)FRAME_MAX);
    list_init(&c->idle);
    return c;
}

void ipc_conn_free(struct ipc_conn **cp)
{
    struct ipc_conn *c = *cp;
    if (!c)
        return;
    for (unsigned i = 0; i < c->n_fds; i++)
        close(c->fds[i].fd);
    list_remove(&c->idle);
    io_fini(&c->io);
    close(c->io.fd);
    free(c->in);
    buf_fini(&c->out);
    free(c);
    *cp = NULL;
}

void ipc_conn_lockstep(struct ipc_conn *c)
{
    c->lockstep = true;
}

int ipc_conn_fd(const struct ipc_conn *c)
{
    return c->io.fd;
}

bool ipc_peer(const struct ipc_conn *c, pid_t *pid, uid_t *uid, gid_t *gid)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    if (getsockopt(c->io.fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
        return false;
    *pid = cred.pid;
    *uid = cred.uid;
    *gid = cred.gid;
    return true;
}

static enum ipc_status of_wait(enum wait w)
{
    return w == WAIT_OK ? IPC_OK : w == WAIT_TIMEOUT ? IPC_TIMEOUT : IPC_CANCELLED;
}

/* ---- sending ---- */

/* Sends the output; fd (or -1) goes with its last byte's call, which is its only one unless the socket is full. */
static enum ipc_status send_out(struct ipc_conn *c, int fd, int64_t deadline)
{
    size_t done = 0;
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    while (done < c->out.len) {
        struct iovec iov = {c->out.data + done, c->out.len - done};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
        if (fd >= 0) {
            memset(&control, 0, sizeof control);
            m.msg_control = &control;
            m.msg_controllen = sizeof control.space;
            struct cmsghdr *h = CMSG_FIRSTHDR(&m);
            h->cmsg_level = SOL_SOCKET;
            h->cmsg_type = SCM_RIGHTS;
            h->cmsg_len = CMSG_LEN(sizeof fd);
            memcpy(CMSG_DATA(h), &fd, sizeof fd);
        }
        io_attempt(&c->io, IO_WRITE);
        ssize_t n = sendmsg(c->io.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            fd = -1; /* it went with the first byte */
            done += (size_t)n;
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        enum ipc_status st = n < 0 && errno == EAGAIN ? of_wait(io_wait(&c->io, IO_WRITE, deadline)) : IPC_CLOSED;
        if (st != IPC_OK) {
            buf_reset(&c->out);
            return st;
        }
    }
    buf_reset(&c->out);
    if (c->out.cap > IN_FIRST)
        buf_fini(&c->out);
    return IPC_OK;
}

static const struct ipc_field *fd_field(const struct ipc_type *t)
{
    const struct ipc_layout *l = t->layout();
    for (size_t i = 0; i < l->n_fields; i++)
        if (l->fields[i].kind == IPC_FD)
            return &l->fields[i];
    return NULL;
}

static int message_fd(const struct ipc_type *t, const void *msg)
{
    const struct ipc_field *f = fd_field(t);
    return f ? *(const int *)(const void *)((const char *)msg + f->offset) : -1;
}

static void put32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (char)(v >> (8 * i));
}

static uint32_t get32(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v |= (uint32_t)(unsigned char)p[i] << (8 * i);
    return v;
}

enum ipc_status ipc_queue(struct ipc_conn *c, const struct ipc_type *t, const void *msg, int64_t deadline)
{
    int fd = message_fd(t, msg);
    if (fd >= 0 && c->out.len) { /* so that the descriptor arrives with its own message */
        enum ipc_status st = send_out(c, -1, deadline);
        if (st != IPC_OK)
            return st;
    }
    size_t start = c->out.len;
    char head[HEAD] = {0};
    buf_append(&c->out, head, HEAD);
    if (!ipc_encode(t, msg, &c->out) || c->out.len - start - HEAD > FRAME_MAX) {
        BUF_AUTO text = BUF(500);
        ipc_describe(t, msg, &text);
        log_warn("a message between daemons is past its limits: %s", buf_cstr(&text));
        buf_truncate(&c->out, start);
        c->out.overflow = false;
        return IPC_BROKEN;
    }
    put32(c->out.data + start, (uint32_t)(c->out.len - start - HEAD));
    put32(c->out.data + start + 4, ipc_type_id(t));
    if (fd >= 0)
        return send_out(c, fd, deadline);
    return c->out.len >= FLUSH_AT ? send_out(c, -1, deadline) : IPC_OK;
}

enum ipc_status ipc_flush(struct ipc_conn *c, int64_t deadline)
{
    return c->out.len ? send_out(c, -1, deadline) : IPC_OK;
}

enum ipc_status ipc_send(struct ipc_conn *c, const struct ipc_type *t, const void *msg, int64_t deadline)
{
    enum ipc_status st = ipc_queue(c, t, msg, deadline);
    return st == IPC_OK ? ipc_flush(c, deadline) : st;
}

/* ---- receiving ---- */

/* Those that came with the read that ends at `received`; with the eighth that nobody took the rest is closed. */
static void keep_fds(struct ipc_conn *c, struct msghdr *m)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
            if (c->n_fds < FDS_WAITING)
                c->fds[c->n_fds++] = (struct waiting_fd){fd, c->received};
            else
                close(fd);
        }
    }
}

static void let_go(struct ipc_conn *c)
{
    c->in_start += c->held;
    c->held = 0;
    if (c->in_start == c->in_end) {
        c->in_start = c->in_end = 0;
        if (c->in_cap > IN_FIRST) {
            free(c->in);
            c->in = NULL;
            c->in_cap = 0;
        }
    }
}

/* At least `need` bytes of room in the buffer behind in_start. */
static void make_room(struct ipc_conn *c, size_t need)
{
    if (c->in_cap - c->in_start >= need && c->in_end < c->in_cap)
        return;
    if (c->in_start) {
        memmove(c->in, c->in + c->in_start, c->in_end - c->in_start);
        c->in_end -= c->in_start;
        c->in_start = 0;
    }
    size_t cap = c->in_cap ? c->in_cap : IN_FIRST;
    while (cap < need || cap == c->in_end)
        cap *= 2;
    if (cap > c->in_cap) {
        c->in = mem_resize(c->in, cap);
        c->in_cap = cap;
    }
}

static enum ipc_status receive_some(struct ipc_conn *c, size_t need, int64_t deadline)
{
    bool wait_first = c->drained && !c->io.hangup;
    for (;;) {
        if (wait_first) {
            if (c->in_start == c->in_end) {
                free(c->in);
                c->in = NULL;
                c->in_start = c->in_end = c->in_cap = 0;
            }
            enum ipc_status st = of_wait(io_wait(&c->io, IO_READ, deadline));
            if (st != IPC_OK)
                return st;
        }
        make_room(c, need);
        union {
            struct cmsghdr head;
            char space[CMSG_SPACE(sizeof(int) * FDS_WAITING)];
        } control;
        struct iovec iov = {c->in + c->in_end, c->in_cap - c->in_end};
        struct msghdr m = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
        io_attempt(&c->io, IO_READ);
        ssize_t n = recvmsg(c->io.fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n > 0) {
            c->received += (uint64_t)n;
            if (m.msg_controllen)
                keep_fds(c, &m);
            /* A message with a descriptor ends a read early: that is no sign of emptiness. */
            c->drained = (size_t)n < iov.iov_len && !m.msg_controllen;
            c->in_end += (size_t)n;
            return IPC_OK;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            return IPC_CLOSED;
        wait_first = errno == EAGAIN;
    }
}

/* Until a whole frame is buffered. */
static enum ipc_status receive_frame(struct ipc_conn *c, uint32_t *id, size_t *body, int64_t deadline)
{
    let_go(c);
    for (;;) {
        size_t have = c->in_end - c->in_start, need = HEAD;
        if (have >= HEAD) {
            *body = get32(c->in + c->in_start);
            *id = get32(c->in + c->in_start + 4);
            if (*body > FRAME_MAX)
                return IPC_BROKEN;
            need += *body;
            if (have >= need) {
                c->drained |= c->lockstep && have == need;
                return IPC_OK;
            }
        }
        enum ipc_status st = receive_some(c, need, deadline);
        if (st != IPC_OK)
            return st;
    }
}

const struct ipc_type *ipc_next_type(struct ipc_conn *c, enum ipc_status *status, int64_t deadline)
{
    uint32_t id = 0;
    size_t body;
    *status = receive_frame(c, &id, &body, deadline);
    if (*status != IPC_OK)
        return NULL;
    for (size_t i = 0; ipc_all_types[i]; i++)
        if (ipc_type_id(ipc_all_types[i]) == id)
            return ipc_all_types[i];
    *status = IPC_BROKEN;
    return NULL;
}

/* The fibers that wait between two requests. */
struct awaiting {
    struct fiber *fiber;
    struct list link;
};
static struct {
    struct list waiters;
    bool stopped;
} awaited = {.waiters = LIST_INIT(awaited.waiters)};

bool ipc_await_request(struct ipc_conn *c)
{
    struct awaiting me = {.fiber = fiber_self()};
    uint32_t id;
    size_t body;
    if (awaited.stopped)
        return false;
    list_append(&awaited.waiters, &me.link);
    enum ipc_status st = receive_frame(c, &id, &body, DEADLINE_NEVER);
    list_remove(&me.link);
    return st == IPC_OK;
}

void ipc_stop_awaiting(void)
{
    awaited.stopped = true;
    for (struct list *l; (l = list_pop(&awaited.waiters));)
        fiber_cancel(LIST_ENTRY(l, struct awaiting, link)->fiber);
}

/* The first descriptor that came with the message between two places in the stream, -1 when none did. What came before
 * it, or beside it, nobody asked for: it is closed, so that it neither piles up nor passes for a later message's. */
static int take_fd(struct ipc_conn *c, uint64_t start, uint64_t end, bool wanted)
{
    int fd = -1;
    unsigned n = 0;
    for (; n < c->n_fds && c->fds[n].end <= end; n++)
        if (wanted && fd < 0 && c->fds[n].end > start)
            fd = c->fds[n].fd;
        else
            close(c->fds[n].fd);
    c->n_fds -= n;
    memmove(c->fds, c->fds + n, c->n_fds * sizeof c->fds[0]);
    return fd;
}

enum ipc_status ipc_recv(struct ipc_conn *c, const struct ipc_type *t, struct arena *a, void *msg, int64_t deadline)
{
    uint32_t id;
    size_t body;
    enum ipc_status st = receive_frame(c, &id, &body, deadline);
    if (st != IPC_OK)
        return st;
    if (id != ipc_type_id(t) || !ipc_decode(t, slice_make(c->in + c->in_start + HEAD, body), a, msg))
        return IPC_BROKEN;
    c->held = HEAD + body;
    const struct ipc_field *f = fd_field(t);
    uint64_t start = c->received - (c->in_end - c->in_start);
    int fd = c->n_fds ? take_fd(c, start, start + c->held, f != NULL) : -1;
    if (f != NULL && fd >= 0)
        *(int *)(void *)((char *)msg + f->offset) = fd;
    return IPC_OK;
}

/* ---- connecting ---- */

struct ipc_conn *ipc_connect(const char *service, int64_t deadline)
{
    struct sockaddr_storage to;
    socklen_t len;
    if (!addr_unix(service, &to, &len)) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    for (;;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return NULL;
        if (connect(fd, (struct sockaddr *)&to, len) == 0)
            return ipc_conn_new(fd);
        int error = errno;
        close(fd);
        errno = error;
        /* Nobody listens for the moment, or the listener's queue is full. Without a socket there is no such service:
         * master makes them all before it starts anything. */
        if (error != ECONNREFUSED && error != EAGAIN)
            return NULL;
        /* Master keeps all sockets open: refused at the end of our work, it is master that is gone. */
        if (error == ECONNREFUSED && awaited.stopped)
            return NULL;
        int64_t next = deadline_in_ms(RETRY_MS);
        if (next > deadline || fiber_sleep(next) == WAIT_CANCELLED) {
            errno = error == EAGAIN ? ETIMEDOUT : error;
            return NULL;
        }
    }
}

/* ---- pools ---- */

struct ipc_pool {
    char *service;
    struct list idle; /* most recently used first */
    unsigned n_idle, most_idle;
};

struct ipc_pool *ipc_pool_new(const char *service, unsigned most_idle)
{
    struct ipc_pool *p = MEM_NEW(struct ipc_pool);
    p->service = mem_strdup(service);
    p->most_idle = most_idle;
    list_init(&p->idle);
    return p;
}

static struct ipc_conn *pop_idle(struct ipc_pool *p)
{
    struct list *l = list_pop(&p->idle);
    if (!l)
        return NULL;
    p->n_idle--;
    return LIST_ENTRY(l, struct ipc_conn, idle);
}

void ipc_pool_free(struct ipc_pool **pp)
{
    if (!*pp)
        return;
    for (struct ipc_conn *c; (c = pop_idle(*pp));)
        ipc_conn_free(&c);
    free((*pp)->service);
    free(*pp);
    *pp = NULL;
}

bool ipc_conn_usable(struct ipc_conn *c)
{
    let_go(c);
    return !c->io.hangup && !c->out.len && c->in_start == c->in_end && !c->n_fds;
}

static struct ipc_conn *take_idle(struct ipc_pool *p)
{
    for (struct ipc_conn *c; (c = pop_idle(p));) {
        if (ipc_conn_usable(c))
            return c;
        ipc_conn_free(&c);
    }
    return NULL;
}

struct ipc_conn *ipc_pool_take(struct ipc_pool *p, int64_t deadline)
{
    struct ipc_conn *c = take_idle(p);
    return c ? c : ipc_connect(p->service, deadline);
}

void ipc_pool_give(struct ipc_pool *p, struct ipc_conn **cp, bool ok)
{
    struct ipc_conn *c = *cp;
    if (!c)
        return;
    if (!ok || p->n_idle >= p->most_idle || !ipc_conn_usable(c)) {
        ipc_conn_free(cp);
        return;
    }
    list_prepend(&p->idle, &c->idle);
    p->n_idle++;
    *cp = NULL;
}

/* A reply's BYTES must outlive the connection's return to its pool. */
static void copy_bytes(const struct ipc_type *t, struct arena *a, void *msg)
{
    const struct ipc_layout *l = t->layout();
    for (size_t i = 0; i < l->n_fields; i++) {
        struct slice *s = (struct slice *)(void *)((char *)msg + l->fields[i].offset);
        if (l->fields[i].kind == IPC_BYTES)
            *s = slice_make(arena_memdup(a, s->p, s->n), s->n);
    }
}

enum ipc_status ipc_call(struct ipc_pool *p, const struct ipc_type *request_type, const void *request,
                         const struct ipc_type *reply_type, struct arena *a, void *reply, int64_t deadline)
{
    for (bool fresh = false;; fresh = true) {
        struct ipc_conn *c = fresh ? NULL : take_idle(p);
        bool pooled = c != NULL;
        if (!c)
            c = ipc_connect(p->service, deadline);
        if (!c)
            return errno == ETIMEDOUT ? IPC_TIMEOUT : IPC_CLOSED;
        enum ipc_status st = ipc_send(c, request_type, request, deadline);
        if (st == IPC_OK)
            st = ipc_recv(c, reply_type, a, reply, deadline);
        if (st == IPC_OK)
            copy_bytes(reply_type, a, reply);
        ipc_pool_give(p, &c, st == IPC_OK);
        if (st != IPC_CLOSED || !pooled)
            return st;
    }
}
