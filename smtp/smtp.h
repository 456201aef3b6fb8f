/* smtp.h - the SMTP and LMTP client. A delivery tries destinations, a destination's hosts, a host's session; each phase
 * of the protocol is a file of its own. What goes wrong is kept in the delivery as the reason (`why`) until somebody
 * has to be told. */
#pragma once
#include "lib/base/list.h"
#include "lib/conf/conf.h"
#include "lib/queue/agent.h"
#include "lib/rt/hosts.h"
#include "lib/rt/own_addr.h"
#include "lib/rt/stream.h"
#include "lib/rt/tls.h"
#include "lib/syntax/smtp_reply.h"
#include "smtp/smtp_dest.h"

#include <stdint.h>

/* clang-format off */
struct smtp_params {
#include "lib/conf/param_struct.h"
#include "smtp/params.def"
#include "lib/conf/param_end.h"
};
/* clang-format on */
extern struct smtp_params smtp_params; /* of the program lmtp: filled from lmtp_params.def, the same rows */
extern const struct param smtp_param_table[], lmtp_param_table[];
extern const size_t smtp_param_count, lmtp_param_count;

/* What the process is, found out at start. */
enum smtp_tls_level { TLS_NONE, TLS_MAY, TLS_ENCRYPT, TLS_VERIFY, TLS_SECURE };

struct smtp_program {
    bool lmtp;
    uint16_t port;                               /* of smtp_tcp_port */
    enum smtp_tls_level tls_level;               /* unless the policy table says otherwise */
    struct tls_context *tls_may, *tls_mandatory; /* NULL when TLS is never used */
    struct maps *tls_policy;                     /* NULL when there is none */
    struct own_addr *own;                        /* for loop detection */
    struct maps *passwords;                      /* NULL unless smtp_sasl_auth_enable */
    bool ipv4, ipv6, dns, native_first, native;
};
extern struct smtp_program smtp_program;

enum smtp_feature {
    FEATURE_ESMTP = 1,
    FEATURE_PIPELINING = 2,
    FEATURE_SIZE = 4,
    FEATURE_8BITMIME = 8,
    FEATURE_SMTPUTF8 = 16,
    FEATURE_DSN = 32,
    FEATURE_STARTTLS = 64,
    FEATURE_AUTH_PLAIN = 128,
    FEATURE_AUTH_LOGIN = 256,
    FEATURE_AUTH = 512,
    FEATURE_XFORWARD_NAME = 1024,
    FEATURE_XFORWARD_ADDR = 2048,
    FEATURE_XFORWARD_PORT = 4096,
    FEATURE_XFORWARD_PROTO = 8192,
    FEATURE_XFORWARD_HELO = 16384,
    FEATURE_XFORWARD_IDENT = 32768,
    FEATURE_XFORWARD_SOURCE = 65536,
};

struct smtp_session {
    struct stream *stream;
    char *host;    /* name as it was looked up */
    char *namaddr; /* "host[addr]" */
    char *relay;   /* "host[addr]:port" */
    char *key;     /* of the cache: the destination */
    unsigned features;
    uint64_t size_limit; /* 0 unknown */
    unsigned uses;       /* deliveries, this one included */
    int64_t created, idle_until;
    bool broken;   /* of no further use, nor for QUIT */
    bool last_use; /* the server said 421 */
    bool need_rset;
    bool reused;
    struct list node;
};

/* Why recipients could not be delivered so far. */
struct smtp_why {
    struct result result;
    const char *relay, *remote_mta, *diagnostic; /* NULL none */
    bool site;                                   /* trouble with the host, not with the message */
};

struct smtp_delivery {
    struct agent_delivery *d;
    struct arena *arena;
    size_t left;                   /* recipients without a result */
    bool final_server;             /* nobody else will be asked */
    enum smtp_tls_level tls_level; /* of this destination */
    bool plaintext;                /* TLS failed with this host at level may */
    struct smtp_why why;
};

struct smtp_host {
    const char *name;
    struct sockaddr_storage addr;
    socklen_t len;
    unsigned preference;
};
struct smtp_hosts {
    struct smtp_host *items;
    size_t n;
};

