/* deliver.c - see deliver.h. Each delivery is one function on a pool thread: it opens, writes, syncs, renames, and on
 * trouble undoes what it did. Nothing is told to be delivered before file and directory entry are on stable storage. */
#include "lib/store/deliver.h"

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/rt/fiber.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BLOCK = 65536, LOCK_ATTEMPTS = 20, STALE_LOCK_SECONDS = 500 };

struct job {
    const char *path;
    const struct store_source *m;
    const char *sender;
    int64_t size_limit;
    bool dotlock, is_file;
    struct result result;
};

/* What an errno of a mailbox means is decided here, once. */
static struct result trouble(const char *what, const char *path, int error)
{
    switch (error) {
    case EDQUOT:
        return result_never("5.2.2", "%s: %s: %s", what, path, strerror(error));
    case EFBIG:
        return result_never("5.2.2", "%s: %s: mailbox or message is too large", what, path);
    case ENOSPC:
        return result_try_again("4.3.1", "%s: %s: %s", what, path, strerror(error));
    case EAGAIN:
    case EEXIST:
        return result_try_again("4.2.0", "%s: %s: unable to lock for exclusive access", what, path);
    case ESTALE:
    case EROFS:
    case EIO:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ETIMEDOUT:
    case EINTR:
        return result_try_again("4.3.0", "%s: %s: %s", what, path, strerror(error));
    default: /* what the owner has to put right: the sender is told at once */
        return result_never("5.2.0", "%s: %s: %s", what, path, strerror(error));
    }
}

static bool write_all(int fd, struct iovec *v, int n)
{
    while (n > 0) {
        ssize_t done = writev(fd, v, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        while (n > 0 && (size_t)done >= v->iov_len) {
            done -= (ssize_t)v->iov_len;
            v++;
            n--;
        }
        if (n > 0) {
            v->iov_base = (char *)v->iov_base + done;
            v->iov_len -= (size_t)done;
        }
    }
    return true;
}

/* The next block of the source; 0 at its end, -1 with errno (EIO when the file is shorter than it should be). */
static ssize_t next_block(const struct store_source *m, uint64_t at, char *block)
{
    uint64_t left = m->size - at;
    ssize_t n;
    if (left == 0)
        return 0;
    do
        n = pread(m->fd, block, left < BLOCK ? (size_t)left : BLOCK, (off_t)(m->offset + at));
    while (n < 0 && errno == EINTR);
    if (n == 0) {
        errno = EIO;
        return -1;
    }
    return n;
}

/* Prefix and content as they are; the prefix goes with the first block. */
static bool copy_plain(int fd, const struct store_source *m)
{
    char block[BLOCK];
    struct iovec v[2] = {{(void *)m->prefix.p, m->prefix.n}, {block, 0}};
    int first = m->prefix.n > 0 ? 0 : 1;
    uint64_t at = 0;
    do {
        ssize_t n = next_block(m, at, block);
        if (n < 0)
            return false;
        v[1] = (struct iovec){block, (size_t)n};
        if (!write_all(fd, v + first, 2 - first))
            return false;
        first = 1;
        at += (uint64_t)n;
    } while (at < m->size);
    return true;
}

/* Content with ">" before lines that begin with "From ", and an empty line at the end. */
static bool copy_quoted(int fd, const struct store_source *m)
{
    char block[BLOCK];
    BUF_AUTO out = BUF(4 * BLOCK);
    uint64_t at = 0;
    size_t matched = 0; /* bytes of "From " seen at the beginning of this line; 5: the line is decided */
    char last = '\n';
    for (;;) {
        ssize_t n = next_block(m, at, block);
        if (n < 0)
            return false;
        for (ssize_t i = 0; i < n; i++) {
            char c = block[i];
            if (matched < 5 && c == "From "[matched]) {
                if (++matched == 5)
                    buf_puts(&out, ">From ");
            } else {
                if (matched < 5)
                    buf_append(&out, "From ", matched);
                matched = c == '\n' ? 0 : 5;
                buf_putc(&out, c);
            }
            last = c;
        }
        if (n == 0) {
            if (matched < 5)
                buf_append(&out, "From ", matched);
            buf_puts(&out, last == '\n' ? "\n" : "\n\n");
        }
        struct iovec v = {out.data, out.len};
        if (out.overflow || (out.len > 0 && !write_all(fd, &v, 1)))
            return false;
        buf_reset(&out);
        if (n == 0)
            return true;
        at += (uint64_t)n;
    }
}

static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = -1;
    if (fd >= 0) {
        rc = fsync(fd);
        int error = errno;
        close(fd);
        errno = error;
    }
    return rc;
}

