/* smtp_reply.h - replies of an SMTP or LMTP server (RFC 5321 section 4.2, RFC 2034). Pure. */
#pragma once
#include "lib/base/arena.h"

/* Most bytes of one reply, all lines together; a line may be as long as that. */
#define SMTP_REPLY_MAX 32768

struct smtp_reply {
    int code;         /* 200..599, of the last line */
    char dsn[16];     /* the enhanced code, or one made of the reply's class: "5.0.0" */
    bool has_dsn;     /* the server gave it */
    const char *text; /* all lines with their codes, parted by blanks; bytes that are no text as '?' */
    size_t n_lines;
    struct slice *lines; /* each line's text behind its code; point into `in` */
};

enum smtp_reply_status {
    SMTP_REPLY_OK,
    SMTP_REPLY_MORE,  /* not complete yet */
    SMTP_REPLY_BROKEN /* not a reply, or past SMTP_REPLY_MAX */
};

/* Takes one reply off the head of `in`; *used is its length. Line ends are CRLF or LF. */
enum smtp_reply_status smtp_reply_parse(struct slice in, struct arena *a, struct smtp_reply *reply, size_t *used);
