/* login.c - see login.h: settings, TLS, limits. */
#include "lib/login/login.h"

#include "lib/base/log.h"
#include "lib/daemon/daemon.h"
#include "lib/map/match_list.h"
#include "lib/rt/addr.h"
#include "lib/rt/tls.h"

#include <stdio.h>
#include <sys/random.h>

struct login_settings login_settings;
static struct tls_context *tls;
static struct match_list *trusted_networks;

bool login_setup(const struct login_settings *s, struct buf *err)
{
    login_settings = *s;
    trusted_networks = match_list_open(daemon_env->conf, "login_trusted_networks",
                                       daemon_env->common.login_trusted_networks, false, err);
    if (!trusted_networks)
        return false;
    if (*s->tls_cert_file || *s->tls_chain_files) {
        struct tls_config c = {.server = true,
                               .cert_file = s->tls_cert_file,
                               .key_file = *s->tls_key_file ? s->tls_key_file : s->tls_cert_file,
                               .chain_files = s->tls_chain_files,
                               .ca_file = "",
                               .ca_path = "",
                               .protocols = s->tls_protocols,
                               .cipher_list = ""};
        tls = tls_context_new(&c, err);
        return tls != NULL;
    }
    if (s->tls_wrappermode)
        buf_printf(err, "%sd_tls_wrappermode needs %sd_tls_cert_file", s->protocol, s->protocol);
    return !s->tls_wrappermode;
}

bool login_has_tls(void)
{
    return tls != NULL;
}

static void make_session_id(char *dst, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char random_bytes[16] = {0};
    size_t n = 0;
    if (getrandom(random_bytes, sizeof random_bytes, 0) < 0)
        log_warn("no random bytes for a session id");
    for (; n < sizeof random_bytes && n + 1 < size; n++)
        dst[n] = digits[random_bytes[n] % 64];
    dst[n] = '\0';
}

static void address_text(char *dst, size_t size, const struct sockaddr *sa)
{
    char text[ADDR_TEXT_MAX];
    snprintf(dst, size, "%s", addr_text(sa, text));
}

static bool handshake(struct login *l)
{
    enum stream_status st = stream_tls_accept(l->stream, tls, l->deadline);
    if (st == STREAM_OK)
        return true;
    BUF_AUTO reason = BUF(500);
    buf_printf(&reason, "Disconnected: TLS handshaking: %s", stream_strerror(l->stream, st));
    login_log_end(l, buf_cstr(&reason));
    return false;
}

bool login_init(struct login *l, struct stream *s, const struct sockaddr *peer, const struct sockaddr *local)
{
    *l = (struct login){.stream = s, .arena = arena_new(), .user = "", .method = ""};
    l->since = clock_mono();
    l->deadline = deadline_in(daemon_env->common.login_timeout);
    address_text(l->remote, sizeof l->remote, peer);
    address_text(l->local, sizeof l->local, local);
    make_session_id(l->session_id, sizeof l->session_id);
    l->trusted = match_list_host(trusted_networks, NULL, peer) == MAP_FOUND;
    return !login_settings.tls_wrappermode || handshake(l);
}

void login_fini(struct login *l)
{
    arena_free(&l->arena); /* before a long session, which needs it no more */
    if (l->inner)
        stream_relay(l->stream, l->inner);
    stream_free(&l->inner);
    stream_close(&l->stream, deadline_in(10));
}

bool login_starttls(struct login *l)
{
    /* What came before the handshake is not the client's word (RFC 3207 section 6): it is thrown away unread. */
    stream_consume(l->stream, stream_peek(l->stream).n);
    return handshake(l);
}

bool login_is_secured(const struct login *l)
{
    return l->trusted || stream_tls(l->stream) != NULL;
}

bool login_plaintext_allowed(const struct login *l)
{
    return !daemon_env->common.disable_plaintext_auth || login_is_secured(l);
}

bool login_is_exhausted(const struct login *l)
{
    return l->attempts >= (unsigned)daemon_env->common.login_max_attempts;
}