/* Syncs of one directory are shared: who comes while one runs waits for the next one, which covers all that wait. */
struct shared_sync {
    char path[PATH_MAX];
    uint64_t begun, ended, good; /* rounds; the last round that went well */
    int error;
    bool running;
    unsigned users;
};
static struct shared_sync syncs[16];
static pthread_mutex_t syncs_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t syncs_changed = PTHREAD_COND_INITIALIZER;

static struct shared_sync *sync_slot(const char *path)
{
    struct shared_sync *unused = NULL;
    for (size_t i = 0; i < sizeof syncs / sizeof *syncs; i++) {
        if (syncs[i].users > 0 && strcmp(syncs[i].path, path) == 0)
            return &syncs[i];
        if (syncs[i].users == 0)
            unused = &syncs[i];
    }
    if (unused != NULL) {
        *unused = (struct shared_sync){0};
        snprintf(unused->path, sizeof unused->path, "%s", path);
    }
    return unused;
}

static int sync_directory_shared(const char *path)
{
    pthread_mutex_lock(&syncs_lock);
    struct shared_sync *s = strlen(path) < PATH_MAX ? sync_slot(path) : NULL;
    if (s == NULL) {
        pthread_mutex_unlock(&syncs_lock);
        return sync_directory(path);
    }
    s->users++;
    uint64_t mine = s->begun + 1; /* a round that begins from now on covers our entry */
    while (s->ended < mine) {
        if (s->running) {
            pthread_cond_wait(&syncs_changed, &syncs_lock);
            continue;
        }
        s->running = true;
        s->begun++;
        pthread_mutex_unlock(&syncs_lock);
        int rc = sync_directory(path), error = errno;
        pthread_mutex_lock(&syncs_lock);
        s->running = false;
        s->ended = s->begun;
        if (rc == 0)
            s->good = s->ended;
        s->error = error;
        pthread_cond_broadcast(&syncs_changed);
    }
    int rc = s->good >= mine ? 0 : -1, error = s->error;
    s->users--;
    pthread_mutex_unlock(&syncs_lock);
    errno = error;
    return rc;
}

/* Makes a directory with its parents below the first that exists. */
static int make_directories(char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    char *slash = strrchr(path, '/');
    if (errno != ENOENT || slash == NULL || slash == path)
        return -1;
    *slash = '\0';
    int rc = make_directories(path);
    *slash = '/';
    return rc == 0 && (mkdir(path, 0700) == 0 || errno == EEXIST) ? 0 : -1;
}

static bool make_maildir(const char *path)
{
    static const char *const parts[] = {"tmp", "new", "cur"};
    for (size_t i = 0; i < 3; i++) {
        char full[PATH_MAX];
        if (snprintf(full, sizeof full, "%s/%s", path, parts[i]) >= (int)sizeof full || make_directories(full) != 0)
            return false;
    }
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash != NULL && slash != parent)
        *slash = '\0';
    return sync_directory(path) == 0 && (slash == NULL || sync_directory(parent) == 0 || errno == EACCES);
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
    MEM_AUTO char *cur = mem_printf("%s/cur", path);
    if (access(cur, X_OK) == 0)
        return result_ok("2.0.0", "it exists");
    thread_run(make_job, &j);
    if (j.error)
        return result_try_again("4.2.0", "cannot make maildir %s: %s", path, strerror(j.error));
    return result_ok("2.0.0", "made");
}

