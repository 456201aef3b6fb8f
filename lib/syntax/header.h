/* header.h - header fields of RFC 5322. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"

struct header_field {
    struct slice name;  /* without the colon and blanks before it */
    struct slice value; /* after the colon, folds included, without the final LF */
    struct slice raw;   /* the whole field with its final LF */
};
/* Takes the next field off *rest (LF or CRLF line ends). 1: a field; 0: the header's end (an empty line, which is
 * taken, or the end of the text); -1: a line that is no header (not taken). */
int header_next(struct slice *rest, struct header_field *f);
/* Value with folds undone and outer blanks cut. */
const char *header_unfold(struct arena *a, struct slice value);
bool header_is(const struct header_field *f, const char *name);
/* First value of a header in a header block, or NULL. */
const char *header_find(struct arena *a, struct slice header, const char *name);
