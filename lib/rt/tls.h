/* tls.h - TLS contexts on OpenSSL. A context is made at start, before privileges go, and shared by all sessions. */
#pragma once
#include "lib/base/buf.h"

struct tls_context;

struct tls_config {
    bool server;
    const char *cert_file; /* PEM chain; NULL for a client without certificate */
    const char *key_file;
    const char *chain_files; /* smtpd_tls_chain_files style list "key, cert, ..."; NULL or "" when unused */
    const char *ca_file;     /* trust anchors; "" none */
    const char *ca_path;
    const char *protocols;   /* ">=TLSv1.2" or "!SSLv2, !SSLv3" style; "" default */
    const char *cipher_list; /* OpenSSL list for TLS 1.2 and older; "" default */
    bool ask_client_cert, require_client_cert;
    bool use_system_ca;
};

struct tls_info {
    char protocol[16]; /* "TLSv1.3" */
    char cipher[64];   /* "TLS_AES_256_GCM_SHA384" */
    int bits_used, bits_algorithm;
    char key_exchange[40]; /* "X25519"; "" before TLS 1.3 */
    char signature[60];    /* "RSA-PSS (2048 bits)" of the server */
    char digest[20];
    char sni[256];
    bool peer_cert_present, peer_cert_trusted, peer_name_matched;
    char peer_subject[256], peer_issuer[256];
    char verify_error[200]; /* "" when trusted */
};

/* On failure NULL with a text in err that names the file and what is wrong with it. */
struct tls_context *tls_context_new(const struct tls_config *c, struct buf *err);
void tls_context_free(struct tls_context **c);
/* "TLSv1.3 with cipher X (256/256 bits) key-exchange ..." as Postfix logs it. */
void tls_describe(const struct tls_info *i, struct buf *out);
