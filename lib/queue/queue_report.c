/* queue_report.c - see queue_report.h. */
#include "lib/queue/queue_report.h"

#include "lib/base/mem.h"
#include "lib/queue/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const queues[] = {"incoming", "active", "deferred", "hold", "maildrop"};
enum { N_QUEUES = sizeof queues / sizeof queues[0] };

struct queue_report {
    const char *null_sender;
    size_t queue; /* place in queues */
    struct queue_scan *scan;
    bool begun;
};

struct queue_report *queue_report_new(const char *null_sender)
{
    struct queue_report *r = mem_alloc(sizeof *r);
    *r = (struct queue_report){.null_sender = null_sender};
    return r;
}

void queue_report_free(struct queue_report **r)
{
    if (*r && (*r)->scan)
        queue_scan_close(&(*r)->scan);
    free(*r);
    *r = NULL;
}

static void put(struct buf *out, const char *name, const char *value)
{
    buf_append(out, name, strlen(name) + 1);
    buf_append(out, value, strlen(value) + 1);
}

static void put_number(struct buf *out, const char *name, long long value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", value);
    put(out, name, text);
}

static void put_message(struct queue_report *r, const char *id, const struct queue_message *m, struct buf *out)
{
    const struct queue_envelope *e = &m->envelope;
    put(out, "queue_name", queues[r->queue]);
    put(out, "queue_id", id);
    put_number(out, "time", e->arrival_usec / 1000000);
    put_number(out, "size", (long long)e->content_size);
    put_number(out, "forced_expire", (e->flags & QUEUE_EXPIRE) != 0);
    put(out, "sender", *e->sender ? e->sender : r->null_sender);
    for (size_t i = 0; i < m->n_recipients; i++) {
        const struct queue_recipient *rcpt = &m->recipients[i];
        if (rcpt->state == RCPT_DONE)
            continue;
        put(out, "recipient", rcpt->address);
        put(out, "reason", rcpt->last_text ? rcpt->last_text : "");
    }
    buf_putc(out, '\0');
}

static void report_file(struct queue_report *r, const char *id, struct buf *out)
{
    int fd = queue_open(id, queues[r->queue], false);
    if (fd < 0)
        return; /* gone since the scan */
    ARENA_AUTO a = arena_new();
    BUF_AUTO why = BUF(1000);
    struct queue_message m;
    if (queue_read(fd, a, &m, &why) == QUEUE_READ_OK)
        put_message(r, id, &m, out);
    close(fd);
}

/* The next file of the present queue or a later one. */
static bool next_id(struct queue_report *r, char id[QUEUE_ID_MAX + 1])
{
    for (; r->queue < N_QUEUES; r->queue++) {
        if (!r->scan)
            r->scan = queue_scan_open(queues[r->queue]);
        if (r->scan && queue_scan_next(r->scan, id))
            return true;
        if (r->scan)
            queue_scan_close(&r->scan);
    }
    return false;
}

bool queue_report_fill(struct queue_report *r, struct buf *out, size_t enough)
{
    if (!r->begun) {
        put(out, "protocol", "mail_queue_list_protocol");
        buf_putc(out, '\0');
        r->begun = true;
    }
    char id[QUEUE_ID_MAX + 1];
    while (out->len < enough && next_id(r, id))
        report_file(r, id, out);
    if (r->queue < N_QUEUES)
        return true;
    buf_putc(out, '\0');
    return false;
}
