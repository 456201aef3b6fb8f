/* queue_names.c - queue ids, directories, moves. */
#include "lib/queue/queue.h"
#include "lib/queue/queue_internal.h"

#include "lib/base/list.h"
#include "lib/base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { HASH_DEPTH_MOST = 3, LONG_SECONDS = 6, LONG_MICROSECONDS = 4 };
static const char digits52[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";

/* Which queues have subdirectories: the same for the whole process, set once at start. */
static struct {
    char names[200];
    int depth;
} hashing = {"deferred, defer", 1};

/* ---- ids ---- */

static void put_base(char *dst, uint64_t v, unsigned base, int least)
{
    char reversed[20];
    int n = 0;
    for (; v || n < least; v /= base)
        reversed[n++] = digits52[v % base];
    for (int i = 0; i < n; i++)
        dst[i] = reversed[n - 1 - i];
    dst[n] = '\0';
}

void queue_make_id(char id[QUEUE_ID_MAX + 1], int64_t usec, uint64_t inode, bool long_id)
{
    if (!long_id) {
        snprintf(id, QUEUE_ID_MAX + 1, "%05X%lX", (unsigned)(usec % 1000000), (unsigned long)inode);
        return;
    }
    char seconds[20], micro[20], node[20];
    put_base(seconds, (uint64_t)(usec / 1000000), 52, LONG_SECONDS);
    put_base(micro, (uint64_t)(usec % 1000000), 52, LONG_MICROSECONDS);
    put_base(node, inode, 51, 1);
    snprintf(id, QUEUE_ID_MAX + 1, "%s%sz%s", seconds, micro, node);
}

bool queue_id_valid(const char *id)
{
    size_t n = strlen(id);
    if (n < 1 || n > QUEUE_ID_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!(id[i] >= '0' && id[i] <= '9') && !(ascii_lower(id[i]) >= 'a' && ascii_lower(id[i]) <= 'z'))
            return false;
    return true;
}

/* The microseconds of a long id as five hexadecimal digits, of a short one its first five characters: they spread well.
 */
static void hash_digits(const char *id, char dst[6])
{
    const char *z = strrchr(id, 'z');
    if (!z || z - id < LONG_SECONDS + LONG_MICROSECONDS) {
        snprintf(dst, 6, "%.5s", id);
        return;
    }
    uint64_t v = 0;
    for (const char *c = z - LONG_MICROSECONDS; c < z; c++) {
        const char *at = strchr(digits52, *c);
        v = v * 52 + (at ? (uint64_t)(at - digits52) : 0);
    }
    snprintf(dst, 6, "%05X", (unsigned)v & 0xFFFFF);
}

/* ---- paths ---- */

void queue_set_hashing(const char *hash_queue_names, int depth)
{
    snprintf(hashing.names, sizeof hashing.names, "%s", hash_queue_names);
    hashing.depth = depth < 0 ? 0 : depth > HASH_DEPTH_MOST ? HASH_DEPTH_MOST : depth;
}

static bool is_hashed(const char *queue)
{
    struct slice rest = slice_of(hashing.names), word;
    while (slice_token(&rest, " \t\r\n,", &word))
        if (slice_eq(word, slice_of(queue)))
            return hashing.depth > 0;
    return false;
}

const char *queue_path(char *dst, size_t size, const char *queue, const char *id)
{
    char hash[6] = "", dirs[3 * HASH_DEPTH_MOST + 1] = "";
    if (is_hashed(queue)) {
        hash_digits(id, hash);
        for (int i = 0; i < hashing.depth && hash[i]; i++) {
            dirs[2 * i] = '/';
            dirs[2 * i + 1] = hash[i];
        }
    }
    snprintf(dst, size, "%s%s/%s", queue, dirs, id);
    return dst;
}

static bool make_parents(char *path)
{
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool made = mkdir(path, 0700) == 0 || errno == EEXIST;
        *slash = '/';
        if (!made)
            return false;
    }
    return true;
}

bool queue_move(const char *id, const char *from, const char *to)
{
    char source[PATH_MAX], target[PATH_MAX];
    queue_path(source, sizeof source, from, id);
    queue_path(target, sizeof target, to, id);
    if (rename(source, target) == 0)
        return true;
    return errno == ENOENT && access(source, F_OK) == 0 && make_parents(target) && rename(source, target) == 0;
}

bool queue_remove(const char *id, const char *queue)
{
    char path[PATH_MAX];
    return unlink(queue_path(path, sizeof path, queue, id)) == 0;
}

