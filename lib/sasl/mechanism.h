/* mechanism.h - the server side of SASL mechanisms, without I/O: data in, data out, until there is a user and a
 * password to be checked. PLAIN (RFC 4616) and LOGIN. */
#pragma once
#include "lib/base/buf.h"

enum mechanism_step { MECHANISM_CHALLENGE, MECHANISM_CHECK, MECHANISM_BROKEN };
struct mechanism_state {
    char user[512], authzid[512], password[1024];
    unsigned step;
};
struct mechanism_kind {
    const char *name;
    const char *traits; /* as in the protocol's MECH line */
    /* response: decoded, p NULL when none came yet. On CHALLENGE out is what to send. */
    enum mechanism_step (*step)(struct mechanism_state *s, struct slice response, struct buf *out);
};
/* NULL-terminated by name. */
extern const struct mechanism_kind mechanism_kinds[];
const struct mechanism_kind *mechanism_find(const char *name);
void mechanism_wipe(struct mechanism_state *s);
