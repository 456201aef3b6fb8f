/* imap_set.h - sequence sets: "2,4:7,9,12:*" (RFC 3501 section 9, sequence-set). */
#pragma once
#include "lib/syntax/imap_text.h"

struct imap_range {
    uint32_t first, last; /* UINT32_MAX stands for "*" as written; as parsed first <= last */
};
struct imap_set {
    struct imap_range *ranges; /* in the arena, as given */
    size_t n;
    bool settled; /* see imap_set_settle */
};

/* Takes the set off the cursor; false (nothing taken) when malformed, 0 among the numbers included. */
bool imap_set_parse(struct imap_cursor *c, struct imap_set *out);
/* "*" gets its meaning, and the ranges are sorted and joined, so that imap_set_has is quick, whatever highest it is
 * given.
 */
void imap_set_settle(struct imap_set *s, uint32_t highest);
/* highest: what "*" stands for; 0 when there are no messages. */
bool imap_set_has(const struct imap_set *s, uint32_t number, uint32_t highest);
/* Appends rising numbers as a set, runs joined: 1,2,3,5 is "1:3,5". Nothing when n is 0. */
void imap_set_print(struct buf *out, const uint32_t *numbers, size_t n);
