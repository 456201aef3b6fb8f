/* messages.h - every message between daemons, by service. Adding one: a macro and a row here, and the handler
 * (ARCHITECTURE.md). */
#pragma once
#include "lib/ipc/schema.h"

/* Lengths: an address, a host name, a status text, a line of the message. */
#define IPC_ADDR 2600
#define IPC_HOST 300
#define IPC_TEXT 4096

/* ---- rewrite (trivial-rewrite) ---- */
/* Puts addresses (internal, unquoted form) into canonical form: source routes cut, domains completed. context: "local"
 * or "remote". */
#define MSG_rewrite_request(F) \
    F(STR, context, 10)        \
    F(STRS, addresses, 2000)
#define MSG_rewrite_reply(F) \
    F(BOOL, try_again, 0)    \
    F(STRS, addresses, 2000)
/* Where mail for each address goes, for this sender ("" is the null sender). */
#define MSG_resolve_request(F) \
    F(STR, sender, IPC_ADDR)   \
    F(STRS, addresses, 2000)
#define MSG_resolved(F)         \
    F(STR, transport, IPC_HOST) \
    F(STR, nexthop, IPC_ADDR)   \
    F(STR, recipient, IPC_ADDR) \
    F(U32, flags, 0)
#define MSG_resolve_reply(F) F(LIST, resolved, 2000, resolved)
enum resolve_flags {
    RESOLVE_LOCAL = 1,
    RESOLVE_VIRTUAL_ALIAS = 2,
    RESOLVE_VIRTUAL_MAILBOX = 4,
    RESOLVE_RELAY = 8,
    RESOLVE_DEFAULT = 16,    /* the class: exactly one */
    RESOLVE_ROUTED = 32,     /* the local part holds sender-specified routing (user%host@, user@host@) */
    RESOLVE_ERROR = 64,      /* bad address syntax */
    RESOLVE_TRY_AGAIN = 128, /* a table could not be asked */
};

/* ---- cleanup ---- One message at a time on a connection: cleanup_begin answered by cleanup_begun; then, without
 * answers, any number of cleanup_recipient, cleanup_content, and cleanup_end answered by cleanup_done. cleanup_abort
 * (or closing) drops the message. Recipients may also come after the content (extracted ones do not: cleanup finds
 * those itself). */
#define MSG_cleanup_begin(F)                                                                                         \
    F(STR, origin, 20) /* "smtpd", "pickup", "bounce", "local" */                                                    \
    F(STR, syslog_name, 100)                                                                                         \
    F(U32, flags, 0)             /* enum cleanup_flags */                                                            \
    F(STR, sender, IPC_ADDR)     /* internal form, "" null */                                                        \
    F(STR, sender_fullname, 300) /* for a missing From: */                                                           \
    F(STR, dsn_envid, 300)       /* decoded xtext */                                                                 \
    F(U32, dsn_ret, 0)           /* enum dsn_ret */                                                                  \
    F(STR, body_type, 12)        /* "7BIT", "8BITMIME", "" */                                                        \
    F(STR, context, 10)          /* rewriting: "local", "remote" */                                                  \
    F(STR, client_name, IPC_HOST)                                                                                    \
    F(STR, client_addr, 64)                                                                                          \
    F(STR, client_port, 8)                                                                                           \
    F(STR, client_proto, 20) /* "ESMTP", "SMTP", "" */                                                               \
    F(STR, client_helo, IPC_ADDR)                                                                                    \
    F(STR, sasl_method, 60)                                                                                          \
    F(STR, sasl_username, 300)                                                                                       \
    F(STR, sasl_sender, 300)                                                                                         \
    F(STR, received, 4096) /* text after "Received: " with LF and tab folds, "%Q" standing for the queue id and "%F" \
                              for "\n\tfor <rcpt>" or "" ; "" adds no Received header */                             \
    F(STR, content_filter, 300) /* "transport:nexthop" or "" */                                                      \
    F(STR, redirect_to, IPC_ADDR)                                                                                    \
    F(U64, size_hint, 0)                                                                                             \
    F(I64, arrival_usec, 0)    /* wall clock; 0: now */                                                              \
    F(U32, hop, 0)             /* deliveries that this message made already (forwarding) */                          \
    F(STRS, prepend, 100)      /* whole headers to put before the message's own */                                   \
    F(STR, orig_queue_id, 100) /* of a requeued message */                                                           \
    F(U32, verbose_dsn, 0)     /* 1: report of -bv, 2: of -v */
