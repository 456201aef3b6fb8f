/* daemon.c - the skeleton of every daemon. See daemon.h. */
#include "lib/daemon/daemon.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/vec.h"
#include "lib/daemon/accept.h"
#include "lib/daemon/log_target.h"
#include "lib/daemon/owners.h"
#include "lib/daemon/sandbox.h"
#include "lib/daemon/userproc.h"
#include "lib/map/map.h"
#include "lib/rt/dns.h"
#include "lib/rt/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATUS_FD = 5, FIRST_LISTENER = 6, DRAIN_SECONDS = 3600, STOP_SECONDS = 4, LOOK_SECONDS = 5 };

static struct daemon_env env;
struct daemon_env *const daemon_env = &env;

struct start {
    const char *service, *type;
    VEC(const char *) overrides;
    int listeners;
    int64_t maxproc;
    int verbose;
    bool of_master; /* started by master: has the status socket and the listeners */
    bool probe;     /* print what the sandbox forbids, and end */
    bool check;     /* read the configuration, and end */
};

static void usage(const struct daemon *d, const char *wrong)
{
    fprintf(stderr,
            "%s: %s%s%s\nStarted by master(8) as master.cf says. By hand: %s -n SERVICE --check | --sandbox [-o "
            "name=value]\n",
            d->name, d->summary, wrong ? "\nunknown option " : "", wrong ? wrong : "", d->name);
    exit(wrong ? 64 : 0);
}

/* Options come with their value in the next argument; flags stand alone. */
static void read_arguments(struct start *s, int argc, char **argv, const struct daemon *d)
{
    *s = (struct start){.service = d->name, .type = "unix"};
    for (int i = 1; i < argc; i++) {
        const char *o = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(o, "-n") == 0 || strcmp(o, "-t") == 0 || strcmp(o, "-s") == 0 || strcmp(o, "-m") == 0 ||
            strcmp(o, "-o") == 0) {
            i++;
            if (o[1] == 'n')
                s->service = value;
            else if (o[1] == 't')
                s->type = value;
            else if (o[1] == 's')
                s->listeners = (int)strtol(value, NULL, 10);
            else if (o[1] == 'm')
                s->maxproc = strtoll(value, NULL, 10);
            else
                VEC_PUSH(&s->overrides, value);
        } else if (strcmp(o, "-v") == 0) {
            s->verbose++;
        } else if (strcmp(o, "--sandbox") == 0) {
            s->probe = true;
        } else if (strcmp(o, "--check") == 0) {
            s->check = true;
        } else if (strcmp(o, "-h") == 0 || strcmp(o, "--help") == 0) {
            usage(d, NULL);
        } else if (d->argument && d->argument(argc, argv, &i)) {
            continue;
        } else if (strcmp(o, "-u") != 0 && strcmp(o, "-c") != 0) {
            usage(d, o);
        }
    }
}

/* ---- configuration ---- */

static void load_configuration(const struct daemon *d, struct start *s)
{
    BUF_AUTO err = BUF(2000);
    env.conf = conf_load(NULL, &err);
    if (!env.conf)
        log_fatal("%s", buf_cstr(&err));
    MEM_AUTO char *service = mem_printf("service_name=%s", s->service);
    MEM_AUTO char *process = mem_printf("process_name=%s", d->name);
    bool ok = conf_override(env.conf, service, &err) && conf_override(env.conf, process, &err);
    for (size_t i = 0; ok && i < s->overrides.n; i++)
        ok = conf_override(env.conf, s->overrides.items[i], &err);
    conf_register(common_param_table, common_param_count);
    conf_register(d->params, d->n_params);
    ok = ok && conf_bind(env.conf, common_param_table, common_param_count, &env.common, &err);
    if (ok && !s->check && !s->probe) /* those two are for whoever asked */
        log_target_open(&env.common, d->name);
    ok = ok && (!d->n_params || conf_bind(env.conf, d->params, d->n_params, d->params_struct, &err));
    if (!ok)
        log_fatal("%s", buf_cstr(&err));
    owners_settle(env.conf, &env.common, NULL); /* master told */
}

/* ---- descriptors ---- */

static bool has_master;

static bool is_unix_stream(int fd)
{
    int domain = 0, type = 0;
    socklen_t n = sizeof domain, m = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 && domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &m) == 0 && type == SOCK_STREAM;
}

static bool is_service(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && (S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode));
}

/* Takes what master handed over, and nothing that lay about in whatever else started us. */
static void take_descriptors(struct start *s)
{
    s->of_master = getenv("MERPATI_WORKER") != NULL && is_unix_stream(STATUS_FD);
    unsetenv("MERPATI_WORKER");
    for (int i = 0; s->of_master && i < s->listeners; i++)
        if (!is_service(FIRST_LISTENER + i))
            log_fatal("descriptor %d is no socket of the service", FIRST_LISTENER + i);
    has_master = s->of_master;
    if (!s->of_master)
        s->listeners = 0;
    else
        close_range(3, STATUS_FD - 1, 0);
    close_range(s->of_master ? (unsigned)(FIRST_LISTENER + s->listeners) : 3, ~0U, 0);
}

/* ---- life ---- */

