/* smtpd_starttls.c - STARTTLS (RFC 3207) and TLS from the first byte on. */
#include "smtpd/smtpd.h"

static void log_tls(struct session *s)
{
    const struct tls_info *i = stream_tls(s->stream);
    BUF_AUTO text = BUF(600);
    if (smtpd_params.smtpd_tls_loglevel < 1)
        return;
    tls_describe(i, &text);
    log_info("%s TLS connection established from %s%s%s: %s",
             !i->peer_cert_present  ? "Anonymous"
             : i->peer_cert_trusted ? "Trusted"
                                    : "Untrusted",
             s->namaddr, *i->sni ? " to " : "", i->sni, buf_cstr(&text));
}

bool smtpd_tls_start(struct session *s)
{
    if (!smtpd_anvil_event(s, ANVIL_NEWTLS, smtpd_params.smtpd_client_new_tls_session_rate_limit,
                           "New TLS session rate")) {
        s->closing = true;
        return false;
    }
    enum stream_status st =
        stream_tls_accept(s->stream, smtpd_shared.tls, deadline_in(smtpd_params.smtpd_starttls_timeout));
    if (st == STREAM_OK) {
        log_tls(s);
        return true;
    }
    const char *why = stream_tls_error(s->stream);
    log_info("SSL_accept error from %s: %s", s->namaddr, *why ? why : stream_strerror(s->stream, st));
    s->where = "STARTTLS";
    log_info("lost connection after %s from %s", s->where, s->namaddr);
    s->closing = s->lost = true;
    return false;
}

/* Everything that was said before is forgotten (RFC 3207 section 4.2), and what came in the same packet too: it was
 * not protected. */
static void forget(struct session *s)
{
    smtpd_mail_reset(s);
    s->helo = NULL;
    s->sasl_username = s->sasl_method = NULL;
    stream_consume(s->stream, stream_peek(s->stream).n);
}

int smtpd_starttls(struct session *s, struct slice args)
{
    if (args.n > 0) {
        smtpd_reply(s, "501 5.5.4 Syntax: STARTTLS");
        return -1;
    }
    if (!smtpd_shared.tls) {
        smtpd_reply(s, "502 5.5.1 Error: command not implemented");
        return -1;
    }
    if (stream_tls(s->stream)) {
        smtpd_reply(s, "554 5.5.1 Error: TLS already active");
        return -1;
    }
    smtpd_reply(s, "220 2.0.0 Ready to start TLS");
    enum stream_status st = stream_flush(s->stream, smtpd_deadline());
    if (st != STREAM_OK) {
        smtpd_lost(s, st);
        return -1;
    }
    forget(s);
    return smtpd_tls_start(s) ? 0 : -1;
}
