/* front.c - POP3 until the login: the AUTHORIZATION state (RFC 1939 section 4), CAPA, STLS, AUTH. */
#include "lib/base/log.h"
#include "lib/daemon/daemon.h"
#include "lib/login/login.h"
#include "pop3d/pop3d.h"

enum verdict { GO_ON, WRONG, OVER };
enum { COMMANDS_MOST = 200 };

struct front {
    struct login login;
    const char *name;  /* of USER; NULL none */
    unsigned commands; /* each costs memory */
};

static void say(struct front *f, const char *text)
{
    stream_printf(f->login.stream, f->login.deadline, "%s\r\n", text);
}

static enum verdict wrong(struct front *f, const char *text)
{
    say(f, text);
    return WRONG;
}

/* What a login came to, for the client. */
static enum verdict answer(struct front *f, enum login_outcome o)
{
    struct login *l = &f->login;
    switch (o) {
    case LOGIN_DONE:
    case LOGIN_LOST:
        return OVER;
    case LOGIN_FAILED:
        say(f, "-ERR [AUTH] Authentication failed.");
        if (!login_is_exhausted(l))
            return GO_ON;
        login_log_end(l, "Disconnected: Too many failed logins");
        return OVER;
    case LOGIN_UNAVAILABLE:
        say(f, "-ERR [SYS/TEMP] Temporary authentication failure.");
        return GO_ON;
    case LOGIN_MALFORMED:
        return wrong(f, "-ERR [AUTH] Invalid authentication mechanism or response.");
    case LOGIN_CANCELLED:
        say(f, "-ERR Authentication cancelled by client.");
        return GO_ON;
    case LOGIN_INSECURE:
        break;
    }
    return wrong(f, "-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.");
}

static enum verdict do_user(struct front *f, struct slice args)
{
    if (!login_plaintext_allowed(&f->login)) {
        f->login.plaintext_used = true;
        return answer(f, LOGIN_INSECURE);
    }
    f->name = arena_slice(f->login.arena, args);
    say(f, "+OK");
    return GO_ON;
}

static enum verdict do_pass(struct front *f, struct slice args)
{
    if (!f->name)
        return wrong(f, "-ERR No username given.");
    struct slice name = slice_of(f->name);
    f->name = NULL;
    return answer(f, login_password(&f->login, name, args, ""));
}

static enum verdict do_auth(struct front *f, struct slice args)
{
    struct login *l = &f->login;
    struct slice mechanism, initial;
    if (!slice_token(&args, " ", &mechanism)) {
        say(f, "+OK");
        struct slice all = slice_of(login_mechanisms(l)), m;
        while (slice_token(&all, " ", &m))
            stream_printf(l->stream, l->deadline, "%.*s\r\n", SLICE_ARG(m));
        say(f, ".");
        return GO_ON;
    }
    bool has_initial = slice_token(&args, " ", &initial);
    const char *name = arena_slice(l->arena, mechanism);
    return answer(f, login_sasl(l, name, has_initial ? arena_slice(l->arena, initial) : NULL, ""));
}

static enum verdict do_capa(struct front *f, struct slice args)
{
    struct login *l = &f->login;
    say(f, "+OK\r\nCAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE");
    if (login_has_tls() && !stream_tls(l->stream))
        say(f, "STLS");
    if (login_plaintext_allowed(l))
        say(f, "USER");
    const char *mechanisms = login_mechanisms(l);
    if (*mechanisms)
        stream_printf(l->stream, l->deadline, "SASL %s\r\n", mechanisms);
    say(f, ".");
    return GO_ON;
}

static enum verdict do_stls(struct front *f, struct slice args)
{
    struct login *l = &f->login;
    if (stream_tls(l->stream))
        return wrong(f, "-ERR TLS is already active.");
    if (!login_has_tls())
        return wrong(f, "-ERR TLS support isn't enabled.");
    say(f, "+OK Begin TLS negotiation now.");
    f->name = NULL;
    return login_starttls(l) ? GO_ON : OVER;
}

static enum verdict do_quit(struct front *f, struct slice args)
{
    say(f, "+OK Logging out");
    login_log_end(&f->login, "Aborted login by logging out");
    return OVER;
}

static const struct command {
    const char *name;
    enum verdict (*run)(struct front *f, struct slice args);
} commands[] = {
    {"USER", do_user}, {"PASS", do_pass}, {"AUTH", do_auth}, {"CAPA", do_capa}, {"STLS", do_stls}, {"QUIT", do_quit},
};

static enum verdict run_line(struct front *f, struct slice line)
{
    struct slice args, verb = wire_verb(line, &args);
    if (++f->commands > COMMANDS_MOST)
        return wrong(f, "-ERR Log in.");
    if (slice_find(line, '\0') >= 0)
        return wrong(f, "-ERR NUL in a command.");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (slice_eq_fold(verb, slice_of(commands[i].name)))
            return commands[i].run(f, args);
    return wrong(f, "-ERR Unknown command.");
}

/* True when the connection goes on. */
static bool count_wrong(struct front *f)
{
    if (++f->login.bad < (unsigned)daemon_env->common.login_max_bad_commands)
        return true;
    say(f, "-ERR Too many invalid commands.");
    login_log_end(&f->login, "Disconnected: Too many invalid commands");
    return false;
}

static void talk(struct front *f)
{
    struct login *l = &f->login;
    struct slice line;
    for (;;) {
        enum stream_status st = wire_read_line(l->stream, &line, l->deadline);
        if (st != STREAM_OK || daemon_env->draining) {
            say(f, st == STREAM_TIMEOUT ? "-ERR Disconnected for inactivity."
                   : st == STREAM_FULL  ? "-ERR Input line too long."
                                        : "-ERR Shutting down.");
            login_log_end(l, login_end_reason(l, st));
            return;
        }
        /* The line lies in the stream's buffer, which the command may fill again. */
        enum verdict v = run_line(f, slice_of(arena_slice(l->arena, line)));
        if (v == OVER || (v == WRONG && !count_wrong(f)))
            return;
    }
}

bool front_setup(struct buf *err)
{
    struct login_settings s = {.protocol = "pop3",
                               .session_service = pop3d_params.pop3d_session_service,
                               .tls_cert_file = pop3d_params.pop3d_tls_cert_file,
                               .tls_key_file = pop3d_params.pop3d_tls_key_file,
                               .tls_chain_files = pop3d_params.pop3d_tls_chain_files,
                               .tls_protocols = pop3d_params.pop3d_tls_protocols,
                               .tls_wrappermode = pop3d_params.pop3d_tls_wrappermode};
    return login_setup(&s, err);
}

void front_session(struct stream *s, const struct sockaddr *peer, const struct sockaddr *local)
{
    struct front f = {0};
    if (login_init(&f.login, s, peer, local)) {
        say(&f, "+OK POP3 server ready");
        talk(&f);
    }
    login_fini(&f.login);
}
