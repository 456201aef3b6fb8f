/* imap_session.h - an IMAP session from its login to its end, in the mailbox owner's process. */
#pragma once
#include "lib/ipc/messages.h"
#include "lib/rt/stream.h"

/* The first answer is that of the LOGIN or AUTHENTICATE with open->tag. What the client sent already is in the stream's
 * buffer. STREAM_CANCELLED means that the mail system stops. The caller closes the stream. */
void imap_session(struct stream *s, const struct msg_session_open *open);
