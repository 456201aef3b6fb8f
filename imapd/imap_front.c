/* imap_front.c - IMAP until the login: the not authenticated state (RFC 3501 section 6.2), with SASL-IR (RFC 4959), ID
 * (RFC 2971) and non-synchronizing literals (RFC 7888). */
#include "imapd/imapd.h"
#include "lib/base/log.h"
#include "lib/daemon/daemon.h"
#include "lib/login/login.h"
#include "lib/syntax/imap_text.h"

enum verdict { GO_ON, WRONG, OVER };
enum { COMMANDS_MOST = 200, TAG_MOST = 100 };

struct front {
    struct login login;
    struct buf command; /* as it came: lines, with literals between them */
    unsigned commands;  /* each costs memory */
};

/* ---- reading ---- */

static enum verdict lost(struct front *f, enum stream_status st)
{
    struct login *l = &f->login;
    const char *bye = st == STREAM_TIMEOUT ? "Disconnected for inactivity."
                      : st == STREAM_FULL  ? "Input line too long."
                                           : "Server shutting down.";
    stream_printf(l->stream, l->deadline, "* BYE %s\r\n", bye);
    login_log_end(l, login_end_reason(l, st));
    return OVER;
}

/* The literal's bytes, asked for when the client waits. */
static enum stream_status read_literal(struct front *f, uint64_t size, bool synchronizing)
{
    struct login *l = &f->login;
    enum stream_status st = STREAM_OK;
    char *room = size > f->command.max ? NULL : buf_room(&f->command, (size_t)size);
    if (!room)
        return STREAM_FULL;
    if (synchronizing) {
        stream_puts(l->stream, "+ OK\r\n", l->deadline);
        st = stream_flush(l->stream, l->deadline);
    }
    if (st == STREAM_OK)
        st = stream_read_full(l->stream, room, (size_t)size, l->deadline);
    if (st == STREAM_OK)
        buf_added(&f->command, (size_t)size);
    return st;
}

static enum stream_status read_command(struct front *f)
{
    struct login *l = &f->login;
    struct slice line, have = stream_peek(l->stream);
    enum stream_status st = STREAM_OK;
    uint64_t size;
    bool synchronizing;
    buf_reset(&f->command);
    if (!memchr(have.p, '\n', have.n)) /* answers to pipelined commands go out together */
        st = stream_flush(l->stream, l->deadline);
    while (st == STREAM_OK) {
        st = stream_read_line(l->stream, (size_t)imapd_params.imapd_login_command_limit, &line, l->deadline);
        if (st != STREAM_OK)
            break;
        buf_append_slice(&f->command, line);
        if (!imap_literal_announced(line, &size, &synchronizing))
            return f->command.overflow ? STREAM_FULL : STREAM_OK;
        buf_puts(&f->command, "\r\n");
        st = read_literal(f, size, synchronizing);
    }
    return st;
}

/* ---- answers ---- */

static void say(struct front *f, const char *tag, const char *text)
{
    stream_printf(f->login.stream, f->login.deadline, "%s %s\r\n", tag, text);
}

static enum verdict wrong(struct front *f, const char *tag, const char *text)
{
    say(f, tag, text);
    return WRONG;
}

static void put_capabilities(struct front *f, struct buf *b)
{
    struct login *l = &f->login;
    buf_puts(b, "CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+");
    if (login_has_tls() && !stream_tls(l->stream))
        buf_puts(b, " STARTTLS");
    if (!login_plaintext_allowed(l))
        buf_puts(b, " LOGINDISABLED");
    struct slice rest = slice_of(login_mechanisms(l)), m;
    while (slice_token(&rest, " ", &m))
        buf_printf(b, " AUTH=%.*s", SLICE_ARG(m));
}

/* What a login came to, for the client. */
static enum verdict answer(struct front *f, const char *tag, enum login_outcome o)
{
    struct login *l = &f->login;
    switch (o) {
    case LOGIN_DONE:
    case LOGIN_LOST:
        return OVER;
    case LOGIN_FAILED:
        say(f, tag, "NO [AUTHENTICATIONFAILED] Authentication failed.");
        if (!login_is_exhausted(l))
            return GO_ON;
        say(f, "*", "BYE Too many failed logins.");
        login_log_end(l, "Disconnected: Too many failed logins");
        return OVER;
    case LOGIN_UNAVAILABLE:
        say(f, tag, "NO [UNAVAILABLE] Temporary authentication failure.");
        return GO_ON;
    case LOGIN_MALFORMED:
        return wrong(f, tag, "NO Unsupported authentication mechanism, or no base64.");
    case LOGIN_CANCELLED:
        say(f, tag, "BAD Authentication cancelled by client.");
        return GO_ON;
    case LOGIN_INSECURE:
        break;
    }
    say(f, "*", "BAD [ALERT] Plaintext authentication not allowed without SSL/TLS: the password was sent in the open.");
    return wrong(f, tag,
                 "NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.");
}

/* ---- commands ---- */

static enum verdict do_capability(struct front *f, const char *tag, struct imap_cursor *c)
{
    BUF_AUTO b = BUF(2000);
    put_capabilities(f, &b);
    say(f, "*", buf_cstr(&b));
    say(f, tag, "OK Capability completed.");
    return GO_ON;
}

