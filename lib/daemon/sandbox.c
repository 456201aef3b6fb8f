/* sandbox.c - see sandbox.h. The order matters: files first (Landlock needs paths), then the root directory and the
 * user, then the system calls, which the steps before still needed. */
#include "lib/daemon/sandbox.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/lines.h"
#include "lib/daemon/sandbox_private.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define CAPS_SPAWNER (CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID))
/* Set-uid programs that commands of users start (procmail, sudo -u): nothing that is the machine's own. */
#define CAPS_OF_COMMANDS                                                                            \
    (CAPS_SPAWNER | CAP_BIT(CAP_CHOWN) | CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_DAC_READ_SEARCH) | \
     CAP_BIT(CAP_FOWNER) | CAP_BIT(CAP_FSETID) | CAP_BIT(CAP_KILL))
#define CAPS_AUTH CAP_BIT(CAP_DAC_READ_SEARCH)
#define CAPS_PAM                                                                                    \
    (CAPS_SPAWNER | CAP_BIT(CAP_DAC_READ_SEARCH) | CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_CHOWN) | \
     CAP_BIT(CAP_FOWNER) | CAP_BIT(CAP_AUDIT_WRITE))
/* What master's children start with, and give up by themselves. */
#define CAPS_MASTER                                                                                                 \
    (CAPS_OF_COMMANDS | CAPS_PAM | CAP_BIT(CAP_SETPCAP) | CAP_BIT(CAP_SYS_CHROOT) | CAP_BIT(CAP_NET_BIND_SERVICE) | \
     CAP_BIT(CAP_SYS_RESOURCE))
#define CAPS_MASTER_ALWAYS CAP_BIT(CAP_KILL)
#define CAPS_MASTER_OPENS                                                                                 \
    (CAPS_MASTER_ALWAYS | CAP_BIT(CAP_CHOWN) | CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_DAC_READ_SEARCH) | \
     CAP_BIT(CAP_FOWNER) | CAP_BIT(CAP_NET_BIND_SERVICE))

static bool fail(struct buf *err, const char *what)
{
    buf_printf(err, "cannot %s: %s", what, strerror(errno));
    return false;
}

/* ---- files ---- */

/* The folder of a file, and, where that is a symbolic link, of what it leads to. */
static void allow_folder_of(int ruleset, const char *path)
{
    char real[PATH_MAX];
    const char *const both[] = {path, realpath(path, real) ? real : path};
    for (size_t i = 0; i < 2; i++) {
        const char *slash = strrchr(both[i], '/');
        if (slash && slash != both[i]) {
            MEM_AUTO char *folder = mem_strndup(both[i], (size_t)(slash - both[i]));
            files_allow(ruleset, folder, FILES_READ);
        }
    }
}

/* "type:/path/table" in main.cf and master.cf: its folder, for tables that are not there yet. */
static void allow_named_tables(int ruleset, struct conf *conf, const char *file)
{
    BUF_AUTO text = BUF(8 << 20), err = BUF(500);
    struct slice rest, word;
    if (!lines_read_file(file, &text, &err))
        return;
    rest = buf_slice(&text);
    while (slice_token(&rest, " \t\r\n,{}", &word)) {
        BUF_AUTO path = BUF(PATH_MAX);
        ptrdiff_t colon = slice_find(word, ':');
        if (colon < 1)
            continue;
        MEM_AUTO char *name = mem_strndup(word.p + colon + 1, word.n - (size_t)colon - 1);
        if (!conf_expand(conf, name, &path, &err) || *buf_cstr(&path) != '/')
            continue;
        allow_folder_of(ruleset, buf_cstr(&path));
        buf_puts(&path, ".lmdb");
        allow_folder_of(ruleset, buf_cstr(&path));
    }
}

static void allow_links_in(int ruleset, const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_type == DT_LNK) {
            MEM_AUTO char *path = mem_printf("%s/%s", dir, e->d_name);
            allow_folder_of(ruleset, path);
        }
    if (d)
        closedir(d);
}

static void allow_configuration(int ruleset, struct conf *conf)
{
    static const char *const names[] = {"main.cf", "master.cf"};
    files_allow(ruleset, conf_dir(conf), FILES_READ);
    allow_links_in(ruleset, conf_dir(conf));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        MEM_AUTO char *file = mem_printf("%s/%s", conf_dir(conf), names[i]);
        allow_named_tables(ruleset, conf, file);
    }
}

