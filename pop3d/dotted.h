/* dotted.h - a message on its way to a POP3 client: CRLF line ends, a dot doubled where it begins a line, and the end
 * after so many lines of the body for TOP. */
#pragma once
#include "lib/base/buf.h"

#include <stdint.h>

struct dotted {
    int64_t lines;    /* of the body still to come; -1: all */
    size_t line_size; /* of the line so far, without its end */
    bool in_body, cr; /* cr: the last byte was a CR */
    bool done;        /* TOP has all that it wants */
};
struct dotted dotted_all(void);
struct dotted dotted_top(int64_t lines);
/* Appends this part of the message in its wire form; at most twice as long. */
void dotted_feed(struct dotted *d, struct slice in, struct buf *out);
/* Ends the last line and the answer. */
void dotted_end(struct dotted *d, struct buf *out);
