/* deliver_maildir.c - deliveries into Maildirs. Those that come at the same time go together: one pool thread writes
 * all of them below tmp, renames them into new, and has content and directory entries on stable storage before any of
 * them is told to be delivered. Nothing shows in new whose content a crash could take away: one by one, content is
 * synced before the rename; together, it has been written, and what the file system's journal notes of it comes before
 * the rename, while one syncfs after the renames stands for the syncs of all files and directories. */
#include "lib/base/clock.h"
#include "lib/base/list.h"
#include "lib/base/mem.h"
#include "lib/rt/fiber.h"
#include "lib/store/deliver_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    BATCH_MOST = 64,    /* deliveries that one thread does together */
    BATCHES_MOST = 16,  /* at the same time */
    BATCH_AGAIN = 5,    /* so many that wait begin another batch beside those that run */
    WAIT_MS = 50,       /* nobody waits longer for a batch that runs, which may be one on a slow disk */
    TOGETHER_LEAST = 3, /* files, from which on one syncfs is better */
    SLOW_MS = 150,      /* a syncfs that took longer had others' data to write: */
    SLOW_SECONDS = 30,  /* so long the files are synced one by one */
    NAME_SIZE = 256,
};

/* One delivery. */
struct letter {
    const char *path;
    const struct store_source *m;
    int64_t size_limit;
    struct result result;
    int fd; /* of the file below tmp; -1: it failed */
    dev_t device;
    char name[NAME_SIZE]; /* the same below tmp and new */
    bool together;        /* synced with others */
    bool taken, done;
    struct list link;
    struct waitq changed;
};
struct batch {
    struct letter *letters[BATCH_MOST];
    size_t n;
};

/* ---- making Maildirs ---- */

/* Makes a directory with its parents below the first that exists. */
static int make_directories(char *path)
{
    char *slash = strrchr(path, '/');
    int rc = mkdir(path, 0700);
    if (rc != 0 && errno == EEXIST)
        return 0;
    if (slash == NULL || slash == path)
        return rc;
    *slash = '\0';
    if (rc != 0 && errno == ENOENT && make_directories(path) == 0) {
        *slash = '/';
        rc = mkdir(path, 0700);
        *slash = '\0';
        if (rc != 0 && errno == EEXIST)
            rc = 0;
    }
    if (rc == 0 && deliver_sync_directory(path) != 0 && errno != EACCES) /* a parent that we may not read */
        rc = -1;
    *slash = '/';
    return rc;
}

/* tmp comes last: where a delivery finds it, the others are there, even if this was killed in the middle. */
static bool make_maildir(const char *path)
{
    static const char *const parts[] = {"new", "cur", "tmp"};
    for (size_t i = 0; i < 3; i++) {
        char full[PATH_MAX];
        if (snprintf(full, sizeof full, "%s/%s", path, parts[i]) >= (int)sizeof full || make_directories(full) != 0)
            return false;
    }
    return true;
}

struct make_job {
    const char *path;
    int error;
};

static void make_job(void *arg)
{
    struct make_job *j = arg;
    if (!make_maildir(j->path))
        j->error = errno;
}

struct result store_make_maildir(const char *path)
{
    struct make_job j = {path, 0};
    MEM_AUTO char *last = mem_printf("%s/tmp", path);
    if (access(last, X_OK) == 0)
        return result_ok("2.0.0", "it exists");
    thread_run(make_job, &j);
    if (j.error)
        return result_try_again("4.2.0", "cannot make maildir %s: %s", path, strerror(j.error));
    return result_ok("2.0.0", "made");
}

/* ---- one file ---- */

static bool part_path(char path[PATH_MAX], const struct letter *l, const char *part)
{
    if (snprintf(path, PATH_MAX, "%s/%s/%s", l->path, part, l->name) < PATH_MAX)
        return true;
    errno = ENAMETOOLONG;
    return false;
}

static void failed(struct letter *l, const char *what)
{
    l->result = deliver_trouble(what, errno);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}

static void create_failed(struct letter *l)
{
    char path[PATH_MAX], what[PATH_MAX + 100];
    int error = errno;
    bool known = part_path(path, l, "tmp");
    snprintf(what, sizeof what, "maildir delivery failed: create maildir file %s", known ? path : l->path);
    errno = error;
    failed(l, what);
}

static void failed_and_remove(struct letter *l, const char *part)
{
    char path[PATH_MAX];
    failed(l, "maildir delivery failed: error writing message");
    if (part_path(path, l, part))
        unlink(path); /* it will come again */
}

/* What is the same in the names of a batch: process, a number that other processes of this number do not have (in
 * containers they may), host without '/' and ':'. */
