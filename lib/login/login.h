/* login.h - what the fronts of imapd and pop3d share: a client's connection until its login. TLS, the SASL exchange,
 * the limits, the log lines, and the hand-over to the part that opens the mailbox (session.h). */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/rt/stream.h"

/* A front's own part, filled from its parameters before login_setup. */
struct login_settings {
    const char *protocol;        /* "imap" */
    const char *session_service; /* "private/imap-session" */
    const char *tls_cert_file, *tls_key_file, *tls_chain_files, *tls_protocols;
    bool tls_wrappermode;
};
/* Before privileges go. False with err. */
bool login_setup(const struct login_settings *s, struct buf *err);
/* STARTTLS is possible at all. */
bool login_has_tls(void);

/* A client that has not logged in yet. Lives in its fiber. */
struct login {
    struct stream *stream; /* NULL once the session part has it */
    struct stream *inner;  /* the way to the session part, when this process keeps the TLS layer */
    struct arena *arena;
    char remote[64], local[64], session_id[24];
    bool trusted;        /* of login_trusted_networks */
    int64_t since;       /* when it connected */
    int64_t deadline;    /* by when it is to be logged in */
    unsigned attempts;   /* failed logins */
    unsigned bad;        /* wrong commands */
    const char *user;    /* of the last login, "" none */
    const char *method;  /* "" none */
    bool plaintext_used; /* a password came though it must not */
};
/* Fills it, and does the TLS handshake of a port that begins with one. False: nothing is left to do, but
 * login_fini. */
bool login_init(struct login *l, struct stream *s, const struct sockaddr *peer, const struct sockaddr *local);
/* With TLS and LOGIN_DONE it returns when the session is over. */
void login_fini(struct login *l);
/* After the protocol's go-ahead was written; false: the connection is of no use, and logged. */
bool login_starttls(struct login *l);
/* TLS, or a trusted network. */
bool login_is_secured(const struct login *l);
bool login_plaintext_allowed(const struct login *l);
/* Mechanisms on offer now, blank separated; "" when auth cannot be reached. In the arena. */
const char *login_mechanisms(struct login *l);

enum login_outcome {
    LOGIN_DONE,        /* the session part has the connection: return without a word */
    LOGIN_FAILED,      /* wrong name or password; held back long enough already */
    LOGIN_UNAVAILABLE, /* auth or the session part cannot be reached */
    LOGIN_MALFORMED,   /* not base64, or no such mechanism */
    LOGIN_CANCELLED,   /* by the client's "*" */
    LOGIN_INSECURE,    /* a password without TLS */
    LOGIN_LOST,        /* the connection ended */
};
/* The exchange, with "+ challenge" lines as IMAP and POP3 both have them. initial: base64, NULL none, "=" empty. tag:
 * for the session part's answer. */
enum login_outcome login_sasl(struct login *l, const char *mechanism, const char *initial, const char *tag);
/* User and password as they came. */
enum login_outcome login_password(struct login *l, struct slice user, struct slice password, const char *tag);
/* Whether it failed too often. */
bool login_is_exhausted(const struct login *l);

/* Log line of a connection's end without login. reason: "Aborted login by logging out", "Disconnected: Inactivity". */
void login_log_end(const struct login *l, const char *reason);
/* The reason that a stream status stands for. */
const char *login_end_reason(const struct login *l, enum stream_status st);
/* Appends `user=<u>, method=PLAIN, rip=..., lip=...`. user: as it came, made harmless here. */
void login_log_peer(struct buf *b, const char *user, const char *method, const char *remote, const char *local);

/* handover.c. Gives the authenticated client to the session part. */
struct sasl_exchange;
enum login_outcome login_hand_over(struct login *l, const struct sasl_exchange *x, const char *tag);
extern struct login_settings login_settings;