enum cleanup_flags {
    CLEANUP_BOUNCE = 1, /* the sender gets a notice in place of an error reply (pickup) */
    CLEANUP_FILTER = 2, /* header and body checks */
    CLEANUP_HOLD = 4,
    CLEANUP_DISCARD = 8,
    CLEANUP_MAP = 16, /* canonical, masquerade, virtual, bcc */
    CLEANUP_BCC = 32,
    CLEANUP_SMTPUTF8 = 64,
    CLEANUP_ADD_MISSING = 128, /* Date, From, Message-Id */
    CLEANUP_EXTRACT = 256,     /* recipients from the headers (sendmail -t) */
    CLEANUP_MILTER = 512,
};
enum dsn_ret { DSN_RET_NONE = 0, DSN_RET_FULL = 1, DSN_RET_HDRS = 2 };
enum dsn_notify {
    DSN_NOTIFY_NEVER = 1,
    DSN_NOTIFY_SUCCESS = 2,
    DSN_NOTIFY_FAILURE = 4,
    DSN_NOTIFY_DELAY = 8
}; /* 0: none given */
#define MSG_cleanup_begun(F)                              \
    F(STR, queue_id, 100) /* "" with a reason in error */ \
    F(STR, error, IPC_TEXT)
#define MSG_cleanup_recipient(F)                                           \
    F(STR, address, IPC_ADDR)                                              \
    F(STR, orig_address, IPC_ADDR) /* "" same as address */                \
    F(STR, dsn_orcpt, IPC_ADDR)    /* "rfc822;user@x", decoded; "" none */ \
    F(U32, dsn_notify, 0)                                                  \
    F(U32, is_copy, 0) /* that a table asked for: no header tells of it */
/* A piece of the content: LF line ends, pieces end anywhere. The whole is LF-terminated at cleanup_end if not empty. */
#define MSG_cleanup_content(F) F(BYTES, data, 65536)
/* What was decided after cleanup_begin: flags are of enum cleanup_flags (hold, discard), "" leaves the other two alone.
 */
#define MSG_cleanup_end(F)      \
    F(U32, flags, 0)            \
    F(STR, content_filter, 300) \
    F(STR, redirect_to, IPC_ADDR)
#define MSG_cleanup_abort(F) F(U32, unused, 0)
#define MSG_cleanup_done(F)                              \
    F(U32, outcome, 0) /* enum outcome: OK is durable */ \
    F(U32, code, 0)    /* SMTP reply code when not OK */ \
    F(STR, dsn, 16)                                      \
    F(STR, text, IPC_TEXT)

/* ---- qmgr ---- */
/* A complete message lies in incoming (qmgr reads it through the descriptor). No answer. */
#define MSG_qmgr_new(F)   \
    F(STR, queue_id, 100) \
    F(FD, file, 0)
/* Commands: "flush", "scan-incoming", "flush-id ID", "forget ID"; answered when begun. */
#define MSG_qmgr_command(F) F(STR, command, 300)
#define MSG_qmgr_command_reply(F) F(U32, outcome, 0)

/* ---- delivery agents ---- one request at a time on a connection; the descriptor is read-only, at no particular offset
 * (use pread). */
#define MSG_deliver_recipient(F)                              \
    F(U32, index, 0) /* qmgr's own number, to be sent back */ \
    F(STR, address, IPC_ADDR)                                 \
    F(STR, orig_address, IPC_ADDR)                            \
    F(STR, dsn_orcpt, IPC_ADDR)                               \
    F(U32, dsn_notify, 0)
#define MSG_deliver_request(F)                                            \
    F(STR, queue_id, 100)                                                 \
    F(STR, queue_name, 20)                                                \
    F(STR, transport, IPC_HOST)                                           \
    F(STR, nexthop, IPC_ADDR)                                             \
    F(STR, sender, IPC_ADDR)                                              \
    F(STR, dsn_envid, 300)                                                \
    F(U32, dsn_ret, 0)                                                    \
    F(U32, flags, 0) /* enum deliver_flags */                             \
    F(STR, body_type, 12)                                                 \
    F(U64, content_offset, 0) /* the message in the file: LF line ends */ \
    F(U64, content_size, 0)                                               \
    F(I64, arrival_usec, 0) /* wall clock */                              \
    F(I64, active_usec, 0)  /* when qmgr took it into the active queue */ \
    F(U32, hop, 0)                                                        \
    F(STR, context, 10)                                                   \
    F(STR, client_name, IPC_HOST)                                         \
    F(STR, client_addr, 64)                                               \
    F(STR, client_port, 8)                                                \
    F(STR, client_proto, 20)                                              \
    F(STR, client_helo, IPC_ADDR)                                         \
    F(STR, sasl_method, 60)                                               \
    F(STR, sasl_username, 300)                                            \
    F(STR, sasl_sender, 300)                                              \
    F(LIST, recipients, 1000, deliver_recipient)                          \
    F(FD, file, 0)
