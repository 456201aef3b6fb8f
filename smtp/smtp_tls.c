/* smtp_tls.c - TLS with the server, as smtp_tls_security_level asks: none; may (when offered; a failed handshake is
 * followed by a plaintext session); encrypt; verify (the host's name in a trusted certificate); secure (the
 * destination's name). */
#include "lib/base/log.h"
#include "lib/daemon/daemon.h"
#include "lib/map/map.h"
#include "lib/rt/addr.h"
#include "smtp/smtp.h"

static const char *const level_names[] = {"none", "may", "encrypt", "verify", "secure"};

static bool parse_level(struct slice level, enum smtp_tls_level *out)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (slice_eq_fold(level, slice_of(level_names[i]))) {
            *out = i;
            return true;
        }
    }
    /* Without a look at TLSA records, dane is what it is for a destination that has none. */
    *out = TLS_MAY;
    return slice_eq_fold(level, SLICE("dane"));
}

static bool level_of_parameters(struct buf *err)
{
    const char *level = smtp_params.smtp_tls_security_level;
    enum smtp_tls_level *out = &smtp_program.tls_level;
    if (*level == '\0') {
        *out = smtp_params.smtp_enforce_tls ? TLS_VERIFY : smtp_params.smtp_use_tls ? TLS_MAY : TLS_NONE;
        return true;
    }
    if (!parse_level(slice_of(level), out)) {
        buf_printf(err, "smtp_tls_security_level: level \"%s\" is not supported (none, may, encrypt, verify, secure)",
                   level);
        return false;
    }
    if (str_eq_fold(level, "dane"))
        log_warn("smtp_tls_security_level = dane: TLSA records are not looked at; the level used is may");
    return true;
}

static struct tls_context *make_context(const char *protocols, struct buf *err)
{
    const struct smtp_params *p = &smtp_params;
    struct tls_config c = {
        .cert_file = *p->smtp_tls_cert_file ? p->smtp_tls_cert_file : NULL,
        .key_file = *p->smtp_tls_key_file ? p->smtp_tls_key_file : NULL,
        .chain_files = p->smtp_tls_chain_files,
        .ca_file = p->smtp_tls_CAfile,
        .ca_path = p->smtp_tls_CApath,
        .protocols = protocols,
        .cipher_list = "",
    };
    return tls_context_new(&c, err);
}

bool smtp_tls_open(struct buf *err)
{
    const struct smtp_params *p = &smtp_params;
    if (!level_of_parameters(err))
        return false;
    if (p->smtp_tls_wrappermode && smtp_program.tls_level < TLS_ENCRYPT) {
        buf_puts(err, "smtp_tls_wrappermode requires smtp_tls_security_level = encrypt or stronger");
        return false;
    }
    if (*p->smtp_tls_policy_maps) {
        smtp_program.tls_policy = maps_open(daemon_env->conf, "smtp_tls_policy_maps", p->smtp_tls_policy_maps, err);
        if (!smtp_program.tls_policy)
            return false;
    }
    if (smtp_program.tls_level == TLS_NONE && !smtp_program.tls_policy)
        return true;
    smtp_program.tls_may = make_context(p->smtp_tls_protocols, err);
    smtp_program.tls_mandatory = smtp_program.tls_may ? make_context(p->smtp_tls_mandatory_protocols, err) : NULL;
    return smtp_program.tls_mandatory != NULL;
}

/* The table's entry for the destination as written, or for its domain and the domains above. */
static enum map_status find_policy(const struct smtp_dest *dest, struct buf *out)
{
    enum map_status st = maps_lookup(smtp_program.tls_policy, dest->text, out);
    const char *key = dest->host;
    bool is_name = !dest->is_unix && *dest->text != '[';
    while (st == MAP_NOT_FOUND && is_name && key) {
        st = maps_lookup_part(smtp_program.tls_policy, key, true, out, NULL);
        key = strchr(key + 1, '.');
    }
    return st;
}

