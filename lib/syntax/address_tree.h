/* address_tree.h - RFC 5322 address lists as a list of tokens, with the addresses in it gathered. Made for text as it
 * comes: nothing is thrown away, forgotten commas are put in, and what makes no sense stays as it is. The list can be
 * printed again after addresses were replaced. Everything lives in the arena. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"

struct address_node;
struct address_tree {
    struct arena *arena;
    struct address_node *first; /* of the list: addresses, and what stands between them */
};

/* At most max_tokens (0: any number) are read; what follows is left out. */
struct address_tree address_tree_parse(struct arena *a, struct slice text, size_t max_tokens);

/* The next address after `after` (NULL: the first); NULL at the end. */
struct address_node *address_tree_next(const struct address_tree *t, const struct address_node *after);
/* Whether something stands in the list that is neither address nor angle bracket: a phrase, a comment, a comma. */
bool address_tree_has_more(const struct address_tree *t);
/* Unquoted: what tables and envelopes have. */
const char *address_tree_internal(const struct address_tree *t, const struct address_node *address);
/* With quotes where the text had them or where they are needed. */
const char *address_tree_external(const struct address_tree *t, const struct address_node *address);
/* The address becomes this text in external form. */
void address_tree_replace(const struct address_tree *t, struct address_node *address, const char *external);
/* The list as it may stand in a header; a line end after each comma. */
void address_tree_print(const struct address_tree *t, struct buf *out);
