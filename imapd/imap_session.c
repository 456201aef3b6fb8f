/* imap_session.c - an IMAP session after the login: reads whole commands, finds them in the table, answers. */
#include "imapd/imap_state.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/daemon/daemon.h"

#include <stdio.h>

enum { LINE_MOST = 65536, BAD_MOST = 20, WRITE_SECONDS = 300, STATE_ANY = 1, STATE_SELECTED = 2 };

int64_t imap_deadline(void)
{
    return deadline_in(WRITE_SECONDS);
}

const char *imap_capabilities(void)
{
    return "IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE NAMESPACE UIDPLUS MOVE UNSELECT ESEARCH CHILDREN SPECIAL-USE "
           "CONDSTORE";
}

/* ---- answers ---- */

void imap_write(struct imap *s, struct slice text)
{
    stream_write(s->stream, text.p, text.n, imap_deadline());
}

static void say(struct imap *s, const char *before, const char *fmt, va_list ap)
{
    BUF_AUTO b = BUF(1 << 20);
    buf_puts(&b, before);
    buf_vprintf(&b, fmt, ap);
    buf_puts(&b, "\r\n");
    imap_write(s, buf_slice(&b));
}

void imap_say(struct imap *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(s, "", fmt, ap);
    va_end(ap);
}

enum imap_verdict imap_ok(struct imap *s, bool keep_expunged, const char *fmt, ...)
{
    va_list ap;
    imap_tell_changes(s, keep_expunged);
    va_start(ap, fmt);
    say(s, arena_printf(s->call, "%.*s OK ", SLICE_ARG(s->tag)), fmt, ap);
    va_end(ap);
    return IMAP_DONE;
}

enum imap_verdict imap_no(struct imap *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(s, arena_printf(s->call, "%.*s NO ", SLICE_ARG(s->tag)), fmt, ap);
    va_end(ap);
    return IMAP_DONE;
}

/* ---- small commands ---- */

enum imap_verdict imap_capability(struct imap *s, struct imap_cursor *c)
{
    if (!imap_at_end(c))
        return IMAP_MALFORMED;
    imap_say(s, "* CAPABILITY %s", imap_capabilities());
    return imap_ok(s, false, "Capability completed.");
}

enum imap_verdict imap_noop(struct imap *s, struct imap_cursor *c)
{
    return imap_at_end(c) ? imap_ok(s, false, "Done.") : IMAP_MALFORMED;
}

enum imap_verdict imap_logout(struct imap *s, struct imap_cursor *c)
{
    if (!imap_at_end(c))
        return IMAP_MALFORMED;
    imap_say(s, "* BYE Logging out");
    imap_say(s, "%.*s OK Logout completed.", SLICE_ARG(s->tag));
    s->logged_out = true;
    return IMAP_DONE;
}

enum imap_verdict imap_id(struct imap *s, struct imap_cursor *c)
{
    imap_say(s, "* ID (\"name\" \"Merpati\" \"version\" \"%s\")", MERPATI_VERSION);
    return imap_ok(s, false, "ID completed.");
}

enum imap_verdict imap_namespace(struct imap *s, struct imap_cursor *c)
{
    if (!imap_at_end(c))
        return IMAP_MALFORMED;
    imap_say(s, "* NAMESPACE ((\"\" \".\")) NIL NIL");
    return imap_ok(s, false, "Namespace completed.");
}

enum imap_verdict imap_enable(struct imap *s, struct imap_cursor *c)
{
    struct slice word;
    bool any = false, condstore = false;
    while (imap_space(c) && imap_atom(c, &word)) {
        any = true;
        condstore |= slice_eq_fold(word, SLICE("CONDSTORE"));
    }
    if (!any || !imap_at_end(c))
        return IMAP_MALFORMED;
    imap_say(s, condstore ? "* ENABLED CONDSTORE" : "* ENABLED");
    if (condstore)
        imap_enable_condstore(s);
    return imap_ok(s, false, "Enabled.");
}

enum imap_verdict imap_check(struct imap *s, struct imap_cursor *c)
{
    return imap_at_end(c) ? imap_ok(s, false, "Check completed.") : IMAP_MALFORMED;
}

enum imap_verdict imap_login_again(struct imap *s, struct imap_cursor *c)
{
    return imap_no(s, "Already logged in.");
}

static const struct command {
    const char *verb;
    imap_handler *run;
    int state;
    bool uid; /* also as UID x */
} commands[] = {
#define COMMAND(verb, handler, state, uid) {#verb, handler, state, uid},
#include "imapd/commands.def"
#undef COMMAND
};

static const struct command *find(struct slice verb)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (slice_eq_fold(verb, slice_of(commands[i].verb)))
            return &commands[i];
    return NULL;
}

/* ---- commands come in ---- */

enum incoming { INCOMING_COMMAND, INCOMING_REFUSED /* answered already */, INCOMING_END };

