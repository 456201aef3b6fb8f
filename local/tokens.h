/* tokens.h - destinations in aliases(5), .forward and :include: files: addresses, "|command", /file/name and
 * :include:/file, parted by commas and line ends; comments from '#' at the beginning of a line, and in parentheses. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/slice.h"

enum token_kind { TOKEN_ADDRESS, TOKEN_COMMAND, TOKEN_FILE, TOKEN_INCLUDE };
struct token {
    enum token_kind kind;
    const char *text; /* address in internal form; command line; path */
    bool no_expand;   /* \user: neither alias nor .forward */
};
/* Cuts the next destination off *rest; false at the end. */
bool token_next(struct arena *a, struct slice *rest, struct token *t);
