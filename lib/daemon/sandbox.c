/* sandbox.c - see sandbox.h. The order matters: files first (Landlock needs paths), then the root directory and the
 * user, then the system calls, which the steps before still needed. */
#include "lib/daemon/sandbox.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Newer than Debian 12's kernel headers. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
enum { NET_BIND_TCP = 1, NET_CONNECT_TCP = 2 };
struct ruleset_with_net {
    __u64 handled_access_fs;
    __u64 handled_access_net;
};

static bool fail(struct buf *err, const char *what)
{
    buf_printf(err, "cannot %s: %s", what, strerror(errno));
    return false;
}

/* ---- Landlock ---- */

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE                                                                                      \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |       \
     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define FS_EXEC LANDLOCK_ACCESS_FS_EXECUTE
#define FS_DEVICES (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)

static __u64 newer_fs_rights(long abi)
{
    return (abi >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0) | (abi >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0);
}

static void allow_beneath(int ruleset, const char *path, __u64 rights)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = open(path, O_PATH | O_CLOEXEC)};
    if (rule.parent_fd < 0)
        return;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        log_warn("landlock: %s: %s", path, strerror(errno));
    close(rule.parent_fd);
}

/* The folders of the tables, which lib/map holds open to read a table again when it was replaced. */
static void allow_open_folders(int ruleset)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));) {
        char *end;
        struct stat st;
        int fd = (int)strtol(e->d_name, &end, 10);
        if (*end || fd == dirfd(dir) || fstat(fd, &st) != 0 || !S_ISDIR(st.st_mode))
            continue;
        struct landlock_path_beneath_attr rule = {.allowed_access = FS_READ, .parent_fd = fd};
        syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    }
    closedir(dir);
}

/* Before chroot, because rules are made of paths. -1: this kernel has no Landlock. */
static int files_ruleset(const struct daemon *d, const struct common_params *p)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi <= 0) {
        log_warn("this kernel has no Landlock: files are held off by ownership and chroot only");
        return -1;
    }
    __u64 write = FS_WRITE | newer_fs_rights(abi);
    struct ruleset_with_net attr = {.handled_access_fs = FS_READ | write | FS_EXEC | FS_DEVICES};
    if (abi >= 4 && !(d->needs & NEEDS_INET))
        attr.handled_access_net = NET_BIND_TCP | NET_CONNECT_TCP;
    int ruleset =
        (int)syscall(SYS_landlock_create_ruleset, &attr, abi >= 4 ? sizeof attr : sizeof attr.handled_access_fs, 0);
    if (ruleset < 0) {
        log_warn("cannot make a Landlock ruleset: %s", strerror(errno));
        return -1;
    }
    if (d->needs & NEEDS_QUEUE_WRITE)
        allow_beneath(ruleset, ".", FS_READ | write);
    if (d->needs & NEEDS_CONF_READ)
        allow_beneath(ruleset, "/", FS_READ);
    if (d->needs & NEEDS_DATA_WRITE)
        allow_beneath(ruleset, p->data_directory, FS_READ | write);
    allow_open_folders(ruleset);
    return ruleset;
}

bool sandbox_files_beneath(const char *const *folders, size_t n)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 2) { /* the first kernels with Landlock forbid every rename to another folder */
        errno = EOPNOTSUPP;
        return false;
    }
    __u64 write = FS_WRITE | newer_fs_rights(abi);
    struct ruleset_with_net attr = {.handled_access_fs = FS_READ | write | FS_EXEC | FS_DEVICES};
    FD_AUTO ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0);
    if (ruleset < 0)
        return false;
    for (size_t i = 0; i < n; i++)
        allow_beneath(ruleset, folders[i], FS_READ | write);
    return syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
}

/* ---- user and root directory ---- */

static const struct passwd *user_of(const struct daemon *d, const struct common_params *p, struct buf *err)
{
    const char *name = d->user == DAEMON_AS_NET ? p->net_owner : p->mail_owner;
    struct passwd *pw = getpwnam(name);
    if (!pw && d->user == DAEMON_AS_NET) {
        log_warn("user %s (net_owner) does not exist, %s serves; `merpati set-permissions` makes it", name,
                 p->mail_owner);
        name = p->mail_owner;
        pw = getpwnam(name);
    }
    if (!pw)
        buf_printf(err, "user %s (mail_owner) does not exist; `merpati set-permissions` makes it", name);
    return pw;
}

