/* sasl_client.h - a server daemon's side of the Dovecot authentication protocol (version 1.1): smtpd, imapd and pop3d
 * ask auth, over "private/auth" or, as smtpd_sasl_path says, "inet:host:port" or a path. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/clock.h"

#include <stdbool.h>
#include <stdint.h>

struct sasl_service; /* one for a process: address and mechanism list, kept up to date */
struct sasl_service *sasl_service_new(const char *path);
/* Mechanisms on offer, blank separated, after security options ("noanonymous, noplaintext"); connects when needed. NULL
 * when auth cannot be reached. */
const char *sasl_mechanisms(struct sasl_service *s, struct arena *a, const char *security_options, bool tls,
                            int64_t deadline);

struct sasl_request {
    const char *service; /* "smtp", "imap", "pop3" */
    const char *mechanism;
    const char *initial; /* base64 initial response, NULL none, "=" empty (RFC 4954) */
    const char *local_addr, *remote_addr, *session_id;
    bool tls;
};
enum sasl_status { SASL_OK, SASL_CONTINUE, SASL_FAILED /* wrong credentials */, SASL_TRY_AGAIN, SASL_MALFORMED };
struct sasl_exchange;
/* Each call waits for auth's answer. On CONTINUE *challenge is base64 to be sent to the client. FAILED: *challenge is a
 * reason or "". On OK see below. */
enum sasl_status sasl_start(struct sasl_service *s, struct sasl_exchange **x, const struct sasl_request *r,
                            struct arena *a, const char **challenge, int64_t deadline);
enum sasl_status sasl_continue(struct sasl_exchange *x, const char *response_base64, struct arena *a,
                               const char **challenge, int64_t deadline);
const char *sasl_user(const struct sasl_exchange *x);
/* For session_start: the receiver proves with them to auth who the user is. */
uint64_t sasl_auth_id(const struct sasl_exchange *x);
const char *sasl_cookie(const struct sasl_exchange *x);
void sasl_free(struct sasl_exchange **x);

/* User database, over the same socket as logins (path as in sasl_service_new, NULL: private/auth): for lmtpd, virtual,
 * session parts. auth answers only root and its own user. FAILED: no such user. */
struct sasl_user {
    const char *user, *home, *mail; /* "" unset */
    int64_t uid, gid;
};
enum sasl_status sasl_userdb(const char *path, const char *user, struct arena *a, struct sasl_user *out,
                             int64_t deadline);
/* A session part asks who a front's login was: valid once, within 60 s, from root or the owner only. */
enum sasl_status sasl_claim(const char *path, uint64_t auth_id, const char *cookie, uint32_t front_pid, struct arena *a,
                            struct sasl_user *out, int64_t deadline);
