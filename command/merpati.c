/* merpati.c - starts, stops and checks the mail system, and keeps its accounts.
 *
 * merpati [-c DIR] start | start-fg | stop | abort | reload | flush | status
 * merpati [-c DIR] check [--sandbox]
 * merpati [-c DIR] set-permissions [--users-only]
 * merpati [-c DIR] user add|passwd|del NAME | user list
 *
 * -c names the configuration folder; MAIL_CONFIG does the same. Several configurations may run side by side. `start`
 * says what `check` finds, and returns when the mail system takes connections, or says why it does not. Under the name
 * postfix the messages are those of postfix(1). */
#include "command/merpati.h"

#include "command/all_params.h"
#include "command/merpati_user.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/daemon/owners.h"
#include "lib/queue/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STOP_TRIES = 400, STOP_LOOK_MS = 25 };

static void say(const char *text)
{
    fprintf(stderr, "postfix/postfix-script: %s\n", text);
}

static const char *queue_path_of(const struct merpati *m, const char *name, char *dst, size_t size)
{
    snprintf(dst, size, "%s/%s", m->common.queue_directory, name);
    return dst;
}

int merpati_master_pid(const struct merpati *m)
{
    char path[4096], text[40] = "";
    FD_AUTO fd = open(queue_path_of(m, "pid/master.pid", path, sizeof path), O_RDONLY | O_CLOEXEC);
    /* The lock says whether it lives; the number may be an old one. */
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return read(fd, text, sizeof text - 1) > 0 ? (int)strtol(text, NULL, 10) : 0;
}

/* ---- start ---- */

static int run_master(struct merpati *m, int ready)
{
    BUF_AUTO warning = BUF(1000);
    char number[20];
    MEM_AUTO char *program = mem_printf("%s/master", conf_daemon_directory(m->conf, &warning));
    if (warning.len)
        fprintf(stderr, "postfix/postfix-script: warning: %s\n", buf_cstr(&warning));
    setenv("MAIL_CONFIG", conf_dir(m->conf), 1);
    if (ready >= 0) {
        snprintf(number, sizeof number, "%d", ready);
        setenv("MERPATI_READY", number, 1);
    }
    execl(program, "master", (char *)NULL);
    fprintf(stderr, "postfix/postfix-script: fatal: %s: %s\n", program, strerror(errno));
    return 1;
}

static bool prepare(struct merpati *m)
{
    BUF_AUTO err = BUF(2000);
    if (merpati_master_pid(m)) {
        say("fatal: the Postfix mail system is already running");
        return false;
    }
    if (merpati_make_directories(m, &err))
        return true;
    fprintf(stderr, "postfix/postfix-script: fatal: %s\n", buf_cstr(&err));
    return false;
}

static int start(struct merpati *m)
{
    int ready[2];
    char answer[16] = "";
    if (!prepare(m) || pipe(ready) != 0)
        return 1;
    merpati_check(m); /* what is wrong is said at once, not when the first client finds out; the rest goes on */
    say("starting the Postfix mail system");
    pid_t pid = fork();
    if (pid == 0) {
        close(ready[0]);
        setsid();
        int null = open("/dev/null", O_RDONLY);
        dup2(null, 0);
        _exit(run_master(m, ready[1]));
    }
    close(ready[1]);
    ssize_t n = read(ready[0], answer, sizeof answer - 1);
    if (n > 0 && strncmp(answer, "ready", 5) == 0)
        return 0;
    waitpid(pid, NULL, 0);
    say("fatal: mail system startup failed");
    return 1;
}

static int start_foreground(struct merpati *m)
{
    if (!prepare(m))
        return 1;
    merpati_check(m);
    say("starting the Postfix mail system");
    return run_master(m, -1);
}

/* ---- the running one ---- */

static int signal_master(struct merpati *m, int signo, const char *text)
{
    int pid = merpati_master_pid(m);
    if (!pid) {
        say("fatal: the Postfix mail system is not running");
        return 1;
    }
    say(text);
    if (kill(pid, signo) == 0)
        return 0;
    fprintf(stderr, "postfix/postfix-script: fatal: process %d: %s\n", pid, strerror(errno));
    return 1;
}