bool smtp_tls_choose(struct smtp_delivery *s, const struct smtp_dest *dest)
{
    BUF_AUTO entry = BUF(2000);
    struct slice rest, level;
    s->tls_level = smtp_program.tls_level;
    enum map_status st = smtp_program.tls_policy ? find_policy(dest, &entry) : MAP_NOT_FOUND;
    if (st == MAP_NOT_FOUND)
        return true;
    rest = buf_slice(&entry);
    if (st == MAP_FOUND && slice_token(&rest, ", \t", &level) && parse_level(level, &s->tls_level)) {
        if (slice_trim(rest).n == 0)
            return true;
        log_warn("TLS policy of %s: attributes are not supported: %.*s", dest->text, SLICE_ARG(rest));
    } else if (st == MAP_FOUND) {
        log_warn("TLS policy of %s: not supported: %s", dest->text, buf_cstr(&entry));
    }
    s->why = (struct smtp_why){.result = result_try_again("4.7.5", "client TLS configuration problem")};
    return false;
}

bool smtp_tls_wanted(const struct smtp_delivery *s, const struct smtp_session *x)
{
    bool offered = x->features & FEATURE_STARTTLS;
    if (offered && s->tls_level == TLS_NONE && smtp_params.smtp_tls_note_starttls_offer)
        log_info("Host offered STARTTLS: [%s]", x->host);
    if (s->tls_level == TLS_MAY)
        return offered && !s->plaintext;
    return s->tls_level >= TLS_ENCRYPT;
}

static void log_summary(const struct smtp_delivery *s, const struct smtp_session *x)
{
    const struct tls_info *i = stream_tls(x->stream);
    if (smtp_params.smtp_tls_loglevel < 1)
        return;
    BUF_AUTO text = BUF(2000);
    tls_describe(i, &text);
    const char *trust = !i->peer_cert_present                                ? "Anonymous"
                        : !i->peer_cert_trusted                              ? "Untrusted"
                        : s->tls_level >= TLS_VERIFY && i->peer_name_matched ? "Verified"
                                                                             : "Trusted";
    log_info("%s TLS connection established to %s: %s", trust, x->relay, buf_cstr(&text));
}

static bool is_verified(struct smtp_delivery *s, struct smtp_session *x)
{
    const struct tls_info *i = stream_tls(x->stream);
    if (s->tls_level < TLS_VERIFY || (i->peer_cert_trusted && i->peer_name_matched))
        return true;
    const char *what = !i->peer_cert_trusted ? "Server certificate not trusted" : "Server certificate not verified";
    log_info("%s: %s%s%s", s->d->request.queue_id, what, *i->verify_error ? ": " : "", i->verify_error);
    struct result r = result_try_again("4.7.5", "%s", what);
    smtp_site_fail(s, x, NULL, &r);
    return false;
}

/* The handshake on a connection that is ready for it. */
bool smtp_tls_start(struct smtp_delivery *s, struct smtp_session *x, const struct smtp_dest *dest)
{
    struct sockaddr_storage ss;
    socklen_t len;
    const char *name = s->tls_level == TLS_SECURE ? dest->host : x->host;
    struct tls_context *ctx = s->tls_level >= TLS_ENCRYPT ? smtp_program.tls_mandatory : smtp_program.tls_may;
    bool no_name = dest->is_unix || addr_parse(name, 0, &ss, &len);
    enum stream_status st =
        stream_tls_connect(x->stream, ctx, no_name ? NULL : name, deadline_in(smtp_params.smtp_starttls_timeout));
    if (st == STREAM_OK) {
        log_summary(s, x);
        return is_verified(s, x);
    }
    log_info("SSL_connect error to %s: %s", x->relay,
             *stream_tls_error(x->stream) ? stream_tls_error(x->stream) : stream_strerror(x->stream, st));
    x->broken = true;
    s->plaintext = s->tls_level == TLS_MAY; /* once more without */
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
        s->plaintext = s->tls_level == TLS_MAY;
        smtp_lost(s, x, st, "sending STARTTLS");
        return false;
    }
    if (reply.code / 100 == 2)
        return smtp_tls_start(s, x, dest);
    s->plaintext = s->tls_level == TLS_MAY;
    r = result_try_again("4.7.4", "TLS is required, but host %s refused to start TLS: %s", x->namaddr, reply.text);
    smtp_site_fail(s, x, &reply, &r);
    return false;
}