static bool become(const struct passwd *pw, struct buf *err)
{
    if (setgroups(0, NULL) != 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
        return fail(err, "change the user");
    return true;
}

static void set_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

/* ---- system calls ---- */

bool sandbox_filter(unsigned needs, struct buf *err)
{
    static const char *const never[] = {
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "mount",
        "umount2",
        "pivot_root",
        "chroot",
        "init_module",
        "finit_module",
        "delete_module",
        "kexec_load",
        "kexec_file_load",
        "reboot",
        "swapon",
        "swapoff",
        "settimeofday",
        "clock_settime",
        "adjtimex",
        "sethostname",
        "setdomainname",
        "keyctl",
        "add_key",
        "request_key",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "open_by_handle_at",
        "setns",
        "iopl",
        "ioperm",
        "acct",
        "quotactl",
        "syslog",
        "fsopen",
        "fsmount",
        "move_mount",
        "open_tree",
        "pidfd_getfd",
        "io_uring_setup",
    };
    static const char *const processes[] = {"execve", "execveat", "fork", "vfork"};
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (!ctx)
        return fail(err, "make a system call filter");
    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, needs & NEEDS_PROCESSES ? 0 : 1);
    int bad = 0;
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        bad |= seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), seccomp_syscall_resolve_name(never[i]), 0);
    /* A private working directory for a thread is how lib/map opens a replaced table; name spaces are not to be had. */
    bad |= seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1, SCMP_A0(SCMP_CMP_NE, CLONE_FS));
    if (!(needs & NEEDS_PROCESSES)) {
        for (size_t i = 0; i < sizeof processes / sizeof processes[0]; i++)
            bad |= seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), seccomp_syscall_resolve_name(processes[i]), 0);
        /* Threads yes, processes no. clone3 hides its flags: the C library falls back to clone. */
        bad |= seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
        bad |= seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    }
    if (!(needs & NEEDS_INET))
        for (int family = AF_INET; family; family = family == AF_INET ? AF_INET6 : 0)
            bad |= seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1,
                                    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family));
    int loaded = bad ? bad : seccomp_load(ctx);
    seccomp_release(ctx);
    if (loaded == 0)
        return true;
    errno = -loaded;
    log_warn("no system call filter: %s", strerror(errno));
    return true;
}

bool sandbox_enter(const struct daemon *d, const struct common_params *p, struct buf *err)
{
    bool root = daemon_is_root();
    const struct passwd *pw = NULL;
    set_limits();
    if (d->user == DAEMON_AS_ROOT)
        return true; /* its children are restricted as they become users; commands of users may be set-gid (sendmail) */
    if (root && !(pw = user_of(d, p, err)))
        return false;
    FD_AUTO ruleset = files_ruleset(d, p);
    if (root && !(d->needs & (NEEDS_CONF_READ | NEEDS_DATA_WRITE | NEEDS_PROCESSES))) {
        char here[4096];
        if (!getcwd(here, sizeof here) || chroot(here) != 0 || chdir("/") != 0)
            return fail(err, "make the queue directory the root directory");
    }
    if (pw && !become(pw, err))
        return false;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail(err, "give up new privileges");
    if (ruleset >= 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        return fail(err, "apply the Landlock ruleset");
    if (!sandbox_filter(d->needs, err))
        return false;
    prctl(PR_SET_DUMPABLE, 0);
    return true;
}

/* ---- the probe ---- */

static void report(const struct daemon *d, const char *what, bool allowed)
{
    printf("sandbox %s %s %s\n", d->name, what, allowed ? "allowed" : "denied");
}

static bool can_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

void sandbox_probe(const struct daemon *d)
{
    if (d->user == DAEMON_AS_ROOT)
        return;
    if (!(d->needs & NEEDS_CONF_READ))
        report(d, "read:/etc/passwd", can_open("/etc/passwd", O_RDONLY));
    report(d, "write:/etc", can_open("/etc/merpati-probe", O_WRONLY | O_CREAT));
    report(d, "write:/tmp", can_open("/tmp", O_WRONLY | O_TMPFILE));
    if (!(d->needs & NEEDS_QUEUE_WRITE))
        report(d, "write:queue", can_open("incoming", O_WRONLY | O_TMPFILE));
    if (!(d->needs & NEEDS_INET)) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        report(d, "socket:inet", fd >= 0);
        if (fd >= 0)
            close(fd);
    }
    if (!(d->needs & NEEDS_PROCESSES)) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        if (child > 0)
            waitpid(child, NULL, 0);
        report(d, "fork", child > 0);
    }
    report(d, "ptrace", ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0);
    fflush(stdout);
}
