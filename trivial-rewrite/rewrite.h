/* rewrite.h - addresses into canonical form (trivial-rewrite(8)). Pure. */
#pragma once
#include "lib/base/buf.h"

struct rewrite_rules {
    const char *origin; /* what user@ gets: $myorigin or $remote_header_rewrite_domain; "" leaves it alone */
    const char *domain; /* what user@host. gets: $mydomain; "" leaves it alone */
    bool append_at_myorigin, append_dot_mydomain, swap_bangpath, allow_percent_hack;
};

/* Internal form in, internal form out: source routes cut, site!user and user%site turned, what is missing appended,
 * one trailing dot removed. A local part that has to be quoted is opaque. "" stays "". */
void rewrite_address(const struct rewrite_rules *r, const char *address, struct buf *out);
