/* imap_idle.c - IDLE (RFC 2177): new mail is told of as it comes. */
#include "imapd/imap_state.h"

#include "lib/store/watch.h"

enum { LOOK_SECONDS = 30 }; /* where the kernel gives no watch */

/* Waits for the client or the mailbox. True: the client said something, or is gone. */
static bool client_spoke(struct imap *s, struct watch_handle *w, struct stream *changes, int64_t until)
{
    int which = 0;
    if (stream_peek(s->stream).n)
        return true;
    if (!changes) {
        int64_t look = deadline_in(LOOK_SECONDS);
        enum stream_status st = stream_fill(s->stream, look < until ? look : until);
        return st != STREAM_TIMEOUT;
    }
    enum stream_status st = stream_wait_either(s->stream, changes, &which, until);
    if (st != STREAM_OK || which == 0)
        return true;
    watch_clear(w);
    return false;
}

enum imap_verdict imap_idle(struct imap *s, struct imap_cursor *c)
{
    struct slice line = SLICE("");
    if (!imap_at_end(c))
        return IMAP_MALFORMED;
    imap_say(s, "+ idling");
    struct watch_handle *w = s->mailbox ? watch_start(s->path) : NULL;
    struct stream *changes = w ? stream_new(watch_take_fd(w), 64) : NULL;
    int64_t until = deadline_in(imapd_params.imapd_timeout);
    enum stream_status st = STREAM_OK;
    do {
        imap_tell_changes(s, false); /* also what came before the watch */
        st = stream_flush(s->stream, imap_deadline());
    } while (st == STREAM_OK && !client_spoke(s, w, changes, until) && clock_mono() < until);
    if (st == STREAM_OK)
        st = stream_read_line(s->stream, 1000, &line, until);
    watch_stop(&w);
    stream_free(&changes);
    if (st != STREAM_OK || !slice_eq_fold(line, SLICE("DONE")))
        return st == STREAM_OK ? IMAP_MALFORMED : (s->logged_out = true, IMAP_DONE);
    return imap_ok(s, false, "Idle completed.");
}