/* The name service, time zones, character sets, certificates of authorities. */
static void allow_system(int ruleset)
{
    static const char *const paths[] = {"/etc",         "/usr/lib",  "/usr/lib32",   "/usr/lib64",  "/usr/libx32",
                                        "/usr/share",   "/lib",      "/lib32",       "/lib64",      "/libx32",
                                        "/var/lib/sss", "/run/nscd", "/run/systemd", "/dev/urandom"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        files_allow(ruleset, paths[i], FILES_READ);
    files_allow(ruleset, "/dev/null", FILES_READ | FILES_WRITE);
}

/* Before chroot, because rules are made of paths. -1: this kernel has no Landlock. */
static int own_files(const struct common_params *p)
{
    unsigned needs = daemon_env->needs;
    int ruleset = files_ruleset(needs & NEEDS_INET);
    if (needs & NEEDS_QUEUE_WRITE)
        files_allow(ruleset, ".", FILES_READ | FILES_WRITE);
    if (needs & NEEDS_CONF_READ)
        allow_configuration(ruleset, daemon_env->conf);
    if (needs & (NEEDS_CONF_READ | NEEDS_NAMES))
        allow_system(ruleset);
    if (needs & NEEDS_DATA_WRITE)
        files_allow(ruleset, p->data_directory, FILES_READ | FILES_WRITE);
    files_allow_open_folders(ruleset);
    return ruleset;
}

/* Name services that speak to the network in the asking process itself. */
static bool names_need_network(void)
{
    BUF_AUTO text = BUF(1 << 16), err = BUF(200);
    if (!lines_read_file("/etc/nsswitch.conf", &text, &err))
        return false;
    struct slice rest = buf_slice(&text), line, word;
    while (slice_token(&rest, "\n", &line)) {
        if (line.p[0] == '#' || !slice_token(&line, " \t", &word))
            continue;
        bool asked =
            slice_eq(word, SLICE("passwd:")) || slice_eq(word, SLICE("group:")) || slice_eq(word, SLICE("shadow:"));
        while (asked && slice_token(&line, " \t", &word))
            if (slice_eq(word, SLICE("nis")) || slice_eq(word, SLICE("ldap")) || slice_eq(word, SLICE("hesiod")))
                return true;
    }
    return false;
}

/* ---- user and root directory ---- */

static const struct passwd *user_of(enum daemon_user user, const struct common_params *p, struct buf *err)
{
    const char *name = user == DAEMON_AS_NET ? p->net_owner : p->mail_owner;
    struct passwd *pw = getpwnam(name);
    if (!pw && user == DAEMON_AS_NET) {
        log_warn("user %s (net_owner) does not exist, %s serves; `merpati set-permissions` makes it", name,
                 p->mail_owner);
        name = p->mail_owner;
        pw = getpwnam(name);
    }
    if (!pw)
        buf_printf(err, "user %s (mail_owner) does not exist; `merpati set-permissions` makes it", name);
    return pw;
}

static bool become(uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups, struct buf *err)
{
    if (setgroups(n_groups, groups) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return fail(err, "change the user");
    return true;
}

static bool no_new_privileges(struct buf *err)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 || fail(err, "give up new privileges");
}

/* ---- limits ---- */

static void limit(int what, rlim_t most)
{
    struct rlimit r;
    if (getrlimit((__rlimit_resource_t)what, &r) != 0)
        return;
    r.rlim_cur = r.rlim_max = most < r.rlim_max ? most : r.rlim_max;
    setrlimit((__rlimit_resource_t)what, &r);
}

/* Memory: private pages that may be written, stacks of fibers among them. Sanitizers reserve terabytes. */
static void set_limits(const struct common_params *p)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    limit(RLIMIT_CORE, 0);
#ifndef __SANITIZE_ADDRESS__
    if (p->process_memory_limit)
        limit(RLIMIT_DATA, (rlim_t)p->process_memory_limit);
#endif
}

/* ---- daemons ---- */

static unsigned calls_of(unsigned needs)
{
    if (needs & NEEDS_PAM)
        return CALLS_FORK | CALLS_EXEC | CALLS_INET | CALLS_USERS;
    return needs & NEEDS_INET ? CALLS_INET : 0;
}

