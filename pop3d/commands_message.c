/* commands_message.c - RETR, TOP, DELE, RSET. */
#include "lib/base/mem.h"
#include "lib/rt/fiber.h"
#include "pop3d/dotted.h"
#include "pop3d/session.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BLOCK = 65536 };

struct block {
    int fd;
    off_t offset;
    char *data;
    size_t size;
    ssize_t n;
};

static void read_on_thread(void *arg)
{
    struct block *b = arg;
    b->n = pread(b->fd, b->data, b->size, b->offset);
}

/* What is in memory already needs no thread. */
static ssize_t read_block(struct block *b)
{
    struct iovec v = {b->data, b->size};
    b->n = preadv2(b->fd, &v, 1, b->offset, RWF_NOWAIT);
    if (b->n < 0)
        thread_run(read_on_thread, b);
    if (b->n > 0)
        b->offset += b->n;
    return b->n;
}

/* False: the file could not be read to its end, and the connection cannot go on. */
static bool send_text(struct session *s, int fd, size_t size, struct dotted d, int64_t *sent)
{
    struct block b = {.fd = fd, .size = size < BLOCK ? size + 1 : BLOCK};
    BUF_AUTO out = BUF(2 * BLOCK + 16);
    MEM_AUTO char *data = b.data = mem_resize(NULL, b.size);
    bool ok = true;
    while (ok && !d.done && read_block(&b) > 0) {
        dotted_feed(&d, slice_make(data, (size_t)b.n), &out);
        if (out.len >= BLOCK / 2) {
            *sent += (int64_t)out.len;
            ok = stream_write(s->stream, out.data, out.len, session_deadline()) == STREAM_OK;
            buf_reset(&out);
        }
    }
    if (!ok || b.n < 0)
        return false;
    *sent += (int64_t)out.len;
    dotted_end(&d, &out);
    return stream_write(s->stream, out.data, out.len, session_deadline()) == STREAM_OK;
}

static enum verdict send_message(struct session *s, struct message *m, struct dotted d, unsigned *count, int64_t *sent)
{
    struct result r;
    FD_AUTO fd = mailbox_read(s->mailbox, m->uid, &r);
    if (fd < 0) {
        session_say(s, "-ERR Message %zu: %s.", session_number_of(s, m), r.text);
        return FINE;
    }
    ++*count;
    session_say(s, "+OK %lld octets", (long long)m->size);
    if (!send_text(s, fd, (size_t)m->size, d, sent)) {
        shutdown(stream_fd(s->stream), SHUT_RDWR); /* half a message must not look whole */
        s->over = true;
    }
    return FINE;
}

static void mark_seen(struct session *s, struct message *m)
{
    const struct mailbox_message *now = mailbox_find(s->mailbox, m->uid);
    if (m->seen || !now)
        return;
    m->seen = true;
    mailbox_set_flags(s->mailbox, m->uid, now->flags | MAILDIR_SEEN, now->keywords);
}

enum verdict pop3_retr(struct session *s, struct slice args)
{
    struct message *m = session_message(s, &args);
    if (!m)
        return WRONG;
    enum verdict v = send_message(s, m, dotted_all(), &s->retrieved, &s->retrieved_bytes);
    mark_seen(s, m);
    return v;
}

enum verdict pop3_top(struct session *s, struct slice args)
{
    struct message *m = session_message(s, &args);
    struct slice word;
    unsigned long long lines;
    if (!m)
        return WRONG;
    if (!slice_token(&args, " ", &word) || !slice_to_u64(word, INT32_MAX, &lines))
        return session_wrong(s, "-ERR A number of lines is missing.");
    return send_message(s, m, dotted_top((int64_t)lines), &s->tops, &s->top_bytes);
}

enum verdict pop3_dele(struct session *s, struct slice args)
{
    struct message *m = session_message(s, &args);
    if (!m)
        return WRONG;
    m->deleted = true;
    session_say(s, "+OK Marked to be deleted.");
    return FINE;
}

enum verdict pop3_rset(struct session *s, struct slice args)
{
    for (size_t i = 0; i < s->n; i++)
        s->messages[i].deleted = false;
    session_say(s, "+OK");
    return FINE;
}
