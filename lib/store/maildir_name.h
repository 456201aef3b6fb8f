/* maildir_name.h - names of message files in a Maildir: "1275660208.M364837P9451.host,S=1355,W=1394:2,FSab". */
#pragma once
#include "lib/base/buf.h"

#include <stdint.h>

enum maildir_flag {
    MAILDIR_DRAFT = 1,    /* D */
    MAILDIR_FLAGGED = 2,  /* F */
    MAILDIR_PASSED = 4,   /* P: forwarded; no IMAP flag */
    MAILDIR_ANSWERED = 8, /* R */
    MAILDIR_SEEN = 16,    /* S */
    MAILDIR_DELETED = 32, /* T */
};

struct maildir_name {
    struct slice base;    /* up to the colon: stays the same for the life of the message */
    unsigned flags;       /* of enum maildir_flag */
    uint32_t keywords;    /* bit 0: 'a' ... bit 25: 'z' */
    int64_t size;         /* S=: bytes of the file; -1 when not said */
    int64_t virtual_size; /* W=: bytes with CRLF line ends; -1 when not said */
};

/* Any name parses; what is not understood counts as not there. */
void maildir_name_parse(struct slice name, struct maildir_name *out);
/* The name in cur/: base, ":2," and the letters in ASCII order. */
void maildir_name_print(struct buf *out, struct slice base, unsigned flags, uint32_t keywords);
