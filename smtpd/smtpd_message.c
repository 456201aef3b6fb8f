/* smtpd_message.c - the message on its way to cleanup: opened at the first accepted recipient, content passed on as it
 * comes, committed at the end. 250 is said only when cleanup has it on stable storage. */
#include "smtpd/smtpd.h"

enum { RECEIVED_MAX = 4000, COMMIT_SECONDS = 600 };

/* "Mon, 2 Nov 2026 12:52:46 +0000 (UTC)" */
static void put_date(struct buf *out)
{
    char text[64];
    time_t now = (time_t)(clock_wall_usec() / 1000000);
    struct tm tm;
    if (localtime_r(&now, &tm) && strftime(text, sizeof text, "%a, %-d %b %Y %H:%M:%S %z (%Z)", &tm))
        buf_puts(out, text);
}

/* Protocol names of RFC 3848 and RFC 6531. */
static const char *protocol(struct session *s)
{
    if (!s->esmtp)
        return "SMTP";
    return arena_printf(s->call, "%s%s%s", s->params.smtputf8 ? "UTF8SMTP" : "ESMTP", stream_tls(s->stream) ? "S" : "",
                        s->sasl_username ? "A" : "");
}

/* RFC 5321 section 4.4, with %Q for the queue id and %F for the "for" clause; a '%' of the client's would be read as
 * one of them, so it becomes '?'. */
static const char *received(struct session *s)
{
    BUF_AUTO b = BUF(RECEIVED_MAX);
    BUF_AUTO tls = BUF(600);
    const char *helo = s->helo ? s->helo : s->client_name;
    bool v6 = strchr(s->client_addr, ':') != NULL;
    buf_printf(&b, "from %.1000s (%s [%s%s])", helo, s->client_name, v6 ? "IPv6:" : "", s->client_addr);
    if (smtpd_params.smtpd_tls_received_header && stream_tls(s->stream)) {
        tls_describe(stream_tls(s->stream), &tls);
        buf_printf(&b, "\n\t(using %s)\n\t(%s)", buf_cstr(&tls),
                   stream_tls(s->stream)->peer_cert_present ? "Client certificate not verified"
                                                            : "No client certificate requested");
    }
    if (smtpd_params.smtpd_sasl_authenticated_header && s->sasl_username)
        buf_printf(&b, "\n\t(Authenticated sender: %.250s)", s->sasl_username);
    buf_printf(&b, "\n\tby %s (%s)", daemon_env->common.myhostname, daemon_env->common.mail_name);
    for (char *p = b.data; *p; p++) {
        if (*p == '%')
            *p = '?';
    }
    buf_printf(&b, " with %s id %%Q%%F", protocol(s));
    put_date(&b);
    return arena_strdup(s->call, buf_cstr(&b));
}

static uint32_t flags(struct session *s, bool local)
{
    uint32_t f = CLEANUP_BCC;
    f |= smtpd_shared.no_header_body_checks ? 0 : CLEANUP_FILTER;
    f |= smtpd_shared.no_address_mappings ? 0 : CLEANUP_MAP;
    f |= smtpd_shared.no_milters ? 0 : CLEANUP_MILTER;
    f |= s->effects.hold ? CLEANUP_HOLD : 0;
    f |= s->effects.discard ? CLEANUP_DISCARD : 0;
    f |= s->params.smtputf8 ? CLEANUP_SMTPUTF8 : 0;
    f |= local ? CLEANUP_ADD_MISSING : 0;
    return f;
}

/* Whether the client's header addresses and missing headers are ours to complete (local_header_rewrite_clients). */
static bool is_local_client(struct session *s)
{
    struct slice rest = slice_of(smtpd_params.local_header_rewrite_clients), word;
    while (check_word(&rest, &word)) {
        if (slice_eq_fold(word, SLICE("permit_inet_interfaces")) && addr_equal(s->peer, s->local))
            return true;
        if (slice_eq_fold(word, SLICE("permit_mynetworks")) &&
            match_list_host(smtpd_shared.mynetworks, s->client_name, s->peer) == MAP_FOUND)
            return true;
        if (slice_eq_fold(word, SLICE("permit_sasl_authenticated")) && s->sasl_username)
            return true;
    }
    return false;
}

static void log_client(struct session *s)
{
    BUF_AUTO b = BUF(2000);
    if (s->forward.given && s->forward.ident && *s->forward.ident)
        buf_printf(&b, ", orig_queue_id=%s", s->forward.ident);
    if (s->forward.given)
        buf_printf(&b, ", orig_client=%s[%s]", s->forward.name ? s->forward.name : "unknown",
                   s->forward.addr ? s->forward.addr : "unknown");
    if (s->sasl_method)
        buf_printf(&b, ", sasl_method=%s", s->sasl_method);
    if (s->sasl_username)
        buf_printf(&b, ", sasl_username=%s", s->sasl_username);
    if (s->sasl_sender)
        buf_printf(&b, ", sasl_sender=%s", s->sasl_sender);
    log_info("%s: client=%s%s", s->queue_id, s->namaddr, buf_cstr(&b));
}

/* Once XFORWARD was used, only what it said counts. */
static const char *seen_as(const struct session *s, const char *forwarded, const char *own)
{
    return s->forward.given ? (forwarded ? forwarded : "") : own;
}

