/* Folders of a Maildir++. A mailbox is made in tmp/ under a passing name and renamed, and deleted the other way round,
 * so that no half one is ever seen. */
#include "lib/store/folders.h"

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/vec.h"
#include "lib/rt/fiber.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_LENGTH_MAX = 250, SUBSCRIPTIONS_MAX = 4 << 20 };

char *folders_path(const char *root, const char *name)
{
    size_t n = strlen(name);
    if (str_eq_fold(name, "INBOX"))
        return mem_strdup(root);
    if (n == 0 || n > NAME_LENGTH_MAX || name[0] == '.' || name[n - 1] == '.' || strstr(name, ".."))
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (name[i] == '/' || (unsigned char)name[i] < ' ' || (unsigned char)name[i] >= 127)
            return NULL;
    return mem_printf("%s/.%s", root, name);
}

static struct result trouble(const char *path, const char *what, int error)
{
    const char *dsn = error == ENOSPC || error == EDQUOT ? "4.2.2" : "4.3.0";
    return result_try_again(dsn, "%s: %s: %s", path, what, strerror(error));
}

struct job {
    const char *root, *name, *to;
    bool on;
    VEC(char *) names;
    struct result result;
};

static struct result run(void (*fn)(void *), struct job *j)
{
    j->result = result_ok("2.0.0", "done");
    thread_run(fn, j);
    return j->result;
}