static void enter_drain(void)
{
    if (env.draining)
        return;
    env.draining = true;
    accept_stop();
    ipc_stop_awaiting();
    if (env.daemon->drain)
        env.daemon->drain();
}

static void drain_fiber(void *arg)
{
    enter_drain();
    accept_wait_empty(deadline_in(DRAIN_SECONDS));
    log_flush();
    _exit(0);
}

static void stop_fiber(void *arg)
{
    enter_drain();
    accept_wait_empty(deadline_in(STOP_SECONDS));
    log_flush();
    _exit(0);
}

static void on_hangup(int signo)
{
    fiber_start("drain", drain_fiber, NULL);
}

static void on_terminate(int signo)
{
    fiber_start("stop", stop_fiber, NULL);
}

/* Master is gone: nobody would start what we leave, and the next master wants the ports and the queue. */
static void orphan_fiber(void *arg)
{
    log_warn("master is gone");
    enter_drain();
    accept_wait_empty(deadline_in(STOP_SECONDS));
    log_flush();
    _exit(0);
}

/* Master speaks to a worker over the status socket: a byte is a wake-up, its end the end of master. */
static void status_fiber(void *arg)
{
    struct io io;
    char requests[16];
    fcntl(STATUS_FD, F_SETFL, O_NONBLOCK);
    io_init(&io, STATUS_FD);
    /* Its end may come together with a wake-up, and then no event of its own follows: reads until nothing is there. */
    for (;;) {
        io_attempt(&io, IO_READ);
        ssize_t n = read(STATUS_FD, requests, sizeof requests);
        for (ssize_t i = 0; i < n; i++)
            if (env.daemon->wakeup)
                env.daemon->wakeup(requests[i]);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            break;
        if (n < 0 && errno == EAGAIN && io_wait(&io, IO_READ, DEADLINE_NEVER) != WAIT_OK)
            break;
    }
    io_fini(&io);
    fiber_start("orphan", orphan_fiber, NULL);
}

/* Of our own accord; master is told, so that another takes the clients that come from now on. */
static void make_way(void)
{
    if (env.draining)
        return;
    if (has_master && send(STATUS_FD, "D", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_warn("master cannot be told of the end: %s", strerror(errno));
    fiber_start("drain", drain_fiber, NULL);
}

/* A table that we may not read: whoever starts anew reads it before its privileges go. */
static void on_denied_table(void)
{
    if (env.draining)
        return;
    log_info("a table has changed that only a new process may read: making way for one");
    make_way();
}

/* A worker without a session for max_idle ends; master starts another with the next client. */
static void look_fiber(void *arg)
{
    while (fiber_sleep(deadline_in(LOOK_SECONDS)) == WAIT_TIMEOUT) {
        if (env.draining)
            return;
        if (!env.daemon->single && accept_idle_seconds() >= env.common.max_idle) {
            make_way();
            return;
        }
    }
}

static void first_fiber(void *arg)
{
    struct start *s = arg;
    loop_at_idle(log_flush);
    loop_on_signal(SIGHUP, on_hangup);
    loop_on_signal(SIGTERM, on_terminate);
    if (daemon_is_root() && s->of_master)
        map_on_denied(on_denied_table);
    if (s->of_master)
        fiber_start("status", status_fiber, NULL);
    for (int i = 0; i < s->listeners; i++) {
        int fd = FIRST_LISTENER + i;
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    if (env.daemon->start)
        env.daemon->start();
    if (env.daemon->session || env.daemon->request || env.daemon->wakeup)
        accept_start(FIRST_LISTENER, s->listeners);
    fiber_start("look", look_fiber, NULL);
}

int daemon_main(int argc, char **argv, const struct daemon *d)
{
    struct start s;
    BUF_AUTO err = BUF(4000);
    unsigned seed;
    signal(SIGPIPE, SIG_IGN);
    tzset();
    if (getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed)
        srandom(seed);
    log_open(d->name, LOG_SINK_STDERR, 2);
    read_arguments(&s, argc, argv, d);
    log_set_verbose(s.verbose);
    take_descriptors(&s);
    env.daemon = d;
    env.needs = d->needs;
    env.probe = s.probe;
    env.service = s.service;
    env.type = s.type;
    env.maxproc = s.maxproc;
    load_configuration(d, &s);
    if (chdir(env.common.queue_directory) != 0)
        log_fatal("queue_directory = %s: %s", env.common.queue_directory, strerror(errno));
    umask(077);
    if (*env.common.dns_servers && !dns_set_servers(env.common.dns_servers))
        log_fatal("dns_servers = %s: want address:port, ...", env.common.dns_servers);
    if (d->needs & NEEDS_INET)
        hosts_open("/etc/hosts");
    if ((d->needs & NEEDS_INET) && !dns_init(&err))
        log_fatal("%s", buf_cstr(&err));
    if (d->before_sandbox && !d->before_sandbox(&err))
        log_fatal("%s", buf_cstr(&err));
    if (s.check)
        return 0;
    if (!sandbox_enter(d, &env.common, &err))
        log_fatal("%s", buf_cstr(&err));
    if (s.probe) {
        bool ok = sandbox_probe(d);
        if (env.processes)
            userproc_probe(env.processes);
        return ok ? 0 : 1;
    }
    loop_run("first", first_fiber, &s);
    return 0;
}