bool smtpd_message_open(struct session *s)
{
    bool local = is_local_client(s);
    struct result r;
    struct msg_cleanup_begin begin = {
        .origin = "smtpd",
        .syslog_name = daemon_env->common.syslog_name,
        .flags = flags(s, local),
        .sender = s->sender,
        .sender_fullname = "",
        .dsn_envid = s->params.envid ? s->params.envid : "",
        .dsn_ret = s->params.ret,
        .body_type = s->params.body ? s->params.body : "",
        .context = local ? "local" : "remote",
        .client_name = seen_as(s, s->forward.name, s->client_name),
        .client_addr = seen_as(s, s->forward.addr, s->client_addr),
        .client_port = seen_as(s, s->forward.port, s->client_port),
        .client_proto = seen_as(s, s->forward.proto, s->proto),
        .client_helo = seen_as(s, s->forward.helo, s->helo ? s->helo : ""),
        .sasl_method = s->sasl_method ? s->sasl_method : "",
        .sasl_username = s->sasl_username ? s->sasl_username : "",
        .sasl_sender = s->sasl_sender ? s->sasl_sender : "",
        .received = received(s),
        .content_filter = s->effects.filter ? s->effects.filter : smtpd_params.content_filter,
        .redirect_to = s->effects.redirect ? s->effects.redirect : "",
        .size_hint = s->params.size,
        .arrival_usec = s->arrival_usec,
        .prepend = s->effects.prepend,
        .n_prepend = s->effects.n_prepend,
        .orig_queue_id = "",
    };
    s->cleanup = cleanup_open(smtpd_shared.cleanup, &begin, &r, smtpd_deadline());
    if (!s->cleanup) {
        log_warn("cannot give a message to the cleanup service: %s", r.text);
        smtpd_reply(s, "451 4.3.0 Error: queue file write error");
        return false;
    }
    s->queue_id = arena_strdup(s->mail, cleanup_queue_id(s->cleanup));
    log_client(s);
    return true;
}

/* What access tables ask for: some of them spoke after the message was begun. Copies come last, so that no header tells
 * of them. */
static void send_effects(struct session *s)
{
    const struct check_effects *e = &s->effects;
    struct msg_cleanup_end end = {.flags = (e->hold ? CLEANUP_HOLD : 0) | (e->discard ? CLEANUP_DISCARD : 0),
                                  .content_filter = e->filter ? e->filter : "",
                                  .redirect_to = e->redirect ? e->redirect : ""};
    cleanup_decide(s->cleanup, &end);
    for (size_t i = 0; i < e->n_bcc; i++) {
        struct msg_cleanup_recipient bcc = {.address = e->bcc[i], .orig_address = "", .dsn_orcpt = "", .is_copy = 1};
        cleanup_recipient(s->cleanup, &bcc);
    }
}

void smtpd_message_emit(void *ctx, const char *p, size_t n)
{
    enum { PIECE_MAX = 60000 };
    struct session *s = ctx;
    int64_t limit = daemon_env->common.message_size_limit;
    if (limit && s->data->size > (uint64_t)limit)
        return; /* refused at the end; nobody has to keep it */
    while (n > 0) {
        size_t piece = n < PIECE_MAX ? n : PIECE_MAX;
        cleanup_content(s->cleanup, p, piece);
        p += piece;
        n -= piece;
    }
}

/* What forbids the message although its content came whole; true after a reply. */
static bool refused(struct session *s)
{
    int64_t limit = daemon_env->common.message_size_limit;
    if (s->data->saw_bare_lf && s->forbid_bare) {
        s->noted_bare_lf = true;
        if (smtpd_shared.bare_newline == BARE_REJECT) {
            log_info("%s: reject: bare <LF> received after %s from %s", s->queue_id, s->where, s->namaddr);
            smtpd_reply(s, "%d 5.5.2 %s Error: bare <LF> received",
                        (int)smtpd_params.smtpd_forbid_bare_newline_reject_code, daemon_env->common.myhostname);
            return true;
        }
    }
    if (limit && s->data->size > (uint64_t)limit) {
        BUF_AUTO context = BUF(8000);
        smtpd_log_context(s, &context);
        log_info("%s: reject: END-OF-MESSAGE from %s: 552 5.3.4 Message size exceeds fixed limit;%s", s->queue_id,
                 s->namaddr, buf_cstr(&context));
        smtpd_reply(s, "552 5.3.4 Error: message file too big");
        return true;
    }
    s->where = "END-OF-MESSAGE";
    if (check_run(s, STAGE_END_OF_DATA, &smtpd_shared.lists[STAGE_END_OF_DATA], NULL) == CHECK_REJECT) {
        smtpd_reply_verdict(s);
        return true;
    }
    return false;
}

static int commit(struct session *s)
{
    struct msg_cleanup_done done = {0};
    unsigned long long size = s->data->size;
    send_effects(s);
    cleanup_finish(&s->cleanup, s->call, &done, deadline_in(COMMIT_SECONDS));
    if (done.outcome != OUTCOME_OK) {
        int code = done.code ? (int)done.code : done.outcome == OUTCOME_NEVER ? 554 : 451;
        smtpd_reply(s, "%d %s %s", code,
                    done.dsn && *done.dsn ? done.dsn
                    : code >= 500         ? "5.3.0"
                                          : "4.3.0",
                    done.text && *done.text ? done.text : "Error: queue file write error");
        return -1;
    }
    s->errors = s->junk = 0;
    if (s->bdat)
        smtpd_reply(s, "250 2.0.0 Ok: %llu bytes queued as %s", size, s->queue_id);
    else
        smtpd_reply(s, "250 2.0.0 Ok: queued as %s", s->queue_id);
    return 0;
}

int smtpd_message_finish(struct session *s)
{
    int result = refused(s) ? -1 : commit(s);
    smtpd_mail_reset(s);
    return result;
}
