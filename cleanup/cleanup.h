/* cleanup.h - one message on its way into the queue. */
#pragma once
#include "lib/base/hash.h"
#include "lib/base/vec.h"
#include "lib/daemon/daemon.h"
#include "lib/ipc/rewrite_client.h"
#include "lib/map/match_list.h"
#include "lib/queue/queue.h"
#include "lib/syntax/header.h"

struct cleanup_params {
/* clang-format off */
#include "lib/conf/param_struct.h"
#include "cleanup/params.def"
#include "lib/conf/param_end.h"
    /* clang-format on */
};
extern struct cleanup_params cleanup_params;

/* Kinds of addresses, for the *_classes parameters. */
enum address_class { ENVELOPE_SENDER = 1, ENVELOPE_RECIPIENT = 2, HEADER_SENDER = 4, HEADER_RECIPIENT = 8 };

/* Tables and lists, opened at start. */
struct cleanup_tables {
    struct maps *canonical, *sender_canonical, *recipient_canonical, *virtual_alias, *sender_bcc, *recipient_bcc;
    struct maps *header_checks, *mime_header_checks, *nested_header_checks, *body_checks;
    struct match_list *mydestination, *masquerade_exceptions;
    unsigned canonical_classes, sender_canonical_classes, recipient_canonical_classes,
        masquerade_classes; /* enum address_class */
    bool propagate_canonical, propagate_virtual;
    bool strips, rejects;         /* whether there are such characters */
    bool strip[256], reject[256]; /* message_strip_characters, message_reject_characters */
    struct rewrite_client *rewrite;
};
extern struct cleanup_tables cleanup_tables;

/* Where a message's content is. */
enum content_state { CONTENT_HEADER, CONTENT_BODY };

struct cleanup {
    struct arena *arena; /* lives as long as the message */
    struct msg_cleanup_begin begin;
    struct queue_writer *writer;
    const char *queue_id;
    const char *sender;  /* rewritten */
    struct result error; /* the first thing that went wrong; OK otherwise */
    int code;            /* SMTP reply code that goes with it */

    VEC(struct msg_cleanup_recipient) recipients; /* as given; strings in the arena */
    VEC(const char *) copies;                     /* that checks asked for */
    struct hash *seen;                            /* duplicate filter */
    size_t seen_count;

    enum content_state state;
    struct buf header; /* until the header ends */
    bool had_from, had_date, had_message_id, had_recipient_header, had_resent, resent_from, resent_date,
        resent_message_id;
    bool hold, discard;
    const char *filter, *redirect;
    unsigned hops;
    char last_byte;
    struct buf line;         /* body: a line that is not whole yet, when lines are looked at */
    bool is_8bit;            /* a header says so */
    struct body_state *body; /* NULL when nobody looks at lines */
    uint64_t overhead;       /* bytes that the size limit counts beside the content */
    size_t message_id_logged;
};

/* cleanup_session.c: the protocol. */
void cleanup_serve(struct ipc_conn *c);
/* Notes the first error. */
void cleanup_fail(struct cleanup *m, int code, const struct result *r);
bool cleanup_failed(const struct cleanup *m);

/* cleanup_content.c */
void cleanup_take_content(struct cleanup *m, struct slice data);
/* After the last piece: the header's end if there was no body, a final LF. */
void cleanup_end_content(struct cleanup *m);
/* Writes to the queue file; false (with the error noted) when that is not possible. */
bool cleanup_put(struct cleanup *m, struct slice text);

/* cleanup_header.c: the whole header, once it is there. */
void cleanup_header(struct cleanup *m, struct slice header);
/* One field as it goes into the queue file: no blank before the colon, nothing behind a NUL, not longer than
 * header_size_limit. Without its last LF, in the arena. */
const char *cleanup_field_text(struct cleanup *m, const struct header_field *f);
/* Where a header stands. */
enum header_place { HEADER_MESSAGE, HEADER_PART, HEADER_ATTACHED };
/* Checks the field as its place asks, and writes it. */
void cleanup_put_field(struct cleanup *m, enum header_place place, const char *text);

/* cleanup_address.c: every address goes through these. The result lives in the arena. */
const char *cleanup_rewrite(struct cleanup *m, const char *address, const char *context);
const char *cleanup_map_address(struct cleanup *m, const char *address, enum address_class class);
bool cleanup_is_local_domain(void *ctx, const char *domain);

/* cleanup_envelope.c: recipients into the queue file. */
void cleanup_envelope(struct cleanup *m);
/* An address from a header (sendmail -t). */
void cleanup_add_extracted(struct cleanup *m, const char *address);

/* cleanup_checks.c: header_checks and its like. */
enum check_verdict { CHECK_KEEP, CHECK_DROP, CHECK_REPLACED };
/* kind: "header", "body"...; text: the line or field without its LF. On CHECK_REPLACED *replacement. Prepended text is
 * written by the check. */
enum check_verdict cleanup_check(struct cleanup *m, struct maps *maps, const char *kind, const char *text,
                                 const char **replacement);
/* "NAME[ADDR]" or "local" for log lines. */
const char *cleanup_origin(const struct cleanup *m);

/* cleanup_mime.c: where a body's lines are. */
struct mime;
/* What the header says of the body; NULL when it has no parts and nothing is asked of its encoding. */
struct mime *cleanup_mime_new(struct cleanup *m, struct slice header);
enum mime_line { MIME_BODY, MIME_HEADER, MIME_HEADER_END };
/* A line without its LF: of a body, of a header, or one that ends a header (and is of the body then). */
enum mime_line cleanup_mime_line(struct mime *mime, struct slice line);
/* A whole field of the header that is being read. */
void cleanup_mime_field(struct mime *mime, const struct header_field *f);
enum header_place cleanup_mime_place(const struct mime *mime);

/* cleanup_body.c: lines of the body, when somebody looks at them. */
bool cleanup_body_wanted(struct cleanup *m, struct slice header);
void cleanup_body(struct cleanup *m, struct slice data);
void cleanup_body_end(struct cleanup *m);

/* cleanup_notify.c */
void cleanup_notify_qmgr(const char *queue_id, int fd);
