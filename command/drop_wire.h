/* drop_wire.h - what sendmail tells postdrop over a pipe: "name NUL value NUL" pairs, an empty name, and the content up
 * to the end. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"

#include <stdint.h>

struct drop {
    const char *sender, *fullname, *envid, *body_type;
    uint32_t ret, notify, flags; /* enum dsn_ret, dsn_notify, cleanup_flags of lib/ipc/messages.h */
    uint32_t verbose;
    const char **recipients;
    size_t n_recipients;
};

void drop_encode(const struct drop *d, struct buf *out);
/* Reads the pairs at the front of in; *used bytes were theirs. False when they are malformed, or not whole yet. */
bool drop_decode(struct slice in, struct arena *a, struct drop *d, size_t *used);
