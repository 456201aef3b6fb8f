/* status_text.h - the next hop of the error, retry and discard transports: a text, with or without an enhanced status
 * code before it ("5.1.1 no such user"). */
#pragma once
#include "lib/base/slice.h"

struct status_text {
    char dsn[16];     /* the code found, otherwise the caller's */
    const char *text; /* what follows the code and its white space; in the memory of the next hop */
};

/* A code is class 2, 4 or 5 with two numbers of one to three digits (RFC 3463 section 2), ended by white space or the
 * end of the text; anything else is part of the text. */
struct status_text status_text_split(const char *nexthop, const char *default_dsn);
