/* loop.c - the event loop: epoll, timers in a heap, signals, readiness of descriptors. See fiber.h. */
#include "lib/base/log.h"
#include "lib/base/vec.h"
#include "lib/rt/loop_internal.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { EVENTS_AT_ONCE = 256, IDLE_HOOKS = 4, TRIM_EVERY_SECONDS = 5, SIGNALS = 65 };

static struct {
    int epoll;
    unsigned generation;
    bool running;
    VEC(struct timer *) heap; /* heap.items[0] is unused: places start at 1 */
    void (*idle[IDLE_HOOKS])(void);
    void (*on_signal[SIGNALS])(int);
    struct watch signals;
    sigset_t signal_set;
    int64_t next_trim;
} loop = {.epoll = -1, .signals = {.fd = -1}, .next_trim = DEADLINE_NEVER};

/* ---- timers ---- */

static void heap_place(size_t i, struct timer *t)
{
    loop.heap.items[i] = t;
    t->place = i;
}

static void sift_up(struct timer *t, size_t i)
{
    for (; i > 1 && loop.heap.items[i / 2]->at > t->at; i /= 2)
        heap_place(i, loop.heap.items[i / 2]);
    heap_place(i, t);
}

static void sift_down(struct timer *t, size_t i)
{
    for (size_t child; (child = i * 2) < loop.heap.n; i = child) {
        if (child + 1 < loop.heap.n && loop.heap.items[child + 1]->at < loop.heap.items[child]->at)
            child++;
        if (loop.heap.items[child]->at >= t->at)
            break;
        heap_place(i, loop.heap.items[child]);
    }
    heap_place(i, t);
}

void timer_set(struct timer *t, int64_t at)
{
    timer_clear(t);
    t->at = at;
    if (loop.heap.n == 0)
        VEC_PUSH(&loop.heap, NULL);
    VEC_PUSH(&loop.heap, t);
    sift_up(t, loop.heap.n - 1);
}

void timer_clear(struct timer *t)
{
    size_t i = t->place;
    if (!i)
        return;
    t->place = 0;
    struct timer *last = loop.heap.items[--loop.heap.n];
    if (last == t)
        return;
    if (i > 1 && loop.heap.items[i / 2]->at > last->at)
        sift_up(last, i);
    else
        sift_down(last, i);
}

static void run_timers(int64_t now)
{
    while (loop.heap.n > 1 && loop.heap.items[1]->at <= now) {
        struct timer *t = loop.heap.items[1];
        timer_clear(t);
        t->fn(t->arg);
    }
}

/* ---- descriptors ---- */

unsigned loop_generation(void)
{
    return loop.generation;
}

bool loop_running(void)
{
    return loop.running;
}

static void ensure_epoll(void)
{
    if (loop.epoll >= 0)
        return;
    loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop.epoll < 0)
        log_panic("epoll_create1: %s", strerror(errno));
    loop.generation++;
}

void loop_watch(struct watch *w, uint32_t events)
{
    ensure_epoll();
    struct epoll_event e = {.events = events, .data.ptr = w};
    if (epoll_ctl(loop.epoll, EPOLL_CTL_MOD, w->fd, &e) != 0 && epoll_ctl(loop.epoll, EPOLL_CTL_ADD, w->fd, &e) != 0)
        log_panic("epoll_ctl on descriptor %d: %s", w->fd, strerror(errno));
}

void loop_unwatch(struct watch *w)
{
    if (loop.epoll >= 0)
        epoll_ctl(loop.epoll, EPOLL_CTL_DEL, w->fd, NULL);
}

static void on_io(void *self, uint32_t events)
{
    struct io *io = self;
    const uint32_t broken = EPOLLHUP | EPOLLERR;
    const uint32_t wanted[2] = {EPOLLIN | EPOLLRDHUP | EPOLLPRI | broken, EPOLLOUT | broken};
    if (events & (EPOLLRDHUP | broken))
        io->hangup = true;
    for (int dir = 0; dir < 2; dir++) {
        if (!(events & wanted[dir]))
            continue;
        io->ready[dir] = true;
        if (io->waiter[dir])
            fiber_wake(io->waiter[dir], WAIT_OK);
    }
}

