/* tls_internal.h - what stream.c needs of tls.c. */
#pragma once
#include "lib/rt/tls.h"

#include <openssl/ssl.h>

SSL_CTX *tls_context_ssl(struct tls_context *c);
/* Reads what the handshake agreed on. */
void tls_info_fill(struct tls_info *i, SSL *ssl, bool verify_name);
/* Takes the thread's OpenSSL errors as one line of text and clears them. */
void tls_take_errors(struct buf *out);
