/* A Maildir mailbox: opening, its lock, its small files, and the questions that need no disk. */
#include "lib/store/mailbox_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static const char list_name[] = "dovecot-uidlist";
enum { LIST_MAX = 256 << 20 };

struct result mailbox_trouble(const struct mailbox *m, const char *what, int error)
{
    if (error == ENOSPC || error == EDQUOT)
        return result_try_again("4.2.2", "%s: %s: %s", m->path, what, strerror(error));
    return result_try_again("4.3.0", "%s: %s: %s", m->path, what, strerror(error));
}

bool mailbox_read_file(struct mailbox *m, const char *name, size_t max, struct buf *out)
{
    FD_AUTO fd = openat(m->dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    for (;;) {
        char *room = buf_room(out, out->len + 65536 > max ? 1 : 65536);
        if (!room)
            return false;
        ssize_t n = read(fd, room, out->len + 65536 > max ? 1 : 65536);
        if (n <= 0)
            return n == 0;
        buf_added(out, (size_t)n);
    }
}

static bool write_all(int fd, struct slice text)
{
    while (text.n) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text = slice_make(text.p + n, text.n - (size_t)n);
    }
    return true;
}

bool mailbox_replace_file(struct mailbox *m, const char *name, struct slice text)
{
    MEM_AUTO char *temp = mem_printf("%s.tmp", name);
    FD_AUTO fd = openat(m->dir, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    if (write_all(fd, text) && fsync(fd) == 0 && renameat(m->dir, temp, m->dir, name) == 0 && fsync(m->dir) == 0)
        return true;
    int error = errno;
    unlinkat(m->dir, temp, 0);
    errno = error;
    return false;
}

static void note_list(struct mailbox *m)
{
    struct stat st;
    if (fstatat(m->dir, list_name, &st, 0) < 0)
        st = (struct stat){0};
    m->list_time = st.st_mtim;
    m->list_inode = st.st_ino;
}

struct result mailbox_save_list(struct mailbox *m)
{
    BUF_AUTO text = BUF(LIST_MAX);
    uidlist_print(&m->list, &text);
    if (text.overflow)
        return mailbox_trouble(m, list_name, EFBIG);
    if (!mailbox_replace_file(m, list_name, buf_slice(&text)))
        return mailbox_trouble(m, list_name, errno);
    note_list(m);
    return result_ok("2.0.0", "saved");
}

/* A lost or broken list means new UIDs, which clients must be able to tell: UIDVALIDITY only rises. */
static void start_list(struct mailbox *m, uint32_t old_validity)
{
    uidlist_fini(&m->list);
    uint32_t now = (uint32_t)time(NULL);
    m->list.validity = now > old_validity ? now : old_validity + 1;
    m->list.next = 1;
}

static struct result load_list(struct mailbox *m)
{
    struct stat st;
    bool there = fstatat(m->dir, list_name, &st, 0) == 0;
    if (!there && errno != ENOENT)
        return mailbox_trouble(m, list_name, errno);
    if (there && m->list_inode == st.st_ino && m->list_time.tv_sec == st.st_mtim.tv_sec &&
        m->list_time.tv_nsec == st.st_mtim.tv_nsec)
        return result_ok("2.0.0", "unchanged");
    BUF_AUTO text = BUF(LIST_MAX);
    uint32_t old_validity = m->list.validity;
    if (there && !mailbox_read_file(m, list_name, LIST_MAX, &text))
        return mailbox_trouble(m, list_name, text.overflow ? EFBIG : errno);
    uidlist_fini(&m->list);
    if (!there || !uidlist_parse(&m->list, buf_slice(&text))) {
        start_list(m, old_validity);
        return mailbox_save_list(m);
    }
    note_list(m);
    return result_ok("2.0.0", "read");
}

struct run {
    struct mailbox *m;
    mailbox_job *fn;
    void *arg;
    struct result result;
};

static void run_locked(void *arg)
{
    struct run *r = arg;
    struct mailbox *m = r->m;
    m->lock = openat(m->dir, "merpati.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (m->lock < 0 || flock(m->lock, LOCK_EX) < 0) {
        r->result = mailbox_trouble(m, "lock", errno);
    } else {
        r->result = load_list(m);
        if (result_is_ok(&r->result))
            r->result = r->fn(m, r->arg);
    }
    if (m->lock >= 0)
        close(m->lock);
    m->lock = -1;
}

struct result mailbox_run(struct mailbox *m, mailbox_job *fn, void *arg)
{
    struct run r = {.m = m, .fn = fn, .arg = arg};
    thread_run(run_locked, &r);
    return r.result;
}

static struct result sync_job(struct mailbox *m, void *arg)
{
    mailbox_load_keywords(m);
    return mailbox_scan(m, *(bool *)arg);
}

struct result mailbox_sync(struct mailbox *m, bool take_recent)
{
    return mailbox_run(m, sync_job, &take_recent);
}

struct mailbox *mailbox_open(const char *path, struct result *r)
{
    struct mailbox *m = MEM_NEW(struct mailbox);
    m->path = mem_strdup(path);
    m->lock = -1;
    m->list.next = 1;
    m->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (m->dir < 0 && (errno == ENOENT || errno == ENOTDIR))
        *r = result_never("5.1.1", "%s: no such mailbox", path);
    else if (m->dir < 0)
        *r = mailbox_trouble(m, "open", errno);
    else
        *r = mailbox_sync(m, false);
    if (!result_is_ok(r))
        mailbox_free(&m);
    return m;
}

void mailbox_forget_messages(struct mailbox *m)
{
    for (size_t i = 0; i < m->messages.n; i++)
        free(m->messages.items[i].file);
    VEC_FREE(&m->messages);
}

void mailbox_free(struct mailbox **mp)
{
    struct mailbox *m = *mp;
    if (!m)
        return;
    mailbox_forget_messages(m);
    uidlist_fini(&m->list);
    for (unsigned i = 0; i < MAILBOX_KEYWORDS; i++)
        free(m->keywords[i]);
    if (m->dir >= 0)
        close(m->dir);
    free(m->path);
    free(m);
    *mp = NULL;
}

uint32_t mailbox_uid_validity(const struct mailbox *m)
{
    return m->list.validity;
}

uint32_t mailbox_uid_next(const struct mailbox *m)
{
    return m->list.next;
}

size_t mailbox_count(const struct mailbox *m)
{
    return m->messages.n;
}

const struct mailbox_message *mailbox_at(const struct mailbox *m, size_t index)
{
    return &m->messages.items[index];
}

size_t mailbox_lower_bound(const struct mailbox *m, uint32_t uid)
{
    size_t low = 0, high = m->messages.n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->messages.items[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct mailbox_message *mailbox_find(const struct mailbox *m, uint32_t uid)
{
    size_t i = mailbox_lower_bound(m, uid);
    return i < m->messages.n && m->messages.items[i].uid == uid ? &m->messages.items[i] : NULL;
}

char *mailbox_pop3_uidl(const struct mailbox *m, uint32_t uid)
{
    size_t low = 0, high = m->list.entries.n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->list.entries.items[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < m->list.entries.n && m->list.entries.items[low].uid == uid)
        return uidlist_pop3_uidl(&m->list.entries.items[low]);
    return NULL;
}
