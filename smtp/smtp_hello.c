/* smtp_hello.c - the start of a session: greeting, EHLO (HELO, LHLO), what the server offers, TLS, authentication. */
#include "lib/base/log.h"
#include "lib/daemon/daemon.h"
#include "smtp/smtp.h"

static const struct {
    const char *keyword;
    unsigned feature;
} keywords[] = {
    {"PIPELINING", FEATURE_PIPELINING},
    {"8BITMIME", FEATURE_8BITMIME},
    {"SMTPUTF8", FEATURE_SMTPUTF8},
    {"DSN", FEATURE_DSN},
    {"STARTTLS", FEATURE_STARTTLS},
    {"SIZE", FEATURE_SIZE},
    {"AUTH", FEATURE_AUTH},
    {"XFORWARD", 0},
};

static const struct {
    const char *word;
    unsigned feature;
} auth_words[] = {{"PLAIN", FEATURE_AUTH_PLAIN}, {"LOGIN", FEATURE_AUTH_LOGIN}},
  xforward_words[] = {{"NAME", FEATURE_XFORWARD_NAME},    {"ADDR", FEATURE_XFORWARD_ADDR},
                      {"PORT", FEATURE_XFORWARD_PORT},    {"PROTO", FEATURE_XFORWARD_PROTO},
                      {"HELO", FEATURE_XFORWARD_HELO},    {"IDENT", FEATURE_XFORWARD_IDENT},
                      {"SOURCE", FEATURE_XFORWARD_SOURCE}};

static bool is_discarded(struct slice keyword)
{
    struct slice rest = slice_of(smtp_params.smtp_discard_ehlo_keywords), word;
    while (slice_token(&rest, ", \t\r\n", &word)) {
        if (slice_eq_fold(word, keyword))
            return true;
    }
    return false;
}

static void take_keyword(struct smtp_session *x, struct slice line)
{
    struct slice word;
    if (!slice_token(&line, " \t=", &word) || is_discarded(word))
        return;
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        if (slice_eq_fold(word, slice_of(keywords[i].keyword)))
            x->features |= keywords[i].feature;
    }
    unsigned long long size;
    struct slice arg;
    if (slice_eq_fold(word, SLICE("SIZE")) && slice_token(&line, " \t", &arg) && slice_to_u64(arg, UINT64_MAX, &size))
        x->size_limit = size;
    bool auth = slice_eq_fold(word, SLICE("AUTH")), xforward = slice_eq_fold(word, SLICE("XFORWARD"));
    while ((auth || xforward) && slice_token(&line, " \t", &arg)) {
        for (size_t i = 0; auth && i < sizeof auth_words / sizeof *auth_words; i++)
            x->features |= slice_eq_fold(arg, slice_of(auth_words[i].word)) ? auth_words[i].feature : 0;
        for (size_t i = 0; xforward && i < sizeof xforward_words / sizeof *xforward_words; i++)
            x->features |= slice_eq_fold(arg, slice_of(xforward_words[i].word)) ? xforward_words[i].feature : 0;
    }
}

/* "host X refused to talk to me: ...". With skip_5xx a 5xx is trouble of this host alone. */
static void refused(struct smtp_delivery *s, const struct smtp_session *x, const struct smtp_reply *reply)
{
    bool never = reply->code / 100 == 5 && !smtp_params.smtp_skip_5xx_greeting;
    const char *fmt = "host %s refused to talk to me: %s";
    const char *dsn = reply->dsn[0] == '4' || reply->dsn[0] == '5' ? reply->dsn : "4.3.0";
    struct result r =
        never ? result_never(dsn, fmt, x->namaddr, reply->text) : result_try_again(dsn, fmt, x->namaddr, reply->text);
    smtp_site_fail(s, x, reply, &r);
}

/* A server that calls itself by our name is us. */
static bool is_myself(struct smtp_delivery *s, struct smtp_session *x, const struct smtp_reply *reply)
{
    struct slice line = reply->lines[0], name;
    if (smtp_program.lmtp || !slice_token(&line, " \t", &name) ||
        !slice_eq_fold(name, slice_of(daemon_env->common.myhostname)))
        return false;
    size_t n = strlen(x->relay);
    if (n < 3 || strcmp(x->relay + n - 3, ":25") != 0)
        return false;
    log_warn("host %s greeted me with my own hostname %s", x->namaddr, daemon_env->common.myhostname);
    struct result r = result_never("5.4.6", "mail for %s loops back to myself", s->d->request.nexthop);
    smtp_site_fail(s, x, NULL, &r);
    return true;
}

static bool say_helo(struct smtp_delivery *s, struct smtp_session *x, int64_t deadline)
{
    struct smtp_reply reply;
    enum stream_status st = smtp_command(x, s->arena, &reply, deadline, "HELO %s", smtp_params.smtp_helo_name);
    if (st != STREAM_OK)
        smtp_lost(s, x, st, "performing the HELO handshake");
    else if (reply.code / 100 != 2)
        refused(s, x, &reply);
    else
        return true;
    return false;
}

bool smtp_ehlo(struct smtp_delivery *s, struct smtp_session *x)
{
    int64_t deadline = deadline_in(smtp_params.smtp_helo_timeout);
    struct smtp_reply reply;
    x->features = 0;
    x->size_limit = 0;
    if (smtp_params.smtp_never_send_ehlo && !smtp_program.lmtp)
        return say_helo(s, x, deadline);
    const char *verb = smtp_program.lmtp ? "LHLO" : "EHLO";
    enum stream_status st = smtp_command(x, s->arena, &reply, deadline, "%s %s", verb, smtp_params.smtp_helo_name);
    if (st != STREAM_OK) {
        smtp_lost(s, x, st, smtp_program.lmtp ? "performing the LHLO handshake" : "performing the EHLO handshake");
        return false;
    }
    if (reply.code / 100 == 2) {
        x->features = FEATURE_ESMTP;
        for (size_t i = 1; i < reply.n_lines; i++)
            take_keyword(x, reply.lines[i]);
        return !is_myself(s, x, &reply);
    }
    if (!smtp_program.lmtp && reply.code / 100 == 5)
        return say_helo(s, x, deadline);
    refused(s, x, &reply);
    return false;
}

static bool read_greeting(struct smtp_delivery *s, struct smtp_session *x, bool *esmtp)
{
    struct smtp_reply reply;
    enum stream_status st = smtp_read_reply(x, s->arena, &reply, deadline_in(smtp_params.smtp_helo_timeout));
    if (st != STREAM_OK) {
        smtp_lost(s, x, st, "receiving the initial server greeting");
        return false;
    }
    if (reply.code / 100 != 2) {
        refused(s, x, &reply);
        return false;
    }
    *esmtp = strstr(reply.text, "ESMTP") != NULL;
    return true;
}

bool smtp_hello(struct smtp_delivery *s, struct smtp_session *x, const struct smtp_dest *dest)
{
    bool esmtp;
    if (smtp_params.smtp_tls_wrappermode && !smtp_tls_start(s, x, dest))
        return false;
    if (!read_greeting(s, x, &esmtp))
        return false;
    bool plain_helo = !esmtp && !smtp_params.smtp_always_send_ehlo && !smtp_program.lmtp;
    if (plain_helo ? !say_helo(s, x, deadline_in(smtp_params.smtp_helo_timeout)) : !smtp_ehlo(s, x))
        return false;
    if (!stream_tls(x->stream) && smtp_tls_wanted(s, x)) {
        if (!smtp_starttls(s, x, dest) || !smtp_ehlo(s, x))
            return false;
    }
    return !smtp_program.passwords || smtp_sasl_login(s, x, dest);
}
