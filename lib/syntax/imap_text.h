/* imap_text.h - the words that IMAP commands are made of (RFC 3501 section 9) and their printing. A command is parsed
 * when it is whole: its lines with the literals between them, as they came. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"

#include <stdint.h>

/* Whether a line (without CRLF) ends in "{123}" or "{123+}" (RFC 7888): its literal's size, and whether the client
 * waits for "+". */
bool imap_literal_announced(struct slice line, uint64_t *size, bool *synchronizing);

/* A place in a command. Each function takes what it names off the front of `rest` and returns true, or takes nothing.
 */
struct imap_cursor {
    struct slice rest;
    struct arena *arena; /* where unquoted strings go */
};
bool imap_char(struct imap_cursor *c, char wanted);
bool imap_space(struct imap_cursor *c);
bool imap_at_end(const struct imap_cursor *c);
/* One or more ATOM-CHARs. */
bool imap_atom(struct imap_cursor *c, struct slice *out);
/* An atom that is this word, without regard to case. */
bool imap_word(struct imap_cursor *c, const char *word);
bool imap_tag(struct imap_cursor *c, struct slice *out);
/* Quoted string or literal; no NUL in it. */
bool imap_string(struct imap_cursor *c, struct slice *out);
bool imap_astring(struct imap_cursor *c, struct slice *out);
/* A mailbox name with wildcards: LIST and LSUB. */
bool imap_list_mailbox(struct imap_cursor *c, struct slice *out);
bool imap_number(struct imap_cursor *c, uint32_t *out);
bool imap_number64(struct imap_cursor *c, uint64_t *out);
/* A flag: \Name or an atom; `\*` is none. */
bool imap_flag(struct imap_cursor *c, struct slice *out);

/* "text" with quoting, or a literal when quoting cannot hold it. */
void imap_print_string(struct buf *out, struct slice s);
/* NIL for p == NULL. */
void imap_print_nstring(struct buf *out, struct slice s);
/* An atom when it can be one, else as imap_print_string. */
void imap_print_astring(struct buf *out, struct slice s);
