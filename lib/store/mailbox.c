/* A Maildir mailbox: the frame of its jobs. A job takes the folder's lock, opens the index, brings the list of messages
 * in memory up to it (by the changes since the last job), reads new/ or cur/ if these changed, does its work, and
 * leaves its own changes in the index. doc/internals/store.md has the order of effects. */
#include "lib/base/hash.h"
#include "lib/store/mailbox_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

enum {
    RECHECK_SECONDS = 30, /* after changes of our own to cur/, which may hide another's of the same moment */
    RECHECK_SOON_MS = 20, /* after a scan at the very tick of the folder's last change */
    GONE_MOST = 1000,     /* removals that are noted, beside as many as there are messages */
};

static char boot[64]; /* which start of the system this is */

void mailbox_setup(void)
{
    FD_AUTO fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, boot, sizeof boot - 1);
    boot[n > 0 ? n : 0] = '\0';
}

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

bool mailbox_write_all(int fd, struct slice text)
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
    if (mailbox_write_all(fd, text) && fsync(fd) == 0 && renameat(m->dir, temp, m->dir, name) == 0 &&
        fsync(m->dir) == 0)
        return true;
    int error = errno;
    unlinkat(m->dir, temp, 0);
    errno = error;
    return false;
}

/* ---- stamps ---- */

struct index_stamp mailbox_stamp(struct mailbox *m, const char *name)
{
    struct stat st;
    if (fstatat(m->dir, name, &st, 0) < 0)
        return (struct index_stamp){0};
    return (struct index_stamp){st.st_mtim.tv_sec, st.st_mtim.tv_nsec, S_ISDIR(st.st_mode) ? 0 : st.st_size, st.st_ino};
}

bool mailbox_stamp_equal(const struct index_stamp *a, const struct index_stamp *b)
{
    return a->inode == b->inode && a->sec == b->sec && a->nsec == b->nsec && a->size == b->size && a->inode != 0;
}

/* Whether a later change would show: the kernel stamps files with this clock, so one in the same tick would not. */
static bool is_settled(const struct index_stamp *s)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return s->sec < now.tv_sec || (s->sec == now.tv_sec && s->nsec < now.tv_nsec);
}

