/* sandbox_probe.c - see sandbox.h: a process of each kind tries what its row forbids. */
#include "lib/base/log.h"
#include "lib/daemon/sandbox.h"
#include "lib/daemon/sandbox_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct probe {
    const char *name;
    bool ok;
};

static void report(struct probe *p, const char *what, bool allowed)
{
    p->ok &= !allowed;
    printf("sandbox %s %s %s\n", p->name, what, allowed ? "allowed" : "denied");
}

static bool can_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Files that `merpati check` made: "any" everyone may read, "root" root alone, "user" a user alone. */
static void read_made(struct probe *p, const char *file)
{
    char path[4096], what[60];
    const char *dir = getenv("MERPATI_PROBE");
    if (!dir)
        return;
    snprintf(path, sizeof path, "%s/%s", dir, file);
    snprintf(what, sizeof what, "read:file-of-%s", file);
    report(p, what, can_open(path, O_RDONLY));
}

static void socket_of(struct probe *p, int family, const char *what)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    report(p, what, fd >= 0);
    if (fd >= 0)
        close(fd);
}

static void process(struct probe *p)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    if (child > 0)
        waitpid(child, NULL, 0);
    report(p, "fork", child > 0);
}

/* A program that there is not: what is refused is refused before it is looked for. */
static void program(struct probe *p)
{
    char *const none[] = {NULL};
    execve("/nonexistent/program", none, none);
    report(p, "exec", errno == ENOENT);
}

/* Calls that would do nothing here, and that the filter alone refuses. */
static void calls_of_nobody(struct probe *p)
{
    report(p, "ptrace", ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0);
    report(p, "call:io_uring_setup", syscall(SYS_io_uring_setup, 0, NULL) == 0 || errno != EPERM);
    report(p, "call:keyctl", syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -3, 0) >= 0 || errno != EPERM);
    report(p, "call:userfaultfd", syscall(SYS_userfaultfd, O_CLOEXEC | 1) >= 0 || errno != EPERM);
    report(p, "call:kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0xffffffff) == 0 || errno != EPERM);
    report(p, "call:setns", syscall(SYS_setns, -1, 0) == 0 || errno != EPERM);
}

static void calls_of_others(struct probe *p)
{
    report(p, "call:setresuid", setresuid(geteuid(), geteuid(), geteuid()) == 0);
    report(p, "call:chroot", chroot("/") == 0 || errno != EPERM);
    report(p, "call:personality", syscall(SYS_personality, 0xffffffff) >= 0);
    report(p, "call:unshare", syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */) == 0);
    socket_of(p, AF_NETLINK == 16 ? AF_PACKET : 0, "socket:packet");
    socket_of(p, AF_VSOCK, "socket:vsock");
}

static void privileges(struct probe *p, bool may_gain)
{
    report(p, "dumpable", prctl(PR_GET_DUMPABLE) != 0);
    if (!may_gain)
        report(p, "new-privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
}

static bool finish(const struct probe *p)
{
    fflush(stdout);
    return p->ok;
}

bool sandbox_probe(const struct daemon *d)
{
    struct probe p = {d->name, true};
    unsigned needs = daemon_env->needs;
    calls_of_nobody(&p);
    if (needs & NEEDS_PAM) /* PAM's modules are programs of others, as root */
        return finish(&p);
    privileges(&p, false);
    read_made(&p, "any");
    read_made(&p, "root");
    read_made(&p, "user");
    /* Without a chroot /etc may be one of the folders that are open: that of the table of users. */
    if (daemon_is_root() && !(needs & (NEEDS_CONF_READ | NEEDS_NAMES)))
        report(&p, "read:/etc/passwd", can_open("/etc/passwd", O_RDONLY));
    report(&p, "read:/proc/1/environ", can_open("/proc/1/environ", O_RDONLY));
    report(&p, "write:/etc", can_open("/etc/merpati-probe", O_WRONLY | O_CREAT));
    report(&p, "write:/tmp", can_open("/tmp", O_WRONLY | O_TMPFILE));
    if (!(needs & NEEDS_QUEUE_WRITE)) {
        report(&p, "read:queue", can_open("incoming", O_RDONLY | O_DIRECTORY));
        report(&p, "write:queue", can_open("incoming", O_WRONLY | O_TMPFILE));
    }
    if (!(needs & NEEDS_INET))
        socket_of(&p, AF_INET, "socket:inet");
    process(&p);
    program(&p);
    calls_of_others(&p);
    report(&p, "signal", kill(getppid(), 0) == 0);
    return finish(&p);
}

bool sandbox_probe_spawner(const char *name, bool programs)
{
    char title[60];
    snprintf(title, sizeof title, "%s-spawner", name);
    struct probe p = {title, true};
    bool root = daemon_is_root();
    if (root || !programs)
        calls_of_nobody(&p);
    privileges(&p, programs);
    if (root) {
        read_made(&p, "root");
        read_made(&p, "user");
        report(&p, "read:/etc/shadow", can_open("/etc/shadow", O_RDONLY));
        report(&p, "write:/etc", can_open("/etc/merpati-probe", O_WRONLY | O_CREAT));
        report(&p, "call:chroot", chroot("/") == 0);
    }
    if (!programs) {
        program(&p);
        socket_of(&p, AF_INET, "socket:inet");
    }
    return finish(&p);
}

bool sandbox_probe_user(const char *name, bool programs)
{
    char title[60];
    snprintf(title, sizeof title, "%s-user", name);
    struct probe p = {title, true};
    bool root = daemon_is_root();
    if (root || !programs)
        calls_of_nobody(&p);
    privileges(&p, programs);
    if (root) {
        read_made(&p, "root");
        read_made(&p, "user");
        report(&p, "read:queue", can_open("incoming", O_RDONLY | O_DIRECTORY));
        report(&p, "read:/etc/shadow", can_open("/etc/shadow", O_RDONLY));
        report(&p, "write:/etc", can_open("/etc/merpati-probe", O_WRONLY | O_CREAT));
        report(&p, "become-root", setuid(0) == 0);
    }
    if (programs)
        return finish(&p);
    report(&p, "read:/etc/passwd", can_open("/etc/passwd", O_RDONLY));
    report(&p, "read:/proc/self/maps", can_open("/proc/self/maps", O_RDONLY));
    socket_of(&p, AF_INET, "socket:inet");
    process(&p);
    program(&p);
    calls_of_others(&p);
    return finish(&p);
}

bool sandbox_probe_master(void)
{
    struct probe p = {"master", true};
    privileges(&p, true);
    if (!daemon_is_root())
        return finish(&p);
    calls_of_nobody(&p);
    read_made(&p, "user");
    report(&p, "call:setresuid", setresuid(65533, (uid_t)-1, (uid_t)-1) == 0);
    report(&p, "call:chroot", chroot("/") == 0);
    report(&p, "call:mount", syscall(SYS_mount, "none", "/", NULL, 0, NULL) == 0);
    report(&p, "call:sethostname", sethostname("x", 0) == 0);
    return finish(&p);
}
