/* qmgr_finish.c - the end of a round: every recipient of the message was tried. What was promised is written down
 * before anything is removed; see doc/internals/queue.md for the order of effects. */
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "qmgr/qmgr.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static void remove_message(struct message *m)
{
    if (queue_remove(m->id, "active"))
        log_info("%s: removed", m->id);
    else
        log_error("%s: cannot remove it from active: %s", m->id, strerror(errno));
    message_free(&m);
}

/* Everyone has the message, and nobody is to be told anything. */
static bool is_plainly_done(const struct message *m)
{
    for (size_t i = 0; i < m->m.n_recipients; i++) {
        const struct queue_recipient *r = &m->m.recipients[i];
        if (r->state == RCPT_DONE)
            continue;
        if (m->notes[i].kind != NOTE_DELIVERED || (r->dsn_notify & DSN_NOTIFY_SUCCESS) || r->delay_told ||
            m->m.envelope.verbose_dsn)
            return false;
    }
    return true;
}

/* ---- history ---- */

struct history {
    struct message *m;
    VEC(struct queue_history) events;
    bool sync, ok;
    int error;
};

static void add_event(struct history *h, enum queue_event event, uint32_t recipient)
{
    const struct outcome_note *n = &h->m->notes[recipient];
    struct queue_history e = {.event = event, .recipient = recipient, .time = clock_wall_usec() / 1000000};
    if (event == QUEUE_DEFERRED || event == QUEUE_FAILED) {
        e.dsn = n->dsn;
        e.text = n->text;
        e.relay = n->relay;
        e.diagnostic = n->diagnostic;
        e.remote_mta = n->remote_mta;
    }
    VEC_PUSH(&h->events, e);
}

static void write_history(void *arg)
{
    struct history *h = arg;
    int fd = queue_open(h->m->id, "active", true);
    h->ok = fd >= 0;
    if (h->ok && h->m->m.torn) /* what is behind the last whole record never was */
        h->ok = ftruncate(fd, (off_t)h->m->m.file_size) == 0;
    h->ok = h->ok && queue_history_append(fd, h->events.items, h->events.n) && (!h->sync || queue_history_sync(fd));
    h->error = errno;
    if (fd >= 0)
        close(fd);
}

static bool save(struct history *h)
{
    if (!h->events.n)
        return true;
    thread_run(write_history, h);
    if (h->ok)
        h->m->m.torn = false;
    else
        log_error("%s: cannot note what became of its recipients: %s; they may get it twice", h->m->id,
                  strerror(h->error));
    VEC_FREE(&h->events);
    return h->ok;
}

/* Past its lifetime: what could not be delivered now is given up. */
static void expire(struct message *m)
{
    bool any = false;
    for (size_t i = 0; i < m->m.n_recipients; i++) {
        struct outcome_note *n = &m->notes[i];
        if (n->kind != NOTE_DEFERRED)
            continue;
        n->kind = NOTE_FAILED;
        any = true;
    }
    if (any)
        log_info("%s: from=<%s>, status=%s, returned to sender", m->id, m->m.envelope.sender,
                 m->m.envelope.flags & QUEUE_EXPIRE ? "force-expired" : "expired");
}

static void take_over(struct message *m)
{
    for (size_t i = 0; i < m->m.n_recipients; i++) {
        struct queue_recipient *r = &m->m.recipients[i];
        const struct outcome_note *n = &m->notes[i];
        if (n->kind == NOTE_DELIVERED)
            r->state = RCPT_DONE;
        else if (n->kind == NOTE_FAILED)
            r->state = RCPT_FAILED;
        if (n->kind != NOTE_DEFERRED && n->kind != NOTE_FAILED)
            continue;
        r->last_dsn = n->dsn;
        r->last_text = n->text;
        r->last_relay = n->relay;
        r->last_diagnostic = n->diagnostic;
        r->last_remote_mta = n->remote_mta;
        r->last_attempt = clock_wall_usec() / 1000000;
    }
}

static bool any_in_state(const struct message *m, int state)
{
    for (size_t i = 0; i < m->m.n_recipients; i++)
        if ((int)m->m.recipients[i].state == state)
            return true;
    return false;
}

