/* Changes of a Maildir mailbox: new messages, copies, flags, removals. A file is complete and on stable storage in tmp/
 * before it gets its name in cur/; its UID is on stable storage before the caller hears of it. */
#include "lib/store/mailbox_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static bool sync_folder(struct mailbox *m, const char *name)
{
    FD_AUTO fd = openat(m->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0;
}

/* Names that no other delivery on any host makes: the time, this process, a count, the host. */
static char *unique_base(int64_t size, int64_t virtual_size)
{
    static _Atomic unsigned count;
    char host[65] = "localhost";
    if (gethostname(host, sizeof host - 1) < 0 || !host[0] || strpbrk(host, "/:,"))
        memcpy(host, "localhost", sizeof "localhost");
    int64_t now = clock_wall_usec();
    char *head = mem_printf("%lld.M%lldP%dQ%u.%s", (long long)(now / 1000000), (long long)(now % 1000000),
                            (int)getpid(), count++, host);
    if (size < 0)
        return head;
    char *whole = mem_printf("%s,S=%lld,W=%lld", head, (long long)size, (long long)virtual_size);
    free(head);
    return whole;
}

/* A UID for a file that is in cur/ already. */
static struct result enter(struct mailbox *m, const char *file, uint32_t *uid)
{
    m->touched_cur = true;
    *uid = mailbox_enter(m, mem_strdup(file), false);
    return *uid ? result_ok("2.0.0", "added") : result_try_again("4.3.0", "%s: no UIDs left", m->path);
}

struct append {
    struct slice text;
    unsigned flags;
    uint32_t keywords;
    time_t date;
    uint32_t *uid;
};

static bool write_lf(int fd, struct slice text, int64_t *size, int64_t *virtual_size)
{
    BUF_AUTO out = BUF(80000);
    *size = *virtual_size = 0;
    for (size_t i = 0; i <= text.n; i++) {
        if (out.len >= 65536 || i == text.n) {
            for (size_t done = 0; done < out.len;) {
                ssize_t n = write(fd, out.data + done, out.len - done);
                if (n < 0 && errno != EINTR)
                    return false;
                done += n > 0 ? (size_t)n : 0;
            }
            *size += (int64_t)out.len;
            buf_reset(&out);
        }
        if (i == text.n || (text.p[i] == '\r' && i + 1 < text.n && text.p[i + 1] == '\n'))
            continue;
        buf_putc(&out, text.p[i]);
        *virtual_size += text.p[i] == '\n' ? 2 : 1;
    }
    return true;
}

static struct result append_job(struct mailbox *m, void *arg)
{
    struct append *a = arg;
    int64_t size, virtual_size;
    MEM_AUTO char *temp_base = unique_base(-1, -1);
    MEM_AUTO char *temp = mem_printf("tmp/%s", temp_base);
    FD_AUTO fd = openat(m->dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return mailbox_trouble(m, "append", errno);
    const struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = a->date}};
    BUF_AUTO name = BUF(1000);
    if (write_lf(fd, a->text, &size, &virtual_size) && futimens(fd, times) == 0 && fsync(fd) == 0) {
        MEM_AUTO char *base = unique_base(size, virtual_size);
        buf_puts(&name, "cur/");
        maildir_name_print(&name, slice_of(base), a->flags, a->keywords);
        if (renameat(m->dir, temp, m->dir, buf_cstr(&name)) == 0 && sync_folder(m, "cur"))
            return enter(m, buf_cstr(&name), a->uid);
    }
    struct result r = mailbox_trouble(m, "append", errno);
    unlinkat(m->dir, temp, 0);
    return r;
}

struct result mailbox_append(struct mailbox *m, struct slice text, unsigned flags, uint32_t keywords, time_t date,
                             uint32_t *uid)
{
    struct append a = {text, flags, keywords, date, uid};
    return mailbox_run(m, append_job, &a);
}

struct copy {
    char *file; /* in the folder that it is copied from */
    unsigned flags;
    uint32_t keywords;
    char *name; /* of the link, once made */
};
struct copies {
    int from_dir;
    VEC(struct copy) all;
    struct mailbox_copying *asked;
};

static int link_one(struct mailbox *m, int from_dir, struct copy *c)
{
    struct maildir_name old;
    maildir_name_parse(slice_of(c->file + 4), &old);
    bool sized = old.size >= 0 && old.virtual_size >= 0;
    MEM_AUTO char *base = unique_base(sized ? old.size : -1, old.virtual_size);
    BUF_AUTO name = BUF(1000);
    buf_puts(&name, "cur/");
    maildir_name_print(&name, slice_of(base), c->flags, c->keywords);
    if (linkat(from_dir, c->file, m->dir, buf_cstr(&name), 0) < 0)
        return errno;
    m->touched_cur = true;
    c->name = mem_strdup(buf_cstr(&name));
    return 0;
}