/* Host part of file names: no '/' and no ':' in it. */
static const char *host_part(char host[128])
{
    if (gethostname(host, 128) != 0)
        snprintf(host, 128, "localhost");
    host[127] = '\0';
    for (char *p = host; *p != '\0'; p++)
        if (*p == '/' || *p == ':')
            *p = '_';
    return host;
}

/* Creates a file in tmp of a name that nothing else has. */
static int create_temp(const char *maildir, char *temp, size_t size, char *host)
{
    static atomic_uint counter;
    int64_t now = clock_wall_usec();
    int n = snprintf(temp, size, "%s/tmp/%lld.P%dQ%u.%s", maildir, (long long)(now / 1000000), (int)getpid(),
                     atomic_fetch_add(&counter, 1), host);
    if (n < 0 || (size_t)n >= size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static bool store_maildir(struct job *j, int fd, const char *temp, const char *host)
{
    struct stat st;
    char final[PATH_MAX], folder[PATH_MAX];
    if (!copy_plain(fd, j->m) || fsync(fd) != 0 || fstat(fd, &st) != 0)
        return false;
    int64_t now = clock_wall_usec();
    snprintf(folder, sizeof folder, "%s/new", j->path);
    if (snprintf(final, sizeof final, "%s/%lld.V%llxI%llxM%lld.%s", folder, (long long)(now / 1000000),
                 (unsigned long long)st.st_dev, (unsigned long long)st.st_ino, (long long)(now % 1000000),
                 host) >= (int)sizeof final) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (rename(temp, final) != 0)
        return false;
    if (sync_directory_shared(folder) == 0)
        return true;
    int error = errno;
    unlink(final); /* it will come again */
    errno = error;
    return false;
}

static void run_maildir(void *arg)
{
    struct job *j = arg;
    char temp[PATH_MAX], host[128];
    host_part(host);
    if (j->size_limit > 0 && j->m->prefix.n + j->m->size > (uint64_t)j->size_limit) {
        j->result = trouble("maildir delivery failed", j->path, EFBIG);
        return;
    }
    int fd = create_temp(j->path, temp, sizeof temp, host);
    if (fd < 0 && errno == ENOENT && make_maildir(j->path))
        fd = create_temp(j->path, temp, sizeof temp, host);
    if (fd < 0) {
        j->result = trouble("maildir delivery failed: create", j->path, errno);
        return;
    }
    bool ok = store_maildir(j, fd, temp, host);
    int error = errno;
    close(fd);
    if (!ok) {
        unlink(temp);
        j->result = trouble("maildir delivery failed: error writing message", j->path, error);
    }
}

struct result store_deliver_maildir(const char *path, const struct store_source *m, int64_t size_limit)
{
    struct job j = {
        .path = path, .m = m, .size_limit = size_limit, .result = result_ok("2.0.0", "delivered to maildir")};
    thread_run(run_maildir, &j);
    return j.result;
}

/* path.lock; false with errno EEXIST when somebody else keeps it. */
static bool take_dotlock(const char *lock)
{
    for (int i = 0; i < LOCK_ATTEMPTS; i++) {
        struct stat st;
        int fd = open(lock, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0) {
            close(fd);
            return true;
        }
        if (errno != EEXIST)
            return false;
        if (stat(lock, &st) == 0 && clock_wall_usec() / 1000000 - st.st_ctime > STALE_LOCK_SECONDS)
            unlink(lock);
        else
            sleep(1);
    }
    errno = EEXIST;
    return false;
}

static bool take_file_lock(int fd)
{
    for (int i = 0; i < LOCK_ATTEMPTS; i++) {
        struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fcntl(fd, F_OFD_SETLK, &l) == 0)
            return true;
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return false;
        sleep(1);
    }
    errno = EAGAIN;
    return false;
}

/* Appends to the open and locked mailbox; cuts it back to its old length when that fails. */
static bool append_mbox(struct job *j, int fd, off_t old)
{
    char stamp[40];
    time_t now = time(NULL);
    struct tm tm;
    BUF_AUTO head = BUF(70000);
    localtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%a %b %e %H:%M:%S %Y", &tm);
    buf_printf(&head, "From %s  %s\n", *j->sender != '\0' ? j->sender : "MAILER-DAEMON", stamp);
    buf_append_slice(&head, j->m->prefix);
    if (j->size_limit > 0 && (uint64_t)old + head.len + j->m->size > (uint64_t)j->size_limit) {
        errno = EFBIG;
        return false;
    }
    struct iovec v = {head.data, head.len};
    if (!head.overflow && write_all(fd, &v, 1) && copy_quoted(fd, j->m) && fsync(fd) == 0)
        return true;
    int error = errno;
    if (ftruncate(fd, old) == 0)
        fsync(fd);
    errno = error;
    return false;
}

static struct result refuse_mailbox(const char *what, const char *path, const char *why)
{
    return result_never("5.2.0", "%s: %s: %s", what, path, why);
}

/* False with j->result: not a plain file of our own with one name. */
static bool mailbox_usable(struct job *j, const char *what, const struct stat *st)
{
    if (!S_ISREG(st->st_mode) && !(j->is_file && S_ISCHR(st->st_mode)))
        j->result = refuse_mailbox(what, j->path, "destination is not a regular file");
    else if (S_ISREG(st->st_mode) && st->st_nlink != 1)
        j->result = refuse_mailbox(what, j->path, "destination has multiple links");
    else if (!j->is_file && st->st_uid != geteuid())
        j->result = refuse_mailbox(what, j->path, "destination is not owned by recipient");
    else if (j->is_file && (st->st_mode & 0111) != 0)
        j->result = refuse_mailbox(what, j->path, "file is executable");
    else
        return true;
    return false;
}

static void run_mbox(void *arg)
{
    struct job *j = arg;
    const char *what = j->is_file ? "cannot append message to file" : "cannot update mailbox";
    char lock[PATH_MAX];
    struct stat st;
    if (snprintf(lock, sizeof lock, "%s.lock", j->path) >= (int)sizeof lock) {
        j->result = trouble(what, j->path, ENAMETOOLONG);
        return;
    }
    bool locked = j->dotlock && take_dotlock(lock);
    if (j->dotlock && !locked && errno != EACCES && errno != EPERM) {
        j->result = trouble(what, j->path, errno);
        return;
    }
    bool fresh = access(j->path, F_OK) != 0;
    FD_AUTO fd = open(j->path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &st) != 0) {
        j->result =
            errno == ELOOP ? refuse_mailbox(what, j->path, "file is a symbolic link") : trouble(what, j->path, errno);
    } else if (mailbox_usable(j, what, &st) && S_ISREG(st.st_mode)) {
        bool ok = take_file_lock(fd) && fstat(fd, &st) == 0 && append_mbox(j, fd, st.st_size);
        if (!ok) {
            j->result = trouble(what, j->path, errno);
        } else if (fresh) {
            char folder[PATH_MAX];
            snprintf(folder, sizeof folder, "%s", j->path);
            char *slash = strrchr(folder, '/');
            if (slash != NULL)
                *(slash == folder ? slash + 1 : slash) = '\0';
            sync_directory(slash != NULL ? folder : "."); /* may be a folder that we may not read */
        }
    }
    if (locked)
        unlink(lock);
}

struct result store_deliver_mbox(const char *path, const struct store_source *m, const char *sender, int64_t size_limit,
                                 bool dotlock)
{
    struct job j = {.path = path,
                    .m = m,
                    .sender = sender,
                    .size_limit = size_limit,
                    .dotlock = dotlock,
                    .result = result_ok("2.0.0", "delivered to mailbox")};
    thread_run(run_mbox, &j);
    return j.result;
}

struct result store_deliver_file(const char *path, const struct store_source *m, const char *sender, int64_t size_limit)
{
    struct job j = {.path = path,
                    .m = m,
                    .sender = sender,
                    .size_limit = size_limit,
                    .is_file = true,
                    .result = result_ok("2.0.0", "delivered to file: %s", path)};
    thread_run(run_mbox, &j);
    return j.result;
}
