/* smtpd.h - one SMTP session and the pieces that serve it. Everything about a session is in struct session; a command
 * handler gets it with its arguments, answers with smtpd_reply, and returns whether the command counts as an error. */
#pragma once
#include "lib/base/log.h"
#include "lib/daemon/daemon.h"
#include "lib/ipc/cleanup_client.h"
#include "lib/ipc/rewrite_client.h"
#include "lib/map/match_list.h"
#include "lib/rt/addr.h"
#include "lib/rt/tls.h"
#include "lib/sasl/sasl_client.h"
#include "lib/syntax/smtp_command.h"
#include "lib/syntax/smtp_data.h"
#include "smtpd/restriction.h"

/* clang-format off */
struct smtpd_params {
#include "lib/conf/param_struct.h"
#include "smtpd/params.def"
#include "lib/conf/param_end.h"
};
/* clang-format on */
extern struct smtpd_params smtpd_params;

enum smtpd_bare_newline { BARE_NO, BARE_NOTE, BARE_NORMALIZE, BARE_REJECT };

/* What is opened once at start and only read afterwards. */
struct smtpd_shared {
    struct tls_context *tls;
    bool tls_required;
    enum smtpd_bare_newline bare_newline;
    struct match_list *mynetworks, *bare_newline_exclusions, *limit_exceptions, *sasl_exceptions, *flush_domains;
    struct match_list *forbidden_commands, *noop_commands, *xclient_hosts, *xforward_hosts;
    struct maps *command_filter, *sender_login, *local_recipients, *relay_recipients, *virtual_aliases;
    struct maps *virtual_mailboxes, *canonical, *recipient_canonical, *relocated, *discard_ehlo;
    struct check_list lists[STAGE_COUNT];
    struct check_classes *classes;
    struct rewrite_client *rewrite;
    struct sasl_service *sasl;
    struct ipc_pool *cleanup, *anvil, *qmgr;
    bool limits; /* some client limit is set */
    bool no_unknown_recipient_checks, no_address_mappings, no_header_body_checks, no_milters;
};
extern struct smtpd_shared smtpd_shared;
bool smtpd_shared_open(struct buf *err);
void smtpd_shared_start(void);

/* EHLO keywords that may be left out. */
enum smtpd_ehlo {
    EHLO_PIPELINING = 1,
    EHLO_SIZE = 2,
    EHLO_VRFY = 4,
    EHLO_ETRN = 8,
    EHLO_STARTTLS = 16,
    EHLO_AUTH = 32,
    EHLO_ENHANCED = 64,
    EHLO_8BITMIME = 128,
    EHLO_DSN = 256,
    EHLO_SMTPUTF8 = 512,
    EHLO_CHUNKING = 1024,
    EHLO_SILENT = 2048
};

enum smtpd_peer { PEER_FOUND, PEER_UNKNOWN, PEER_TRY_AGAIN };
/* In the order of the disconnect line. */
enum smtpd_verb {
#define COMMAND(verb, handler, flags) VERB_##verb,
#include "smtpd/commands.def"
#undef COMMAND
    VERB_UNKNOWN,
    VERB_COUNT
};

struct session {
    struct stream *stream;
    const struct sockaddr *peer, *local;
    struct arena *arena; /* lives as long as the session */
    struct arena *mail;  /* until the transaction ends */
    struct arena *call;  /* until the next command */

    const char *client_name;  /* verified, or "unknown" */
    const char *reverse_name; /* as the PTR record says, or "unknown" */
    const char *client_addr, *client_port, *server_addr;
    const char *namaddr; /* "name[address]" for logs */
    enum smtpd_peer name_status, reverse_status;

    const char *helo; /* NULL before HELO */
    const char *proto;
    const char *where; /* command at hand, for logs */
    const char *sasl_method, *sasl_username;
    struct sasl_exchange *sasl;

    /* Transaction. */
    const char *sender; /* NULL outside a transaction */
    const char *sasl_sender, *recipient /* at hand */;
    const char *first_recipient;
    struct smtp_mail_params params;
    struct cleanup_client *cleanup;
    const char *queue_id;
    struct smtp_data *data; /* content under way (BDAT) */
    uint64_t content_limit_left;
    int64_t arrival_usec;
    struct check_effects effects; /* HOLD, FILTER ... of access tables */
    struct check_verdict verdict; /* of the last evaluation */
    struct check_verdict defer_if_permit, client_verdict;
    struct check_verdict client_defer, helo_defer,
        sender_defer; /* what stays of defer_if_permit when nothing is delayed */