static void unlink_all(struct mailbox *m, struct copies *c)
{
    for (size_t i = 0; i < c->all.n; i++)
        if (c->all.items[i].name)
            unlinkat(m->dir, c->all.items[i].name, 0);
}

static struct result copy_job(struct mailbox *m, void *arg)
{
    struct copies *c = arg;
    int error = 0;
    for (size_t i = 0; i < c->all.n && error == 0; i++)
        error = link_one(m, c->from_dir, &c->all.items[i]);
    if (error == 0 && !sync_folder(m, "cur"))
        error = errno;
    if (error != 0) {
        unlink_all(m, c);
        return error == ENOENT ? result_never("5.7.0", "the message is gone") : mailbox_trouble(m, "copy", error);
    }
    struct result r = result_ok("2.0.0", "copied");
    for (size_t i = 0; i < c->all.n && result_is_ok(&r); i++)
        r = enter(m, c->all.items[i].name, &c->asked[i].new_uid);
    return r;
}

static struct result scan_job(struct mailbox *m, void *arg)
{
    return mailbox_scan(m, true);
}

/* The message's file, looked for again once when another program renamed it. */
static const struct mailbox_message *present(struct mailbox *m, uint32_t uid)
{
    const struct mailbox_message *message = mailbox_find(m, uid);
    if (!message || faccessat(m->dir, message->file, F_OK, 0) == 0)
        return message;
    struct result r = mailbox_sync(m, false);
    message = result_is_ok(&r) ? mailbox_find(m, uid) : NULL;
    if (!message || faccessat(m->dir, message->file, F_OK, 0) == 0)
        return message;
    r = mailbox_run(m, scan_job, NULL);
    return result_is_ok(&r) ? mailbox_find(m, uid) : NULL;
}

struct result mailbox_copy_many(struct mailbox *from, struct mailbox_copying *asked, size_t n, struct mailbox *to)
{
    struct copies c = {.from_dir = from->dir, .asked = asked};
    struct result r = result_ok("2.0.0", "nothing to copy");
    for (size_t i = 0; i < n && result_is_ok(&r); i++) {
        const struct mailbox_message *message = present(from, asked[i].uid);
        if (!message) {
            r = result_never("5.7.0", "the message is gone");
            continue;
        }
        /* `to` may be `from`, whose list the job brings up to date. */
        struct copy one = {.file = mem_strdup(message->file), .flags = message->flags, .keywords = asked[i].keywords};
        VEC_PUSH(&c.all, one);
    }
    if (n && result_is_ok(&r))
        r = mailbox_run(to, copy_job, &c);
    for (size_t i = 0; i < c.all.n; i++) {
        free(c.all.items[i].file);
        free(c.all.items[i].name);
    }
    VEC_FREE(&c.all);
    return r;
}

struct result mailbox_copy(struct mailbox *from, uint32_t uid, struct mailbox *to, uint32_t keywords, uint32_t *new_uid)
{
    struct mailbox_copying one = {.uid = uid, .keywords = keywords};
    struct result r = mailbox_copy_many(from, &one, 1, to);
    *new_uid = one.new_uid;
    return r;
}

struct flags_job {
    struct mailbox_change *changes;
    size_t n;
    uint64_t unchanged_since;
};

/* 0, or why the file could not get its new name. */
static int rename_message(struct mailbox *m, struct mailbox_message *message, unsigned flags, uint32_t keywords)
{
    struct maildir_name old;
    BUF_AUTO name = BUF(1000);
    maildir_name_parse(slice_of(message->file + 4), &old);
    buf_puts(&name, "cur/");
    maildir_name_print(&name, old.base, flags, keywords);
    if (renameat(m->dir, message->file, m->dir, buf_cstr(&name)) != 0)
        return errno;
    m->touched_cur = true;
    m->touched_new |= strncmp(message->file, "new/", 4) == 0;
    free(message->file);
    message->file = mem_strdup(buf_cstr(&name));
    message->flags = flags;
    message->keywords = keywords;
    mailbox_note(m, message);
    return 0;
}

static struct result change_one(struct mailbox *m, struct mailbox_change *c, uint64_t unchanged_since)
{
    c->outcome = CHANGE_GONE;
    for (int attempt = 0; attempt < 2; attempt++) {
        size_t i = mailbox_lower_bound(m, c->uid);
        if (i >= m->messages.n || m->messages.items[i].uid != c->uid)
            break;
        struct mailbox_message *message = &m->messages.items[i];
        unsigned flags = (message->flags & ~c->clear) | c->set;
        uint32_t keywords = (message->keywords & ~c->clear_keywords) | c->set_keywords;
        c->outcome = message->modseq > unchanged_since ? CHANGE_MODIFIED : CHANGE_DONE;
        if (c->outcome == CHANGE_MODIFIED || (flags == message->flags && keywords == message->keywords))
            break;
        int error = rename_message(m, message, flags, keywords);
        if (error == 0)
            break;
        c->outcome = CHANGE_GONE;
        if (error != ENOENT)
            return mailbox_trouble(m, "flags", error);
        struct result r = mailbox_scan(m, true);
        if (!result_is_ok(&r))
            return r;
    }
    return result_ok("2.0.0", "stored");
}

