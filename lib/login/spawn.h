/* spawn.h - the session part of imapd and pop3d: a daemon that asks auth who a login was, and passes the client to a
 * process that has become the mailbox's owner. That process serves all sessions of its owner, a fiber each. */
#pragma once
#include "lib/ipc/ipc.h"

struct stream;
struct spawn_settings {
    const char *protocol; /* "imap" */
    /* A session from its first answer to its end, in the owner's process; what the client sent already is in the
     * stream's buffer. Reading gives STREAM_CANCELLED when the mail system stops. The caller closes the stream. */
    void (*session)(struct stream *s, const struct msg_session_open *open);
    /* Too many sessions of this user from this address: text is for the client. */
    void (*refuse)(struct stream *s, const struct msg_session_open *open, const char *text);
};
/* In the daemon's before_sandbox. */
void spawn_open(const struct spawn_settings *s);
/* The daemon's `start` and `request`. */
void spawn_begin(void);
void spawn_request(struct ipc_conn *c);