/* ---- smtp_deliver.c ---- */
void smtp_deliver(struct agent_delivery *d);

/* ---- smtp_report.c ---- */
/* Trouble with the host: kept as the reason; a permanent one is reported for every recipient left. */
void smtp_site_fail(struct smtp_delivery *s, const struct smtp_session *session, const struct smtp_reply *reply,
                    const struct result *r);
/* The server refused a command that is about the whole message. `command` as in "(in reply to %s command)". */
void smtp_message_fail(struct smtp_delivery *s, const struct smtp_session *session, const struct smtp_reply *reply,
                       const char *command, const bool *only);
void smtp_recipient_fail(struct smtp_delivery *s, const struct smtp_session *session, const struct smtp_reply *reply,
                         const char *command, size_t place);
void smtp_sent(struct smtp_delivery *s, const struct smtp_session *session, const struct smtp_reply *reply,
               size_t place);
/* Fails the whole message without a server's reply. */
void smtp_message_never(struct smtp_delivery *s, const struct smtp_session *session, const struct result *r);
/* The connection was lost or timed out while doing what `what` says. The session is broken. */
void smtp_lost(struct smtp_delivery *s, struct smtp_session *session, enum stream_status st, const char *what);
/* Reports whoever is left, with the last reason. */
void smtp_report_rest(struct smtp_delivery *s);

/* ---- smtp_addr.c ---- addresses of a destination, best first. None: the reason is in s->why. */
struct smtp_hosts smtp_addr_find(struct smtp_delivery *s, const struct smtp_dest *dest);

/* ---- smtp_connect.c ---- NULL: the reason is in s->why. */
struct smtp_session *smtp_connect(struct smtp_delivery *s, const struct smtp_dest *dest, const struct smtp_host *host);
struct smtp_session *smtp_connect_unix(struct smtp_delivery *s, const struct smtp_dest *dest);

/* ---- smtp_session.c ---- */
struct smtp_session *smtp_session_new(struct stream *stream, const char *host, const char *addr, int port,
                                      const char *key);
void smtp_session_free(struct smtp_session **session); /* closes without a word */
/* Says QUIT, or keeps the session for the next delivery when that is wanted. */
void smtp_session_end(struct smtp_delivery *s, struct smtp_session **session);
/* An idle session to the destination, or NULL. */
struct smtp_session *smtp_session_take(const char *key);
/* Reads one reply. On failure the session is broken and the status is not STREAM_OK. */
enum stream_status smtp_read_reply(struct smtp_session *session, struct arena *a, struct smtp_reply *reply,
                                   int64_t deadline);
/* Writes a command, flushes, reads its reply. */
enum stream_status smtp_command(struct smtp_session *session, struct arena *a, struct smtp_reply *reply,
                                int64_t deadline, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* ---- smtp_hello.c ---- greeting, EHLO, STARTTLS, AUTH. False: the reason is in s->why, or was reported. */
bool smtp_hello(struct smtp_delivery *s, struct smtp_session *session, const struct smtp_dest *dest);
bool smtp_ehlo(struct smtp_delivery *s, struct smtp_session *session);

/* ---- smtp_tls.c ---- */
bool smtp_tls_open(struct buf *err);
/* Sets s->tls_level for the destination. False: the reason is in s->why. */
bool smtp_tls_choose(struct smtp_delivery *s, const struct smtp_dest *dest);
bool smtp_tls_wanted(const struct smtp_delivery *s, const struct smtp_session *session);
bool smtp_tls_start(struct smtp_delivery *s, struct smtp_session *session, const struct smtp_dest *dest);
bool smtp_starttls(struct smtp_delivery *s, struct smtp_session *session, const struct smtp_dest *dest);

/* ---- smtp_sasl.c ---- */
bool smtp_sasl_login(struct smtp_delivery *s, struct smtp_session *session, const struct smtp_dest *dest);

/* ---- smtp_xforward.c ---- False: the connection was lost. */
bool smtp_xforward(struct smtp_delivery *s, struct smtp_session *session);

/* ---- smtp_xfer.c ---- one mail transaction for the recipients left. */
void smtp_xfer(struct smtp_delivery *s, struct smtp_session *session);