static struct result change_job(struct mailbox *m, void *arg)
{
    struct flags_job *job = arg;
    struct result r = result_ok("2.0.0", "stored");
    for (size_t i = 0; i < job->n && result_is_ok(&r); i++)
        r = change_one(m, &job->changes[i], job->unchanged_since);
    return r;
}

struct result mailbox_change_flags(struct mailbox *m, struct mailbox_change *changes, size_t n,
                                   uint64_t unchanged_since)
{
    struct flags_job job = {changes, n, unchanged_since};
    return n ? mailbox_run(m, change_job, &job) : result_ok("2.0.0", "nothing to change");
}

struct result mailbox_set_flags(struct mailbox *m, uint32_t uid, unsigned flags, uint32_t keywords)
{
    struct mailbox_change c = {
        .uid = uid, .clear = ~0u, .set = flags, .clear_keywords = UINT32_MAX, .set_keywords = keywords};
    struct result r = mailbox_change_flags(m, &c, 1, UINT64_MAX);
    return result_is_ok(&r) && c.outcome == CHANGE_GONE ? result_never("5.7.0", "the message is gone") : r;
}

struct expunge {
    const uint32_t *uids;
    size_t n;
};

static struct result expunge_job(struct mailbox *m, void *arg)
{
    struct expunge *e = arg;
    struct result r = result_ok("2.0.0", "expunged");
    VEC(uint32_t) gone = {0};
    bool from_new = false, scanned = false;
    for (size_t i = 0; i < e->n && result_is_ok(&r); i++) {
        const struct mailbox_message *message = mailbox_find(m, e->uids[i]);
        if (!message)
            continue;
        int error = unlinkat(m->dir, message->file, 0) < 0 ? errno : 0;
        if (error == ENOENT && !scanned) { /* it may have another name by now */
            scanned = true;
            r = mailbox_scan(m, true);
            message = mailbox_find(m, e->uids[i]);
            error = message && unlinkat(m->dir, message->file, 0) < 0 ? errno : 0;
        }
        if (error != 0 && error != ENOENT)
            r = mailbox_trouble(m, "expunge", error);
        if (!message || !result_is_ok(&r))
            continue;
        from_new |= strncmp(message->file, "new/", 4) == 0;
        VEC_PUSH(&gone, e->uids[i]);
    }
    if (gone.n) {
        m->touched_cur = true;
        m->touched_new |= from_new;
        mailbox_drop(m, gone.items, gone.n);
        if (!sync_folder(m, "cur") || (from_new && !sync_folder(m, "new")))
            r = mailbox_trouble(m, "expunge", errno);
    }
    VEC_FREE(&gone);
    return r;
}

struct result mailbox_expunge(struct mailbox *m, const uint32_t *uids, size_t n)
{
    struct expunge e = {uids, n};
    return mailbox_run(m, expunge_job, &e);
}

int mailbox_read(struct mailbox *m, uint32_t uid, struct result *r)
{
    const struct mailbox_message *message = present(m, uid);
    int fd = message ? openat(m->dir, message->file, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0)
        *r = result_ok("2.0.0", "open");
    else
        *r = message ? mailbox_trouble(m, "read", errno) : result_never("5.7.0", "the message is gone");
    return fd;
}

struct measure {
    int fd;
    int64_t size;
};

static void count_virtual(void *arg)
{
    struct measure *c = arg;
    char block[16384], last = 0;
    ssize_t n;
    while ((n = read(c->fd, block, sizeof block)) > 0) {
        c->size += n;
        for (ssize_t i = 0; i < n; last = block[i++])
            c->size += block[i] == '\n' && last != '\r';
    }
    if (n < 0)
        c->size = -1;
}

static struct result size_job(struct mailbox *m, void *arg)
{
    const struct mailbox_message *counted = arg;
    size_t i = mailbox_lower_bound(m, counted->uid);
    if (i >= m->messages.n || m->messages.items[i].uid != counted->uid)
        return result_ok("2.0.0", "it is gone");
    struct mailbox_message *message = &m->messages.items[i];
    message->size = counted->size;
    mailbox_keep_size(m, message);
    return result_ok("2.0.0", "kept");
}

int64_t mailbox_virtual_size(struct mailbox *m, uint32_t uid)
{
    struct result r;
    const struct mailbox_message *message = mailbox_find(m, uid);
    if (!message)
        return -1;
    if (message->size >= 0)
        return message->size;
    FD_AUTO fd = mailbox_read(m, uid, &r);
    struct measure c = {fd, 0};
    if (fd < 0)
        return -1;
    thread_run(count_virtual, &c);
    struct mailbox_message counted = {.uid = uid, .size = c.size};
    if (c.size >= 0)
        mailbox_run(m, size_job, &counted);
    return c.size;
}