enum deliver_flags {
    DELIVER_SMTPUTF8 = 1,
    DELIVER_VERP = 2,
    DELIVER_PROBE = 4,
    DELIVER_REUSE_CONNECTION = 8 /* more for this nexthop waits */
};
#define MSG_deliver_result(F)                                                                                        \
    F(U32, index, 0)                                                                                                 \
    F(U32, outcome, 0) /* enum outcome */                                                                            \
    F(STR, dsn, 16)                                                                                                  \
    F(STR, text, IPC_TEXT)       /* as in the log line's parentheses */                                              \
    F(STR, relay, 400)           /* as in the log line; "" none */                                                   \
    F(STR, remote_mta, IPC_HOST) /* for the DSN; "" none */                                                          \
    F(STR, diagnostic, IPC_TEXT) /* the remote's reply, "" none: X-Postfix text is used */                           \
    F(STR, action, 12) /* "", or "relayed", "expanded" where "delivered" would be said, or "none" when the next host \
                          has the duty to tell */                                                                    \
    F(STR, address, IPC_ADDR) /* whom it concerns when the agent expanded the recipient; "" itself */
/* site_dead: connect, greeting, TLS or EHLO trouble, not a refused recipient; the reason is then in site_*. */
#define MSG_deliver_reply(F)               \
    F(LIST, results, 1000, deliver_result) \
    F(BOOL, site_dead, 0)                  \
    F(STR, site_dsn, 16)                   \
    F(STR, site_text, IPC_TEXT)

/* ---- bounce ---- the notice is on stable storage when the answer is OK. */
#define MSG_bounce_recipient(F)                                        \
    F(STR, address, IPC_ADDR)                                          \
    F(STR, orig_address, IPC_ADDR)                                     \
    F(STR, dsn_orcpt, IPC_ADDR)                                        \
    F(U32, dsn_notify, 0)                                              \
    F(STR, action, 12) /* failed delayed delivered relayed expanded */ \
    F(STR, dsn, 16)                                                    \
    F(STR, text, IPC_TEXT)                                             \
    F(STR, remote_mta, IPC_HOST)                                       \
    F(STR, diagnostic, IPC_TEXT)                                       \
    F(I64, attempt_time, 0) /* seconds */
#define MSG_bounce_request(F)                                   \
    F(STR, kind, 12) /* "failure" "delay" "success" "verify" */ \
    F(STR, queue_id, 100)                                       \
    F(STR, queue_name, 20)                                      \
    F(STR, sender, IPC_ADDR)                                    \
    F(STR, dsn_envid, 300)                                      \
    F(U32, dsn_ret, 0)                                          \
    F(U32, flags, 0) /* enum deliver_flags */                   \
    F(STR, body_type, 12)                                       \
    F(U64, content_offset, 0)                                   \
    F(U64, content_size, 0)                                     \
    F(I64, arrival_usec, 0)                                     \
    F(I64, retry_until, 0) /* seconds; delay notices */         \
    F(LIST, recipients, 2000, bounce_recipient)                 \
    F(FD, file, 0)
#define MSG_bounce_reply(F) F(U32, outcome, 0)

/* ---- anvil ---- counts by service and client address; op is one of enum anvil_op; the connection count lives as long
 * as the requester's connection to anvil that said CONNECT, or until DISCONNECT. */
enum anvil_op {
    ANVIL_CONNECT,
    ANVIL_DISCONNECT,
    ANVIL_MESSAGE,
    ANVIL_RECIPIENT,
    ANVIL_NEWTLS,
    ANVIL_AUTH,
    ANVIL_LOOKUP
};
#define MSG_anvil_request(F) \
    F(U32, op, 0)            \
    F(STR, service, 100)     \
    F(STR, client, 64)
#define MSG_anvil_reply(F)                                 \
    F(U32, count, 0) /* open connections of this client */ \
    F(U32, rate, 0)  /* events of this kind in anvil_rate_time_unit */

/* ---- sessions (imapd and pop3d: from the front to the part that runs as the mailbox's owner) ---- the descriptor is
 * the client connection, or one end of a socket pair when the front keeps the TLS layer. No answer. auth_id and cookie
 * are the auth daemon's: the receiver asks it who this is, and never believes the front. */
#define MSG_session_start(F)                                                          \
    F(STR, protocol, 8) /* "imap", "pop3" */                                          \
    F(U64, auth_id, 0)                                                                \
    F(STR, secret_cookie, 64)                                                         \
    F(U32, front_pid, 0)                                                              \
    F(STR, session_id, 40)                                                            \
    F(STR, remote_addr, 64)                                                           \
    F(STR, local_addr, 64)                                                            \
    F(BOOL, tls, 0)                                                                   \
    F(BOOL, trusted, 0)       /* from one of login_trusted_networks */                \
    F(STR, method, 40)        /* "PLAIN", for the log */                              \
    F(STR, tag, 200)          /* IMAP: of the LOGIN or AUTHENTICATE to be answered */ \
    F(BYTES, buffered, 65536) /* what the client sent already */                      \
    F(FD, client, 0)