static bool change_root(struct buf *err)
{
    char here[4096];
    return (getcwd(here, sizeof here) && chroot(here) == 0 && chdir("/") == 0) ||
           fail(err, "make the queue directory the root directory");
}

bool sandbox_enter(const struct daemon *d, const struct common_params *p, struct buf *err)
{
    if ((daemon_env->needs & NEEDS_NAMES) && names_need_network())
        daemon_env->needs |= NEEDS_INET;
    unsigned needs = daemon_env->needs;
    bool root = daemon_is_root(), stays_root = d->user == DAEMON_AS_ROOT;
    const struct passwd *pw = NULL;
    uint64_t caps = !stays_root ? 0 : needs & NEEDS_PAM ? CAPS_PAM : CAPS_AUTH;
    set_limits(p);
    if (root && !stays_root && !(pw = user_of(d->user, p, err)))
        return false;
    FD_AUTO ruleset = needs & NEEDS_PAM ? -1 : own_files(p);
    if (root && !stays_root && !(needs & (NEEDS_CONF_READ | NEEDS_DATA_WRITE | NEEDS_NAMES)) && !change_root(err))
        return false;
    if (root)
        caps_bound(caps);
    if ((pw && !become(pw->pw_uid, pw->pw_gid, NULL, 0, err)) || (root && !caps_keep(caps, err)))
        return false;
    if (!no_new_privileges(err) || !files_restrict(ruleset, err) || !calls_filter(calls_of(needs), err))
        return false;
    prctl(PR_SET_DUMPABLE, 0);
    return true;
}

/* ---- processes of users ---- */

bool sandbox_enter_spawner(const struct common_params *p, bool programs, struct buf *err)
{
    const struct passwd *pw = NULL;
    bool root = daemon_is_root();
    unsigned calls = CALLS_FORK | CALLS_USERS | (programs ? CALLS_EXEC : 0);
    limit(RLIMIT_CORE, 0);
    if (root && !(pw = user_of(DAEMON_AS_OWNER, p, err)))
        return false;
    /* Commands of users may be set-gid programs (sendmail's counterpart is one): no_new_privs is not for them, so the
     * filter is master's, or needs its right. */
    if (programs && (caps_permitted() & CAP_BIT(CAP_SYS_ADMIN)) && !calls_filter(calls, err))
        return false;
    if (root) {
        caps_bound(programs ? CAPS_OF_COMMANDS : CAPS_SPAWNER);
        prctl(PR_SET_KEEPCAPS, 1);
        if (!become(pw->pw_uid, pw->pw_gid, NULL, 0, err) || !caps_keep(CAPS_SPAWNER, err))
            return false;
    }
    if (!programs && (!no_new_privileges(err) || !calls_filter(calls, err)))
        return false;
    prctl(PR_SET_DUMPABLE, 0);
    return true;
}

/* Locations, each up to what differs from user to user: "maildir:/var/vmail/%d/%n" gives /var/vmail. */
static void allow_location(int ruleset, struct conf *conf, const char *name)
{
    BUF_AUTO err = BUF(500);
    const char *value = conf_value(conf, name, &err);
    struct slice rest = slice_of(value ? value : ""), word;
    while (slice_token(&rest, ", \t\r\n", &word)) {
        ptrdiff_t slash = slice_find(word, '/');
        if (slash < 0)
            continue;
        MEM_AUTO char *path = mem_strndup(word.p + slash, word.n - (size_t)slash);
        size_t n = strcspn(path, "%~$:");
        if (path[n] != '\0')
            while (n > 0 && path[n] != '/')
                n--;
        path[n] = '\0';
        files_allow(ruleset, path, FILES_READ | FILES_WRITE);
    }
}

