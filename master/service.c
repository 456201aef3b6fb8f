/* service.c - the services of master.cf: what is started when. */
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/rt/fiber.h"
#include "master/master.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum { PREDECESSOR_LOOK_MS = 50 };

/* Programs of a Postfix master.cf whose work is done inside other daemons here. */
static const struct {
    const char *program, *where;
} built_in[] = {
    {"tlsmgr", "TLS sessions are kept by tickets"},
    {"scache", "smtp keeps connections by itself"},
    {"proxymap", "daemons open tables before they give up their privileges"},
    {"tlsproxy", "smtpd speaks TLS by itself"},
    {"flush", "qmgr knows the mail of each site"},
    {"verify", "addresses are not probed yet"},
    {"dnsblog", "postscreen's tests are not there yet"},
    {"postscreen", "the tests before the greeting are not there yet"},
    {"postlogd", "daemons write the log file by themselves"},
    {"qmqpd", "QMQP is not served"},
    {"nqmgr", "qmgr is the queue manager"},
    {"oqmgr", "qmgr is the queue manager"},
    {"spawn", "commands on sockets are not there yet"},
};

static const char *built_in_where(const char *program)
{
    for (size_t i = 0; i < sizeof built_in / sizeof built_in[0]; i++)
        if (strcmp(built_in[i].program, program) == 0)
            return built_in[i].where;
    return NULL;
}

/* One process for the whole service. */
static bool is_single(const struct service *v)
{
    static const char *const single[] = {"qmgr", "pickup", "anvil", "auth", "postlogd", "showq"};
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++)
        if (strcmp(v->command, single[i]) == 0)
            return true;
    return v->type == SERVICE_FIFO || v->type == SERVICE_UNIX_DGRAM;
}

/* The root daemons of deliveries and sessions spread their work over processes of users already; one of each is enough.
 */
static bool hands_work_on(const struct service *v)
{
    return strcmp(v->command, "local") == 0 || strcmp(v->command, "virtual") == 0 || strcmp(v->command, "pipe") == 0 ||
           strcmp(v->command, "error") == 0 || strcmp(v->command, "bounce") == 0 ||
           strcmp(v->command, "trivial-rewrite") == 0 ||
           (v->type == SERVICE_UNIX && (strcmp(v->command, "imapd") == 0 || strcmp(v->command, "pop3d") == 0));
}

static unsigned workers_of(const struct service *v)
{
    int64_t n = master.common.service_workers ? master.common.service_workers : get_nprocs();
    if (is_single(v) || hands_work_on(v))
        return 1;
    return v->maxproc > 0 && v->maxproc < n ? (unsigned)v->maxproc : (unsigned)n;
}

static struct supervised *supervised_new(const struct service *from)
{
    struct supervised *s = MEM_NEW(struct supervised);
    struct arena *a = s->arena = arena_new();
    struct service *v = &s->service;
    *v = *from;
    v->name = arena_strdup(a, from->name);
    v->command = arena_strdup(a, from->command);
    v->args = ARENA_ARRAY(a, const char *, from->n_args + 1);
    for (size_t i = 0; i < from->n_args; i++)
        v->args[i] = arena_strdup(a, from->args[i]);
    v->next = NULL;
    list_init(&s->link);
    list_init(&s->workers);
    s->program = arena_printf(a, "%s/%s", master.daemon_dir, v->command);
    s->workers_wanted = workers_of(v);
    /* The queue manager works without clients, and those that are woken by time have nobody else to start them. */
    s->lazy = strcmp(v->command, "qmgr") != 0;
    return s;
}

static void supervised_free(struct supervised *s)
{
    list_remove(&s->link);
    arena_free(&s->arena);
    free(s);
}

static bool same_address(const struct service *a, const struct service *b)
{
    return strcmp(a->name, b->name) == 0 && a->type == b->type && a->is_private == b->is_private;
}

static struct supervised *find(struct list *in, const struct service *v)
{
    LIST_EACH (l, in)
        if (same_address(&LIST_ENTRY(l, struct supervised, link)->service, v))
            return LIST_ENTRY(l, struct supervised, link);
    return NULL;
}

static void move_listeners(struct supervised *to, struct supervised *from)
{
    memcpy(to->fds, from->fds, sizeof to->fds);
    memcpy(to->paths, from->paths, sizeof to->paths);
    to->n_fds = from->n_fds;
    from->n_fds = 0;
    memset(from->paths, 0, sizeof from->paths);
}

/* Makes one service of the new master.cf: with the old one's sockets, if there is one. */
static bool take_service(struct service *v, struct list *fresh, struct buf *err)
{
    const char *where = built_in_where(v->command);
    if (where) {
        log_info("service %s/%s: there is no %s here: %s", v->name, service_type_name(v->type), v->command, where);
        return true;
    }
    struct supervised *s = supervised_new(v);
    if (access(s->program, X_OK) != 0) {
        /* One line that names what is not there costs the others nothing. */
        log_error("%s/master.cf, line %d: service %s: %s: %s; this service is not started", conf_dir(master.conf),
                  v->line, v->name, s->program, strerror(errno));
        supervised_free(s);
        return true;
    }
    struct supervised *old = find(&master.services, v);
    if (old && old->n_fds)
        move_listeners(s, old);
    else if (!listener_open(s, err)) {
        listener_close(s, true);
        supervised_free(s);
        return false;
    }
    list_append(fresh, &s->link);
    return true;
}

