/* worker.c - the processes of a service: started, watched, started again. */
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/vec.h"
#include "lib/rt/fiber.h"
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HEALTHY_AFTER_SECONDS = 1 };

struct arguments {
    VEC(char *) items;
};

static void add(struct arguments *a, const char *text)
{
    VEC_PUSH(&a->items, mem_strdup(text));
}

static void build(struct arguments *a, const struct supervised *s)
{
    char number[30];
    const struct service *v = &s->service;
    int64_t maxproc = v->maxproc < 0 ? master.common.default_process_limit : v->maxproc;
    add(a, v->command);
    add(a, "-n");
    add(a, v->name);
    add(a, "-t");
    add(a, service_type_name(v->type));
    add(a, "-s");
    snprintf(number, sizeof number, "%d", s->n_fds);
    add(a, number);
    add(a, "-m");
    snprintf(number, sizeof number, "%lld",
             (long long)(maxproc ? (maxproc + s->workers_wanted - 1) / s->workers_wanted : 0));
    add(a, number);
    for (size_t i = 0; i < v->n_args; i++)
        add(a, v->args[i]);
    VEC_PUSH(&a->items, NULL);
}

/* The worker's descriptors: 5 the status socket, from 6 on the listeners. */
static void place_descriptors(const struct supervised *s, int status)
{
    int high[LISTENERS_MOST + 1], n = 0;
    /* Out of the way first, so that no placing overwrites one that is still to be placed. */
    high[n++] = fcntl(status, F_DUPFD, 200);
    for (int i = 0; i < s->n_fds; i++)
        high[n++] = fcntl(s->fds[i], F_DUPFD, 200);
    for (int i = 0; i < n; i++)
        dup2(high[i], MASTER_STATUS_FD + i);
    close_range((unsigned)(MASTER_STATUS_FD + n), ~0U, 0);
    close_range(3, MASTER_STATUS_FD - 1, 0);
}

/* A worker says 'D' when it drains by itself: another takes its clients. Owns the worker once that has ended. */
static void listen_fiber(void *arg)
{
    struct worker *w = arg;
    struct io io;
    char said[16];
    io_init(&io, w->status);
    while (w->owner) {
        io_attempt(&io, IO_READ);
        ssize_t n = read(w->status, said, sizeof said);
        if (n > 0 && w->owner && !w->draining) {
            w->draining = true;
            if (worker_serving(w->owner) == 0)
                services_start();
        }
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            break;
        if (n < 0 && io_wait(&io, IO_READ, DEADLINE_NEVER) != WAIT_OK)
            break;
    }
    io_fini(&io);
    w->listener = NULL;
    if (!w->owner) {
        close(w->status);
        free(w);
    }
}

static void forget(struct worker *w)
{
    list_remove(&w->link);
    w->owner = NULL;
    if (w->listener) {
        fiber_cancel(w->listener);
        return;
    }
    close(w->status);
    free(w);
}

static void child(const struct supervised *s, int status, char **argv)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setenv("MAIL_CONFIG", conf_dir(master.conf), 1);
    setenv("MERPATI_WORKER", "1", 1);
    place_descriptors(s, status);
    execv(s->program, argv);
    log_open("postfix/master", LOG_SINK_STDERR, 2);
    log_error("%s: %s", s->program, strerror(errno));
    _exit(1);
}

static bool start_one(struct supervised *s)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        log_error("socketpair: %s", strerror(errno));
        return false;
    }
    struct arguments a = {0};
    build(&a, s);
    log_flush();
    pid_t pid = fork();
    if (pid == 0)
        child(s, pair[1], a.items.items);
    int error = errno;
    for (size_t i = 0; i < a.items.n; i++)
        free(a.items.items[i]);
    VEC_FREE(&a.items);
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        log_error("cannot start %s: %s", s->program, strerror(error));
        return false;
    }
    struct worker *w = MEM_NEW(struct worker);
    *w = (struct worker){.owner = s, .pid = pid, .status = pair[0], .started = clock_mono()};
    list_append(&s->workers, &w->link);
    w->listener = fiber_start("worker", listen_fiber, w);
    return true;
}

unsigned worker_serving(const struct supervised *s)
{
    unsigned n = 0;
    LIST_EACH (l, &s->workers)
        n += !LIST_ENTRY(l, struct worker, link)->draining;
    return n;
}

void worker_start_all(struct supervised *s)
{
    if (master.stopping || s->removed || clock_mono() < s->throttled_until)
        return;
    for (unsigned n = worker_serving(s); n < s->workers_wanted; n++)
        if (!start_one(s))
            break;
}

void worker_wake(struct supervised *s, char request)
{
    worker_start_all(s);
    LIST_EACH (l, &s->workers) {
        struct worker *w = LIST_ENTRY(l, struct worker, link);
        if (!w->draining && write(w->status, &request, 1) < 0 && errno != EAGAIN && errno != EPIPE)
            log_warn("wake-up of %s: %s", s->service.name, strerror(errno));
    }
}

static void report_end(const struct worker *w, int status)
{
    const char *program = w->owner->program;
    if (WIFSIGNALED(status))
        log_warn("process %s pid %d killed by signal %d", program, (int)w->pid, WTERMSIG(status));
    else if (WEXITSTATUS(status))
        log_warn("process %s pid %d exit status %d", program, (int)w->pid, WEXITSTATUS(status));
}

static void worker_ended(struct worker *w, int status)
{
    struct supervised *s = w->owner;
    bool failed = WIFSIGNALED(status) || WEXITSTATUS(status);
    if (!master.stopping)
        report_end(w, status);
    /* A program that fails as soon as it starts would be started without end. A kill by hand is no such failure. */
    bool by_hand = WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM);
    if (failed && !by_hand && !master.stopping && !w->draining &&
        clock_mono() - w->started < HEALTHY_AFTER_SECONDS * NSEC_PER_SEC) {
        log_warn("%s: bad command startup -- throttling", s->program);
        s->throttled_until = deadline_in(master.params.service_throttle_time);
    }
    forget(w);
    if (!s->removed && !master.stopping && (!s->lazy || failed || worker_serving(s) == 0))
        services_start();
}

static struct worker *find(pid_t pid)
{
    LIST_EACH (l, &master.services) {
        struct supervised *s = LIST_ENTRY(l, struct supervised, link);
        LIST_EACH (k, &s->workers)
            if (LIST_ENTRY(k, struct worker, link)->pid == pid)
                return LIST_ENTRY(k, struct worker, link);
    }
    return NULL;
}

void worker_reap(void)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        struct worker *w = find(pid);
        if (w)
            worker_ended(w, status);
    }
}

unsigned worker_count(void)
{
    unsigned n = 0;
    LIST_EACH (l, &master.services)
        LIST_EACH (k, &LIST_ENTRY(l, struct supervised, link)->workers)
            n++;
    return n;
}

void worker_signal_all(int signo)
{
    LIST_EACH (l, &master.services)
        LIST_EACH (k, &LIST_ENTRY(l, struct supervised, link)->workers)
            kill(LIST_ENTRY(k, struct worker, link)->pid, signo);
}