/* All but the system's and the mail system's own. */
static int mail_files(uid_t uid, struct conf *conf, const struct common_params *p)
{
    const char *const system[] = {"/etc",           "/proc",
                                  "/sys",           "/dev",
                                  "/boot",          "/usr",
                                  "/bin",           "/sbin",
                                  "/lib",           "/lib32",
                                  "/lib64",         "/libx32",
                                  "/run",           uid ? "/root" : "/etc",
                                  conf_dir(conf),   p->queue_directory,
                                  p->data_directory};
    enum { N = sizeof system / sizeof system[0] };
    char *hidden[N];
    for (size_t i = 0; i < N; i++)
        if (!(hidden[i] = realpath(system[i], NULL)))
            hidden[i] = mem_strdup(system[i]);
    int ruleset = files_ruleset(false);
    if (uid == 0) /* lists that root owns lie anywhere; what is written is mail */
        files_allow(ruleset, "/", FILES_READ);
    files_allow_around(ruleset, "/", (const char *const *)hidden, N, uid ? uid : (uid_t)-1);
    for (size_t i = 0; i < N; i++)
        free(hidden[i]);
    files_allow(ruleset, "/usr/lib", FILES_READ); /* conversions of character sets */
    files_allow(ruleset, "/usr/share/zoneinfo", FILES_READ);
    files_allow(ruleset, "/etc/localtime", FILES_READ);
    files_allow(ruleset, "/dev/urandom", FILES_READ);
    files_allow(ruleset, "/dev/null", FILES_READ | FILES_WRITE);
    allow_location(ruleset, conf, "virtual_mailbox_base");
    allow_location(ruleset, conf, "virtual_mailbox_folders");
    allow_location(ruleset, conf, "mail_location");
    return ruleset;
}

bool sandbox_enter_user(const struct sandbox_user *u, struct conf *conf, const struct common_params *p, struct buf *err)
{
    bool root = daemon_is_root();
    /* No command runs as root: what root's own mail needs is a mailbox. */
    bool programs = u->programs && u->uid != 0;
    FD_AUTO ruleset = programs ? -1 : mail_files(u->uid, conf, p);
    if (!root && u->uid != geteuid()) {
        buf_puts(err, "only root can become another user");
        return false;
    }
    if (root && (!become(u->uid, u->gid, u->groups, u->n_groups, err) || !caps_keep(0, err)))
        return false;
    prctl(PR_SET_DUMPABLE, 0);
    if (programs)
        return true;
#ifndef __SANITIZE_ADDRESS__
    if (p->process_memory_limit)
        limit(RLIMIT_DATA, (rlim_t)p->process_memory_limit);
#endif
    return no_new_privileges(err) && files_restrict(ruleset, err) && calls_filter(0, err);
}

bool sandbox_files_beneath(const char *const *folders, size_t n)
{
    BUF_AUTO err = BUF(500);
    FD_AUTO ruleset = files_abi() >= 2 ? files_ruleset(false) : -1;
    if (ruleset < 0) { /* the first kernels with Landlock forbid every rename to another folder */
        errno = EOPNOTSUPP;
        return false;
    }
    for (size_t i = 0; i < n; i++)
        files_allow(ruleset, folders[i], FILES_READ | FILES_WRITE);
    return files_restrict(ruleset, &err);
}

/* ---- master ---- */

bool sandbox_enter_master(struct buf *err)
{
    limit(RLIMIT_CORE, 0);
    prctl(PR_SET_DUMPABLE, 0);
    if (!daemon_is_root())
        return true; /* a filter needs no_new_privs, which set-gid commands do not */
    if (!calls_filter(CALLS_FORK | CALLS_EXEC | CALLS_INET | CALLS_USERS, err))
        return false;
    caps_bound(CAPS_MASTER);
    if (!caps_keep(CAPS_MASTER, err))
        return false;
    sandbox_master_open(false);
    return true;
}

void sandbox_master_open(bool begins)
{
    if (daemon_is_root() && !caps_raise(begins ? CAPS_MASTER_OPENS : CAPS_MASTER_ALWAYS))
        log_warn("capabilities: %s", strerror(errno));
}

const char *sandbox_lacks(unsigned i)
{
    const char *lacks[4] = {0};
    unsigned n = 0;
    if (!files_abi())
        lacks[n++] = "this kernel has no Landlock: files are held off by ownership and chroot alone";
    else if (files_abi() < 3)
        lacks[n++] = "this kernel's Landlock does not know truncation: it is too old to hold off all changes of files";
    if (!calls_filter_exists())
        lacks[n++] = "this kernel has no system call filters: daemons may make every call that their user may";
    return i < n ? lacks[i] : NULL;
}
