/* tls.c - see tls.h. */
#include "lib/rt/tls_internal.h"

#include "lib/base/mem.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

struct tls_context {
    SSL_CTX *ssl;
};

SSL_CTX *tls_context_ssl(struct tls_context *c)
{
    return c->ssl;
}

void tls_take_errors(struct buf *out)
{
    unsigned long e;
    const char *data;
    int flags;
    while ((e = ERR_get_error_all(NULL, NULL, NULL, &data, &flags))) {
        char text[256];
        ERR_error_string_n(e, text, sizeof text);
        buf_printf(out, "%s%s", out->len ? "; " : "", text);
        if ((flags & ERR_TXT_STRING) && data && *data)
            buf_printf(out, ":%s", data);
    }
}

static bool fail(struct buf *err, const char *what, const char *name)
{
    BUF_AUTO text = BUF(500);
    tls_take_errors(&text);
    buf_printf(err, "%s %s: %s", what, name, text.len ? buf_cstr(&text) : strerror(errno));
    return false;
}

/* ---- protocol versions ---- */

static int version_of(struct slice s)
{
    static const struct {
        const char *name;
        int version;
    } known[] = {{"SSLv3", SSL3_VERSION},     {"TLSv1", TLS1_VERSION},     {"TLSv1.0", TLS1_VERSION},
                 {"TLSv1.1", TLS1_1_VERSION}, {"TLSv1.2", TLS1_2_VERSION}, {"TLSv1.3", TLS1_3_VERSION}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (slice_eq_fold(s, slice_of(known[i].name)))
            return known[i].version;
    return slice_eq_fold(s, SLICE("SSLv2")) ? 0 : -1;
}

static uint64_t no_version_option(int version)
{
    switch (version) {
    case SSL3_VERSION:
        return SSL_OP_NO_SSLv3;
    case TLS1_VERSION:
        return SSL_OP_NO_TLSv1;
    case TLS1_1_VERSION:
        return SSL_OP_NO_TLSv1_1;
    case TLS1_2_VERSION:
        return SSL_OP_NO_TLSv1_2;
    case TLS1_3_VERSION:
        return SSL_OP_NO_TLSv1_3;
    default:
        return 0;
    }
}

/* ">=TLSv1.2", "<=TLSv1.3", "!SSLv3", or an inclusive list of names. */
static bool set_protocols(SSL_CTX *ctx, const char *list, struct buf *err)
{
    struct slice rest = slice_of(list), word;
    bool listed[5] = {false}, inclusive = false;
    while (slice_token(&rest, " \t\r\n,:", &word)) {
        bool minimum = slice_starts_fold(word, SLICE(">=")), maximum = slice_starts_fold(word, SLICE("<="));
        bool not = word.p[0] == '!';
        size_t skip = minimum || maximum ? 2 : not ? 1 : 0;
        int version = version_of(slice_make(word.p + skip, word.n - skip));
        if (version < 0) {
            buf_printf(err, "unknown TLS protocol \"%.*s\"", SLICE_ARG(word));
            return false;
        }
        if (minimum)
            SSL_CTX_set_min_proto_version(ctx, version);
        else if (maximum)
            SSL_CTX_set_max_proto_version(ctx, version);
        else if (not )
            SSL_CTX_set_options(ctx, no_version_option(version));
        else if (version >= SSL3_VERSION && version <= TLS1_3_VERSION)
            inclusive = listed[version - SSL3_VERSION] = true;
    }
    for (int v = SSL3_VERSION; inclusive && v <= TLS1_3_VERSION; v++)
        if (!listed[v - SSL3_VERSION])
            SSL_CTX_set_options(ctx, no_version_option(v));
    return true;
}

/* ---- certificates ---- */

/* One PEM file of smtpd_tls_chain_files: a private key, then its certificate and the rest of the chain. */
static bool use_chain_file(SSL_CTX *ctx, const char *file, struct buf *err)
{
    if (SSL_CTX_use_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM) != 1)
        return fail(err, "cannot load a private key from", file);
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ctx, file) != 1)
        return fail(err, "cannot load a certificate chain from", file);
    return true;
}

static bool use_certificates(SSL_CTX *ctx, const struct tls_config *c, struct buf *err)
{
    if (c->chain_files && *c->chain_files) {
        struct slice rest = slice_of(c->chain_files), word;
        while (slice_token(&rest, " \t\r\n,", &word)) {
            MEM_AUTO char *file = mem_strndup(word.p, word.n);
            if (!use_chain_file(ctx, file, err))
                return false;
        }
        return true;
    }
    if (!c->cert_file || !*c->cert_file)
        return true;
    const char *key = c->key_file && *c->key_file ? c->key_file : c->cert_file;
    if (SSL_CTX_use_certificate_chain_file(ctx, c->cert_file) != 1)
        return fail(err, "cannot load the certificate", c->cert_file);
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        return fail(err, "cannot load the private key", key);
    if (SSL_CTX_check_private_key(ctx) != 1)
        return fail(err, "certificate and private key do not match:", key);
    return true;
}

