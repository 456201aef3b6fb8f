/* sandbox_calls.c - see sandbox_private.h. Lists of what is refused: a list of what is allowed would have to follow
 * each library's next version. The first list holds for every process of ours, and for the commands of users; the
 * second for those that run no program but themselves. */
#include "lib/daemon/sandbox_private.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const never[] = {
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "mount",
    "umount2",
    "pivot_root",
    "init_module",
    "finit_module",
    "kexec_load",
    "delete_module",
    "reboot",
    "swapon",
    "kexec_file_load",
    "swapoff",
    "settimeofday",
    "clock_settime",
    "adjtimex",
    "clock_adjtime",
    "sethostname",
    "setdomainname",
    "keyctl",
    "add_key",
    "request_key",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "setns",
    "open_by_handle_at",
    "iopl",
    "ioperm",
    "acct",
    "quotactl",
    "syslog",
    "fsopen",
    "fsmount",
    "move_mount",
    "open_tree",
    "mount_setattr",
    "pidfd_getfd",
    "io_uring_setup",
    "lookup_dcookie",
    "vhangup",
    "nfsservctl",
};

static const char *const not_ours[] = {
    "mknod",       "mknodat",    "personality", "process_madvise", "kcmp",          "pidfd_send_signal",
    "setpriority", "ioprio_set", "modify_ldt",  "memfd_secret",    "migrate_pages", "move_pages",
};
static const char *const processes[] = {"fork", "vfork"};
static const char *const programs[] = {"execve", "execveat"};
static const char *const users[] = {"setuid",   "setgid",   "setreuid",  "setregid", "setresuid", "setresgid",
                                    "setfsuid", "setfsgid", "setgroups", "capset",   "chroot"};

struct filter {
    scmp_filter_ctx ctx;
    int bad;
};

/* A name that this library does not know yet is none that we could call by it. */
static void refuse(struct filter *f, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int nr = seccomp_syscall_resolve_name(names[i]);
        if (nr != __NR_SCMP_ERROR)
            f->bad |= seccomp_rule_add(f->ctx, SCMP_ACT_ERRNO(EPERM), nr, 0);
    }
}
#define REFUSE(f, list) refuse(f, list, sizeof(list) / sizeof *(list))

/* Threads yes, processes no. clone3 hides its flags: the C library falls back to clone. */
static void refuse_processes(struct filter *f)
{
    REFUSE(f, processes);
    f->bad |= seccomp_rule_add(f->ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    f->bad |= seccomp_rule_add(f->ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                               SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
}

static void refuse_sockets(struct filter *f, bool inet)
{
    for (int family = AF_UNSPEC; family < AF_MAX; family++)
        if (family != AF_UNIX && !(inet && (family == AF_INET || family == AF_INET6 || family == AF_NETLINK)))
            f->bad |= seccomp_rule_add(f->ctx, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1,
                                       SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family));
    f->bad |= seccomp_rule_add(f->ctx, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GE, AF_MAX));
}

static void fill(struct filter *f, unsigned allowed)
{
    REFUSE(f, never);
    if (allowed & CALLS_EXEC) {
        /* Programs of other architectures, and calls that only they know. */
        seccomp_attr_set(f->ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
        return;
    }
    REFUSE(f, not_ours);
    REFUSE(f, programs);
    /* A private working directory for a thread is how lib/map opens a replaced table; name spaces are not to be had. */
    f->bad |= seccomp_rule_add(f->ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1, SCMP_A0(SCMP_CMP_NE, CLONE_FS));
    if (!(allowed & CALLS_FORK))
        refuse_processes(f);
    if (!(allowed & CALLS_USERS))
        REFUSE(f, users);
    refuse_sockets(f, allowed & CALLS_INET);
}

bool calls_filter_exists(void)
{
    unsigned action = SECCOMP_RET_ERRNO;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

bool calls_filter(unsigned allowed, struct buf *err)
{
    struct filter f = {.ctx = seccomp_init(SCMP_ACT_ALLOW)};
    if (!f.ctx) {
        buf_puts(err, "cannot make a system call filter");
        return false;
    }
    seccomp_attr_set(f.ctx, SCMP_FLTATR_CTL_NNP, 0); /* the caller's decision */
    seccomp_attr_set(f.ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    fill(&f, allowed);
    int rc = f.bad ? -EINVAL : seccomp_load(f.ctx);
    seccomp_release(f.ctx);
    if (rc == 0 || !calls_filter_exists())
        return true;
    buf_printf(err, "cannot load the system call filter: %s", strerror(-rc));
    return false;
}