void io_init(struct io *io, int fd)
{
    *io = (struct io){.on_event = on_io, .fd = fd};
}

void io_init_shared(struct io *io, int fd)
{
    io_init(io, fd);
    io->shared = true;
}

void io_fini(struct io *io)
{
    if (io->registered && io->registered == loop.generation && loop.epoll >= 0)
        epoll_ctl(loop.epoll, EPOLL_CTL_DEL, io->fd, NULL);
    io->registered = 0;
}

static void io_register(struct io *io)
{
    ensure_epoll();
    if (io->registered == loop.generation)
        return;
    struct epoll_event e = {.events = io->shared ? EPOLLIN | EPOLLEXCLUSIVE : EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                            .data.ptr = io};
    if (epoll_ctl(loop.epoll, EPOLL_CTL_ADD, io->fd, &e) == 0) {
        io->registered = loop.generation;
        return;
    }
    /* A plain file is always ready; anything else is a broken invariant. */
    if (errno != EPERM)
        log_panic("epoll_ctl on descriptor %d: %s", io->fd, strerror(errno));
    io->ready[IO_READ] = io->ready[IO_WRITE] = true;
}

enum wait io_wait(struct io *io, enum io_dir dir, int64_t deadline)
{
    io_register(io);
    if (io->ready[dir]) {
        io->ready[dir] = false;
        return fiber_is_cancelled() ? WAIT_CANCELLED : WAIT_OK;
    }
    if (io->waiter[dir])
        log_panic("fibers %s and %s wait for the same descriptor", fiber_name(io->waiter[dir]),
                  fiber_name(fiber_self()));
    io->waiter[dir] = fiber_self();
    enum wait w = fiber_park(deadline);
    io->waiter[dir] = NULL;
    return w;
}

enum wait io_wait_either(struct io *a, struct io *b, int *which, int64_t deadline)
{
    struct io *both[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        io_register(both[i]);
        if (both[i]->waiter[IO_READ])
            log_panic("fiber %s already waits for this descriptor", fiber_name(both[i]->waiter[IO_READ]));
    }
    enum wait w = WAIT_OK;
    if (!a->ready[IO_READ] && !b->ready[IO_READ]) {
        a->waiter[IO_READ] = b->waiter[IO_READ] = fiber_self();
        w = fiber_park(deadline);
        a->waiter[IO_READ] = b->waiter[IO_READ] = NULL;
    }
    *which = a->ready[IO_READ] ? 0 : 1;
    both[*which]->ready[IO_READ] = false;
    return w;
}

static void set_waiters(struct io *const *ios, const unsigned *wanted, size_t n, struct fiber *f)
{
    for (size_t i = 0; i < n; i++)
        for (int dir = 0; dir < 2; dir++)
            if (wanted[i] & (1U << dir)) {
                if (f && ios[i]->waiter[dir])
                    log_panic("fiber %s already waits for this descriptor", fiber_name(ios[i]->waiter[dir]));
                ios[i]->waiter[dir] = f;
            }
}

enum wait io_wait_any(struct io *const *ios, const unsigned *wanted, size_t n, int64_t deadline)
{
    for (size_t i = 0; i < n; i++) {
        io_register(ios[i]);
        for (int dir = 0; dir < 2; dir++)
            if ((wanted[i] & (1U << dir)) && ios[i]->ready[dir])
                return fiber_is_cancelled() ? WAIT_CANCELLED : WAIT_OK;
    }
    set_waiters(ios, wanted, n, fiber_self());
    enum wait w = fiber_park(deadline);
    set_waiters(ios, wanted, n, NULL);
    return w;
}

/* ---- signals ---- */

