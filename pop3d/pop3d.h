/* pop3d.h - the parameters and the two parts of pop3d. */
#pragma once
#include "lib/conf/conf.h"
#include "lib/ipc/messages.h"
#include "lib/rt/stream.h"

/* clang-format off */
struct pop3d_params {
#include "lib/conf/param_struct.h"
#include "pop3d/params.def"
#include "lib/conf/param_end.h"
};
/* clang-format on */
extern struct pop3d_params pop3d_params;
extern const struct param pop3d_param_table[];
extern const size_t pop3d_param_count;

/* Longest command line (RFC 2449 section 4: 255 octets; AUTH responses are longer). */
enum { POP3_LINE_MOST = 8192 };

/* ---- wire.c ---- */
/* The next command; answers so far are sent when it is not there yet. */
enum stream_status wire_read_line(struct stream *s, struct slice *line, int64_t deadline);
/* The first word, and what comes after its blank. */
struct slice wire_verb(struct slice line, struct slice *args);

/* ---- front.c: until the login ---- */
bool front_setup(struct buf *err);
void front_session(struct stream *s, const struct sockaddr *peer, const struct sockaddr *local);

/* ---- session.c: as the mailbox's owner ---- */
void session_run(struct stream *s, const struct msg_session_open *open);
void session_refuse(struct stream *s, const struct msg_session_open *open, const char *text);