int queue_open(const char *id, const char *queue, bool write)
{
    char path[PATH_MAX];
    return open(queue_path(path, sizeof path, queue, id), (write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW);
}

const char *queue_find(const char *id, const char *const *queues)
{
    char path[PATH_MAX];
    struct stat st;
    for (; *queues; queues++)
        if (lstat(queue_path(path, sizeof path, *queues, id), &st) == 0 && S_ISREG(st.st_mode))
            return *queues;
    return NULL;
}

/* ---- directories ---- */

static const struct {
    const char *name;
    mode_t mode;
    bool for_group; /* of setgid_group, otherwise of the mail owner */
} directories[] = {
    {"incoming", 0700, false},
    {"active", 0700, false},
    {"deferred", 0700, false},
    {"hold", 0700, false},
    {"corrupt", 0700, false},
    {"bounce", 0700, false},
    {"defer", 0700, false},
    {"trace", 0700, false},
    {"flush", 0700, false},
    /* private: the mail owner's group, which the network user is of, may pass; each socket says whom it serves. */
    {"private", 0710, false},
    {"maildrop", 01730, true},
    {"public", 02710, true},
    {"pid", 0755, false},
};

struct result queue_make_directories(uid_t owner, gid_t drop_group, bool set_owner)
{
    struct stat st;
    gid_t owner_group = getegid();
    if (set_owner)
        owner_group = queue_group_of(owner);
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
        const char *name = directories[i].name;
        if (mkdir(name, directories[i].mode) != 0 && errno != EEXIST)
            return result_try_again("4.3.0", "cannot make %s below the queue directory: %s", name, strerror(errno));
        if (lstat(name, &st) != 0 || !S_ISDIR(st.st_mode))
            return result_try_again("4.3.0", "%s below the queue directory is no directory", name);
        gid_t group = directories[i].for_group ? drop_group : owner_group;
        bool root_owns = strcmp(name, "pid") == 0;
        if (set_owner && chown(name, root_owns ? 0 : owner, group) != 0)
            return result_try_again("4.3.0", "cannot give %s to its owner: %s", name, strerror(errno));
        if (chmod(name, directories[i].mode) != 0)
            return result_try_again("4.3.0", "cannot set the mode of %s: %s", name, strerror(errno));
    }
    return result_ok("2.0.0", "ok");
}

/* ---- scans ---- */

struct level {
    struct level *up;
    DIR *dir;
    char *path;
};

struct queue_scan {
    struct level *top;
};

static void push(struct queue_scan *s, const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return;
    struct level *l = MEM_NEW(struct level);
    *l = (struct level){s->top, dir, mem_strdup(path)};
    s->top = l;
}

static void pop(struct queue_scan *s)
{
    struct level *l = s->top;
    s->top = l->up;
    closedir(l->dir);
    free(l->path);
    free(l);
}

struct queue_scan *queue_scan_open(const char *queue)
{
    struct queue_scan *s = MEM_NEW(struct queue_scan);
    push(s, queue);
    return s;
}

bool queue_scan_next(struct queue_scan *s, char id[QUEUE_ID_MAX + 1])
{
    while (s->top) {
        struct dirent *e = readdir(s->top->dir);
        if (!e) {
            pop(s);
            continue;
        }
        if (!queue_id_valid(e->d_name))
            continue;
        if (strlen(e->d_name) == 1) { /* a hash directory: ids are longer */
            MEM_AUTO char *path = mem_printf("%s/%s", s->top->path, e->d_name);
            push(s, path);
            continue;
        }
        memcpy(id, e->d_name, strlen(e->d_name) + 1); /* its length is valid */
        return true;
    }
    return false;
}

void queue_scan_close(struct queue_scan **s)
{
    if (!*s)
        return;
    while ((*s)->top)
        pop(*s);
    free(*s);
    *s = NULL;
}

/* ---- space ---- */

struct result queue_check_space(int64_t minfree, int64_t message_size_limit)
{
    struct statvfs v;
    enum { INODES_LEFT = 10 };
    if (statvfs(".", &v) != 0)
        return result_try_again("4.3.0", "cannot look at the queue's file system: %s", strerror(errno));
    int64_t wanted = minfree ? minfree : message_size_limit + message_size_limit / 2;
    int64_t available =
        v.f_bavail > INT64_MAX / (v.f_frsize ? v.f_frsize : 1) ? INT64_MAX : (int64_t)(v.f_bavail * v.f_frsize);
    if (available < wanted || (v.f_files && v.f_favail < INODES_LEFT))
        return result_try_again("4.3.1", "Insufficient system storage");
    return result_ok("2.0.0", "ok");
}