static enum verdict do_noop(struct front *f, const char *tag, struct imap_cursor *c)
{
    say(f, tag, "OK NOOP completed.");
    return GO_ON;
}

static enum verdict do_id(struct front *f, const char *tag, struct imap_cursor *c)
{
    say(f, "*", "ID (\"name\" \"Merpati\")");
    say(f, tag, "OK ID completed.");
    return GO_ON;
}

static enum verdict do_logout(struct front *f, const char *tag, struct imap_cursor *c)
{
    say(f, "*", "BYE Logging out");
    say(f, tag, "OK Logout completed.");
    login_log_end(&f->login, "Aborted login by logging out");
    return OVER;
}

static enum verdict do_starttls(struct front *f, const char *tag, struct imap_cursor *c)
{
    struct login *l = &f->login;
    if (stream_tls(l->stream))
        return wrong(f, tag, "BAD TLS is already active.");
    if (!login_has_tls())
        return wrong(f, tag, "BAD TLS support isn't enabled.");
    say(f, tag, "OK Begin TLS negotiation now.");
    return login_starttls(l) ? GO_ON : OVER;
}

static enum verdict do_login(struct front *f, const char *tag, struct imap_cursor *c)
{
    struct slice user, password;
    if (!imap_space(c) || !imap_astring(c, &user) || !imap_space(c) || !imap_astring(c, &password) || !imap_at_end(c))
        return wrong(f, tag, "BAD LOGIN wants a user and a password.");
    return answer(f, tag, login_password(&f->login, user, password, tag));
}

static enum verdict do_authenticate(struct front *f, const char *tag, struct imap_cursor *c)
{
    struct arena *a = f->login.arena;
    struct slice mechanism;
    const char *initial = NULL;
    if (!imap_space(c) || !imap_atom(c, &mechanism))
        return wrong(f, tag, "BAD AUTHENTICATE wants a mechanism.");
    if (imap_space(c)) {
        initial = arena_slice(a, c->rest);
        c->rest.n = 0;
    }
    if (!imap_at_end(c) || (initial && !*initial))
        return wrong(f, tag, "BAD AUTHENTICATE: more than an initial response.");
    return answer(f, tag, login_sasl(&f->login, arena_slice(a, mechanism), initial, tag));
}

static const struct command {
    const char *name;
    enum verdict (*run)(struct front *f, const char *tag, struct imap_cursor *c);
    bool no_arguments;
} commands[] = {
    {"CAPABILITY", do_capability, true},      {"NOOP", do_noop, true}, {"LOGOUT", do_logout, true},
    {"STARTTLS", do_starttls, true},          {"ID", do_id, false},    {"LOGIN", do_login, false},
    {"AUTHENTICATE", do_authenticate, false},
};

static enum verdict run_command(struct front *f)
{
    struct imap_cursor c = {buf_slice(&f->command), f->login.arena};
    struct slice word;
    if (++f->commands > COMMANDS_MOST)
        return wrong(f, "*", "BAD Log in.");
    if (!imap_tag(&c, &word) || word.n > TAG_MOST || !imap_space(&c))
        return wrong(f, "*", "BAD A command begins with a tag.");
    const char *tag = arena_slice(f->login.arena, word);
    if (!imap_atom(&c, &word))
        return wrong(f, tag, "BAD A command is missing.");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (!slice_eq_fold(word, slice_of(commands[i].name)))
            continue;
        if (commands[i].no_arguments && !imap_at_end(&c))
            return wrong(f, tag, "BAD This command has no arguments.");
        return commands[i].run(f, tag, &c);
    }
    return wrong(f, tag, "BAD Unknown command, or log in first.");
}

/* ---- the session ---- */

static void greet(struct front *f)
{
    BUF_AUTO b = BUF(2000);
    buf_puts(&b, "OK [");
    put_capabilities(f, &b);
    buf_puts(&b, "] IMAP server ready.");
    say(f, "*", buf_cstr(&b));
}

static void talk(struct front *f)
{
    for (;;) {
        enum stream_status st = read_command(f);
        if (st != STREAM_OK || daemon_env->draining) {
            lost(f, st);
            return;
        }
        enum verdict v = run_command(f);
        if (v == OVER)
            return;
        if (v == WRONG && ++f->login.bad >= (unsigned)daemon_env->common.login_max_bad_commands) {
            say(f, "*", "BYE Too many invalid IMAP commands.");
            login_log_end(&f->login, "Disconnected: Too many invalid commands");
            return;
        }
    }
}

bool imap_front_setup(struct buf *err)
{
    struct login_settings s = {.protocol = "imap",
                               .session_service = imapd_params.imapd_session_service,
                               .tls_cert_file = imapd_params.imapd_tls_cert_file,
                               .tls_key_file = imapd_params.imapd_tls_key_file,
                               .tls_chain_files = imapd_params.imapd_tls_chain_files,
                               .tls_protocols = imapd_params.imapd_tls_protocols,
                               .tls_wrappermode = imapd_params.imapd_tls_wrappermode};
    return login_setup(&s, err);
}

void imap_front_session(struct stream *s, const struct sockaddr *peer, const struct sockaddr *local)
{
    struct front f = {.command = BUF((size_t)imapd_params.imapd_login_command_limit)};
    if (login_init(&f.login, s, peer, local)) {
        greet(&f);
        talk(&f);
    }
    buf_fini(&f.command);
    login_fini(&f.login);
}
