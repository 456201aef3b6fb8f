/* smtp_tls.c - TLS with the server, as smtp_tls_security_level asks: none; may (when offered; a failed handshake is
 * followed by a plaintext session); encrypt; verify (the host's name in a trusted certificate); secure (the
 * destination's name). */
#include "lib/base/log.h"
#include "lib/rt/addr.h"
#include "smtp/smtp.h"

static bool parse_level(const char *level, struct buf *err)
{
    static const char *const names[] = {"none", "may", "encrypt", "verify", "secure"};
    smtp_program.tls_level = TLS_NONE;
    if (*level == '\0')
        return true;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(level, names[i]) == 0) {
            smtp_program.tls_level = i;
            return true;
        }
    }
    buf_printf(err, "smtp_tls_security_level: level \"%s\" is not known (none, may, encrypt, verify, secure)", level);
    return false;
}

bool smtp_tls_open(struct buf *err)
{
    const struct smtp_params *p = &smtp_params;
    if (!parse_level(p->smtp_tls_security_level, err))
        return false;
    if (p->smtp_tls_wrappermode && smtp_program.tls_level < TLS_ENCRYPT) {
        buf_puts(err, "smtp_tls_wrappermode requires smtp_tls_security_level = encrypt or stronger");
        return false;
    }
    if (smtp_program.tls_level == TLS_NONE)
        return true;
    struct tls_config c = {
        .cert_file = *p->smtp_tls_cert_file ? p->smtp_tls_cert_file : NULL,
        .key_file = *p->smtp_tls_key_file ? p->smtp_tls_key_file : NULL,
        .chain_files = p->smtp_tls_chain_files,
        .ca_file = p->smtp_tls_CAfile,
        .ca_path = p->smtp_tls_CApath,
        .protocols = smtp_program.tls_level >= TLS_ENCRYPT ? p->smtp_tls_mandatory_protocols : p->smtp_tls_protocols,
        .cipher_list = "",
    };
    smtp_program.tls = tls_context_new(&c, err);
    return smtp_program.tls != NULL;
}

bool smtp_tls_wanted(const struct smtp_delivery *s, const struct smtp_session *x)
{
    if (smtp_program.tls_level == TLS_MAY)
        return (x->features & FEATURE_STARTTLS) && !s->plaintext;
    return smtp_program.tls_level >= TLS_ENCRYPT;
}

static void log_summary(const struct smtp_session *x)
{
    const struct tls_info *i = stream_tls(x->stream);
    if (smtp_params.smtp_tls_loglevel < 1)
        return;
    BUF_AUTO text = BUF(2000);
    tls_describe(i, &text);
    const char *trust = !i->peer_cert_present                                          ? "Anonymous"
                        : !i->peer_cert_trusted                                        ? "Untrusted"
                        : smtp_program.tls_level >= TLS_VERIFY && i->peer_name_matched ? "Verified"
                                                                                       : "Trusted";
    log_info("%s TLS connection established to %s: %s", trust, x->relay, buf_cstr(&text));
}

static bool is_verified(struct smtp_delivery *s, struct smtp_session *x)
{
    const struct tls_info *i = stream_tls(x->stream);
    if (smtp_program.tls_level < TLS_VERIFY || (i->peer_cert_trusted && i->peer_name_matched))
        return true;
    const char *what = !i->peer_cert_trusted ? "Server certificate not trusted" : "Server certificate not verified";
    log_info("%s: %s: %s", s->d->request.queue_id, what, i->verify_error);
    struct result r = result_try_again("4.7.5", "%s", what);
    smtp_site_fail(s, x, NULL, &r);
    return false;
}

/* The handshake on a connection that is ready for it. */
bool smtp_tls_start(struct smtp_delivery *s, struct smtp_session *x, const struct smtp_dest *dest)
{
    struct sockaddr_storage ss;
    socklen_t len;
    const char *name = smtp_program.tls_level == TLS_SECURE ? dest->host : x->host;
    bool no_name = dest->is_unix || addr_parse(name, 0, &ss, &len);
    enum stream_status st = stream_tls_connect(x->stream, smtp_program.tls, no_name ? NULL : name,
                                               deadline_in(smtp_params.smtp_starttls_timeout));
    if (st == STREAM_OK) {
        log_summary(x);
        return is_verified(s, x);
    }
    log_info("SSL_connect error to %s: %s", x->relay,
             *stream_tls_error(x->stream) ? stream_tls_error(x->stream) : stream_strerror(x->stream, st));
    x->broken = true;
    s->plaintext = smtp_program.tls_level == TLS_MAY; /* once more without */
    struct result r = result_try_again("4.7.5", "Cannot start TLS: handshake failure");
    smtp_site_fail(s, x, NULL, &r);
    return false;
}

bool smtp_starttls(struct smtp_delivery *s, struct smtp_session *x, const struct smtp_dest *dest)
{
    struct result r;
    struct smtp_reply reply;
    if (!(x->features & FEATURE_STARTTLS)) {
        r = result_try_again("4.7.4", "TLS is required, but was not offered by host %s", x->namaddr);
        smtp_site_fail(s, x, NULL, &r);
        return false;
    }
    enum stream_status st =
        smtp_command(x, s->arena, &reply, deadline_in(smtp_params.smtp_starttls_timeout), "STARTTLS");
    if (st != STREAM_OK) {
        s->plaintext = smtp_program.tls_level == TLS_MAY;
        smtp_lost(s, x, st, "sending STARTTLS");
        return false;
    }
    if (reply.code / 100 == 2)
        return smtp_tls_start(s, x, dest);
    s->plaintext = smtp_program.tls_level == TLS_MAY;
    r = result_try_again("4.7.4", "TLS is required, but host %s refused to start TLS: %s", x->namaddr, reply.text);
    smtp_site_fail(s, x, &reply, &r);
    return false;
}
