/* password.h - stored passwords, "{SCHEME}data" as Dovecot writes them; without a scheme they are crypt(3)'s. Checking
 * may take long on purpose (yescrypt, bcrypt): on a pool thread, and nothing here logs. */
#pragma once
#include "lib/base/buf.h"

enum password_status { PASSWORD_MATCH, PASSWORD_MISMATCH, PASSWORD_UNSUPPORTED };
/* PLAIN, CLEARTEXT, CRYPT and its kinds (DES-CRYPT, MD5-CRYPT, SHA256-CRYPT, SHA512-CRYPT, BLF-CRYPT, YESCRYPT), MD5,
 * SHA, SHA256, SHA512, SMD5, SSHA, SSHA256, SSHA512, each of the latter in base64 or hex (".b64", ".hex", or told by
 * its length). */
enum password_status password_check(const char *stored, const char *password);
/* A new stored form with a random salt; scheme "" is SHA512-CRYPT. False: unknown scheme. */
bool password_make(const char *scheme, const char *password, struct buf *out);
/* The password itself when it is stored in the clear ({PLAIN}, {CLEARTEXT}); otherwise NULL. */
const char *password_in_clear(const char *stored);
/* As much time as a check takes, for users that do not exist. */
void password_waste_time(const char *password);

/* Base64 (RFC 4648, canonical padding) of secrets; false when malformed or past the buffer's maximum. */
bool password_base64_decode(struct buf *out, struct slice in);
void password_base64_encode(struct buf *out, const void *p, size_t n);
