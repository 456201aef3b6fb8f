/* session.h - a POP3 session in the TRANSACTION state, as its commands see it. */
#pragma once
#include "lib/store/mailbox.h"
#include "pop3d/pop3d.h"

/* A message as it was at the login. */
struct message {
    uint32_t uid;
    int64_t size; /* with CRLF */
    bool deleted, seen;
};
struct session {
    struct stream *stream;
    const struct msg_session_open *open;
    struct mailbox *mailbox;
    struct message *messages;
    size_t n;
    unsigned bad;
    bool over;
    /* For the log. */
    unsigned tops, retrieved;
    int64_t top_bytes, retrieved_bytes;
};
enum verdict { FINE, WRONG };
/* args: what follows the verb and a blank. */
typedef enum verdict session_handler(struct session *s, struct slice args);
#define COMMAND(verb, handler) session_handler handler;
#include "pop3d/commands.def"
#undef COMMAND

int64_t session_deadline(void);
void session_say(struct session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same, as WRONG. */
enum verdict session_wrong(struct session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The message of this number, taken off args; NULL: the client was told what is wrong. */
struct message *session_message(struct session *s, struct slice *args);
size_t session_number_of(const struct session *s, const struct message *m);
