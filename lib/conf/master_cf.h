/* master_cf.h - master.cf(5): one service a line. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"

enum service_type { SERVICE_INET, SERVICE_UNIX, SERVICE_FIFO, SERVICE_PASS, SERVICE_UNIX_DGRAM };

struct service {
    const char *name; /* "smtp", "127.0.0.1:2525", "cleanup" */
    enum service_type type;
    bool is_private, unprivileged, chroot;
    int wakeup;               /* seconds, 0 none */
    bool wakeup_only_if_used; /* the '?' suffix */
    int maxproc;              /* -1: $default_process_limit; 0: no limit */
    char raw[5][16];          /* private unpriv chroot wakeup maxproc as written */
    const char *command;      /* "smtpd" */
    const char **args;        /* after the command, -o and its value as two elements; NULL-terminated */
    size_t n_args;
    int line;
    struct service *next;
};

/* In file order, in the arena. On failure NULL with "FILE, line N: what" in err; an empty file is a failure.
 * chroot_default is what "-" in the chroot column means: true below compatibility level 1, false from then on. */
struct service *master_cf_read(struct arena *a, const char *file, bool chroot_default, struct buf *err);
/* The same from a text; file is only for errors. */
struct service *master_cf_parse(struct arena *a, const char *file, struct slice text, bool chroot_default,
                                struct buf *err);
const char *service_type_name(enum service_type t);