static int end(struct merpati *m, int signo, const char *text)
{
    int pid = merpati_master_pid(m), rc = signal_master(m, signo, text);
    for (int i = 0; rc == 0 && i < STOP_TRIES && merpati_master_pid(m) == pid; i++)
        poll(NULL, 0, STOP_LOOK_MS);
    return rc;
}

static int stop(struct merpati *m)
{
    return end(m, SIGTERM, "stopping the Postfix mail system");
}

static int stop_at_once(struct merpati *m)
{
    return end(m, SIGQUIT, "aborting the Postfix mail system");
}

static int reload(struct merpati *m)
{
    return signal_master(m, SIGHUP, "refreshing the Postfix mail system");
}

static int status(struct merpati *m)
{
    int pid = merpati_master_pid(m);
    if (pid)
        fprintf(stderr, "postfix/postfix-script: the Postfix mail system is running: PID: %d\n", pid);
    else
        say("the Postfix mail system is not running");
    return pid ? 0 : 1;
}

static int flush(struct merpati *m)
{
    BUF_AUTO err = BUF(300);
    const char *dir = conf_value(m->conf, "command_directory", &err);
    MEM_AUTO char *program = mem_printf("%s/postqueue", dir ? dir : "");
    execl(program, "postqueue", "-c", conf_dir(m->conf), "-f", (char *)NULL);
    fprintf(stderr, "postfix/postfix-script: fatal: %s: %s\n", program, strerror(errno));
    return 1;
}

static int user(struct merpati *m)
{
    return merpati_user(m->conf, m->argc, m->argv);
}

static const struct subcommand {
    const char *name;
    int (*run)(struct merpati *m);
} subcommands[] = {
    {"start", start},   {"start-fg", start_foreground},
    {"stop", stop},     {"abort", stop_at_once},
    {"reload", reload}, {"status", status},
    {"flush", flush},   {"check", merpati_check},
    {"user", user},     {"set-permissions", merpati_set_permissions},
};

static void warn(const char *text)
{
    fprintf(stderr, "postfix/postfix-script: warning: %s\n", text);
}

static int usage(const char *wrong)
{
    if (wrong)
        fprintf(stderr, "merpati: unknown command %s\n", wrong);
    fprintf(stderr,
            "usage: merpati [-c DIR] start|start-fg|stop|abort|reload|flush|status|check|set-permissions|user ...\n");
    return 64;
}

int main(int argc, char **argv)
{
    struct merpati m = {0};
    BUF_AUTO err = BUF(2000);
    const char *dir = NULL;
    int i = 1;
    log_open("merpati", LOG_SINK_STDERR, 2);
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
            dir = argv[++i];
        else if (strcmp(argv[i], "-v") != 0 && strcmp(argv[i], "-D") != 0)
            return usage(argv[i]);
    }
    if (i == argc)
        return usage(NULL);
    const struct subcommand *found = NULL;
    for (size_t k = 0; k < sizeof subcommands / sizeof subcommands[0]; k++)
        if (strcmp(subcommands[k].name, argv[i]) == 0)
            found = &subcommands[k];
    if (!found)
        return usage(argv[i]);
    if (dir)
        setenv("MAIL_CONFIG", dir, 1);
    m.conf = conf_load(dir, &err);
    if (!m.conf &&
        found->run == merpati_set_permissions) /* before there is a configuration: the names are the built-in ones */
        m.conf = conf_parse(conf_default_dir(), SLICE(""), &err);
    conf_register(common_param_table, common_param_count);
    all_params_register();
    if (!m.conf || !conf_bind(m.conf, common_param_table, common_param_count, &m.common, &err)) {
        fprintf(stderr, "merpati: fatal: %s\n", buf_cstr(&err));
        return 1;
    }
    if (found->run != merpati_set_permissions) /* which makes those that are named */
        owners_settle(m.conf, &m.common, found->run == start || found->run == merpati_check ? warn : NULL);
    m.argc = argc - i - 1;
    m.argv = argv + i + 1;
    return found->run(&m);
}