/* The same, from the spawner to the user's process. */
#define MSG_session_open(F)                           \
    F(STR, protocol, 8)                               \
    F(STR, user, 300)                                 \
    F(STR, home, 1024)                                \
    F(STR, mail_location, 1024) /* "maildir:/path" */ \
    F(STR, session_id, 40)                            \
    F(STR, remote_addr, 64)                           \
    F(STR, local_addr, 64)                            \
    F(BOOL, tls, 0)                                   \
    F(BOOL, trusted, 0)                               \
    F(STR, method, 40)                                \
    F(STR, tag, 200)                                  \
    F(BYTES, buffered, 65536)                         \
    F(FD, client, 0)

/* ---- deliveries as a user (local, virtual, pipe: from the daemon to its process of that user) ---- see
 * lib/daemon/userproc.h */
#define MSG_user_delivery(F)                                                                        \
    F(STR, kind, 12) /* "maildir", "mbox", "file", "command", "forward" (read a file), "include" */ \
    F(STR, queue_id, 100)                                                                           \
    F(STR, target, 4096) /* path or command line */                                                 \
    F(STRS, argv, 1000)  /* command: argument vector, when no shell is to read it */                \
    F(STRS, environment, 200)                                                                       \
    F(STR, chdir_to, 1024)                                                                          \
    F(BYTES, prefix, 65536)  /* header lines to put before the content */                           \
    F(STR, sender, IPC_ADDR) /* for the mbox "From " line */                                        \
    F(U32, flags, 0)                                                                                \
    F(I64, size_limit, 0)                                                                           \
    F(U32, time_limit, 0) /* seconds */                                                             \
    F(STR, eol, 40)                                                                                 \
    F(U64, content_offset, 0)                                                                       \
    F(U64, content_size, 0)                                                                         \
    F(FD, file, 0)
#define MSG_user_delivery_reply(F)                                               \
    F(U32, outcome, 0)                                                           \
    F(STR, dsn, 16)                                                              \
    F(STR, text, IPC_TEXT) /* reason, or the first line of a command's output */ \
    F(U32, exit_status, 0)                                                       \
    F(BYTES, data, 1000000) /* "forward", "include": the file */

/* ---- records of queue files (lib/queue) ---- the same form on disk as on the wire. */
/* clang-format off */
#define MSG_queue_envelope(F) \
    F(STR, sender, IPC_ADDR) F(STR, dsn_envid, 300) F(STR, body_type, 12) F(STR, context, 10) \
    F(STR, client_name, IPC_HOST) F(STR, client_addr, 64) F(STR, client_port, 8) F(STR, client_proto, 20) F(STR, client_helo, IPC_ADDR) \
    F(STR, sasl_method, 60) F(STR, sasl_username, 300) F(STR, sasl_sender, 300) \
    F(STR, content_filter, 300) F(STR, redirect_to, IPC_ADDR) F(STR, origin, 20) F(STR, syslog_name, 100) F(STR, sender_fullname, 300) F(U32, cleanup_flags, 0) \
    F(U32, dsn_ret, 0) F(U32, flags, 0) F(U32, hop, 0) F(U32, verbose_dsn, 0) F(I64, arrival_usec, 0) F(I64, create_usec, 0)
#define MSG_queue_rcpt(F) \
    F(STR, address, IPC_ADDR) F(STR, orig_address, IPC_ADDR) F(STR, dsn_orcpt, IPC_ADDR) F(U32, dsn_notify, 0)
#define MSG_queue_event(F) \
    F(U32, event, 0) F(U32, recipient, 0) F(I64, time, 0) F(STR, dsn, 16) F(STR, text, IPC_TEXT) F(STR, relay, 400) \
    F(STR, diagnostic, IPC_TEXT) F(STR, remote_mta, IPC_HOST)

/* The table of all. M(name) */
#define IPC_MESSAGES(M) \
    M(rewrite_request) M(rewrite_reply) M(resolve_request) M(resolved) M(resolve_reply) \
    M(cleanup_begin) M(cleanup_begun) M(cleanup_recipient) M(cleanup_content) M(cleanup_end) M(cleanup_abort) M(cleanup_done) \
    M(qmgr_new) M(qmgr_command) M(qmgr_command_reply) \
    M(deliver_recipient) M(deliver_request) M(deliver_result) M(deliver_reply) \
    M(bounce_recipient) M(bounce_request) M(bounce_reply) \
    M(anvil_request) M(anvil_reply) \
    M(session_start) M(session_open) M(user_delivery) M(user_delivery_reply) \
    M(queue_envelope) M(queue_rcpt) M(queue_event)

IPC_MESSAGES(IPC_DECLARE)
/* clang-format on */
extern const struct ipc_type *const ipc_all_types[]; /* NULL-terminated */
