/* deliver_mbox.c - deliveries into mboxes and plain files, each one function on a pool thread: it locks, opens,
 * appends, syncs, and on trouble undoes what it did. */
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/rt/fiber.h"
#include "lib/store/deliver_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_ATTEMPTS = 20, STALE_LOCK_SECONDS = 500 };

struct job {
    const char *path;
    const struct store_source *m;
    const char *sender;
    int64_t size_limit;
    bool dotlock, any_owner, is_file;
    struct result result;
};

/* Content with ">" before lines that begin with "From ", and an empty line at the end. */
static bool copy_quoted(int fd, const struct store_source *m)
{
    char block[DELIVER_BLOCK];
    BUF_AUTO out = BUF(4 * DELIVER_BLOCK);
    uint64_t at = 0;
    size_t matched = 0; /* bytes of "From " seen at the beginning of this line; 5: the line is decided */
    char last = '\n';
    for (;;) {
        ssize_t n = deliver_block(m, at, block);
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
        if (out.overflow || (out.len > 0 && !deliver_write(fd, &v, 1)))
            return false;
        buf_reset(&out);
        if (n == 0)
            return true;
        at += (uint64_t)n;
    }
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
static bool append_mbox(struct job *j, int fd, off_t old, bool regular)
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
    if (!head.overflow && deliver_write(fd, &v, 1) && copy_quoted(fd, j->m) && (!regular || fsync(fd) == 0))
        return true;
    int error = errno;
    if (regular && ftruncate(fd, old) == 0)
        fsync(fd);
    errno = error;
    return false;
}

static struct result refuse(const char *why)
{
    return result_never("5.2.0", "%s", why);
}

/* False with j->result: not a plain file of our own with one name. */
static bool mailbox_usable(struct job *j, const struct stat *st)
{
    if (!S_ISREG(st->st_mode) && !(j->is_file && S_ISCHR(st->st_mode)))
        j->result = refuse("destination is not a regular file");
    else if (S_ISREG(st->st_mode) && st->st_nlink != 1)
        j->result = result_never("5.2.0", "file has %lu hard links", (unsigned long)st->st_nlink);
    else if (!j->is_file && !j->any_owner && st->st_uid != geteuid())
        j->result = result_try_again("4.2.0", "destination is not owned by recipient");
    else if (j->is_file && (st->st_mode & 0111) != 0)
        j->result = refuse("file is executable");
    else
        return true;
    return false;
}

/* A mailbox is no symbolic link. Of one that leads nowhere it is said what an open says. */
static int open_mailbox(struct job *j, struct stat *st, bool *fresh)
{
    enum { HOW = O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC };
    int fd = open(j->path, HOW);
    *fresh = fd < 0 && errno == ENOENT;
    if (*fresh)
        fd = open(j->path, HOW | O_CREAT | O_EXCL, 0600);
    if (fd >= 0 && fstat(fd, st) == 0)
        return fd;
    int error = errno;
    if (fd >= 0)
        close(fd);
    if (error == ELOOP && stat(j->path, st) == 0)
        j->result = refuse("file is a symbolic link");
    else if (*fresh)
        j->result = deliver_trouble("cannot create file exclusively", error == EEXIST ? EAGAIN : error);
    else
        j->result = deliver_trouble("cannot open file", error == ELOOP ? errno : error);
    return -1;
}

static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        *(slash == folder ? slash + 1 : slash) = '\0';
    deliver_sync_directory(slash != NULL ? folder : "."); /* may be a folder that we may not read */
}

static void run_mbox(void *arg)
{
    struct job *j = arg;
    char lock[PATH_MAX];
    struct stat st;
    if (snprintf(lock, sizeof lock, "%s.lock", j->path) >= (int)sizeof lock) {
        j->result = deliver_trouble("cannot open file", ENAMETOOLONG);
        return;
    }
    bool locked = j->dotlock && take_dotlock(lock);
    if (j->dotlock && !locked && (!j->is_file || errno == EEXIST)) {
        char what[PATH_MAX + 50];
        int error = errno;
        snprintf(what, sizeof what, "unable to create lock file %s", lock);
        j->result = deliver_trouble(what, error == EEXIST ? EAGAIN : error);
        return;
    }
    bool fresh;
    FD_AUTO fd = open_mailbox(j, &st, &fresh);
    if (fd >= 0 && mailbox_usable(j, &st)) {
        bool regular = S_ISREG(st.st_mode);
        if (regular && !take_file_lock(fd))
            j->result = result_try_again("4.2.0", "unable to lock for exclusive access: %s", strerror(errno));
        else if ((regular && fstat(fd, &st) != 0) || !append_mbox(j, fd, regular ? st.st_size : 0, regular))
            j->result = deliver_trouble("error writing message", errno);
        else if (fresh)
            sync_folder(j->path);
    }
    if (locked)
        unlink(lock);
}

struct result store_deliver_mbox(const char *path, const struct store_source *m, const char *sender, int64_t size_limit,
                                 unsigned flags)
{
    struct job j = {.path = path,
                    .m = m,
                    .sender = sender,
                    .size_limit = size_limit,
                    .dotlock = (flags & STORE_DOTLOCK) != 0,
                    .any_owner = (flags & STORE_ANY_OWNER) != 0,
                    .result = result_ok("2.0.0", "delivered to mailbox")};
    thread_run(run_mbox, &j);
    return j.result;
}

struct result store_deliver_file(const char *path, const struct store_source *m, const char *sender, int64_t size_limit,
                                 unsigned flags)
{
    struct job j = {.path = path,
                    .m = m,
                    .sender = sender,
                    .size_limit = size_limit,
                    .dotlock = (flags & STORE_DOTLOCK) != 0,
                    .is_file = true,
                    .result = result_ok("2.0.0", "delivered to file: %s", path)};
    thread_run(run_mbox, &j);
    return j.result;
}
