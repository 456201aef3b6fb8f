/* queue_writer.c - making a queue file durable. What queue_writer_commit promises, and in which order it comes about,
 * is in doc/internals/queue.md. */
#include "lib/queue/queue_internal.h"
#include "lib/queue/queue_record.h"

#include "lib/base/clock.h"
#include "lib/base/list.h"
#include "lib/base/mem.h"
#include "lib/rt/fiber.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 65536, DIRECTORIES_MOST = 8 };

struct queue_writer {
    int fd, read_fd;
    char id[QUEUE_ID_MAX + 1];
    char temporary[PATH_MAX / 4]; /* path */
    struct buf out;               /* what is not in the file yet */
    uint64_t written;             /* bytes of the file that are */
    uint64_t content_size, size_limit;
    uint32_t content_crc;
    bool too_big, failed, committed;
    int error;
    struct buf recipients; /* records */
    uint32_t n_recipients;
};

struct queue_writer *queue_writer_new(const char *queue, bool long_ids, struct result *r)
{
    static unsigned counter;
    struct queue_writer *w = MEM_NEW(struct queue_writer);
    struct stat st;
    w->read_fd = -1;
    w->out = BUF(BLOCK * 4);
    w->recipients = BUF(BUF_MAX_DEFAULT);
    snprintf(w->temporary, sizeof w->temporary, "%s/%d.%u.tmp", queue, (int)getpid(), counter++);
    w->fd = open(w->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (w->fd < 0 && errno == EEXIST && unlink(w->temporary) == 0) /* of an earlier process with this number */
        w->fd = open(w->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (w->fd < 0 || fstat(w->fd, &st) != 0) {
        *r = result_try_again(errno == ENOSPC || errno == EDQUOT ? "4.3.1" : "4.3.0", "cannot make a file in %s: %s",
                              queue, strerror(errno));
        queue_writer_free(&w);
        return NULL;
    }
    queue_make_id(w->id, clock_wall_usec(), st.st_ino, long_ids);
    /* Room for the header, which is written last, and the head of the content. */
    static const char zeros[CONTENT_OFFSET];
    buf_append(&w->out, zeros, sizeof zeros);
    return w;
}

const char *queue_writer_id(const struct queue_writer *w)
{
    return w->id;
}

void queue_writer_size_limit(struct queue_writer *w, uint64_t limit)
{
    w->size_limit = limit;
}

uint32_t queue_writer_recipients(const struct queue_writer *w)
{
    return w->n_recipients;
}

uint64_t queue_writer_content_size(const struct queue_writer *w)
{
    return w->content_size;
}

int queue_writer_fd(const struct queue_writer *w)
{
    return w->read_fd;
}

static bool write_at(int fd, const char *p, size_t n, uint64_t at)
{
    while (n) {
        ssize_t done = pwrite(fd, p, n, (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        p += done;
        n -= (size_t)done;
        at += (uint64_t)done;
    }
    return true;
}

static void flush_block(void *arg)
{
    struct queue_writer *w = arg;
    if (write_at(w->fd, w->out.data, w->out.len, w->written)) {
        w->written += w->out.len;
        buf_reset(&w->out);
    } else {
        w->failed = true;
        w->error = errno;
    }
}

bool queue_writer_content(struct queue_writer *w, const void *p, size_t n)
{
    if (w->failed || w->too_big)
        return false;
    if (w->size_limit && w->content_size + n > w->size_limit) {
        w->too_big = true;
        return false;
    }
    w->content_size += n;
    w->content_crc = record_crc(w->content_crc, p, n);
    for (const char *c = p; n;) {
        size_t take = n < BLOCK ? n : BLOCK;
        buf_append(&w->out, c, take);
        c += take;
        n -= take;
        if (w->out.len >= BLOCK) {
            thread_run(flush_block, w);
            if (w->failed)
                return false;
        }
    }
    return true;
}

void queue_writer_recipient(struct queue_writer *w, const struct queue_recipient *r)
{
    struct msg_queue_rcpt m = {.address = r->address, .dsn_orcpt = r->dsn_orcpt, .dsn_notify = r->dsn_notify};
    m.orig_address = r->orig_address && strcmp(r->orig_address, r->address) != 0 ? r->orig_address : "";
    BUF_AUTO payload = BUF(RECORD_PAYLOAD_MAX);
    ipc_encode(&ipc_type_queue_rcpt, &m, &payload);
    record_append(&w->recipients, RECORD_RECIPIENT, buf_slice(&payload));
    w->n_recipients++;
}

/* ---- the commit ---- */

/* A directory sync that serves everyone who asked before it began. */
static struct directory {
    char name[32];
    int fd;
    bool whole_fs;
    bool running;
    struct waitq over;
    uint64_t begun, done; /* counts of syncs */
    int error;
} directories[DIRECTORIES_MOST];

static struct directory *directory_of(const char *queue)
{
    for (size_t i = 0; i < DIRECTORIES_MOST; i++) {
        struct directory *d = &directories[i];
        if (strcmp(d->name, queue) == 0)
            return d;
        if (d->name[0])
            continue;
        int fd = open(queue, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno == EACCES) {
            fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            d->whole_fs = true;
        }
        if (fd < 0)
            return NULL;
        snprintf(d->name, sizeof d->name, "%s", queue);
        d->fd = fd;
        waitq_init(&d->over);
        return d;
    }
    return NULL;
}

static void sync_directory(void *arg)
{
    struct directory *d = arg;
    /* Who may write to a directory, but not read it (postdrop in maildrop), has its file system synced. */
    d->error = (d->whole_fs ? syncfs(d->fd) : fsync(d->fd)) == 0 ? 0 : errno;
}

/* Waits for a sync that began after now. */
static int wait_directory(const char *queue)
{
    struct directory *d = directory_of(queue);
    if (!d)
        return errno ? errno : EMFILE;
    if (!fiber_self()) {
        sync_directory(d);
        return d->error;
    }
    uint64_t wanted = d->begun + 1;
    while (d->done < wanted) {
        if (d->running) {
            waitq_wait(&d->over, DEADLINE_NEVER);
            continue;
        }
        d->running = true;
        d->begun++;
        thread_run(sync_directory, d);
        d->running = false;
        d->done = d->begun;
        waitq_wake_all(&d->over);
    }
    return d->error;
}

struct commit {
    struct queue_writer *w;
    const char *queue;
    char header[CONTENT_OFFSET];
    char path[PATH_MAX / 4];
    bool header_apart; /* it is not in `out` any more */
    int error;
    const char *what;
};

static bool failed_at(struct commit *c, const char *what)
{
    c->error = errno;
    c->what = what;
    return false;
}

/* On a thread: everything of the message into the file, the name, the sync of the file. The name comes before the sync,
 * so that both are in one journal commit; a file whose sync never came is one that nobody was promised, and its
 * checksums tell. */
static void write_and_name(void *arg)
{
    struct commit *c = arg;
    struct queue_writer *w = c->w;
    bool ok = write_at(w->fd, w->out.data, w->out.len, w->written) || failed_at(c, "write");
    ok = ok && (!c->header_apart || write_at(w->fd, c->header, sizeof c->header, 0) || failed_at(c, "write"));
    /* The dropper's file is read by another user, the mail owner; nobody else comes into the directory. */
    ok = ok && (strcmp(c->queue, "maildrop") != 0 || fchmod(w->fd, 0744) == 0 || failed_at(c, "chmod"));
    if (strcmp(c->queue, "maildrop") != 0) {
        /* Under its name a scan of qmgr may find the file, and move it away, at any moment: the lock, which ends with
         * the writer, says that it is still to be told of. */
        ok = ok && ((w->read_fd = open(w->temporary, O_RDONLY | O_CLOEXEC)) >= 0 || failed_at(c, "open"));
        ok = ok && (flock(w->fd, LOCK_EX | LOCK_NB) == 0 || failed_at(c, "lock"));
    }
    ok = ok && (rename(w->temporary, c->path) == 0 || failed_at(c, "rename"));
    if (ok)
        snprintf(w->temporary, sizeof w->temporary, "%s", c->path);
    if (ok && fsync(w->fd) != 0)
        failed_at(c, "fsync");
}

static void put_envelope(struct queue_writer *w, const struct queue_envelope *e)
{
    struct msg_queue_envelope m = {
        .sender = e->sender,
        .dsn_envid = e->dsn_envid,
        .body_type = e->body_type,
        .context = e->context,
        .client_name = e->client_name,
        .client_addr = e->client_addr,
        .client_port = e->client_port,
        .client_proto = e->client_proto,
        .client_helo = e->client_helo,
        .sasl_method = e->sasl_method,
        .sasl_username = e->sasl_username,
        .sasl_sender = e->sasl_sender,
        .content_filter = e->content_filter,
        .redirect_to = e->redirect_to,
        .origin = e->origin,
        .sender_fullname = e->sender_fullname,
        .cleanup_flags = e->cleanup_flags,
        .syslog_name = e->syslog_name,
        .dsn_ret = e->dsn_ret,
        .flags = e->flags,
        .hop = e->hop,
        .verbose_dsn = e->verbose_dsn,
        .arrival_usec = e->arrival_usec,
        .create_usec = e->create_usec,
    };
    BUF_AUTO payload = BUF(RECORD_PAYLOAD_MAX);
    ipc_encode(&ipc_type_queue_envelope, &m, &payload);
    record_append(&w->out, RECORD_ENVELOPE, buf_slice(&payload));
}

/* Closes the content, adds the other records, and fills in the header. */
static void complete(struct commit *c, const struct queue_envelope *e)
{
    static const char zeros[8];
    struct queue_writer *w = c->w;
    struct record_header h = {.content_size = w->content_size, .n_recipients = w->n_recipients};
    w->out.max = BUF_MAX_DEFAULT * 2;
    buf_append(&w->out, zeros, record_padding(w->content_size));
    h.envelope_offset = w->written + w->out.len;
    put_envelope(w, e);
    buf_append_slice(&w->out, buf_slice(&w->recipients));
    record_append(&w->out, RECORD_END, SLICE(""));
    h.end_offset = w->written + w->out.len;
    record_header_write(c->header, &h);
    record_head(c->header + HEADER_SIZE, RECORD_CONTENT, w->content_size, w->content_crc);
    c->header_apart = w->written > 0;
    if (!c->header_apart)
        memcpy(w->out.data, c->header, sizeof c->header);
}

struct result queue_writer_commit(struct queue_writer *w, const char *queue, const struct queue_envelope *e)
{
    struct commit *c = MEM_NEW(struct commit);
    c->w = w;
    c->queue = queue;
    queue_path(c->path, sizeof c->path, queue, w->id);
    if (w->too_big) {
        free(c);
        return result_never("5.3.4", "message size exceeds fixed limit");
    }
    if (w->failed) {
        c->error = w->error;
        c->what = "write";
    } else {
        complete(c, e);
        thread_run(write_and_name, c);
        if (!c->error && (c->error = wait_directory(queue)))
            c->what = "fsync of the directory";
    }
    struct result r = result_ok("2.0.0", "ok");
    if (c->error)
        r = result_try_again(c->error == ENOSPC || c->error == EDQUOT || c->error == EFBIG ? "4.3.1" : "4.3.0",
                             "queue file write error: %s: %s", c->what, strerror(c->error));
    w->committed = !c->error;
    free(c);
    return r;
}

void queue_writer_free(struct queue_writer **wp)
{
    struct queue_writer *w = *wp;
    if (!w)
        return;
    if (w->fd >= 0 && !w->committed)
        unlink(w->temporary);
    if (w->fd >= 0)
        close(w->fd);
    if (w->read_fd >= 0)
        close(w->read_fd);
    buf_fini(&w->out);
    buf_fini(&w->recipients);
    free(w);
    *wp = NULL;
}
