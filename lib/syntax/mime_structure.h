/* mime_structure.h - a message's parts (RFC 2045, 2046) and how IMAP tells of them (RFC 3501 section 7.4.2). The text
 * has CRLF line ends. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"

#include <stdint.h>

struct mime_parameter {
    const char *name, *value;
    struct mime_parameter *next;
};
struct mime_part {
    struct slice header, body; /* of the text; header with the empty line */
    const char *type, *subtype;
    struct mime_parameter *parameters;
    const char *id, *description, *encoding, *md5, *language, *location; /* NULL: none */
    const char *disposition;
    struct mime_parameter *disposition_parameters;
    uint32_t lines;             /* of the body */
    struct mime_part *children; /* multipart: its parts; message/rfc822: the message */
    struct mime_part *next;
};

/* Never fails: what is not understood is text/plain. Nesting and number of parts are bounded. */
struct mime_part *mime_parse(struct arena *a, struct slice text);
/* The part of a section "1.2" (numbers and dots); NULL when there is none. "1" of a message without parts is its body.
 */
struct mime_part *mime_find(struct mime_part *message, struct slice numbers);
void mime_print_structure(struct buf *out, const struct mime_part *p, bool extended);
void mime_print_envelope(struct buf *out, struct arena *a, struct slice header);
