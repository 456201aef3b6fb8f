/* smtpd_session.c - a session from the greeting to its end: the command table, what every command has in common, and
 * the connect and disconnect lines. */
#include "lib/syntax/address.h"
#include "smtpd/smtpd.h"

enum { CLOSE_SECONDS = 5 };

static const struct smtpd_command commands[] = {
#define COMMAND(verb, handler, flags) {#verb, VERB_##verb, handler, flags},
#include "smtpd/commands.def"
#undef COMMAND
    {NULL, VERB_UNKNOWN, NULL, 0},
};

static const struct smtpd_command *find(struct slice verb)
{
    const struct smtpd_command *c = commands;
    while (c->name && !slice_eq_fold(verb, slice_of(c->name)))
        c++;
    return c;
}

void smtpd_log_context(const struct session *s, struct buf *out)
{
    if (s->sender)
        buf_printf(out, " from=<%s>", s->sender);
    if (s->recipient)
        buf_printf(out, " to=<%s>", s->recipient);
    if (s->proto)
        buf_printf(out, " proto=%s", s->proto);
    if (s->helo)
        buf_printf(out, " helo=<%s>", s->helo);
    if (s->sasl_method)
        buf_printf(out, " sasl_method=%s", s->sasl_method);
    if (s->sasl_username)
        buf_printf(out, " sasl_username=%s", s->sasl_username);
    if (s->sasl_sender)
        buf_printf(out, " sasl_sender=%s", s->sasl_sender);
}

/* The table smtpd_command_filter may replace the line. */
static struct slice filter_line(struct session *s, struct slice line)
{
    if (maps_is_empty(smtpd_shared.command_filter))
        return line;
    BUF_AUTO out = BUF(10000);
    if (maps_lookup(smtpd_shared.command_filter, arena_slice(s->call, line), &out) != MAP_FOUND)
        return line;
    return slice_of(arena_slice(s->call, buf_slice(&out)));
}

/* RFC 3629: no overlong forms, surrogates, or values past U+10FFFF. */
static bool utf8_ok(struct slice t)
{
    for (size_t i = 0; i < t.n;) {
        unsigned char c = (unsigned char)t.p[i++];
        if (c < 0x80)
            continue;
        unsigned more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        if (c < 0xc2 || c > 0xf4 || t.n - i < more)
            return false;
        unsigned char next = (unsigned char)t.p[i];
        if ((c == 0xe0 && next < 0xa0) || (c == 0xed && next > 0x9f) || (c == 0xf0 && next < 0x90) ||
            (c == 0xf4 && next > 0x8f))
            return false;
        for (; more > 0; more--, i++) {
            if (((unsigned char)t.p[i] & 0xc0) != 0x80)
                return false;
        }
    }
    return true;
}

static void note_pipelining(struct session *s)
{
    struct slice ahead = stream_peek(s->stream);
    if (ahead.n == 0)
        return;
    s->premature = true;
    if (s->pipelining_logged)
        return;
    char text[101];
    s->pipelining_logged = true;
    log_info("improper command pipelining after %s from %s: %s", s->where, s->namaddr,
             log_quote(text, sizeof text, ahead.p, ahead.n));
}

static bool tls_missing(const struct session *s)
{
    return smtpd_shared.tls_required && !stream_tls(s->stream);
}

/* Nothing but QUIT is for a client that the restrictions refused when it came. */
static bool denied(struct session *s)
{
    if (s->client_verdict.code)
        smtpd_reply(s, "503 5.7.0 Error: access denied for %s", s->namaddr);
    return s->client_verdict.code;
}

/* Commands that are none of ours. */
static int unknown(struct session *s, struct slice verb, struct slice line)
{
    s->where = "UNKNOWN";
    if (slice_find(verb, ':') > 0 || match_list_string(smtpd_shared.forbidden_commands, verb.p) == MAP_FOUND) {
        char text[201];
        log_warn("non-SMTP command from %s: %s", s->namaddr, log_quote(text, sizeof text, line.p, line.n));
        smtpd_reply(s, "221 2.7.0 Error: I can break rules, too. Goodbye.");
        s->closing = true;
        return -1;
    }
    if (denied(s))
        return -1;
    smtpd_reply(s, "500 5.5.2 Error: command not recognized");
    return -1;
}

static int dispatch(struct session *s, const struct smtpd_command *c, struct slice verb, struct slice args,
                    struct slice line)
{
    if (!c->name)
        return unknown(s, verb, line);
    if (c->verb != VERB_QUIT && denied(s))
        return -1;
    if (tls_missing(s) && !(c->flags & CMD_BEFORE_TLS)) {
        smtpd_reply(s, "530 5.7.0 Must issue a STARTTLS command first");
        return -1;
    }
    if (c->flags & CMD_LAST || !s->esmtp)
        note_pipelining(s);
    return c->handler(s, args);
}

