/* smtp_content.h - a message on the wire: CRLF line ends, dots doubled, long lines broken (RFC 5321 section 4.5.2 and
 * 4.5.3.1.6). Pure. */
#pragma once
#include "lib/base/buf.h"

#include <stdint.h>

struct smtp_content {
    size_t line_limit; /* 0 none; longer lines are broken, and go on after CRLF and a blank */
    bool open_line;    /* the last piece ended within a line */
    size_t column;     /* bytes of the open line that are out since its last break */
};

/* Pieces may end anywhere. */
void smtp_content_encode(struct smtp_content *c, struct slice lines, struct buf *out);
/* Ends an open line and appends the final dot. */
void smtp_content_end(struct smtp_content *c, struct buf *out);
