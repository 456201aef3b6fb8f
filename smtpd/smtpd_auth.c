/* smtpd_auth.c - AUTH (RFC 4954): the exchange between client and auth service. What a client says is passed on only
 * when it is base64. */
#include "smtpd/smtpd.h"

static const char *security_options(struct session *s)
{
    return stream_tls(s->stream) ? smtpd_params.smtpd_sasl_tls_security_options
                                 : smtpd_params.smtpd_sasl_security_options;
}

static bool is_active(struct session *s)
{
    return smtpd_shared.sasl && !(smtpd_params.smtpd_tls_auth_only && !stream_tls(s->stream)) &&
           match_list_host(smtpd_shared.sasl_exceptions, s->client_name, s->peer) != MAP_FOUND;
}

const char *smtpd_auth_mechanisms(struct session *s)
{
    if (!is_active(s))
        return NULL;
    const char *list = sasl_mechanisms(smtpd_shared.sasl, s->call, security_options(s), stream_tls(s->stream) != NULL,
                                       deadline_in(smtpd_params.smtpd_sasl_timeout));
    return list && *list ? list : NULL;
}

/* Its letters only; whether they decode is for the auth service to say. */
static bool is_base64(struct slice t)
{
    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i], l = ascii_lower(c);
        if (!(l >= 'a' && l <= 'z') && !(c >= '0' && c <= '9') && c != '+' && c != '/' && c != '=')
            return false;
    }
    return true;
}

static int failed(struct session *s, const char *mechanism, const char *reason)
{
    log_warn("%s: SASL %s authentication failed: %s", s->namaddr, mechanism, reason);
    smtpd_reply(s, "535 5.7.8 Error: authentication failed: %s", reason);
    return -1;
}

static bool offered(struct session *s, const char *mechanism)
{
    const char *list = smtpd_auth_mechanisms(s);
    struct slice rest = slice_of(list ? list : ""), word;
    while (slice_token(&rest, " ", &word)) {
        if (slice_eq_fold(word, slice_of(mechanism)))
            return true;
    }
    return false;
}

/* Sends the challenge and takes the answer; NULL when the exchange is over (a reply was given, or the client left). */
static const char *challenge(struct session *s, const char *mechanism, const char *text)
{
    struct slice line;
    smtpd_reply(s, "334 %s", text ? text : "");
    if (!smtpd_read_line(s, (size_t)smtpd_params.smtpd_sasl_response_limit, &line))
        return NULL;
    if (line.n >= (size_t)smtpd_params.smtpd_sasl_response_limit) {
        smtpd_reply(s, "500 5.5.6 Authentication exchange line is too long");
        return NULL;
    }
    if (slice_eq(line, SLICE("*"))) {
        smtpd_reply(s, "501 5.7.0 Authentication aborted");
        return NULL;
    }
    if (!is_base64(line)) {
        failed(s, mechanism, "Invalid base64 data in continued response");
        return NULL;
    }
    return arena_slice(s->call, line);
}

static int finish(struct session *s, const char *mechanism, enum sasl_status st, const char *text)
{
    switch (st) {
    case SASL_OK:
        s->sasl_username = arena_strdup(s->arena, sasl_user(s->sasl));
        s->sasl_method = arena_strdup(s->arena, mechanism);
        smtpd_reply(s, "235 2.7.0 Authentication successful");
        return 0;
    case SASL_MALFORMED:
        return failed(s, mechanism, "invalid input");
    case SASL_TRY_AGAIN:
        if (!sasl_mechanisms(smtpd_shared.sasl, s->call, "", true, deadline_in(1))) {
            log_warn("%s: SASL %s authentication failed: Connection lost to authentication server", s->namaddr,
                     mechanism);
            smtpd_reply(s, "454 4.7.0 Temporary authentication failure: Connection lost to authentication server");
            return -1;
        }
        return failed(s, mechanism, "(reason unavailable)");
    default:
        return failed(s, mechanism, text && *text ? text : "(reason unavailable)");
    }
}

static int exchange(struct session *s, const char *mechanism, const char *initial)
{
    int64_t wait = smtpd_params.smtpd_sasl_timeout;
    const char *text = NULL;
    struct sasl_request request = {.service = smtpd_params.smtpd_sasl_service,
                                   .mechanism = mechanism,
                                   .initial = initial,
                                   .local_addr = s->server_addr,
                                   .remote_addr = s->client_addr,
                                   .session_id = "",
                                   .tls = stream_tls(s->stream) != NULL};
    sasl_free(&s->sasl);
    enum sasl_status st = sasl_start(smtpd_shared.sasl, &s->sasl, &request, s->call, &text, deadline_in(wait));
    while (st == SASL_CONTINUE) {
        const char *answer = challenge(s, mechanism, text);
        if (!answer)
            return -1;
        st = sasl_continue(s->sasl, answer, s->call, &text, deadline_in(wait));
    }
    return finish(s, mechanism, st, text);
}

static bool may_begin(struct session *s)
{
    if (smtpd_params.smtpd_helo_required && !s->helo)
        smtpd_reply(s, "503 5.5.1 Error: send HELO/EHLO first");
    else if (!is_active(s))
        smtpd_reply(s, "503 5.5.1 Error: authentication not enabled");
    else if (s->sender)
        smtpd_reply(s, "503 5.5.1 Error: MAIL transaction in progress");
    else if (s->sasl_username)
        smtpd_reply(s, "503 5.5.1 Error: already authenticated");
    else if (!smtpd_anvil_event(s, ANVIL_AUTH, smtpd_params.smtpd_client_auth_rate_limit, "AUTH command rate"))
        smtpd_reply(s, "450 4.7.1 Error: too many AUTH commands from %s", s->client_addr);
    else
        return true;
    return false;
}

int smtpd_auth(struct session *s, struct slice args)
{
    struct slice word, initial = {0};
    if (!may_begin(s))
        return -1;
    if (!slice_token(&args, " \t", &word) || (slice_token(&args, " \t", &initial) && slice_trim(args).n > 0)) {
        smtpd_reply(s, "501 5.5.4 Syntax: AUTH mechanism");
        return -1;
    }
    char *mechanism = arena_slice(s->call, word);
    for (char *p = mechanism; *p; p++)
        *p = ascii_upper(*p);
    if (!offered(s, mechanism))
        return failed(s, mechanism, "Invalid authentication mechanism");
    if (!is_base64(initial))
        return failed(s, mechanism, "Invalid base64 data in initial response");
    return exchange(s, mechanism, initial.n > 0 ? arena_slice(s->call, initial) : NULL);
}
