/* uidlist.h - which message has which UID: the text of a `dovecot-uidlist` file, version 3. It is the truth about UIDs
 * (a Maildir that Dovecot wrote keeps its own), so what other programs wrote into it is kept when it is written again.
 */
#pragma once
#include "lib/base/buf.h"
#include "lib/base/vec.h"

#include <stdint.h>

struct uidlist_entry {
    uint32_t uid;
    char *base;   /* file name up to the colon */
    char *fields; /* "W2481 Pabc": further fields as they were, "" when none */
};
struct uidlist {
    uint32_t validity;                 /* 0: not yet known */
    uint32_t next;                     /* the UID of the next message, from 1 */
    char *fields;                      /* further fields of the header line; NULL when none */
    VEC(struct uidlist_entry) entries; /* by rising UID */
};

/* False when it is not a version 3 list or breaks its own order: l is then empty and the mailbox needs a new
 * UIDVALIDITY. A last line that is cut short is left out.
 * Lines appended after the header was written may have UIDs from `next` on. */
bool uidlist_parse(struct uidlist *l, struct slice text);
void uidlist_print(const struct uidlist *l, struct buf *out);
/* Gives the message the next UID, which is returned; 0 when there are none left. */
uint32_t uidlist_add(struct uidlist *l, struct slice base);
void uidlist_fini(struct uidlist *l);
/* A `P` field: the POP3 UIDL that the former server gave (an empty one stands for the file name); NULL when there is
 * none. malloced. */
char *uidlist_pop3_uidl(const struct uidlist_entry *e);
