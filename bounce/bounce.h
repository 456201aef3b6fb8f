/* bounce.h - a notice: what is told of which message to whom, and its parts. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/result.h"
#include "lib/ipc/messages.h"

enum notice_kind { NOTICE_FAILURE, NOTICE_DELAY, NOTICE_SUCCESS, NOTICE_VERIFY };

struct notice {
    enum notice_kind kind;
    const struct msg_bounce_request *request;
    const char *to;  /* of the notice */
    bool postmaster; /* a copy for the postmaster: no text, headers alone, another subject */
    bool eight_bit;  /* UTF-8 and 8bit in place of ASCII and 7bit */
    bool threaded;
    const char *boundary;
    const char *myhostname, *mail_name;
    int64_t delay_warning_time, maximal_queue_lifetime; /* seconds */
    int64_t size_limit;                                 /* bytes */
    struct slice content;                               /* of the message, up to size_limit bytes or its headers */
};

/* "failure", "delay", "success", "verify". */
bool notice_kind_parse(const char *name, enum notice_kind *kind);
/* Appends the whole notice, from its first header to the last boundary, with LF line ends. */
void notice_write(const struct notice *n, struct buf *out);

/* The parts, each from its boundary on. */
void notice_text(const struct notice *n, struct buf *out);
void notice_status(const struct notice *n, struct buf *out);
void notice_original(const struct notice *n, struct buf *out);
/* A line broken at blanks after at most `width` columns, later lines indented by 4 blanks; control bytes as '?'. */
void notice_wrap(struct buf *out, const char *line, size_t width);
/* Length of the headers of a message, less the empty line. */
size_t notice_header_length(struct slice content);

/* A daemon's request: writes the notices that are due, and hands them over. OK only when all of them are durable. */
struct ipc_pool;
enum outcome bounce_send_notices(const struct msg_bounce_request *q, struct arena *a);
