/* main.c - the supervisor: reads master.cf, opens the sockets, starts, watches and restarts the daemons.
 *
 * Master opens every listening socket itself and passes it on, so that no daemon needs a privilege for its port, and no
 * client is refused while a daemon is started again. A service is started by its first client; the queue manager at
 * once. A daemon that dies is started again; one that fails as it starts is left alone for service_throttle_time.
 *
 * Signals: HUP reads the configuration again (daemons finish what they have, new ones take over), TERM and INT end
 * everything within seconds, QUIT at once.
 *
 * The command merpati(1) starts and stops it. The environment variable MERPATI_READY names a descriptor on which the
 * command waits for "ready", or reads why not. */
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/daemon/log_target.h"
#include "lib/daemon/owners.h"
#include "lib/daemon/sandbox.h"
#include "lib/rt/fiber.h"
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STOP_SECONDS = 6 };

struct master master = {.services = LIST_INIT(master.services)};

static const struct param param_table[] = {
/* clang-format off */
#define PARAM_OWNER struct master_params
#include "lib/conf/param_table.h"
#include "master/params.def"
#include "lib/conf/param_end.h"
    /* clang-format on */
};

/* Tells the command that started us, and the log. */
static void die(const char *why) __attribute__((noreturn));
static void die(const char *why)
{
    fprintf(stderr, "postfix/master: fatal: %s\n", why);
    log_fatal("%s", why);
}

static void tell(const char *text)
{
    log_warn("%s", text);
}

static bool read_configuration(struct buf *err)
{
    struct conf *fresh = conf_load(NULL, err);
    if (!fresh)
        return false;
    conf_register(common_param_table, common_param_count);
    conf_register(param_table, sizeof param_table / sizeof param_table[0]);
    struct common_params common;
    struct master_params params;
    if (!conf_bind(fresh, common_param_table, common_param_count, &common, err) ||
        !conf_bind(fresh, param_table, sizeof param_table / sizeof param_table[0], &params, err)) {
        conf_free(&fresh);
        return false;
    }
    BUF_AUTO warning = BUF(1000);
    struct conf *old = master.conf;
    master.conf = fresh;
    master.common = common;
    master.params = params;
    log_target_open(&master.common, "master");
    owners_settle(fresh, &master.common, tell);
    master.daemon_dir = conf_daemon_directory(fresh, &warning);
    if (warning.len)
        log_warn("%s", buf_cstr(&warning));
    conf_free(&old);
    return true;
}