static int64_t wall(void)
{
    return clock_wall_usec() * 1000;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* ---- the list in memory follows the index ---- */

void mailbox_message_fini(struct mailbox_message *message)
{
    free(message->file);
    free(message->uidl);
}

void mailbox_forget_messages(struct mailbox *m)
{
    for (size_t i = 0; i < m->messages.n; i++)
        mailbox_message_fini(&m->messages.items[i]);
    VEC_FREE(&m->messages);
}

static struct mailbox_message of_record(uint32_t uid, const struct index_record *r)
{
    return (struct mailbox_message){.uid = uid,
                                    .flags = r->flags,
                                    .keywords = r->keywords,
                                    .modseq = r->modseq,
                                    .size = r->virtual_size,
                                    .file = mem_strndup(r->file.p, r->file.n),
                                    .uidl = r->uidl.n ? mem_strndup(r->uidl.p, r->uidl.n) : NULL};
}

static void load_one(void *ctx, uint32_t uid, const struct index_record *r)
{
    struct mailbox *m = ctx;
    VEC_PUSH(&m->messages, of_record(uid, r));
}

static struct mailbox_message *find_mutable(struct mailbox *m, uint32_t uid)
{
    size_t i = mailbox_lower_bound(m, uid);
    return i < m->messages.n && m->messages.items[i].uid == uid ? &m->messages.items[i] : NULL;
}

struct catching_up {
    struct mailbox *m;
    VEC(struct mailbox_message) added;
    VEC(uint32_t) removed;
};

static void catch_up_one(void *ctx, uint32_t uid, const struct index_record *r)
{
    struct catching_up *c = ctx;
    struct mailbox_message *known = find_mutable(c->m, uid);
    if (!r) {
        if (known)
            VEC_PUSH(&c->removed, uid);
        return;
    }
    struct mailbox_message now = of_record(uid, r);
    if (known) {
        now.recent = known->recent;
        mailbox_message_fini(known);
        *known = now;
    } else {
        VEC_PUSH(&c->added, now);
    }
}

static int by_uid(const void *a, const void *b)
{
    uint32_t x = ((const struct mailbox_message *)a)->uid, y = ((const struct mailbox_message *)b)->uid;
    return x < y ? -1 : x > y;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* UIDs in rising order. */
static void remove_sorted(struct mailbox *m, const uint32_t *uids, size_t n)
{
    size_t kept = 0, next = 0;
    for (size_t i = 0; i < m->messages.n; i++) {
        while (next < n && uids[next] < m->messages.items[i].uid)
            next++;
        if (next < n && uids[next] == m->messages.items[i].uid)
            mailbox_message_fini(&m->messages.items[i]);
        else
            m->messages.items[kept++] = m->messages.items[i];
    }
    m->messages.n = kept;
}

/* Reads everything; which messages were recent here is kept. */
static void load_all(struct mailbox *m)
{
    struct mailbox old = {.messages = {m->messages.items, m->messages.n, m->messages.cap}};
    m->messages.items = NULL;
    m->messages.n = m->messages.cap = 0;
    index_each(m->ix, load_one, m);
    for (size_t i = 0; i < old.messages.n; i++) {
        struct mailbox_message *now = old.messages.items[i].recent ? find_mutable(m, old.messages.items[i].uid) : NULL;
        if (now)
            now->recent = true;
    }
    mailbox_forget_messages(&old);
}

static void load_changes(struct mailbox *m)
{
    struct catching_up c = {.m = m};
    index_each_change(m->ix, m->modseq, catch_up_one, &c);
    if (c.removed.n) {
        qsort(c.removed.items, c.removed.n, sizeof *c.removed.items, by_number);
        remove_sorted(m, c.removed.items, c.removed.n);
    }
    if (c.added.n)
        qsort(c.added.items, c.added.n, sizeof *c.added.items, by_uid);
    for (size_t i = 0; i < c.added.n; i++)
        VEC_PUSH(&m->messages, c.added.items[i]);
    VEC_FREE(&c.added);
    VEC_FREE(&c.removed);
}

static void follow_index(struct mailbox *m)
{
    const struct index_header *h = index_header(m->ix);
    if (m->epoch != h->epoch)
        load_all(m);
    else if (m->modseq != h->modseq)
        load_changes(m);
    m->epoch = h->epoch;
    m->modseq = h->modseq;
    m->validity = h->validity;
    m->next_uid = h->next_uid;
}

/* ---- changes of a job ---- */

void mailbox_note(struct mailbox *m, struct mailbox_message *message)
{
    VEC_PUSH(&m->dirty, message->uid);
}

void mailbox_drop(struct mailbox *m, const uint32_t *uids, size_t n)
{
    VEC(uint32_t) sorted = {0};
    for (size_t i = 0; i < n; i++) {
        const struct mailbox_message *message = mailbox_find(m, uids[i]);
        if (!message)
            continue;
        VEC_PUSH(&sorted, uids[i]);
    }
    if (sorted.n) {
        qsort(sorted.items, sorted.n, sizeof *sorted.items, by_number);
        for (size_t i = 0; i < sorted.n; i++)
            if (i == 0 || sorted.items[i] != sorted.items[i - 1])
                index_delete(m->ix, sorted.items[i], mailbox_find(m, sorted.items[i])->modseq,
                             ++index_header(m->ix)->modseq);
        remove_sorted(m, sorted.items, sorted.n);
    }
    VEC_FREE(&sorted);
}

uint32_t mailbox_enter(struct mailbox *m, char *file, bool recent)
{
    struct maildir_name n;
    maildir_name_parse(slice_of(file + 4), &n);
    if (m->next_uid == 0 || m->next_uid == UINT32_MAX) {
        free(file);
        return 0;
    }
    struct mailbox_message message = {.uid = m->next_uid++,
                                      .flags = n.flags,
                                      .keywords = n.keywords,
                                      .size = n.virtual_size,
                                      .recent = recent,
                                      .file = file};
    VEC_PUSH(&m->messages, message);
    VEC_PUSH(&m->fresh_uids, message.uid);
    VEC_PUSH(&m->dirty, message.uid);
    return message.uid;
}

static void put_record(struct mailbox *m, const struct mailbox_message *message, uint64_t old_modseq)
{
    struct index_record r = {.modseq = message->modseq,
                             .virtual_size = message->size,
                             .keywords = message->keywords,
                             .flags = message->flags,
                             .file = slice_of(message->file),
                             .uidl = slice_of(message->uidl ? message->uidl : "")};
    index_put(m->ix, message->uid, old_modseq, &r);
}

void mailbox_keep_size(struct mailbox *m, const struct mailbox_message *message)
{
    put_record(m, message, message->modseq);
}

static void put_dirty(struct mailbox *m)
{
    struct index_header *h = index_header(m->ix);
    if (m->dirty.n)
        qsort(m->dirty.items, m->dirty.n, sizeof *m->dirty.items, by_number);
    for (size_t i = 0; i < m->dirty.n; i++) {
        struct mailbox_message *message = find_mutable(m, m->dirty.items[i]);
        if (!message || (i && m->dirty.items[i] == m->dirty.items[i - 1]))
            continue;
        uint64_t old = message->modseq;
        message->modseq = ++h->modseq;
        put_record(m, message, old);
    }
    m->dirty.n = 0;
}

/* ---- the frame ---- */

/* Modseqs go on above all that were ever given: they start from the clock in microseconds, and rise more slowly. */
static uint64_t first_modseq(struct mailbox *m, uint64_t old)
{
    static const char *const names[] = {"cur", "new", "dovecot-uidlist", "merpati.lock"};
    uint64_t highest = (uint64_t)clock_wall_usec();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) { /* should the clock have been set back */
        struct index_stamp s = mailbox_stamp(m, names[i]);
        uint64_t then = s.sec > 0 ? (uint64_t)s.sec * 1000000 + (uint64_t)(s.nsec / 1000) + 1 : 0;
        highest = then > highest ? then : highest;
    }
    highest = m->modseq > highest ? m->modseq : highest;
    return old > highest ? old : highest;
}

/* A new index, of the UID list and the files. */
static struct result rebuild(struct mailbox *m)
{
    struct index_header *h = index_header(m->ix);
    uint64_t modseq = first_modseq(m, h->modseq);
    uint32_t old_validity = h->validity > m->validity ? h->validity : m->validity;
    struct mailbox old = {.messages = {m->messages.items, m->messages.n, m->messages.cap}};
    m->messages.items = NULL;
    m->messages.n = m->messages.cap = 0;
    index_clear(m->ix);
    h->modseq = h->epoch = modseq + 1;
    struct result r = mailbox_list_load(m, old_validity);
    for (size_t i = 0; i < old.messages.n && m->validity == old_validity; i++) {
        struct mailbox_message *now = old.messages.items[i].recent ? find_mutable(m, old.messages.items[i].uid) : NULL;
        if (now)
            now->recent = true;
    }
    mailbox_forget_messages(&old);
    for (size_t i = 0; i < m->messages.n; i++)
        VEC_PUSH(&m->dirty, m->messages.items[i].uid);
    return r;
}

/* The messages as they are on disk. */
static struct result refresh(struct mailbox *m, bool all)
{
    struct index_header *h = index_header(m->ix);
    struct index_stamp cur = mailbox_stamp(m, "cur"), fresh = mailbox_stamp(m, "new");
    bool cur_settled = is_settled(&cur), fresh_settled = is_settled(&fresh);
    all |= !mailbox_stamp_equal(&cur, &h->cur) || (h->recheck && wall() >= h->recheck);
    if (!all && mailbox_stamp_equal(&fresh, &h->fresh))
        return result_ok("2.0.0", "unchanged");
    struct result r = mailbox_scan(m, all);
    if (!result_is_ok(&r))
        return r;
    if (all) {
        h->recheck = cur_settled ? 0 : wall() + RECHECK_SOON_MS * NSEC_PER_MSEC;
        h->cur = cur;
    }
    h->fresh = fresh_settled ? fresh : (struct index_stamp){0};
    index_put_header(m->ix);
    return r;
}

static struct result prepare(struct mailbox *m)
{
    struct index_header *h = index_header(m->ix);
    struct index_stamp list = mailbox_list_stamp(m);
    bool usable = h->epoch != 0 && mailbox_stamp_equal(&list, &h->list);
    struct result r = result_ok("2.0.0", "ready");
    mailbox_load_keywords(m);
    if (usable)
        follow_index(m);
    else
        r = rebuild(m);
    return result_is_ok(&r) ? refresh(m, !usable) : r;
}

/* UIDs on stable storage, then the index. */
static struct result finish(struct mailbox *m)
{
    struct index_header *h = index_header(m->ix);
    bool changed = m->dirty.n || m->touched_cur || m->touched_new || index_is_changed(m->ix);
    struct result r = mailbox_list_append(m);
    if (!result_is_ok(&r))
        return r;
    put_dirty(m);
    if (h->gone > m->messages.n + GONE_MOST && result_is_ok(&r)) {
        r = mailbox_list_tidy(m);
        index_forget_gone(m->ix);
        h->epoch = ++h->modseq;
    }
    struct index_stamp cur = mailbox_stamp(m, "cur"), fresh = mailbox_stamp(m, "new");
    if (m->touched_cur) {
        h->cur = cur;
        h->recheck = sooner(h->recheck, wall() + RECHECK_SECONDS * NSEC_PER_SEC);
    }
    if (m->touched_new)
        h->fresh = (struct index_stamp){0};
    if (changed) {
        h->list = mailbox_list_stamp(m);
        h->validity = m->validity;
        h->next_uid = m->next_uid;
        index_put_header(m->ix);
    }
    m->modseq = h->modseq;
    m->epoch = h->epoch;
    m->cur = mailbox_stamp_equal(&cur, &h->cur) && is_settled(&cur) ? cur : (struct index_stamp){0};
    m->fresh = is_settled(&fresh) && mailbox_stamp_equal(&fresh, &h->fresh) ? fresh : (struct index_stamp){0};
    m->list = h->list;
    m->recheck = h->recheck;
    return r;
}

struct run {
    struct mailbox *m;
    mailbox_job *fn;
    void *arg;
    struct result result;
};

/* An index of before the last system start may be torn: it was not synced. The lock file tells which start it was. */
static void distrust_old_index(struct mailbox *m)
{
    char then[sizeof boot] = "";
    ssize_t n = pread(m->lock, then, sizeof then - 1, 0);
    if (n > 0 && boot[0] && strcmp(then, boot) == 0)
        return;
    index_remove(m->dir);
    if (!boot[0]) /* not known: the process that wrote it is all that one can go by */
        snprintf(boot, sizeof boot, "process %d %lld", (int)getpid(), (long long)clock_wall_usec());
    if (ftruncate(m->lock, 0) != 0 || pwrite(m->lock, boot, strlen(boot), 0) < 0)
        return; /* then it is not believed the next time either */
}

static struct result run_with_index(struct run *r)
{
    struct mailbox *m = r->m;
    distrust_old_index(m);
    m->ix = index_open(m->dir, m->path);
    if (!m->ix)
        return mailbox_trouble(m, "index", errno);
    m->touched_cur = m->touched_new = false;
    m->dirty.n = m->fresh_uids.n = 0;
    struct result result = prepare(m);
    if (!result_is_ok(&result)) {
        index_close(&m->ix);
        m->epoch = 0;
        return result;
    }
    result = r->fn(m, r->arg);
    struct result end = finish(m); /* also when the job failed halfway */
    bool whole = result_is_ok(&end);
    if (!whole)
        index_close(&m->ix);
    if (!whole || !index_commit(&m->ix)) {
        /* The Maildir has what was done; the index is made anew of it. */
        index_remove(m->dir);
        m->epoch = 0;
    }
    return result_is_ok(&result) ? end : result;
}

static void run_locked(void *arg)
{
    struct run *r = arg;
    struct mailbox *m = r->m;
    m->lock = openat(m->dir, "merpati.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (m->lock < 0 || flock(m->lock, LOCK_EX) < 0)
        r->result = mailbox_trouble(m, "lock", errno);
    else
        r->result = run_with_index(r);
    if (m->lock >= 0)
        close(m->lock);
    m->lock = -1;
}

/* Jobs of one folder wait for each other here and not on pool threads, which are for other folders' jobs. */
struct line {
    unsigned waiting; /* and the one that runs */
    bool busy;
    struct waitq turn;
};
static struct hash *lines; /* by identity */
static pid_t lines_pid;    /* a forked process has lines of its own */

static struct line *line_up(struct mailbox *m)
{
    if (!lines || lines_pid != getpid())
        lines = hash_new();
    lines_pid = getpid();
    struct line *l = hash_get(lines, m->identity);
    if (!l) {
        l = MEM_NEW(struct line);
        waitq_init(&l->turn);
        hash_put(lines, m->identity, l);
    }
    l->waiting++;
    while (l->busy && waitq_wait(&l->turn, DEADLINE_NEVER) == WAIT_OK)
        ;
    return l;
}

static void leave(struct mailbox *m, struct line *l)
{
    l->busy = false;
    waitq_wake_one(&l->turn);
    if (--l->waiting == 0) {
        hash_remove(lines, m->identity);
        free(l);
    }
}

struct result mailbox_run(struct mailbox *m, mailbox_job *fn, void *arg)
{
    struct run r = {.m = m, .fn = fn, .arg = arg};
    struct line *l = fiber_self() ? line_up(m) : NULL;
    if (l)
        l->busy = true; /* one that was cancelled while it waited runs beside; the lock holds it off */
    thread_run(run_locked, &r);
    if (l)
        leave(m, l);
    return r.result;
}

static struct result sync_job(struct mailbox *m, void *arg)
{
    if (*(bool *)arg)
        mailbox_take_recent(m);
    return result_ok("2.0.0", "read");
}

/* Without a lock: both folders are as they were, and a change since would show. */
static bool is_unchanged(struct mailbox *m, bool take_recent)
{
    struct index_stamp cur = mailbox_stamp(m, "cur"), fresh = mailbox_stamp(m, "new"), list = mailbox_list_stamp(m);
    return mailbox_stamp_equal(&cur, &m->cur) && mailbox_stamp_equal(&fresh, &m->fresh) &&
           mailbox_stamp_equal(&list, &m->list) && m->epoch != 0 && (m->recheck == 0 || wall() < m->recheck) &&
           !(take_recent && mailbox_has_new(m));
}

struct result mailbox_sync(struct mailbox *m, bool take_recent)
{
    if (is_unchanged(m, take_recent))
        return result_ok("2.0.0", "unchanged");
    return mailbox_run(m, sync_job, &take_recent);
}

static void identify(struct mailbox *m)
{
    struct stat st;
    if (m->dir >= 0 && fstat(m->dir, &st) == 0)
        snprintf(m->identity, sizeof m->identity, "%llx:%llx", (unsigned long long)st.st_dev,
                 (unsigned long long)st.st_ino);
}

struct mailbox *mailbox_open(const char *path, struct result *r)
{
    struct mailbox *m = MEM_NEW(struct mailbox);
    m->path = mem_strdup(path);
    m->lock = -1;
    m->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    identify(m);
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

void mailbox_free(struct mailbox **mp)
{
    struct mailbox *m = *mp;
    if (!m)
        return;
    mailbox_forget_messages(m);
    for (unsigned i = 0; i < MAILBOX_KEYWORDS; i++)
        free(m->keywords[i]);
    VEC_FREE(&m->dirty);
    VEC_FREE(&m->fresh_uids);
    if (m->dir >= 0)
        close(m->dir);
    free(m->path);
    free(m);
    *mp = NULL;
}

uint32_t mailbox_uid_validity(const struct mailbox *m)
{
    return m->validity;
}

uint32_t mailbox_uid_next(const struct mailbox *m)
{
    return m->next_uid;
}

uint64_t mailbox_modseq(const struct mailbox *m)
{
    return m->modseq;
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
    const struct mailbox_message *message = mailbox_find(m, uid);
    return message ? mem_strdup(message->uidl) : NULL;
}