static bool use_trust(SSL_CTX *ctx, const struct tls_config *c, struct buf *err)
{
    const char *file = c->ca_file && *c->ca_file ? c->ca_file : NULL,
               *path = c->ca_path && *c->ca_path ? c->ca_path : NULL;
    if ((file || path) && SSL_CTX_load_verify_locations(ctx, file, path) != 1)
        return fail(err, "cannot load trusted certificates from", file ? file : path);
    if (c->use_system_ca)
        SSL_CTX_set_default_verify_paths(ctx);
    return true;
}

/* Trust is looked at after the handshake (opportunistic TLS goes on without), so verification never ends the handshake.
 */
static int verify_anyway(int ok, X509_STORE_CTX *store)
{
    return 1;
}

struct tls_context *tls_context_new(const struct tls_config *c, struct buf *err)
{
    SSL_CTX *ctx = SSL_CTX_new(c->server ? TLS_server_method() : TLS_client_method());
    if (!ctx) {
        fail(err, "cannot start", "TLS");
        return NULL;
    }
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write(2) */
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF |
                                 (c->server ? SSL_OP_CIPHER_SERVER_PREFERENCE : 0));
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"merpati", 7);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets serve, and cost no memory */
    int verify = SSL_VERIFY_NONE;
    if (!c->server || c->ask_client_cert || c->require_client_cert)
        verify = SSL_VERIFY_PEER;
    SSL_CTX_set_verify(ctx, verify, verify_anyway);
    struct tls_context *t = MEM_NEW(struct tls_context);
    t->ssl = ctx;
    bool ok = (!c->protocols || set_protocols(ctx, c->protocols, err)) && use_certificates(ctx, c, err) &&
              use_trust(ctx, c, err);
    if (ok && c->cipher_list && *c->cipher_list && SSL_CTX_set_cipher_list(ctx, c->cipher_list) != 1)
        ok = fail(err, "no usable cipher in", c->cipher_list);
    if (!ok)
        tls_context_free(&t);
    return t;
}

void tls_context_free(struct tls_context **c)
{
    if (!*c)
        return;
    SSL_CTX_free((*c)->ssl);
    free(*c);
    *c = NULL;
}

/* ---- what was agreed ---- */

static void fill_key_exchange(struct tls_info *i, SSL *ssl)
{
    EVP_PKEY *key = NULL;
    if (SSL_version(ssl) < TLS1_3_VERSION)
        return;
    const char *group = OBJ_nid2sn((int)SSL_get_negotiated_group(ssl));
    if (group)
        snprintf(i->key_exchange, sizeof i->key_exchange, "%s", group);
    const bool server = SSL_is_server(ssl);
    X509 *own = SSL_get_certificate(ssl);
    X509 *cert = server ? own : SSL_get0_peer_certificate(ssl);
    key = cert ? X509_get0_pubkey(cert) : NULL;
    int nid = NID_undef;
    if (server ? SSL_get_signature_nid(ssl, &nid) : SSL_get_peer_signature_nid(ssl, &nid))
        snprintf(i->digest, sizeof i->digest, "%s", nid == NID_undef ? "" : OBJ_nid2sn(nid));
    if (key && EVP_PKEY_base_id(key) == EVP_PKEY_RSA)
        snprintf(i->signature, sizeof i->signature, "RSA-PSS (%d bits)", EVP_PKEY_bits(key));
    else if (key && EVP_PKEY_base_id(key) == EVP_PKEY_EC)
        snprintf(i->signature, sizeof i->signature, "ECDSA (%d bits)", EVP_PKEY_bits(key));
    else if (key)
        snprintf(i->signature, sizeof i->signature, "%s", OBJ_nid2sn(EVP_PKEY_base_id(key)));
}

void tls_info_fill(struct tls_info *i, SSL *ssl, bool verify_name)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    X509 *cert = SSL_get0_peer_certificate(ssl);
    snprintf(i->protocol, sizeof i->protocol, "%s", SSL_get_version(ssl));
    snprintf(i->cipher, sizeof i->cipher, "%s", SSL_CIPHER_get_name(cipher));
    i->bits_used = SSL_CIPHER_get_bits(cipher, &i->bits_algorithm);
    snprintf(i->sni, sizeof i->sni, "%s", sni && SSL_is_server(ssl) ? sni : "");
    fill_key_exchange(i, ssl);
    i->peer_cert_present = cert != NULL;
    long verify = SSL_get_verify_result(ssl);
    i->peer_cert_trusted = cert && (verify == X509_V_OK || verify == X509_V_ERR_HOSTNAME_MISMATCH);
    i->peer_name_matched = cert && verify_name && verify == X509_V_OK;
    if (cert && verify != X509_V_OK)
        snprintf(i->verify_error, sizeof i->verify_error, "%s", X509_verify_cert_error_string(verify));
    if (cert) {
        X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, i->peer_subject, sizeof i->peer_subject);
        X509_NAME_get_text_by_NID(X509_get_issuer_name(cert), NID_commonName, i->peer_issuer, sizeof i->peer_issuer);
    }
    ERR_clear_error();
}

void tls_describe(const struct tls_info *i, struct buf *out)
{
    buf_printf(out, "%s with cipher %s (%d/%d bits)", i->protocol, i->cipher, i->bits_used, i->bits_algorithm);
    if (*i->key_exchange)
        buf_printf(out, " key-exchange %s", i->key_exchange);
    if (*i->signature)
        buf_printf(out, " server-signature %s", i->signature);
    if (*i->digest)
        buf_printf(out, " server-digest %s", i->digest);
}