static bool is_append(struct slice command)
{
    struct slice tag, verb;
    return slice_token(&command, " ", &tag) && slice_token(&command, " ", &verb) &&
           slice_eq_fold(verb, SLICE("APPEND"));
}

static enum incoming refuse_literal(struct imap *s, struct slice command, bool synchronizing)
{
    struct slice tag = SLICE("*");
    slice_token(&command, " ", &tag);
    if (synchronizing) {
        imap_say(s, "%.*s NO [TOOBIG] The literal is too long.", SLICE_ARG(tag));
        return INCOMING_REFUSED;
    }
    imap_say(s, "* BYE The literal is too long."); /* what follows is not to be told from commands */
    return INCOMING_END;
}

/* A whole command, its literals included, into b. */
static enum incoming read_command(struct imap *s, struct buf *b)
{
    for (;;) {
        struct slice line;
        uint64_t size;
        bool synchronizing;
        enum stream_status st = stream_flush(s->stream, imap_deadline());
        if (st == STREAM_OK)
            st = stream_read_line(s->stream, LINE_MOST, &line, deadline_in(imapd_params.imapd_timeout));
        if (st == STREAM_TIMEOUT)
            imap_say(s, "* BYE Disconnected for inactivity.");
        if (st == STREAM_CANCELLED)
            imap_say(s, "* BYE The mail system is shutting down.");
        if (st == STREAM_FULL)
            imap_say(s, "* BYE Too long a line.");
        if (st != STREAM_OK)
            return INCOMING_END;
        buf_append_slice(b, line);
        if (!imap_literal_announced(line, &size, &synchronizing))
            return INCOMING_COMMAND;
        uint64_t most = is_append(buf_slice(b)) ? (uint64_t)imapd_params.imapd_append_limit
                                                : (uint64_t)imapd_params.imapd_command_limit;
        if (size + b->len > most)
            return refuse_literal(s, buf_slice(b), synchronizing);
        buf_puts(b, "\r\n");
        if (synchronizing) {
            imap_say(s, "+ OK");
            stream_flush(s->stream, imap_deadline());
        }
        char *room = buf_room(b, size);
        if (!room || stream_read_full(s->stream, room, size, deadline_in(imapd_params.imapd_timeout)) != STREAM_OK)
            return INCOMING_END;
        buf_added(b, size);
    }
}

static enum imap_verdict dispatch(struct imap *s, struct imap_cursor *c)
{
    struct slice verb;
    s->by_uid = false;
    if (!imap_space(c) || !imap_atom(c, &verb))
        return IMAP_MALFORMED;
    if (slice_eq_fold(verb, SLICE("UID"))) {
        s->by_uid = true;
        if (!imap_space(c) || !imap_atom(c, &verb))
            return IMAP_MALFORMED;
    }
    const struct command *k = find(verb);
    if (!k || (s->by_uid && !k->uid))
        return IMAP_MALFORMED;
    if (k->state == STATE_SELECTED && !s->mailbox) {
        imap_say(s, "%.*s BAD No mailbox selected.", SLICE_ARG(s->tag));
        return IMAP_DONE;
    }
    return k->run(s, c);
}

/* Returns whether the command made sense. */
static bool run_command(struct imap *s, struct slice text)
{
    struct imap_cursor c = {text, s->call};
    if (!imap_tag(&c, &s->tag)) {
        imap_say(s, "* BAD A tag is missing.");
        return false;
    }
    if (dispatch(s, &c) == IMAP_DONE)
        return true;
    imap_say(s, "%.*s BAD Error in IMAP command or its arguments.", SLICE_ARG(s->tag));
    return false;
}

static void serve(struct imap *s)
{
    int bad = 0;
    while (!s->logged_out && bad < BAD_MOST) {
        BUF_AUTO text = BUF((size_t)imapd_params.imapd_append_limit + LINE_MOST);
        enum incoming in = read_command(s, &text);
        if (in == INCOMING_END)
            break;
        if (in == INCOMING_REFUSED)
            continue;
        s->call = arena_new();
        bad = run_command(s, buf_slice(&text)) ? 0 : bad + 1;
        arena_free(&s->call);
    }
    if (bad >= BAD_MOST)
        imap_say(s, "* BYE Too many invalid commands.");
    stream_flush(s->stream, imap_deadline());
}

void imap_session(struct stream *stream, const struct msg_session_open *open)
{
    struct imap s = {.stream = stream, .open = open};
    struct slice location = slice_of(open->mail_location);
    if (slice_starts_fold(location, SLICE("maildir:")))
        location = slice_make(location.p + 8, location.n - 8);
    MEM_AUTO char *root = mem_strndup(location.p, location.n);
    s.root = root;
    if (*open->tag)
        imap_say(&s, "%s OK [CAPABILITY %s] Logged in", open->tag, imap_capabilities());
    serve(&s);
    imap_close_mailbox(&s);
    VEC_FREE(&s.view);
}