static void give_names(struct job *j, struct arena *a, const char ***names, size_t *n)
{
    *n = j->names.n;
    *names = ARENA_ARRAY(a, const char *, j->names.n + 1);
    for (size_t i = 0; i < j->names.n; i++) {
        (*names)[i] = arena_strdup(a, j->names.items[i]);
        free(j->names.items[i]);
    }
    VEC_FREE(&j->names);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_mailbox(int root, const char *name)
{
    struct stat st;
    MEM_AUTO char *cur = mem_printf("%s/cur", name);
    return fstatat(root, cur, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static void read_names(void *arg)
{
    struct job *j = arg;
    DIR *d = opendir(j->root);
    if (!d) {
        j->result = trouble(j->root, "list", errno);
        return;
    }
    struct dirent *e;
    while ((e = readdir(d))) {
        MEM_AUTO char *path = e->d_name[0] == '.' && e->d_name[1] ? folders_path("", e->d_name + 1) : NULL;
        if (path && *path && is_mailbox(dirfd(d), e->d_name))
            VEC_PUSH(&j->names, mem_strdup(e->d_name + 1));
    }
    closedir(d);
    if (j->names.n)
        qsort(j->names.items, j->names.n, sizeof *j->names.items, by_name);
}

struct result folders_list(const char *root, struct arena *a, const char ***names, size_t *n)
{
    struct job j = {.root = root};
    struct result r = run(read_names, &j);
    /* ".INBOX" on disk has no name of its own (read_names leaves it out), so INBOX is there once. */
    VEC_PUSH(&j.names, NULL);
    memmove(j.names.items + 1, j.names.items, (j.names.n - 1) * sizeof *j.names.items);
    j.names.items[0] = mem_strdup("INBOX");
    give_names(&j, a, names, n);
    return r;
}

static bool sync_path(const char *path)
{
    FD_AUTO fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0;
}

static char *passing_name(const char *root)
{
    static _Atomic unsigned count;
    return mem_printf("%s/tmp/folder.%lld.%d.%u", root, (long long)clock_wall_usec(), (int)getpid(), count++);
}

/* A mailbox has no folders deeper than cur/; what else lies in it goes with it. */
static void remove_tree(const char *path, int depth)
{
    DIR *d = depth > 3 ? NULL : opendir(path);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        MEM_AUTO char *inner = mem_printf("%s/%s", path, e->d_name);
        if (unlink(inner) < 0)
            remove_tree(inner, depth + 1);
    }
    if (d)
        closedir(d);
    rmdir(path);
}

static bool make_parts(const char *path)
{
    static const char *const parts[] = {"", "/cur", "/new", "/tmp"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        MEM_AUTO char *part = mem_printf("%s%s", path, parts[i]);
        if (mkdir(part, 0700) < 0)
            return false;
    }
    MEM_AUTO char *mark = mem_printf("%s/maildirfolder", path);
    FD_AUTO fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0 && sync_path(path);
}

static void create(void *arg)
{
    struct job *j = arg;
    MEM_AUTO char *path = folders_path(j->root, j->name);
    MEM_AUTO char *temp = passing_name(j->root);
    struct stat st;
    if (lstat(path, &st) == 0) {
        j->result = result_never("5.1.0", "the mailbox exists");
        return;
    }
    if (make_parts(temp) && renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE) == 0 && sync_path(j->root))
        return;
    j->result = errno == EEXIST ? result_never("5.1.0", "the mailbox exists") : trouble(path, "create", errno);
    remove_tree(temp, 0);
}

static bool may_be_changed(const char *name, struct result *r)
{
    MEM_AUTO char *path = folders_path("", name);
    if (!path)
        *r = result_never("5.1.3", "no mailbox can have this name");
    else if (str_eq_fold(name, "INBOX"))
        *r = result_never("5.7.1", "not with INBOX");
    else
        return true;
    return false;
}

struct result folders_create(const char *root, const char *name)
{
    struct job j = {.root = root, .name = name};
    return may_be_changed(name, &j.result) ? run(create, &j) : j.result;
}

static void delete (void *arg)
{
    struct job *j = arg;
    MEM_AUTO char *path = folders_path(j->root, j->name);
    MEM_AUTO char *temp = passing_name(j->root);
    if (rename(path, temp) < 0) {
        j->result = errno == ENOENT ? result_never("5.1.1", "no such mailbox") : trouble(path, "delete", errno);
        return;
    }
    if (!sync_path(j->root))
        j->result = trouble(path, "delete", errno);
    remove_tree(temp, 0);
}

struct result folders_delete(const char *root, const char *name)
{
    struct job j = {.root = root, .name = name};
    return may_be_changed(name, &j.result) ? run(delete, &j) : j.result;
}

/* `name` and each name below it. */
static void rename_all(void *arg)
{
    struct job *j = arg;
    size_t n = strlen(j->name), renamed = 0;
    read_names(j);
    for (size_t i = 0; i < j->names.n; i++) {
        const char *old = j->names.items[i];
        if (strncmp(old, j->name, n) != 0 || (old[n] && old[n] != '.') || !result_is_ok(&j->result))
            continue;
        MEM_AUTO char *name = mem_printf("%s%s", j->to, old + n);
        MEM_AUTO char *from = folders_path(j->root, old);
        MEM_AUTO char *to = folders_path(j->root, name);
        if (!to)
            j->result = result_never("5.1.3", "the new name is too long");
        else if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
            renamed++;
        else
            j->result = errno == EEXIST ? result_never("5.1.0", "the mailbox exists") : trouble(from, "rename", errno);
    }
    if (!sync_path(j->root) && result_is_ok(&j->result))
        j->result = trouble(j->root, "rename", errno);
    if (!renamed && result_is_ok(&j->result))
        j->result = result_never("5.1.1", "no such mailbox");
}

struct result folders_rename(const char *root, const char *from, const char *to)
{
    struct job j = {.root = root, .name = from, .to = to};
    size_t n = strlen(from);
    if (!may_be_changed(from, &j.result) || !may_be_changed(to, &j.result))
        return j.result;
    if (strncmp(from, to, n) == 0 && (to[n] == '.' || !to[n]))
        return result_never("5.1.0", "not to itself or below itself");
    struct result r = run(rename_all, &j);
    ARENA_AUTO a = arena_new();
    const char **names;
    give_names(&j, a, &names, &n);
    return r;
}

static void read_subscriptions(void *arg)
{
    struct job *j = arg;
    MEM_AUTO char *path = mem_printf("%s/subscriptions", j->root);
    FILE *f = fopen(path, "re");
    if (!f) {
        if (errno != ENOENT)
            j->result = trouble(path, "read", errno);
        return;
    }
    char line[1000];
    size_t total = 0;
    while (fgets(line, sizeof line, f) && (total += strlen(line)) < SUBSCRIPTIONS_MAX) {
        struct slice name = slice_trim(slice_of(line));
        if (j->names.n == 0 && slice_starts_fold(name, SLICE("V\t2")))
            continue; /* Dovecot's version line */
        if (name.n)
            VEC_PUSH(&j->names, mem_strndup(name.p, name.n));
    }
    fclose(f);
}

struct result folders_subscriptions(const char *root, struct arena *a, const char ***names, size_t *n)
{
    struct job j = {.root = root};
    struct result r = run(read_subscriptions, &j);
    /* Version 2 parts levels by tabs. */
    for (size_t i = 0; i < j.names.n; i++)
        for (char *p = j.names.items[i]; *p; p++)
            if (*p == '\t')
                *p = '.';
    give_names(&j, a, names, n);
    return r;
}

static bool write_subscriptions(struct job *j, const char *path)
{
    MEM_AUTO char *temp = passing_name(j->root);
    FILE *f = fopen(temp, "wxe");
    if (!f)
        return false;
    fputs("V\t2\n\n", f);
    for (size_t i = 0; i < j->names.n; i++) {
        for (char *p = j->names.items[i]; *p; p++)
            fputc(*p == '.' ? '\t' : *p, f);
        fputc('\n', f);
    }
    bool ok = fflush(f) == 0 && fsync(fileno(f)) == 0;
    ok = fclose(f) == 0 && ok && rename(temp, path) == 0 && sync_path(j->root);
    if (!ok)
        unlink(temp);
    return ok;
}

static void change_subscription(void *arg)
{
    struct job *j = arg;
    MEM_AUTO char *lock_path = mem_printf("%s/merpati.lock", j->root);
    MEM_AUTO char *path = mem_printf("%s/subscriptions", j->root);
    FD_AUTO lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX) < 0) {
        j->result = trouble(lock_path, "lock", errno);
        return;
    }
    read_subscriptions(j);
    size_t kept = 0;
    for (size_t i = 0; i < j->names.n; i++) {
        char *name = j->names.items[i];
        for (char *p = name; *p; p++)
            *p = *p == '\t' ? '.' : *p;
        if (strcmp(name, j->name) == 0)
            free(name);
        else
            j->names.items[kept++] = name;
    }
    j->names.n = kept;
    if (j->on)
        VEC_PUSH(&j->names, mem_strdup(j->name));
    if (result_is_ok(&j->result) && !write_subscriptions(j, path))
        j->result = trouble(path, "write", errno);
}

struct result folders_subscribe(const char *root, const char *name, bool on)
{
    struct job j = {.root = root, .name = name, .on = on};
    MEM_AUTO char *path = folders_path(root, name);
    if (!path)
        return result_never("5.1.3", "no mailbox can have this name");
    struct result r = run(change_subscription, &j);
    ARENA_AUTO a = arena_new();
    const char **names;
    size_t n;
    give_names(&j, a, &names, &n);
    return r;
}