/* Holds the lock for as long as the process lives. */
static void lock_pid_file(void)
{
    int fd = open("pid/master.pid", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        MEM_AUTO char *why = mem_printf("open pid/master.pid below queue_directory = %s: %s",
                                        master.common.queue_directory, strerror(errno));
        die(why);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        die("the mail system is already running");
    char text[30];
    int n = snprintf(text, sizeof text, "%15d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || write(fd, text, (size_t)n) != n)
        die("cannot write pid/master.pid");
}

static void say_ready(void)
{
    const char *text = getenv("MERPATI_READY");
    if (!text)
        return;
    int fd = (int)strtol(text, NULL, 10);
    unsetenv("MERPATI_READY");
    if (write(fd, "ready\n", 6) != 6)
        log_warn("nobody waits for the start");
    close(fd);
    /* From here on there is only the log. */
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 0);
    if (strcmp(master.common.maillog_file, "/dev/stdout") != 0)
        dup2(null, 1);
    dup2(null, 2);
    close(null);
}

static void on_child(int signo)
{
    worker_reap();
}

static void reload_fiber(void *arg)
{
    BUF_AUTO err = BUF(2000);
    sandbox_master_open(true);
    if (!read_configuration(&err)) {
        sandbox_master_open(false);
        log_error("reload: %s; the old configuration stays", buf_cstr(&err));
        return;
    }
    log_info("reload -- version %s, configuration %s", MERPATI_VERSION, conf_dir(master.conf));
    services_drain();
    if (!services_load(&err))
        log_error("reload: %s; the old services stay", buf_cstr(&err));
    sandbox_master_open(false);
    services_start();
}

static void on_hangup(int signo)
{
    fiber_start("reload", reload_fiber, NULL);
}

static void stop_fiber(void *arg)
{
    int64_t until = deadline_in(STOP_SECONDS);
    sandbox_master_open(true);
    services_close();
    sandbox_master_open(false);
    worker_signal_all(SIGTERM);
    while (worker_count() && clock_mono() < until)
        fiber_sleep(deadline_in_ms(20));
    worker_signal_all(SIGKILL);
    log_flush();
    sandbox_master_open(true);
    unlink("pid/master.pid");
    _exit(0);
}

/* At once: nobody is asked. What was acknowledged is on stable storage, as after a power cut. */
static void on_quit(int signo)
{
    log_info("aborting on signal %d", signo);
    log_flush();
    sandbox_master_open(true);
    services_close();
    unlink("pid/master.pid");
    worker_signal_all(SIGKILL);
    /* Processes of users are of our group, unless that is the terminal's; commands of users have sessions of their own,
     * and end by themselves. */
    if (getpgrp() == getpid())
        kill(0, SIGKILL);
    _exit(0);
}

static void on_terminate(int signo)
{
    if (master.stopping)
        return;
    master.stopping = true;
    log_info("terminating on signal %d", signo);
    fiber_start("stop", stop_fiber, NULL);
}

static void first_fiber(void *arg)
{
    loop_at_idle(log_flush);
    loop_on_signal(SIGCHLD, on_child);
    loop_on_signal(SIGHUP, on_hangup);
    loop_on_signal(SIGTERM, on_terminate);
    loop_on_signal(SIGINT, on_terminate);
    loop_on_signal(SIGQUIT, on_quit);
    services_start();
    log_info("daemon started -- version %s, configuration %s", MERPATI_VERSION, conf_dir(master.conf));
    say_ready();
    fiber_sleep(DEADLINE_NEVER);
}

/* Descriptors of whoever started us are not for our children; that of the command is. */
static void close_strays(void)
{
    const char *ready = getenv("MERPATI_READY");
    int keep = ready ? (int)strtol(ready, NULL, 10) : 2;
    if (keep > 3)
        close_range(3, (unsigned)keep - 1, 0);
    close_range(keep > 2 ? (unsigned)keep + 1 : 3, ~0U, 0);
}

/* For `merpati check --sandbox`. */
static int probe(void)
{
    BUF_AUTO err = BUF(1000);
    const char *lacks;
    for (unsigned i = 0; (lacks = sandbox_lacks(i)); i++)
        log_warn("%s", lacks);
    if (!sandbox_enter_master(&err))
        log_fatal("%s", buf_cstr(&err));
    return sandbox_probe_master() ? 0 : 1;
}

int main(int argc, char **argv)
{
    BUF_AUTO err = BUF(2000);
    signal(SIGPIPE, SIG_IGN);
    umask(022);
    log_open("postfix/master", LOG_SINK_STDERR, 2);
    for (int i = 1; i + 1 < argc; i += 2)
        if (strcmp(argv[i], "-c") == 0)
            setenv("MAIL_CONFIG", argv[i + 1], 1);
    if (argc == 2 && strcmp(argv[1], "--sandbox") == 0)
        return probe();
    close_strays();
    if (!read_configuration(&err))
        log_fatal("%s", buf_cstr(&err));
    if (chdir(master.common.queue_directory) != 0) {
        MEM_AUTO char *why = mem_printf("queue_directory = %s: %s", master.common.queue_directory, strerror(errno));
        die(why);
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    lock_pid_file();
    if (!services_load(&err)) {
        services_close();
        unlink("pid/master.pid");
        die(buf_cstr(&err));
    }
    if (!sandbox_enter_master(&err))
        die(buf_cstr(&err));
    const char *lacks;
    for (unsigned i = 0; (lacks = sandbox_lacks(i)); i++)
        log_warn("%s", lacks);
    loop_run("master", first_fiber, NULL);
    return 0;
}