static void on_signal_ready(void *self, uint32_t events)
{
    struct signalfd_siginfo info;
    while (read(loop.signals.fd, &info, sizeof info) == (ssize_t)sizeof info)
        if (info.ssi_signo < SIGNALS && loop.on_signal[info.ssi_signo])
            loop.on_signal[info.ssi_signo]((int)info.ssi_signo);
}

void loop_on_signal(int signo, void (*fn)(int))
{
    ensure_epoll();
    if (loop.signals.fd < 0)
        sigemptyset(&loop.signal_set);
    loop.on_signal[signo] = fn;
    sigaddset(&loop.signal_set, signo);
    sigprocmask(SIG_BLOCK, &loop.signal_set, NULL);
    loop.signals.fd = signalfd(loop.signals.fd, &loop.signal_set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (loop.signals.fd < 0)
        log_panic("signalfd: %s", strerror(errno));
    loop.signals.on_event = on_signal_ready;
    loop_watch(&loop.signals, EPOLLIN);
}

/* ---- the loop ---- */

void loop_at_idle(void (*fn)(void))
{
    for (int i = 0; i < IDLE_HOOKS; i++) {
        if (loop.idle[i] == fn)
            return;
        if (!loop.idle[i]) {
            loop.idle[i] = fn;
            return;
        }
    }
    log_panic("too many idle hooks");
}

static int timeout_ms(int64_t now)
{
    int64_t at = loop.heap.n > 1 ? loop.heap.items[1]->at : DEADLINE_NEVER;
    if (loop.next_trim < at)
        at = loop.next_trim;
    if (fiber_any_ready())
        return 0;
    if (at == DEADLINE_NEVER)
        return -1;
    if (at <= now)
        return 0;
    int64_t ms = (at - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
    return ms > 86400000 ? 86400000 : (int)ms;
}

static void wait_for_events(int64_t now)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int n = epoll_wait(loop.epoll, events, EVENTS_AT_ONCE, timeout_ms(now));
    for (int i = 0; i < n; i++) {
        /* Everything registered begins with its function; no fiber runs before all events are told, so none can be
         * freed meanwhile. */
        struct watch *w = events[i].data.ptr;
        w->on_event(w, events[i].events);
    }
}

static void trim_when_due(int64_t now)
{
    if (loop.next_trim == DEADLINE_NEVER)
        loop.next_trim = now + TRIM_EVERY_SECONDS * NSEC_PER_SEC;
    else if (loop.next_trim <= now) {
        int64_t next = fiber_trim(now);
        loop.next_trim = next == DEADLINE_NEVER ? DEADLINE_NEVER : now + TRIM_EVERY_SECONDS * NSEC_PER_SEC;
        malloc_trim(65536);
    }
}

void loop_run(const char *name, fiber_fn *fn, void *arg)
{
    /* Pool threads do not need heaps of their own, and a session's large buffers are to return to the system. */
    mallopt(M_ARENA_MAX, 2);
    ensure_epoll();
    loop.running = true;
    fiber_start(name, fn, arg);
    while (fiber_count() > 0) {
        bool worked = fiber_run_ready();
        int64_t now = clock_mono();
        run_timers(now);
        if (worked || loop.next_trim <= now)
            trim_when_due(now);
        if (fiber_count() == 0)
            break;
        if (!fiber_any_ready())
            for (int i = 0; i < IDLE_HOOKS && loop.idle[i]; i++)
                loop.idle[i]();
        wait_for_events(now);
    }
    loop.running = false;
    log_flush();
}

void loop_after_fork(void)
{
    if (loop.epoll >= 0)
        close(loop.epoll);
    if (loop.signals.fd >= 0)
        close(loop.signals.fd);
    loop.epoll = loop.signals.fd = -1;
    loop.heap.n = 0;
    loop.next_trim = DEADLINE_NEVER;
    memset(loop.on_signal, 0, sizeof loop.on_signal);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    fiber_after_fork();
    thread_after_fork();
    dns_after_fork();
    ensure_epoll();
}
