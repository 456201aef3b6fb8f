/* folders.h - the mailboxes of one user as Maildir++ keeps them: INBOX is the folder `root` itself, "Work.2026" is
 * `root`/.Work.2026; names are in modified UTF-7 with '.' as separator. Subscriptions are in `root`/subscriptions, in
 * Dovecot's format. Calls that touch the disk run on pool threads. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/result.h"

/* Path of a mailbox, malloced, whether it exists or not; NULL for a name that no mailbox can have. */
char *folders_path(const char *root, const char *name);
/* Existing mailboxes, INBOX first, the others sorted; in the arena. */
struct result folders_list(const char *root, struct arena *a, const char ***names, size_t *n);
/* 5.1.0 with "exists" when it does. Names above it are not made: they show as \Noselect when listed. */
struct result folders_create(const char *root, const char *name);
/* The mailbox goes with its messages; those below it stay. Not INBOX. */
struct result folders_delete(const char *root, const char *name);
/* With those below it. Not INBOX. */
struct result folders_rename(const char *root, const char *from, const char *to);
/* As they were added; in the arena. They need not exist. */
struct result folders_subscriptions(const char *root, struct arena *a, const char ***names, size_t *n);
struct result folders_subscribe(const char *root, const char *name, bool on);
