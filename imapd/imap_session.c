#include "imapd/imap_session.h"
void imap_session(struct stream *s, const struct msg_session_open *open)
{
    struct slice line;
    stream_printf(s, deadline_in(10), "%s OK Logged in\r\n", open->tag);
    stream_flush(s, deadline_in(10));
    while (stream_read_line(s, 60000, &line, deadline_in(1800)) == STREAM_OK) {
        char tag[100]; size_t n = 0;
        while (n < line.n && n < 90 && line.p[n] != ' ') { tag[n] = line.p[n]; n++; }
        tag[n] = 0;
        stream_printf(s, deadline_in(10), "%s OK %.*s\r\n", tag, SLICE_ARG(line));
        stream_flush(s, deadline_in(10));
    }
}
