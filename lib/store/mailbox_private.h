/* mailbox_private.h - what the files of the Maildir mailbox share. */
#pragma once
#include "lib/base/vec.h"
#include "lib/rt/fiber.h"
#include "lib/store/mailbox.h"
#include "lib/store/uidlist.h"

#include <sys/stat.h>

enum { MAILBOX_KEYWORDS = 26 };

struct mailbox {
    char *path;
    int dir;  /* descriptor of the folder */
    int lock; /* of its lock file while a job runs, else -1 */
    struct uidlist list;
    struct timespec list_time; /* of the list file as last read or written */
    ino_t list_inode;
    VEC(struct mailbox_message) messages;
    char *keywords[MAILBOX_KEYWORDS];
};

/* Runs fn on a pool thread, with the folder locked and the UID list as it is on disk. */
typedef struct result mailbox_job(struct mailbox *m, void *arg);
struct result mailbox_run(struct mailbox *m, mailbox_job *fn, void *arg);
/* The following are for jobs only. */
struct result mailbox_save_list(struct mailbox *m);
/* A whole small file at once: temporary file, fsync, rename, fsync of the folder. */
bool mailbox_replace_file(struct mailbox *m, const char *name, struct slice text);
bool mailbox_read_file(struct mailbox *m, const char *name, size_t max, struct buf *out);
struct result mailbox_scan(struct mailbox *m, bool take_recent);
struct result mailbox_trouble(const struct mailbox *m, const char *what, int error);
void mailbox_forget_messages(struct mailbox *m);
void mailbox_load_keywords(struct mailbox *m);
