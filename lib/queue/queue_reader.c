/* queue_reader.c - reading a queue file back, strictly: what is damaged is said so, and what follows the last whole
 * record does not count. */
#include "lib/queue/queue_internal.h"
#include "lib/queue/queue_record.h"

#include "lib/base/mem.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_READ = 16384 };
#define TAIL_MAX ((uint64_t)512 << 20)

gid_t queue_group_of(uid_t uid)
{
    struct passwd *pw = getpwuid(uid);
    return pw ? pw->pw_gid : getegid();
}

static bool read_at(int fd, char *p, size_t n, uint64_t at, size_t *got)
{
    *got = 0;
    while (*got < n) {
        ssize_t r = pread(fd, p + *got, n - *got, (off_t)(at + *got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return false;
        if (r == 0)
            break;
        *got += (size_t)r;
    }
    return true;
}

static bool take_envelope(struct arena *a, struct slice payload, struct queue_envelope *e)
{
    struct msg_queue_envelope m;
    if (!ipc_decode(&ipc_type_queue_envelope, payload, a, &m))
        return false;
    *e = (struct queue_envelope){
        .sender = m.sender,
        .dsn_envid = m.dsn_envid,
        .body_type = m.body_type,
        .context = m.context,
        .client_name = m.client_name,
        .client_addr = m.client_addr,
        .client_port = m.client_port,
        .client_proto = m.client_proto,
        .client_helo = m.client_helo,
        .sasl_method = m.sasl_method,
        .sasl_username = m.sasl_username,
        .sasl_sender = m.sasl_sender,
        .content_filter = m.content_filter,
        .redirect_to = m.redirect_to,
        .origin = m.origin,
        .sender_fullname = m.sender_fullname,
        .cleanup_flags = m.cleanup_flags,
        .syslog_name = m.syslog_name,
        .dsn_ret = m.dsn_ret,
        .flags = m.flags,
        .hop = m.hop,
        .verbose_dsn = m.verbose_dsn,
        .arrival_usec = m.arrival_usec,
        .create_usec = m.create_usec,
    };
    return true;
}

static bool take_recipient(struct arena *a, struct slice payload, struct queue_message *m, size_t most)
{
    struct msg_queue_rcpt r;
    if (m->n_recipients >= most || !ipc_decode(&ipc_type_queue_rcpt, payload, a, &r))
        return false;
    m->recipients[m->n_recipients] = (struct queue_recipient){
        .index = (uint32_t)m->n_recipients,
        .address = r.address,
        .orig_address = *r.orig_address ? r.orig_address : r.address,
        .dsn_orcpt = r.dsn_orcpt,
        .dsn_notify = r.dsn_notify,
        .last_dsn = "",
        .last_text = "",
        .last_relay = "",
        .last_diagnostic = "",
        .last_remote_mta = "",
    };
    m->n_recipients++;
    return true;
}

static bool take_event(struct arena *a, struct slice payload, struct queue_message *m)
{
    struct msg_queue_event e;
    if (!ipc_decode(&ipc_type_queue_event, payload, a, &e))
        return false;
    if (e.event == QUEUE_EXPIRE_NOW) {
        m->envelope.flags |= QUEUE_EXPIRE;
        return true;
    }
    if (e.recipient >= m->n_recipients)
        return false;
    struct queue_recipient *r = &m->recipients[e.recipient];
    switch ((enum queue_event)e.event) {
    case QUEUE_DELIVERED:
    case QUEUE_TOLD:
        r->state = RCPT_DONE;
        return true;
    case QUEUE_DELAY_TOLD:
        r->delay_told = true;
        return true;
    case QUEUE_FAILED:
        r->state = RCPT_FAILED;
        break;
    case QUEUE_DEFERRED:
        break;
    case QUEUE_EXPIRE_NOW:
        return true;
    default:
        return false;
    }
    r->last_dsn = e.dsn;
    r->last_text = e.text;
    r->last_relay = e.relay;
    r->last_diagnostic = e.diagnostic;
    r->last_remote_mta = e.remote_mta;
    r->last_attempt = e.time;
    return true;
}

static enum queue_read damaged(struct buf *why, const char *what)
{
    buf_puts(why, what);
    return QUEUE_READ_DAMAGED;
}

/* The records from the envelope on. */
static enum queue_read read_tail(struct slice tail, const struct record_header *h, struct arena *a,
                                 struct queue_message *m, struct buf *why)
{
    enum record_type type;
    struct slice payload, start = tail;
    bool ended = false;
    if (!record_next(&tail, &type, &payload) || type != RECORD_ENVELOPE || !take_envelope(a, payload, &m->envelope))
        return damaged(why, "the envelope is damaged");
    m->recipients = ARENA_ARRAY(a, struct queue_recipient, h->n_recipients + 1);
    while (!ended) {
        if (!record_next(&tail, &type, &payload))
            return damaged(why, "it was cut off before its end");
        if (type == RECORD_RECIPIENT) {
            if (!take_recipient(a, payload, m, h->n_recipients))
                return damaged(why, "a recipient is damaged");
        } else if (type == RECORD_END) {
            ended = true;
        } else {
            return damaged(why, "an unknown record");
        }
    }
    if (m->n_recipients != h->n_recipients)
        return damaged(why, "recipients are missing");
    while (tail.n) {
        struct slice before = tail;
        if (!record_next(&tail, &type, &payload) || type != RECORD_HISTORY || !take_event(a, payload, m)) {
            m->torn = true;
            tail = before;
            break;
        }
    }
    m->file_size = h->envelope_offset + (start.n - tail.n);
    m->envelope.content_offset = CONTENT_OFFSET;
    m->envelope.content_size = h->content_size;
    m->envelope.n_recipients = h->n_recipients;
    return QUEUE_READ_OK;
}

enum queue_read queue_read(int fd, struct arena *a, struct queue_message *m, struct buf *why)
{
    char first[FIRST_READ];
    size_t got, more;
    struct record_header h;
    struct stat st;
    static const char zeros[HEADER_SIZE];
    memset(m, 0, sizeof *m);
    if (!read_at(fd, first, sizeof first, 0, &got)) {
        buf_printf(why, "%s", strerror(errno));
        return QUEUE_READ_ERROR;
    }
    if (got < HEADER_SIZE || memcmp(first, zeros, HEADER_SIZE) == 0) {
        buf_puts(why, "it was never completed");
        return got == 0 || got >= HEADER_SIZE ? QUEUE_READ_INCOMPLETE : QUEUE_READ_DAMAGED;
    }
    if (!record_header_read(slice_make(first, got), &h))
        return damaged(why, "the header is damaged");
    if (got < sizeof first && h.end_offset <= got)
        return read_tail(slice_make(first + h.envelope_offset, got - h.envelope_offset), &h, a, m, why);
    if (fstat(fd, &st) != 0) {
        buf_printf(why, "%s", strerror(errno));
        return QUEUE_READ_ERROR;
    }
    if ((uint64_t)st.st_size < h.end_offset)
        return damaged(why, "it was cut off before its end");
    uint64_t size = (uint64_t)st.st_size - h.envelope_offset;
    if (size > TAIL_MAX)
        return damaged(why, "its records are too long");
    MEM_AUTO char *tail = malloc(size);
    if (!tail || !read_at(fd, tail, size, h.envelope_offset, &more)) {
        buf_printf(why, "%s", strerror(errno));
        return QUEUE_READ_ERROR;
    }
    return read_tail(slice_make(tail, more), &h, a, m, why);
}