    uint32_t rcpt_count, rcpt_overshoot;
    uint32_t errors, junk;
    uint16_t ok[VERB_COUNT], total[VERB_COUNT];
    unsigned ehlo_discard;
    bool discard_known;
    bool esmtp, closing, lost, bdat, bdat_failed, rcpt_tried;
    bool forbid_bare, bare_lf, noted_bare_lf;
    bool pipelining_logged, premature; /* input stood ready where the client had to wait */
    bool limited;                      /* subject to client limits */
    bool connected_to_anvil, unlisted_checked;
    bool sender_checked;
    bool may_xclient, may_xforward;
    const char *xclient_helo;
    bool xclient_esmtp;
    struct smtpd_forward { /* of XFORWARD; "" or NULL where nothing was said */
        bool given;
        const char *name, *addr, *port, *helo, *proto, *ident;
    } forward;
};

/* A handler's answer: -1 counts as an error. */
typedef int smtpd_handler(struct session *s, struct slice args);
enum smtpd_command_flags {
    CMD_BEFORE_TLS = 1, /* allowed where TLS is required and not there yet */
    CMD_JUNK = 2,       /* counts towards smtpd_junk_command_limit */
    CMD_LAST = 4,       /* of a pipelined group: the client must wait for the reply (RFC 2920) */
    CMD_NEEDS_HELO = 8,
};
struct smtpd_command {
    const char *name;
    enum smtpd_verb verb;
    smtpd_handler *handler;
    unsigned flags;
};
#define COMMAND(verb, handler, flags) smtpd_handler handler;
#include "smtpd/commands.def"
#undef COMMAND

/* A connection from its greeting to its end; closes the stream. */
void smtpd_session(struct stream *stream, const struct sockaddr *peer, const struct sockaddr *local);

/* ---- chat ---- */
/* "250 2.0.0 Ok": queued for output; error replies may be delayed first and get the footer. 421 and 521 end the
 * session. */
void smtpd_reply(struct session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Reply of the verdict that the restrictions left in the session. */
void smtpd_reply_verdict(struct session *s);
/* One line of a reply of several: no footer, no delay. */
void smtpd_reply_line(struct session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Waits for a command line, sending what is queued first. False when the connection is over (logged). */
bool smtpd_read_line(struct session *s, size_t limit, struct slice *line);
void smtpd_lost(struct session *s, enum stream_status st);
static inline int64_t smtpd_deadline(void)
{
    return deadline_in(smtpd_params.smtpd_timeout);
}

/* ---- parts ---- */
void smtpd_peer_lookup(struct session *s);
/* Name and address as logs have them, from what is known of the client. */
void smtpd_name_peer(struct session *s);
/* The first words of a session, as the client restrictions have it. */
void smtpd_greet(struct session *s);
/* A name of the client's as headers may show it; lives as long as the session. */
const char *smtpd_clean_name(struct session *s, const char *name);
bool smtpd_tls_start(struct session *s);
const char *smtpd_auth_mechanisms(struct session *s);
/* One event of this kind; false when the client is over its limit (logged). */
bool smtpd_anvil_event(struct session *s, enum anvil_op op, int64_t limit, const char *what);
bool smtpd_anvil_connect(struct session *s);
void smtpd_anvil_disconnect(struct session *s);
/* Ends the transaction, dropping a message under way. */
void smtpd_mail_reset(struct session *s);
/* The address in a word of a command; false (logged) when it is none. utf8: the domain may
 * hold such characters. It lives until the next command. */
bool smtpd_path(struct session *s, const char *word, bool empty_ok, bool utf8, const char **address);
/* All lists that apply to s->recipient, in their order; false with the verdict set. */
bool smtpd_recipient_allowed(struct session *s);
/* Opens cleanup for the message; false after a reply. */
bool smtpd_message_open(struct session *s);
/* A piece of content for cleanup. */
void smtpd_message_emit(void *ctx, const char *p, size_t n);
/* The end of the content: restrictions, commit, reply. Returns the handler's value. */
int smtpd_message_finish(struct session *s);
/* "from=<s> to=<r> proto=ESMTP helo=<h>" with one blank before each. */
void smtpd_log_context(const struct session *s, struct buf *out);
/* Whether enough space is left for a message of this size. */
bool smtpd_space_left(uint64_t size);
