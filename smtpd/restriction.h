/* restriction.h - the evaluator of smtpd_*_restrictions. A list is parsed once into steps; a step is a restriction, a
 * row of one table, and its argument. The same code serves live sessions and `merpati explain`, which hands in a
 * recorder. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"

#include <stdbool.h>

struct session;
struct conf;
struct maps;

enum check_stage {
    STAGE_CLIENT,
    STAGE_HELO,
    STAGE_SENDER,
    STAGE_RELAY,
    STAGE_RECIPIENT,
    STAGE_DATA,
    STAGE_END_OF_DATA,
    STAGE_ETRN,
    STAGE_COUNT
};
enum check_result { CHECK_DUNNO, CHECK_OK, CHECK_REJECT };

/* An SMTP reply; code 0: none. The text begins with the enhanced code. */
struct check_verdict {
    int code;
    const char *text;
};

/* What access tables ask for the whole message. Lives in the transaction. */
struct check_effects {
    const char *filter, *redirect;
    const char **prepend;
    const char **bcc;
    size_t n_prepend, n_bcc;
    bool hold, discard;
};

/* Told of every step, for explain. */
struct recorder {
    void (*step)(struct recorder *r, enum check_stage stage, const char *restriction, const char *argument,
                 enum check_result result);
};

struct check_step {
    const struct restriction *restriction; /* NULL: a word that is none */
    const char *word;                      /* as written */
    const char *argument;                  /* NULL none */
    struct maps *maps;                     /* of an access restriction */
    const struct check_list *list;         /* of a restriction class */
    bool warn;                             /* warn_if_reject stood before it */
};
struct check_list {
    struct check_step *steps;
    size_t n;
};

/* One evaluation. */
struct check {
    struct session *session;
    enum check_stage stage;
    struct recorder *recorder;
    const struct check_step *step;
    struct check_verdict defer_if_reject;
    bool warn;
    unsigned depth;                   /* of nested lists */
    const char *subject, *class_name; /* of an access table whose entry is a list; NULL */
};

typedef enum check_result restriction_fn(struct check *c, const struct check_step *step);
enum restriction_argument { ARG_NONE, ARG_TABLE, ARG_WORD };
enum restriction_needs { NEEDS_HELO = 1, NEEDS_SENDER = 2, NEEDS_RECIPIENT = 4, NEEDS_NOT_NULL = 8 };
struct restriction {
    const char *name;
    restriction_fn *fn;
    enum restriction_argument argument;
    unsigned needs; /* where something is missing, the restriction has no opinion */
};
extern const struct restriction restriction_table[];

/* Words of a list: parted by blanks and commas, { } around one that holds some. False at the end. */
bool check_word(struct slice *rest, struct slice *word);

struct check_classes;
/* Named lists; parsed once, referred to by name. */
struct check_classes *check_classes_new(struct conf *conf, struct arena *a, const char *names, struct buf *err);
/* Memory and tables live in the arena and to the end of the process. False with err: a table cannot be opened. */
bool check_list_parse(struct conf *conf, struct arena *a, struct check_classes *classes, const char *parameter,
                      const char *text, enum check_stage stage, struct check_list *out, struct buf *err);
/* Whether one of the restrictions that keep a server from relaying for everybody is in the list. */
bool check_list_is_safe(const struct check_list *list);

/* Runs one list. On CHECK_REJECT session->verdict is set and the line is logged. */
enum check_result check_run(struct session *s, enum check_stage stage, const struct check_list *list,
                            struct recorder *recorder);
/* A restriction could not say no for want of an answer, and no other did: the verdict is to try again. */
enum check_result check_defer(struct session *s);
/* The texts of a list in an access table, evaluated in place. */
enum check_result check_run_text(struct check *c, const char *text, const char *subject, const char *class_name);

/* For restrictions: sets the verdict and logs, or only logs after warn_if_reject. */
enum check_result check_reject(struct check *c, int code, const char *dsn, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void check_defer_if_permit(struct check *c, int code, const char *dsn, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* "<client[1.2.3.4]>: Client host rejected": what the stage is about. */
const char *check_subject(struct check *c, const char **class_name);
/* "Server configuration error", once for each word in the log. */
enum check_result check_misconfigured(struct check *c, const char *what, const char *word);
enum check_result check_table_failure(struct check *c, const char *subject);
/* Action of an access table entry. */
enum check_result check_action(struct check *c, const char *title, const char *action, const char *subject,
                               const char *class_name);
/* A code that tells of an address must tell of the right one: x.1.N means a recipient, but for 7 and 8. */
void check_fit_dsn(char dsn[16], const char *class_name);
struct msg_resolved;
/* Where mail for the address goes; false when it could not be asked. The answer lives until the next command. */
bool check_resolve(struct session *s, const char *address, struct msg_resolved *out);
enum check_result check_unlisted(struct check *c, const char *address, bool is_sender);

restriction_fn restriction_permit, restriction_reject, restriction_defer, restriction_defer_if_permit,
    restriction_defer_if_reject, restriction_permit_mynetworks, restriction_permit_sasl_authenticated,
    restriction_permit_auth_destination, restriction_reject_unauth_destination, restriction_defer_unauth_destination,
    restriction_reject_unlisted_recipient, restriction_reject_unlisted_sender, restriction_reject_unauth_pipelining,
    restriction_reject_non_fqdn_sender, restriction_reject_non_fqdn_recipient, restriction_reject_non_fqdn_helo,
    restriction_reject_invalid_helo, restriction_reject_unknown_helo, restriction_reject_unknown_sender_domain,
    restriction_reject_unknown_recipient_domain, restriction_reject_unknown_client,
    restriction_reject_unknown_reverse_client, restriction_reject_sender_login_mismatch,
    restriction_reject_authenticated_mismatch, restriction_reject_unauthenticated_mismatch,
    restriction_reject_known_mismatch, restriction_check_client_access, restriction_check_reverse_client_access,
    restriction_check_helo_access, restriction_check_sender_access, restriction_check_recipient_access,
    restriction_check_sasl_access, restriction_check_etrn_access, restriction_reject_multi_recipient_bounce,
    restriction_reject_plaintext_session, restriction_permit_inet_interfaces, restriction_sleep,
    restriction_reject_rbl_client, restriction_reject_rhsbl_helo, restriction_reject_rhsbl_sender,
    restriction_reject_rhsbl_recipient, restriction_reject_rhsbl_client, restriction_reject_rhsbl_reverse_client;
