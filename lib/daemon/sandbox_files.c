/* sandbox_files.c - see sandbox_private.h. Which files a process may open, whatever its user may: Landlock. */
#include "lib/daemon/sandbox_private.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than Debian 12's kernel headers. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
enum { NET_BIND_TCP = 1, NET_CONNECT_TCP = 2, SCOPE_ABSTRACT_UNIX = 1, SCOPE_SIGNAL = 2 };
struct attributes {
    __u64 handled_access_fs;
    __u64 handled_access_net; /* from ABI 4 on */
    __u64 scoped;             /* 6 */
};

#define OF_FILES_READ (LANDLOCK_ACCESS_FS_READ_FILE)
#define OF_FILES_WRITE (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define READ (OF_FILES_READ | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE                                                                                                        \
    (OF_FILES_WRITE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                     \
     LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)
#define EXECUTE LANDLOCK_ACCESS_FS_EXECUTE
#define DEVICES (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)

int files_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
}

/* What this kernel knows of the rights. */
static __u64 known(__u64 rights)
{
    int abi = files_abi();
    if (abi < 2)
        rights &= ~LANDLOCK_ACCESS_FS_REFER;
    return abi < 3 ? rights & ~LANDLOCK_ACCESS_FS_TRUNCATE : rights;
}

int files_ruleset(bool network)
{
    int abi = files_abi();
    if (!abi)
        return -1;
    struct attributes a = {.handled_access_fs = known(READ | WRITE | EXECUTE | DEVICES)};
    size_t size = abi >= 6 ? sizeof a : abi >= 4 ? 2 * sizeof(__u64) : sizeof(__u64);
    if (!network)
        a.handled_access_net = NET_BIND_TCP | NET_CONNECT_TCP;
    a.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &a, size, 0);
    if (ruleset < 0)
        log_warn("cannot make a Landlock ruleset: %s", strerror(errno));
    return ruleset;
}

static void allow(int ruleset, int fd, const struct stat *st, unsigned how, const char *path)
{
    __u64 rights = (how & FILES_READ ? READ : 0) | (how & FILES_WRITE ? WRITE : 0);
    if (!S_ISDIR(st->st_mode))
        rights &= OF_FILES_READ | OF_FILES_WRITE;
    struct landlock_path_beneath_attr rule = {.allowed_access = known(rights), .parent_fd = fd};
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        log_warn("landlock: %s: %s", path, strerror(errno));
}

void files_allow(int ruleset, const char *path, unsigned how)
{
    struct stat st;
    FD_AUTO fd = ruleset >= 0 && *path ? open(path, O_PATH | O_CLOEXEC) : -1;
    if (fd >= 0 && fstat(fd, &st) == 0)
        allow(ruleset, fd, &st, how, path);
}

void files_allow_open_folders(int ruleset)
{
    DIR *dir = ruleset >= 0 ? opendir("/proc/self/fd") : NULL;
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));) {
        char *end;
        struct stat st;
        int fd = (int)strtol(e->d_name, &end, 10);
        if (!*end && fd != dirfd(dir) && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
            allow(ruleset, fd, &st, FILES_READ, e->d_name);
    }
    closedir(dir);
}

/* Whether path is dir, or lies below it. */
static bool is_within(const char *dir, const char *path)
{
    size_t n = strcmp(dir, "/") == 0 ? 0 : strlen(dir);
    return strncmp(dir, path, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

void files_allow_around(int ruleset, const char *dir, const char *const *hidden, size_t n, uid_t user)
{
    struct stat st;
    bool holds_hidden = false;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(hidden[i], dir) == 0)
            return;
        holds_hidden |= is_within(dir, hidden[i]);
    }
    if (ruleset < 0 || lstat(dir, &st) != 0 || S_ISLNK(st.st_mode))
        return;
    if (!holds_hidden || st.st_uid == user) {
        files_allow(ruleset, dir, FILES_READ | FILES_WRITE);
        return;
    }
    DIR *entries = opendir(dir);
    for (struct dirent *e; entries && (e = readdir(entries));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        MEM_AUTO char *path = mem_printf("%s/%s", strcmp(dir, "/") == 0 ? "" : dir, e->d_name);
        files_allow_around(ruleset, path, hidden, n, user);
    }
    if (entries)
        closedir(entries);
}

bool files_restrict(int ruleset, struct buf *err)
{
    if (ruleset < 0 || syscall(SYS_landlock_restrict_self, ruleset, 0) == 0)
        return true;
    buf_printf(err, "cannot apply the Landlock ruleset: %s", strerror(errno));
    return false;
}