static void run_line(struct session *s, struct slice line)
{
    const char *word, *nul;
    if (daemon_env->common.smtputf8_enable && !utf8_ok(line)) {
        smtpd_reply(s, "500 5.5.2 Error: bad UTF-8 syntax");
        s->errors++;
        return;
    }
    if ((nul = memchr(line.p, 0, line.n)) != NULL)
        line.n = (size_t)(nul - line.p);
    line = filter_line(s, line);
    struct slice args = line;
    if (!smtp_command_word(s->call, &args, &word, NULL)) {
        smtpd_reply(s, "500 5.5.2 Error: bad syntax");
        s->errors++;
        return;
    }
    struct slice verb = slice_of(word);
    args = slice_trim(args);
    const struct smtpd_command *c = find(verb);
    if (!c->name && match_list_string(smtpd_shared.noop_commands, arena_slice(s->call, verb)) == MAP_FOUND)
        c = find(SLICE("noop"));
    s->where = c->name ? c->name : "UNKNOWN";
    s->total[c->verb]++;
    if (dispatch(s, c, verb, args, line) == 0)
        s->ok[c->verb]++;
    else
        s->errors++;
    if ((c->flags & CMD_JUNK) && s->junk++ > smtpd_params.smtpd_junk_command_limit)
        s->errors++;
}

static bool bare_command(struct session *s)
{
    if (!s->bare_lf || !s->forbid_bare)
        return false;
    s->noted_bare_lf = true;
    s->bare_lf = false;
    if (smtpd_shared.bare_newline != BARE_REJECT)
        return false;
    log_info("%s: reject: bare <LF> received after %s from %s", s->queue_id ? s->queue_id : "NOQUEUE", s->where,
             s->namaddr);
    smtpd_reply(s, "%d 5.5.2 %s Error: bare <LF> received", (int)smtpd_params.smtpd_forbid_bare_newline_reject_code,
                daemon_env->common.myhostname);
    s->closing = true;
    return true;
}

static void command_loop(struct session *s)
{
    struct slice line;
    while (!s->closing) {
        arena_reset(s->call);
        if (s->errors >= smtpd_params.smtpd_hard_error_limit) {
            smtpd_reply(s, "421 4.7.0 %s Error: too many errors", daemon_env->common.myhostname);
            log_info("too many errors after %s from %s", s->where, s->namaddr);
            return;
        }
        if (!smtpd_read_line(s, (size_t)daemon_env->common.line_length_limit, &line) || bare_command(s))
            return;
        if (daemon_env->draining) {
            smtpd_reply(s, "421 4.3.2 %s Service is shutting down", daemon_env->common.myhostname);
            return;
        }
        run_line(s, line);
    }
}

void smtpd_greet(struct session *s)
{
    const char *banner = smtpd_params.smtpd_banner;
    if (!smtpd_params.smtpd_delay_reject &&
        check_run(s, STAGE_CLIENT, &smtpd_shared.lists[STAGE_CLIENT], NULL) == CHECK_REJECT) {
        s->client_verdict = s->verdict;
        smtpd_reply_verdict(s);
        return;
    }
    s->client_defer = s->helo_defer = s->defer_if_permit;
    smtpd_reply_line(s, "220 %s", banner);
}

static void log_disconnect(const struct session *s)
{
    BUF_AUTO out = BUF(1000);
    unsigned ok = 0, total = 0;
    for (size_t i = 0; i < VERB_COUNT; i++) {
        ok += s->ok[i];
        total += s->total[i];
        if (!s->total[i])
            continue;
        buf_putc(&out, ' ');
        for (const char *p = i == VERB_UNKNOWN ? "unknown" : commands[i].name; *p; p++)
            buf_putc(&out, ascii_lower(*p));
        buf_printf(&out, s->ok[i] == s->total[i] ? "=%u" : "=%u/%u", s->ok[i], s->total[i]);
    }
    buf_printf(&out, ok == total && total ? " commands=%u" : " commands=%u/%u", ok, total);
    if (s->noted_bare_lf && smtpd_shared.bare_newline != BARE_NO)
        buf_puts(&out, " notes=bare_lf");
    log_info("disconnect from %s%s", s->namaddr, buf_cstr(&out));
}

static void serve(struct session *s)
{
    s->where = "CONNECT";
    smtpd_peer_lookup(s);
    log_info("connect from %s", s->namaddr);
    s->proto = "SMTP";
    s->forbid_bare = smtpd_shared.bare_newline != BARE_NO &&
                     match_list_host(smtpd_shared.bare_newline_exclusions, s->client_name, s->peer) != MAP_FOUND;
    s->may_xclient = match_list_host(smtpd_shared.xclient_hosts, s->client_name, s->peer) == MAP_FOUND;
    s->may_xforward = match_list_host(smtpd_shared.xforward_hosts, s->client_name, s->peer) == MAP_FOUND;
    if (smtpd_anvil_connect(s) && (!smtpd_params.smtpd_tls_wrappermode || smtpd_tls_start(s))) {
        smtpd_greet(s);
        command_loop(s);
    }
    smtpd_mail_reset(s);
    smtpd_anvil_disconnect(s);
    log_disconnect(s);
}

void smtpd_session(struct stream *stream, const struct sockaddr *peer, const struct sockaddr *local)
{
    struct arena *a = arena_new();
    struct session *s = ARENA_NEW(a, struct session);
    s->arena = a;
    s->mail = arena_new();
    s->call = arena_new();
    s->stream = stream;
    s->peer = peer;
    s->local = local;
    serve(s);
    sasl_free(&s->sasl);
    stream_close(&s->stream, deadline_in(CLOSE_SECONDS));
    arena_free(&s->call);
    arena_free(&s->mail);
    arena_free(&a);
}