/* Notes the round in the file. Results that must not be forgotten are synced. */
static void note_round(struct message *m)
{
    struct history h = {.m = m};
    for (size_t i = 0; i < m->m.n_recipients; i++) {
        switch (m->notes[i].kind) {
        case NOTE_NONE:
            break;
        case NOTE_DELIVERED:
            add_event(&h, QUEUE_DELIVERED, (uint32_t)i);
            h.sync = true;
            break;
        case NOTE_FAILED:
            add_event(&h, QUEUE_FAILED, (uint32_t)i);
            h.sync = true;
            break;
        case NOTE_DEFERRED:
            add_event(&h, QUEUE_DEFERRED, (uint32_t)i);
            break;
        }
    }
    save(&h);
}

/* ---- notices ---- */

static void tell_failures(struct message *m)
{
    if (!any_in_state(m, RCPT_FAILED) || !bounce_notice(m, "failure"))
        return;
    struct history h = {.m = m, .sync = true};
    for (size_t i = 0; i < m->m.n_recipients; i++)
        if (m->m.recipients[i].state == RCPT_FAILED) {
            m->m.recipients[i].state = RCPT_DONE;
            add_event(&h, QUEUE_TOLD, (uint32_t)i);
        }
    if (any_in_state(m, RCPT_TODO))
        save(&h);
    VEC_FREE(&h.events);
}

static void tell_delay(struct message *m)
{
    const struct queue_envelope *e = &m->m.envelope;
    struct history h = {.m = m};
    if (!qmgr_params.delay_warning_time ||
        clock_wall_usec() - e->arrival_usec < qmgr_params.delay_warning_time * 1000000 || !*e->sender)
        return;
    bool due = false;
    for (size_t i = 0; i < m->m.n_recipients; i++)
        due |= m->m.recipients[i].state == RCPT_TODO && !m->m.recipients[i].delay_told;
    if (!due || !bounce_notice(m, "delay"))
        return;
    for (size_t i = 0; i < m->m.n_recipients; i++)
        if (m->m.recipients[i].state == RCPT_TODO && !m->m.recipients[i].delay_told)
            add_event(&h, QUEUE_DELAY_TOLD, (uint32_t)i);
    save(&h);
}

/* ---- put off ---- */

struct putting_off {
    const char *id;
    int64_t next;
    int error;
};

static void move_to_deferred(void *arg)
{
    struct putting_off *p = arg;
    char path[PATH_MAX];
    struct timespec times[2] = {{.tv_sec = p->next}, {.tv_sec = p->next}};
    queue_path(path, sizeof path, "active", p->id);
    if (utimensat(AT_FDCWD, path, times, 0) != 0 || !queue_move(p->id, "active", "deferred"))
        p->error = errno;
}

static void put_off(struct message *m)
{
    int64_t now = clock_wall_usec() / 1000000, age = now - m->m.envelope.arrival_usec / 1000000;
    int64_t delay = age < qmgr_params.minimal_backoff_time   ? qmgr_params.minimal_backoff_time
                    : age > qmgr_params.maximal_backoff_time ? qmgr_params.maximal_backoff_time
                                                             : age;
    struct putting_off p = {.id = m->id, .next = now + delay};
    thread_run(move_to_deferred, &p);
    if (p.error)
        log_error("%s: cannot move it to deferred: %s", m->id, strerror(p.error));
    message_free(&m);
}

static void finish_fiber(void *arg)
{
    struct message *m = arg;
    if (m->last_chance)
        expire(m);
    take_over(m);
    if (any_in_state(m, RCPT_TODO) || any_in_state(m, RCPT_FAILED))
        note_round(m);
    bool told = bounce_notice(m, "success");
    tell_failures(m);
    if (any_in_state(m, RCPT_TODO))
        tell_delay(m);
    if (m->forgotten)
        message_free(&m);
    else if (any_in_state(m, RCPT_TODO) || any_in_state(m, RCPT_FAILED) || !told)
        put_off(m);
    else
        remove_message(m);
    daemon_release();
}

void message_finish(struct message *m)
{
    if (m->forgotten)
        message_free(&m);
    else if (is_plainly_done(m))
        remove_message(m);
    else {
        m->finishing = true;
        daemon_hold();
        fiber_start("finish", finish_fiber, m);
    }
}
