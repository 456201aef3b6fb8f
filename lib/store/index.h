/* index.h - the LMDB file beside a Maildir folder: what is known of each message, and which changed last. A cache: it
 * may be removed at any time, and is made anew after a system start (what it holds is not synced).
 *
 * To be used only on a pool thread while the folder's lock is held: one transaction spans the job. Errors stick: after
 * one, puts do nothing and index_commit tells of it. */
#pragma once
#include "lib/base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* What tells whether a file or directory is as it was. */
struct index_stamp {
    int64_t sec, nsec, size;
    uint64_t inode;
};

struct index_header {
    uint32_t version;
    uint32_t validity, next_uid;
    uint32_t gone;   /* messages removed since `epoch`, which are still noted as changes */
    uint64_t epoch;  /* another one: nothing that was read before can be brought up to date by changes */
    uint64_t modseq; /* the highest ever given */
    struct index_stamp cur, fresh, list;
    int64_t recheck; /* wall clock, ns: cur/ is read again from then on; 0: never */
};

struct index_record {
    uint64_t modseq;
    int64_t virtual_size; /* -1: not counted yet */
    uint32_t keywords;
    uint32_t flags;
    struct slice file; /* "cur/NAME" */
    struct slice uidl; /* POP3 UIDL of a former server; empty: none */
};

struct index;

/* dir: the folder's descriptor; path: its name, which must still be that of dir. Makes the file when there is none or
 * it is unusable. NULL with errno. */
struct index *index_open(int dir, const char *path);
/* Writes what was put, and closes. False with errno: nothing of it was written. */
bool index_commit(struct index **ix);
/* Closes without writing. Accepts NULL. */
void index_close(struct index **ix);
/* Removes the file. */
void index_remove(int dir);

/* All zero when there is none. To be changed in place, then index_put_header. */
struct index_header *index_header(struct index *ix);
void index_put_header(struct index *ix);
bool index_is_changed(const struct index *ix);

/* old_modseq: that of the record before (0: there was none). */
void index_put(struct index *ix, uint32_t uid, uint64_t old_modseq, const struct index_record *r);
/* Removes a message; its removal is a change with this modseq. */
void index_delete(struct index *ix, uint32_t uid, uint64_t old_modseq, uint64_t modseq);
/* Removes everything. */
void index_clear(struct index *ix);
/* Forgets the removals. */
void index_forget_gone(struct index *ix);
/* False when there is none. The slices are good until the next put. */
bool index_get(struct index *ix, uint32_t uid, struct index_record *r);
/* All records by rising UID. */
void index_each(struct index *ix, void (*fn)(void *ctx, uint32_t uid, const struct index_record *r), void *ctx);
/* Changes above a modseq, oldest first; r is NULL for a removal. */
void index_each_change(struct index *ix, uint64_t after,
                       void (*fn)(void *ctx, uint32_t uid, const struct index_record *r), void *ctx);

/* The bytes of a record; what breaks the form does not parse. */
bool index_record_parse(struct slice bytes, struct index_record *r);
