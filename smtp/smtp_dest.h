/* smtp_dest.h - next hops as written in transport tables and relayhost. Pure. */
#pragma once
#include "lib/base/arena.h"

#include <stdint.h>

struct smtp_dest {
    const char *text;   /* as written; the key of the connection cache */
    const char *host;   /* name or address without brackets; the path of a UNIX socket */
    const char *domain; /* what the message says it is for, in errors */
    uint16_t port;
    bool no_mx; /* [host] */
    bool is_unix;
};

/* "example.com", "[host]:port", "[2001:db8::1]", "[IPv6:...]:25", "inet:host:port", "unix:path", parted by commas or
 * blanks. Returns their number, 0 when one is malformed (*err then says what). */
size_t smtp_dest_parse(struct arena *a, const char *nexthop, bool lmtp, uint16_t default_port, struct smtp_dest **dests,
                       const char **err);