struct origin {
    int pid;
    uint32_t random;
    char host[128];
};

static void find_origin(struct origin *o)
{
    static _Atomic uint32_t random;
    if (random == 0) {
        uint32_t r = 0;
        if (getrandom(&r, sizeof r, 0) != (ssize_t)sizeof r)
            r = (uint32_t)clock_wall_usec();
        random = r | 1;
    }
    o->pid = (int)getpid();
    o->random = random;
    if (gethostname(o->host, sizeof o->host) != 0)
        snprintf(o->host, sizeof o->host, "localhost");
    o->host[sizeof o->host - 1] = '\0';
    for (char *p = o->host; *p != '\0'; p++)
        if (*p == '/' || *p == ':')
            *p = '_';
}

static int create(struct letter *l, const struct origin *o)
{
    static _Atomic unsigned counter;
    int64_t now = clock_wall_usec();
    char path[PATH_MAX];
    snprintf(l->name, sizeof l->name, "%lld.P%d.M%06lldQ%uR%08x.%s", (long long)(now / 1000000), o->pid,
             (long long)(now % 1000000), atomic_fetch_add(&counter, 1), (unsigned)o->random, o->host);
    if (!part_path(path, l, "tmp"))
        return -1;
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* early: its blocks are begun to be written, so that later syncs find little to do. */
static void write_letter(struct letter *l, const struct origin *o, bool early)
{
    l->fd = create(l, o);
    if (l->fd < 0 && errno == ENOENT && make_maildir(l->path))
        l->fd = create(l, o);
    if (l->fd < 0)
        create_failed(l);
    else if (!deliver_copy(l->fd, l->m))
        failed_and_remove(l, "tmp");
    else if (early)
        sync_file_range(l->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/* ---- bringing many to stable storage ---- */

static _Atomic int64_t slow_until; /* monotonic */

/* File systems whose syncfs writes everything and tells errors, and whose journal keeps the order of changes. Elsewhere
 * (network, FUSE) it may do nothing. */
static bool syncs_together(int fd)
{
    enum { EXT = 0xEF53, XFS = 0x58465342 };
    struct statfs st;
    if (clock_mono() < slow_until || fstatfs(fd, &st) != 0)
        return false;
    return st.f_type == EXT || st.f_type == XFS;
}

static bool sync_together(int fd)
{
    int64_t begun = clock_mono();
    bool ok = syncfs(fd) == 0;
    if (clock_mono() - begun > SLOW_MS * NSEC_PER_MSEC)
        slow_until = clock_mono() + SLOW_SECONDS * NSEC_PER_SEC;
    return ok;
}

static struct letter *same_path_before(const struct batch *b, size_t i)
{
    for (size_t k = i; k-- > 0;)
        if (b->letters[k]->fd >= 0 && strcmp(b->letters[k]->path, b->letters[i]->path) == 0)
            return b->letters[k];
    return NULL;
}

static bool find_device(const struct batch *b, size_t i)
{
    struct letter *l = b->letters[i], *before = same_path_before(b, i);
    struct stat st;
    if (before == NULL && fstat(l->fd, &st) != 0)
        return false;
    l->device = before != NULL ? before->device : st.st_dev;
    return true;
}

/* Marks those that can be synced together: those on the file system of the first. Returns a descriptor of it, -1 when
 * each goes by itself. */
static int find_together(struct batch *b)
{
    size_t n = 0;
    struct letter *first = NULL;
    if (b->n < TOGETHER_LEAST)
        return -1;
    for (size_t i = 0; i < b->n; i++) {
        struct letter *l = b->letters[i];
        if (l->fd < 0 || !find_device(b, i))
            continue;
        if (first == NULL)
            first = l;
        l->together = l->device == first->device;
        n += l->together;
    }
    if (n >= TOGETHER_LEAST && syncs_together(first->fd))
        return fcntl(first->fd, F_DUPFD_CLOEXEC, 3);
    for (size_t i = 0; i < b->n; i++)
        b->letters[i]->together = false;
    return -1;
}

/* Before the rename. */
static void settle_content(struct letter *l)
{
    if (l->together ? sync_file_range(l->fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER) != 0
                    : fsync(l->fd) != 0)
        failed_and_remove(l, "tmp");
}

static void rename_letter(struct letter *l)
{
    char from[PATH_MAX], to[PATH_MAX];
    if (!part_path(from, l, "tmp") || !part_path(to, l, "new"))
        failed_and_remove(l, "tmp");
    else if (rename(from, to) == 0)
        return;
    /* A Maildir that lacks its other parts is completed, not a reason to refuse mail. */
    else if (errno != ENOENT || !make_maildir(l->path) || rename(from, to) != 0)
        failed_and_remove(l, "tmp");
}

/* The directory entries of those that go by themselves; one sync for each directory. */
static void sync_directories(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        struct letter *l = b->letters[i], *before;
        char path[PATH_MAX];
        if (l->fd < 0 || l->together)
            continue;
        before = same_path_before(b, i);
        if (before != NULL && !before->together)
            continue; /* it would have failed with that one */
        snprintf(path, sizeof path, "%s/new", l->path);
        if (deliver_sync_directory(path) == 0)
            continue;
        int error = errno;
        for (size_t k = i; k < b->n; k++)
            if (b->letters[k]->fd >= 0 && strcmp(b->letters[k]->path, l->path) == 0) {
                errno = error;
                failed_and_remove(b->letters[k], "new");
            }
    }
}

/* Content and directory entries of those that go together. When the file system tells of an error, it may not be
 * theirs: then each is synced by itself. */
static void sync_all(struct batch *b, int fd)
{
    if (fd < 0 || sync_together(fd))
        return;
    for (size_t i = 0; i < b->n; i++) {
        struct letter *l = b->letters[i];
        if (l->fd >= 0 && l->together && fsync(l->fd) != 0)
            failed_and_remove(l, "new");
        l->together = false;
    }
}

/* On a pool thread. */
static void run_batch(void *arg)
{
    struct batch *b = arg;
    struct origin origin;
    find_origin(&origin);
    for (size_t i = 0; i < b->n; i++)
        write_letter(b->letters[i], &origin, b->n > 1);
    int together = find_together(b);
    for (size_t i = 0; i < b->n; i++)
        if (b->letters[i]->fd >= 0)
            settle_content(b->letters[i]);
    for (size_t i = 0; i < b->n; i++)
        if (b->letters[i]->fd >= 0)
            rename_letter(b->letters[i]);
    sync_all(b, together);
    sync_directories(b);
    if (together >= 0)
        close(together);
    for (size_t i = 0; i < b->n; i++)
        if (b->letters[i]->fd >= 0)
            close(b->letters[i]->fd);
}

/* ---- who goes with whom; in the loop's thread ---- */

static struct {
    struct list waiting; /* letters */
    size_t n_waiting;
    unsigned running;
} post = {.waiting = LIST_INIT(post.waiting)};

static struct letter *first_waiting(void)
{
    return list_empty(&post.waiting) ? NULL : LIST_ENTRY(post.waiting.next, struct letter, link);
}

static void take(struct batch *b)
{
    for (struct letter *l; b->n < BATCH_MOST && (l = first_waiting()) != NULL;) {
        list_remove(&l->link);
        post.n_waiting--;
        l->taken = true;
        b->letters[b->n++] = l;
    }
}

/* Does a batch of what waits. */
static void lead(void)
{
    struct batch b = {.n = 0};
    post.running++;
    fiber_yield(); /* whoever has a message in this turn comes along */
    take(&b);
    if (b.n > 0)
        thread_run(run_batch, &b);
    post.running--;
    for (size_t i = 0; i < b.n; i++) {
        b.letters[i]->done = true;
        waitq_wake_all(&b.letters[i]->changed);
    }
    struct letter *next = first_waiting();
    if (next != NULL)
        waitq_wake_all(&next->changed);
}

static void wait_or_lead(struct letter *l)
{
    list_append(&post.waiting, &l->link);
    post.n_waiting++;
    bool long_enough = false;
    while (!l->done) {
        if (!l->taken &&
            (post.running == 0 || (post.running < BATCHES_MOST && (long_enough || post.n_waiting >= BATCH_AGAIN)))) {
            lead();
            continue;
        }
        enum wait w = waitq_wait(&l->changed, l->taken || long_enough ? DEADLINE_NEVER : deadline_in_ms(WAIT_MS));
        long_enough |= w == WAIT_TIMEOUT;
        if (w == WAIT_CANCELLED) /* the letter lies on this stack: it has to end first */
            fiber_yield();
    }
}

struct result store_deliver_maildir(const char *path, const struct store_source *m, int64_t size_limit)
{
    struct letter l = {
        .path = path, .m = m, .size_limit = size_limit, .fd = -1, .result = result_ok("2.0.0", "delivered to maildir")};
    if (size_limit > 0 && m->prefix.n + m->size > (uint64_t)size_limit)
        return deliver_trouble("maildir delivery failed: error writing message", EFBIG);
    if (fiber_self() == NULL) {
        struct batch alone = {.letters = {&l}, .n = 1};
        run_batch(&alone);
        return l.result;
    }
    waitq_init(&l.changed);
    wait_or_lead(&l);
    return l.result;
}
