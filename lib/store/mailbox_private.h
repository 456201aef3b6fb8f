/* mailbox_private.h - what the files of the Maildir mailbox share. */
#pragma once
#include "lib/base/vec.h"
#include "lib/rt/fiber.h"
#include "lib/store/index.h"
#include "lib/store/mailbox.h"
#include "lib/store/uidlist.h"

#include <sys/stat.h>

enum { MAILBOX_KEYWORDS = 26 };

struct mailbox {
    char *path;
    int dir;           /* descriptor of the folder */
    char identity[48]; /* of the folder: device and inode */
    int lock;          /* of its lock file while a job runs, else -1 */
    struct index *ix;  /* while a job runs */
    uint32_t validity, next_uid;
    uint64_t modseq, epoch; /* of the index as the messages below have it; epoch 0: they are to be read again */
    VEC(struct mailbox_message) messages;
    struct index_stamp cur, fresh; /* when they still are so, there is nothing to look for; zero: unknown */
    struct index_stamp list;
    int64_t recheck; /* as in the index */
    struct index_stamp keywords_stamp;
    char *keywords[MAILBOX_KEYWORDS];
    /* of the job that runs: */
    VEC(uint32_t) dirty;           /* UIDs whose record is to be written, with a new modseq */
    VEC(uint32_t) fresh_uids;      /* which are to be added to the UID list */
    bool touched_cur, touched_new; /* by this job's own renames and removals */
};

/* Runs fn on a pool thread, with the folder locked, and the messages as they are on disk (those in new/ included). */
typedef struct result mailbox_job(struct mailbox *m, void *arg);
struct result mailbox_run(struct mailbox *m, mailbox_job *fn, void *arg);

/* ---- for jobs only ---- */
/* A whole small file at once: temporary file, fsync, rename, fsync of the folder. */
bool mailbox_replace_file(struct mailbox *m, const char *name, struct slice text);
bool mailbox_read_file(struct mailbox *m, const char *name, size_t max, struct buf *out);
bool mailbox_write_all(int fd, struct slice text);
struct result mailbox_trouble(const struct mailbox *m, const char *what, int error);
struct index_stamp mailbox_stamp(struct mailbox *m, const char *name);
bool mailbox_stamp_equal(const struct index_stamp *a, const struct index_stamp *b);
void mailbox_load_keywords(struct mailbox *m);
/* The record of a message is to be written. */
void mailbox_note(struct mailbox *m, struct mailbox_message *message);
/* Its counted size is to be kept; that is no change. */
void mailbox_keep_size(struct mailbox *m, const struct mailbox_message *message);
/* Takes messages out of the list, as a change. */
void mailbox_drop(struct mailbox *m, const uint32_t *uids, size_t n);
/* A new message at the end of the list; file becomes the list's. 0: no UIDs left. */
uint32_t mailbox_enter(struct mailbox *m, char *file, bool recent);
void mailbox_message_fini(struct mailbox_message *message);
void mailbox_forget_messages(struct mailbox *m);

/* mailbox_scan.c: reads new/, and cur/ when `all`, into the list. */
struct result mailbox_scan(struct mailbox *m, bool all);
void mailbox_take_recent(struct mailbox *m);
bool mailbox_has_new(const struct mailbox *m);

/* mailbox_list.c: the UID list, dovecot-uidlist. */
struct index_stamp mailbox_list_stamp(struct mailbox *m);
/* Reads it, or starts a new one with a higher UIDVALIDITY, and makes the list of messages of it (files yet to be
 * found).
 */
struct result mailbox_list_load(struct mailbox *m, uint32_t old_validity);
/* Adds the fresh UIDs, on stable storage. */
struct result mailbox_list_append(struct mailbox *m);
/* Writes it without the lines of messages that are gone. */
struct result mailbox_list_tidy(struct mailbox *m);
