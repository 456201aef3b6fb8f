/* session.c - a POP3 session from login to QUIT (RFC 1939 sections 5 and 6): the mailbox as it was at the login, the
 * command loop, and the UPDATE state. */
#include "pop3d/session.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/daemon/daemon.h"
#include "lib/store/deliver.h"

#include <stdio.h>
#include <unistd.h>

int64_t session_deadline(void)
{
    return deadline_in(pop3d_params.pop3d_timeout);
}

static void say(struct session *s, const char *fmt, va_list ap)
{
    BUF_AUTO b = BUF(1000);
    buf_vprintf(&b, fmt, ap);
    buf_puts(&b, "\r\n");
    stream_write(s->stream, b.data, b.len, session_deadline());
}

void session_say(struct session *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(s, fmt, ap);
    va_end(ap);
}

enum verdict session_wrong(struct session *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(s, fmt, ap);
    va_end(ap);
    return WRONG;
}

struct message *session_message(struct session *s, struct slice *args)
{
    struct slice word = SLICE("");
    unsigned long long number;
    if (!slice_token(args, " ", &word) || !slice_to_u64(word, UINT32_MAX, &number)) {
        session_say(s, "-ERR A message number is missing.");
        return NULL;
    }
    if (number == 0 || number > s->n || s->messages[number - 1].deleted) {
        session_say(s, "-ERR There is no message %llu.", number);
        return NULL;
    }
    return &s->messages[number - 1];
}

size_t session_number_of(const struct session *s, const struct message *m)
{
    return (size_t)(m - s->messages) + 1;
}

/* ---- opening ---- */

static void take_snapshot(struct session *s)
{
    size_t count = mailbox_count(s->mailbox);
    s->messages = mem_alloc((count + 1) * sizeof *s->messages);
    for (size_t i = 0; i < count; i++) {
        const struct mailbox_message *m = mailbox_at(s->mailbox, i);
        struct message *to = &s->messages[s->n];
        *to = (struct message){.uid = m->uid, .seen = m->flags & MAILDIR_SEEN};
        to->size = mailbox_virtual_size(s->mailbox, to->uid);
        s->n += to->size >= 0; /* gone already */
    }
}

static bool open_mailbox(struct session *s, struct result *r)
{
    struct slice location = slice_of(s->open->mail_location);
    if (!slice_starts_fold(location, SLICE("maildir:"))) {
        *r = result_try_again("4.3.5", "mail_location %s is no maildir", s->open->mail_location);
        return false;
    }
    const char *path = location.p + strlen("maildir:");
    *r = store_make_maildir(path);
    if (result_is_ok(r))
        s->mailbox = mailbox_open(path, r);
    return s->mailbox != NULL;
}

/* ---- ending ---- */

static size_t count_deleted(const struct session *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += s->messages[i].deleted;
    return n;
}

/* The UPDATE state. */
static struct result remove_deleted(struct session *s)
{
    size_t n = 0;
    MEM_AUTO uint32_t *uids = mem_alloc((s->n + 1) * sizeof *uids);
    for (size_t i = 0; i < s->n; i++)
        if (s->messages[i].deleted)
            uids[n++] = s->messages[i].uid;
    return n ? mailbox_expunge(s->mailbox, uids, n) : result_ok("2.0.0", "nothing to remove");
}

static void log_end(const struct session *s, const char *reason)
{
    const struct msg_session_open *o = s->open;
    int64_t size = 0;
    for (size_t i = 0; i < s->n; i++)
        size += s->messages[i].size;
    log_info("pop3(%s)<%d><%s>: Disconnected: %s top=%u/%lld, retr=%u/%lld, del=%zu/%zu, size=%lld", o->user,
             (int)getpid(), o->session_id, reason, s->tops, (long long)s->top_bytes, s->retrieved,
             (long long)s->retrieved_bytes, count_deleted(s), s->n, (long long)size);
}

/* ---- commands of the session itself ---- */

enum verdict pop3_noop(struct session *s, struct slice args)
{
    session_say(s, "+OK");
    return FINE;
}

enum verdict pop3_capa(struct session *s, struct slice args)
{
    session_say(s, "+OK\r\nCAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE\r\n.");
    return FINE;
}

enum verdict pop3_quit(struct session *s, struct slice args)
{
    struct result r = remove_deleted(s);
    if (result_is_ok(&r)) {
        session_say(s, count_deleted(s) ? "+OK Logging out, messages deleted." : "+OK Logging out.");
    } else {
        log_error("pop3(%s): %s", s->open->user, r.text);
        session_say(s, "-ERR [SYS/TEMP] Not all messages could be deleted.");
    }
    s->over = true;
    return FINE;
}

static const struct command {
    const char *name;
    session_handler *run;
} commands[] = {
#define COMMAND(verb, handler) {#verb, handler},
#include "pop3d/commands.def"
#undef COMMAND
};

static enum verdict run_line(struct session *s, struct slice line)
{
    struct slice args, verb = wire_verb(line, &args);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (slice_eq_fold(verb, slice_of(commands[i].name)))
            return commands[i].run(s, args);
    return session_wrong(s, "-ERR Unknown command.");
}

static const char *end_reason(enum stream_status st)
{
    return st == STREAM_TIMEOUT     ? "Inactivity"
           : st == STREAM_CANCELLED ? "Shutting down"
           : st == STREAM_FULL      ? "Input line too long"
                                    : "Connection closed";
}

static void talk(struct session *s)
{
    struct slice line;
    while (!s->over) {
        enum stream_status st = wire_read_line(s->stream, &line, session_deadline());
        if (st != STREAM_OK) {
            if (st != STREAM_EOF && st != STREAM_ERROR)
                session_say(s, "-ERR %s.", end_reason(st));
            log_end(s, end_reason(st));
            return;
        }
        s->bad = run_line(s, line) == WRONG ? s->bad + 1 : 0;
        if (s->bad >= (unsigned)pop3d_params.pop3d_max_bad_commands) {
            session_say(s, "-ERR Too many wrong commands.");
            log_end(s, "Too many wrong commands");
            return;
        }
    }
    log_end(s, "Logged out");
}

void session_run(struct stream *stream, const struct msg_session_open *open)
{
    struct session s = {.stream = stream, .open = open};
    struct result r;
    if (open_mailbox(&s, &r)) {
        take_snapshot(&s);
        session_say(&s, "+OK Logged in.");
        talk(&s);
    } else {
        log_error("pop3(%s)<%d><%s>: %s", open->user, (int)getpid(), open->session_id, r.text);
        session_say(&s, "-ERR [SYS/TEMP] The mailbox cannot be opened.");
    }
    mailbox_free(&s.mailbox);
    free(s.messages);
}

void session_refuse(struct stream *stream, const struct msg_session_open *open, const char *text)
{
    stream_printf(stream, deadline_in(10), "-ERR [IN-USE] %s\r\n", text);
}
