/* deliver.h - a message into a mailbox: Maildir (with the change hub told, so that sessions see it at once) and mbox.
 * Runs as the mailbox's owner, in a userproc. Blocking calls go to the pool threads. Durable when it returns OK. */
#pragma once
#include "lib/base/result.h"
#include "lib/base/slice.h"

#include <stdint.h>
#include <sys/types.h>

struct store_source {
    int fd; /* the message, LF line ends, read with pread */
    uint64_t offset, size;
    struct slice prefix; /* header lines put before it */
};

/* path without the final slash; made (0700, with cur new tmp) when missing. size_limit 0: none (5.2.2 past it,
 * virtual_mailbox_limit counts the message). On OK text is "delivered to maildir". */
struct result store_deliver_maildir(const char *path, const struct store_source *m, int64_t size_limit);
enum store_flags {
    STORE_DOTLOCK = 1,
    STORE_ANY_OWNER = 2, /* the mailbox need not belong to this user */
};
/* mbox with "From sender date", ">From " quoting and locks (fcntl, and dotlock as told). On OK "delivered to mailbox",
 * otherwise what went wrong, without the path. A failed write is undone by truncation. */
struct result store_deliver_mbox(const char *path, const struct store_source *m, const char *sender, int64_t size_limit,
                                 unsigned flags);
/* To a plain file, mbox format: "/file/name" in aliases. A dotlock that cannot be made is done without. "delivered to
 * file". */
struct result store_deliver_file(const char *path, const struct store_source *m, const char *sender, int64_t size_limit,
                                 unsigned flags);
/* An empty Maildir with its parents, when there is none yet: what a first login finds. */
struct result store_make_maildir(const char *path);
