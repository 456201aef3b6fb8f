/* queue.h - queue files: one message each, in real directories below $queue_directory (the working directory).
 *
 * A file is a sequence of records {type u8, flags u8, reserved u16, crc32c u32, length u64, payload, padding to 8}: one
 * header record (fixed size, with the offsets of the others, final before the commit), envelope, content (one record,
 * LF line ends), recipients, end; then, appended by qmgr, the history. A torn tail is cut off at the last whole record.
 * doc/internals/queue.md has the byte layout and the order of effects. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/result.h"

#include <stdint.h>
#include <sys/types.h>

#define QUEUE_ID_MAX 100

struct queue_recipient {
    uint32_t index; /* place in the file, from 0 */
    const char *address;
    const char *orig_address; /* as it was before aliasing; same as address when there was none */
    const char *dsn_orcpt;    /* "" none */
    uint32_t dsn_notify;      /* enum dsn_notify of lib/ipc/messages.h; 0 none */
    /* from the history: */
    enum {
        RCPT_TODO,
        RCPT_DONE /* delivered, or bounced and the sender told */,
        RCPT_FAILED /* never; the notice is still to be sent */
    } state;
    const char *last_dsn, *last_text, *last_relay, *last_diagnostic,
        *last_remote_mta; /* of the last attempt; "" none */
    int64_t last_attempt; /* seconds since the epoch, 0 none */
    bool delay_told;      /* a delay notice was sent */
};

/* Everything but the recipients: strings never NULL. The names are those of msg_cleanup_begin and msg_deliver_request.
 */
struct queue_envelope {
    const char *sender, *dsn_envid, *body_type, *context;
    const char *client_name, *client_addr, *client_port, *client_proto, *client_helo;
    const char *sasl_method, *sasl_username, *sasl_sender;
    const char *content_filter, *redirect_to, *origin, *syslog_name;
    const char
        *sender_fullname; /* of maildrop files, with cleanup_flags (enum cleanup_flags): what pickup tells cleanup */
    uint32_t cleanup_flags;
    uint32_t dsn_ret, flags, hop, verbose_dsn; /* flags: enum queue_flags */
    int64_t arrival_usec, create_usec;
    uint64_t content_offset, content_size;
    uint32_t n_recipients;
};
enum queue_flags {
    QUEUE_SMTPUTF8 = 1,
    QUEUE_BOUNCE = 2 /* a notice: never bounce it again */,
    QUEUE_HOLD = 4,
    QUEUE_EXPIRE = 8,
    QUEUE_DISCARD = 16
};

/* ---- writing (cleanup; postdrop for maildrop) ---- */
struct queue_writer;
/* Creates an unfinished file in the directory ("incoming", "maildrop"); long_ids as enable_long_queue_ids. On failure
 * NULL and *r says why.
 */
struct queue_writer *queue_writer_new(const char *queue, bool long_ids, struct result *r);
const char *queue_writer_id(const struct queue_writer *w);
/* Content; buffered. Past size_limit (0 none) it returns false from then on and the commit fails with 5.3.4. */
bool queue_writer_content(struct queue_writer *w, const void *p, size_t n);
void queue_writer_size_limit(struct queue_writer *w, uint64_t limit);
void queue_writer_recipient(struct queue_writer *w, const struct queue_recipient *r);
uint32_t queue_writer_recipients(const struct queue_writer *w);
uint64_t queue_writer_content_size(const struct queue_writer *w);
/* Writes what is buffered, makes the file durable, gives it its final name in `queue`, makes the name durable. On OK
 * the message is acknowledged by whoever asked. The file stays open for queue_writer_fd (the reader's descriptor for
 * qmgr). Waits on pool threads; many commits share directory syncs. */
struct result queue_writer_commit(struct queue_writer *w, const char *queue, const struct queue_envelope *e);
int queue_writer_fd(const struct queue_writer *w);
/* Removes the unfinished file, if there was no commit; frees. Accepts NULL. */
void queue_writer_free(struct queue_writer **w);

/* ---- reading ---- */
struct queue_message {
    struct queue_envelope envelope;
    struct queue_recipient *recipients;
    size_t n_recipients;
    uint64_t file_size; /* up to the last whole record */
    bool torn;          /* there was something after it */
};
enum queue_read {
    QUEUE_READ_OK,
    QUEUE_READ_DAMAGED,
    QUEUE_READ_INCOMPLETE /* no end record: not committed */,
    QUEUE_READ_ERROR /* errno */
};
/* Reads everything but the content. why: text for the log. */
enum queue_read queue_read(int fd, struct arena *a, struct queue_message *m, struct buf *why);

/* ---- history (qmgr only) ---- appended; durable only after queue_history_sync. fd must be open for writing. */
enum queue_event {
    QUEUE_DELIVERED = 1,
    QUEUE_DEFERRED = 2,
    QUEUE_FAILED = 3,
    QUEUE_TOLD = 4 /* bounce notice is out: done */,
    QUEUE_DELAY_TOLD = 5,
    QUEUE_EXPIRE_NOW = 6
};
struct queue_history {
    enum queue_event event;
    uint32_t recipient; /* index */
    int64_t time;
    const char *dsn, *text, *relay, *diagnostic, *remote_mta;
};
bool queue_history_append(int fd, const struct queue_history *h, size_t n);
bool queue_history_sync(int fd);

/* ---- names and directories ---- */
/* Letters and digits only, 1..QUEUE_ID_MAX. */
bool queue_id_valid(const char *id);
/* Makes the directories below the working directory that are missing: maildrop incoming active deferred hold corrupt
 * public private pid. mode: as the owner. */
struct result queue_make_directories(uid_t owner, gid_t drop_group, bool set_owner);
/* "deferred/4/4F2A" when hash_queue_names lists it, otherwise "incoming/4F2A". dst of PATH_MAX. */
const char *queue_path(char *dst, size_t size, const char *queue, const char *id);
void queue_set_hashing(const char *hash_queue_names, int depth); /* at start */
/* Moves a file; makes a missing hash directory. False with errno. Does not sync: a move is not an effect that anyone
 * was promised. */
bool queue_move(const char *id, const char *from, const char *to);
bool queue_remove(const char *id, const char *queue);
/* Opens read-only (or read-write); -1 with errno. */
int queue_open(const char *id, const char *queue, bool write);
/* Looks through the queues given (NULL-terminated) for an id; returns the queue's name or NULL. */
const char *queue_find(const char *id, const char *const *queues);
/* Walks a queue: ids of files in no particular order. */
struct queue_scan;
struct queue_scan *queue_scan_open(const char *queue);
bool queue_scan_next(struct queue_scan *s, char id[QUEUE_ID_MAX + 1]);
void queue_scan_close(struct queue_scan **s);
/* Bytes and inodes enough for one more message (queue_minfree). */
struct result queue_check_space(int64_t minfree, int64_t message_size_limit);
