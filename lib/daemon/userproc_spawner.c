/* userproc_spawner.c - see userproc_spawner.h. A request is one packet with one descriptor. */
#include "lib/daemon/userproc_spawner.h"

#include "lib/base/log.h"
#include "lib/daemon/daemon.h"
#include "lib/daemon/sandbox.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct request {
    uid_t uid;
    gid_t gid;
    uint32_t n_groups;
    gid_t groups[SPAWNER_GROUPS_MAX];
};
union control {
    struct cmsghdr head;
    char space[CMSG_SPACE(sizeof(int))];
};

bool spawner_request(int spawner, uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups, int control)
{
    struct request q = {.uid = uid, .gid = gid, .n_groups = (uint32_t)n_groups};
    union control c = {0};
    if (n_groups > SPAWNER_GROUPS_MAX)
        q.n_groups = SPAWNER_GROUPS_MAX;
    if (n_groups)
        memcpy(q.groups, groups, q.n_groups * sizeof *groups);
    struct iovec iov = {&q, offsetof(struct request, groups) + q.n_groups * sizeof *groups};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c.space};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof control);
    memcpy(CMSG_DATA(h), &control, sizeof control);
    return sendmsg(spawner, &m, MSG_NOSIGNAL) > 0;
}

/* They are no workers of master's: what killed one is told here, in the words that master uses. */
static void reap(const struct userproc_config *c)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        if (WIFSIGNALED(status))
            log_warn("process %s (of a user) pid %d killed by signal %d", c->name, (int)pid, WTERMSIG(status));
    log_flush();
}

/* Only wakes ppoll, outside of which it is blocked. */
static void on_child(int signo)
{
}

static void watch_children(void)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = on_child}, NULL);
}

/* 1: a request; 0: the daemon is gone; -1: none that can be used. */
static int receive(int from, struct request *q, int *control)
{
    struct pollfd readable = {.fd = from, .events = POLLIN};
    sigset_t none;
    sigemptyset(&none);
    *control = -1;
    if (ppoll(&readable, 1, NULL, &none) <= 0)
        return -1;
    union control c;
    struct iovec iov = {q, sizeof *q};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c.space};
    ssize_t n = recvmsg(from, &m, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR)
        return -1;
    if (n <= 0)
        return 0;
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
        memcpy(control, CMSG_DATA(h), sizeof *control);
    size_t head = offsetof(struct request, groups);
    bool whole =
        (size_t)n >= head && q->n_groups <= SPAWNER_GROUPS_MAX && (size_t)n == head + q->n_groups * sizeof q->groups[0];
    return whole && *control >= 0 ? 1 : -1;
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

static void die(const char *what, uid_t uid, const char *why)
{
    log_error("%s %u: %s", what, (unsigned)uid, why);
    log_flush();
    _exit(1);
}

static void become_user(const struct userproc_config *c, const struct request *q, int control,
                        void (*run)(const struct userproc_config *c, int control))
{
    BUF_AUTO err = BUF(1000);
    struct sandbox_user u = {q->uid, q->gid, q->groups, q->n_groups, .programs = !c->confined};
    close_others(control, log_fd());
    for (int signo = 1; signo < NSIG; signo++)
        if (signo != SIGPIPE)
            signal(signo, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_NAME, daemon_env->daemon->name);
    if (!sandbox_enter_user(&u, daemon_env->conf, &daemon_env->common, &err))
        die("cannot become user", q->uid, buf_cstr(&err));
    if (daemon_env->probe)
        _exit(sandbox_probe_user(c->name, !c->confined) ? 0 : 1);
    run(c, control);
    _exit(0);
}

static void serve(const struct userproc_config *c, int from, void (*run)(const struct userproc_config *c, int control))
    __attribute__((noreturn));
static void serve(const struct userproc_config *c, int from, void (*run)(const struct userproc_config *c, int control))
{
    struct request q;
    int control, got;
    while ((got = receive(from, &q, &control)) != 0) {
        pid_t pid = -1;
        reap(c);
        bool good = got > 0 && (!daemon_is_root() || q.uid >= c->minimum_uid);
        if (good && daemon_env->probe)
            sandbox_probe_spawner(c->name, !c->confined);
        if (good && (pid = fork()) == 0)
            become_user(c, &q, control, run);
        if (good && pid < 0)
            log_error("cannot start a process for user id %u: %s", (unsigned)q.uid, strerror(errno));
        else if (!good && got > 0)
            log_error("no process for user id %u: the lowest is %u", (unsigned)q.uid, (unsigned)c->minimum_uid);
        log_flush();
        if (control >= 0)
            close(control);
    }
    _exit(0);
}

int spawner_start(const struct userproc_config *c, void (*run)(const struct userproc_config *c, int control))
{
    int pair[2];
    BUF_AUTO err = BUF(1000);
    char name[16];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    log_flush(); /* or the child would write these lines again */
    pid_t pid = fork();
    if (pid != 0) {
        close(pair[1]);
        if (pid > 0)
            return pair[0];
        close(pair[0]);
        return -1;
    }
    close_others(pair[1], log_fd());
    /* It ends when the daemon does, which is seen at the socket; a signal to the whole group is not for it. */
    static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    watch_children();
    snprintf(name, sizeof name, "%.9s-users", daemon_env->daemon->name);
    prctl(PR_SET_NAME, name);
    if (!sandbox_enter_spawner(&daemon_env->common, !c->confined, &err))
        die("cannot keep apart the rights of user", geteuid(), buf_cstr(&err));
    serve(c, pair[1], run);
}
