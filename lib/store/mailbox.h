/* mailbox.h - one mailbox, as IMAP and POP3 see it: messages by rising UID, with flags and keywords, and a modification
 * sequence (modseq, RFC 7162) that rises with every change. The only form so far is a Maildir folder (cur, new, tmp)
 * with its UID list and its index beside it; doc/internals/store.md tells how they go together.
 *
 * Calls that change or read the folder run on pool threads and hold its lock (flock of `merpati.lock`), so that two of
 * them do not take each other's UIDs. An object belongs to one fiber; a folder may be open in many. A message's place
 * in the list changes only in mailbox_sync and mailbox_expunge. What an OK told of is on stable storage, except flags,
 * which are file names and become durable with the directory. */
#pragma once
#include "lib/base/result.h"
#include "lib/base/slice.h"
#include "lib/store/maildir_name.h"

#include <stdint.h>
#include <time.h>

struct mailbox;

struct mailbox_message {
    uint32_t uid;
    unsigned flags;    /* enum maildir_flag */
    uint32_t keywords; /* bits; see mailbox_keyword */
    bool recent;       /* this object was the first to see it */
    uint64_t modseq;   /* of its last change */
    int64_t size;      /* with CRLF line ends; -1: not counted yet, see mailbox_virtual_size */
    char *file;        /* "cur/NAME" or "new/NAME" */
    char *uidl;        /* POP3 UIDL of a former server; NULL none */
};

/* Once, before the process loses sight of /proc. Without it each process makes the indexes anew. */
void mailbox_setup(void);

/* path: an existing Maildir folder. Reads it. NULL with *r (5.1.1 when there is none). */
struct mailbox *mailbox_open(const char *path, struct result *r);
/* Accepts NULL, clears. */
void mailbox_free(struct mailbox **m);

/* Looks for what others changed. take_recent: messages in new/ move to cur/ and are recent in this object. */
struct result mailbox_sync(struct mailbox *m, bool take_recent);
uint32_t mailbox_uid_validity(const struct mailbox *m);
uint32_t mailbox_uid_next(const struct mailbox *m);
/* The highest modseq that this object knows of. It never falls, also when the index was lost. */
uint64_t mailbox_modseq(const struct mailbox *m);
size_t mailbox_count(const struct mailbox *m);
/* index from 0, below mailbox_count. Valid until the next call that changes the mailbox. */
const struct mailbox_message *mailbox_at(const struct mailbox *m, size_t index);
/* First message with this UID or a higher one; mailbox_count when there is none. */
size_t mailbox_lower_bound(const struct mailbox *m, uint32_t uid);
const struct mailbox_message *mailbox_find(const struct mailbox *m, uint32_t uid);

/* The message's file for reading; -1 with *r when it is gone. The caller closes it. */
int mailbox_read(struct mailbox *m, uint32_t uid, struct result *r);
/* Size with CRLF line ends (RFC822.SIZE): from the name, else counted; -1 when the message is gone. */
int64_t mailbox_virtual_size(struct mailbox *m, uint32_t uid);
/* The POP3 UIDL that a former server gave, malloced; NULL: none. */
char *mailbox_pop3_uidl(const struct mailbox *m, uint32_t uid);

/* A change of one message's flags: what is in clear goes, then what is in set comes. */
struct mailbox_change {
    uint32_t uid;
    unsigned clear, set;
    uint32_t clear_keywords, set_keywords;
    enum { CHANGE_DONE, CHANGE_MODIFIED, CHANGE_GONE } outcome; /* set by mailbox_change_flags */
};
/* Changes many messages as one job. A message whose modseq is above unchanged_since (RFC 7162 section 3.1.3) is left as
 * it is: CHANGE_MODIFIED. What stays the same keeps its modseq. */
struct result mailbox_change_flags(struct mailbox *m, struct mailbox_change *changes, size_t n,
                                   uint64_t unchanged_since);
/* Replaces flags and keywords of one; 5.7.0 when it is gone. */
struct result mailbox_set_flags(struct mailbox *m, uint32_t uid, unsigned flags, uint32_t keywords);
/* Removes these messages (UIDs in any order; those that are gone already do no harm). */
struct result mailbox_expunge(struct mailbox *m, const uint32_t *uids, size_t n);
/* A new message. text is kept with LF line ends. date: the internal date. *uid is what it got. */
struct result mailbox_append(struct mailbox *m, struct slice text, unsigned flags, uint32_t keywords, time_t date,
                             uint32_t *uid);
/* A hard link of a message of `from` (its file is shared, its flags go along); the keyword bits are those of `to`. */
struct result mailbox_copy(struct mailbox *from, uint32_t uid, struct mailbox *to, uint32_t keywords,
                           uint32_t *new_uid);
struct mailbox_copying {
    uint32_t uid;
    uint32_t keywords; /* those of `to` */
    uint32_t new_uid;  /* set when it went well */
};
/* Many as one job, all or none. */
struct result mailbox_copy_many(struct mailbox *from, struct mailbox_copying *c, size_t n, struct mailbox *to);

/* Keyword of a bit (0 to 25), NULL when it has none. Names compare without regard to case. */
const char *mailbox_keyword(const struct mailbox *m, unsigned bit);
/* Bit of a keyword, which gets one if there is one left; -1 when there is none. */
int mailbox_keyword_bit(struct mailbox *m, const char *name);
