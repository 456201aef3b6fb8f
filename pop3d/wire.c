/* wire.c - lines of POP3, as both parts read them. */
#include "pop3d/pop3d.h"

#include <string.h>

enum stream_status wire_read_line(struct stream *s, struct slice *line, int64_t deadline)
{
    struct slice have = stream_peek(s);
    /* Answers to pipelined commands go out together. */
    if (!memchr(have.p, '\n', have.n)) {
        enum stream_status st = stream_flush(s, deadline);
        if (st != STREAM_OK)
            return st;
    }
    return stream_read_line(s, POP3_LINE_MOST, line, deadline);
}

struct slice wire_verb(struct slice line, struct slice *args)
{
    ptrdiff_t blank = slice_find(line, ' ');
    if (blank < 0) {
        *args = SLICE("");
        return line;
    }
    *args = slice_make(line.p + blank + 1, line.n - (size_t)blank - 1);
    return slice_make(line.p, (size_t)blank);
}