bool services_load(struct buf *err)
{
    struct arena *a = arena_new();
    MEM_AUTO char *file = mem_printf("%s/master.cf", conf_dir(master.conf));
    struct list fresh = LIST_INIT(fresh);
    struct service *v = master_cf_read(a, file, false, err);
    bool ok = v != NULL;
    for (; v && ok; v = v->next)
        ok = take_service(v, &fresh, err);
    /* What is not in the new file, or was there before: its sockets are closed or were moved, its workers finish what
     * they have. */
    LIST_EACH_SAFE (l, &master.services) {
        struct supervised *old = LIST_ENTRY(l, struct supervised, link);
        if (!ok && find(&fresh, &old->service))
            move_listeners(old, find(&fresh, &old->service));
        if (!ok)
            continue;
        listener_close(old, true);
        old->removed = true;
        if (old->watcher)
            fiber_cancel(old->watcher);
        if (old->waker)
            fiber_cancel(old->waker);
    }
    for (struct list *l; (l = list_pop(&fresh));) {
        struct supervised *s = LIST_ENTRY(l, struct supervised, link);
        if (ok) {
            list_append(&master.services, &s->link);
            continue;
        }
        listener_close(s, true);
        supervised_free(s);
    }
    arena_free(&a);
    return ok;
}

void services_drain(void)
{
    LIST_EACH (l, &master.services) {
        struct supervised *s = LIST_ENTRY(l, struct supervised, link);
        LIST_EACH (k, &s->workers) {
            struct worker *w = LIST_ENTRY(k, struct worker, link);
            w->draining = true;
            kill(w->pid, SIGHUP);
        }
    }
}

void services_close(void)
{
    LIST_EACH (l, &master.services)
        listener_close(LIST_ENTRY(l, struct supervised, link), true);
}

/* Waits on the service's sockets until a client is there: any of them. */
static bool client_waits(struct supervised *s)
{
    struct pollfd fds[LISTENERS_MOST];
    for (int i = 0; i < s->n_fds; i++)
        fds[i] = (struct pollfd){.fd = s->fds[i], .events = POLLIN};
    return poll(fds, (nfds_t)s->n_fds, 0) > 0;
}

/* One descriptor that is readable when any of the service's sockets is. */
static int epoll_of(const struct supervised *s)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < s->n_fds && epoll >= 0; i++) {
        struct epoll_event e = {.events = EPOLLIN};
        epoll_ctl(epoll, EPOLL_CTL_ADD, s->fds[i], &e);
    }
    return epoll;
}

/* A process that drains, of a service that must be alone: a reload's old one, or one that makes way by itself. */
static bool predecessor_lives(const struct supervised *s)
{
    if (!is_single(&s->service))
        return false;
    LIST_EACH (l, &s->workers)
        if (LIST_ENTRY(l, struct worker, link)->draining)
            return true;
    LIST_EACH (l, &master.services) {
        const struct supervised *o = LIST_ENTRY(l, struct supervised, link);
        if (o != s && o->removed && same_address(&o->service, &s->service) && !list_empty(&o->workers))
            return true;
    }
    return false;
}

/* A fiber for each service without a worker: until a client comes, or the throttle ends. */
static void watch_fiber(void *arg)
{
    struct supervised *s = arg;
    int epoll = epoll_of(s);
    struct io io;
    io_init(&io, epoll);
    while (!master.stopping && !s->removed && epoll >= 0) {
        if (clock_mono() < s->throttled_until && fiber_sleep(s->throttled_until) == WAIT_CANCELLED)
            break;
        if (predecessor_lives(s)) {
            if (fiber_sleep(deadline_in_ms(PREDECESSOR_LOOK_MS)) == WAIT_CANCELLED)
                break;
            continue;
        }
        if (!s->lazy || client_waits(s)) {
            worker_start_all(s);
            break;
        }
        io_attempt(&io, IO_READ);
        if (client_waits(s))
            continue;
        if (io_wait(&io, IO_READ, DEADLINE_NEVER) != WAIT_OK)
            break;
    }
    io_fini(&io);
    if (epoll >= 0)
        close(epoll);
    s->watcher = NULL;
}

/* Wakes a service by time (wakeup column). With '?', only one that runs. */
static void wakeup_fiber(void *arg)
{
    struct supervised *s = arg;
    while (!s->removed && !master.stopping) {
        if (!s->service.wakeup_only_if_used || !list_empty(&s->workers))
            worker_wake(s, 'W');
        if (fiber_sleep(deadline_in(s->service.wakeup)) == WAIT_CANCELLED)
            break;
    }
    s->waker = NULL;
}

void services_start(void)
{
    LIST_EACH_SAFE (l, &master.services) {
        struct supervised *s = LIST_ENTRY(l, struct supervised, link);
        if (s->removed) {
            if (list_empty(&s->workers) && !s->watcher && !s->waker)
                supervised_free(s);
            continue;
        }
        if (s->service.wakeup > 0 && !s->waker)
            s->waker = fiber_start("wakeup", wakeup_fiber, s);
        if (worker_serving(s) > 0)
            worker_start_all(s);
        else if (!s->watcher)
            s->watcher = fiber_start(s->service.name, watch_fiber, s);
    }
}
