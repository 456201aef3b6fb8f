/* userproc.h - processes that have become one user for good: deliveries, IMAP and POP3 sessions. Started on demand,
 * kept warm for a while, many requests each. Without root the process runs under the caller's own uid. */
#pragma once
#include "lib/ipc/ipc.h"

struct userproc_config {
    const char *name; /* process title and log tag part: "local", "imap" */
    /* In the child, as the user, in a fiber of its own for each connection; frees the connection. */
    void (*serve)(struct ipc_conn *c);
    /* In the child, once, after it became the user. May be NULL. */
    void (*start)(void);
    /* In the child, once, when the daemon has ended; what runs may go on. May be NULL. */
    void (*orphaned)(void);
    int64_t idle_seconds;    /* kept warm without any connection */
    unsigned most_processes; /* past that, idle ones end first, then the call waits */
    bool confined;     /* mail and nothing else: no new privileges, processes, sockets: not where users' commands run */
    uid_t minimum_uid; /* no process of a user below it */
};
struct userproc_pool;
/* In the daemon's before_sandbox: a process that keeps the right to become users is forked off here. */
struct userproc_pool *userproc_pool_new(const struct userproc_config *c);

/* A connection to the process of this user, as in ipc_pool_take. name: for initgroups, may be NULL (no further groups).
 * The process has no_new_privs unless the daemon needs set-uid programs. NULL with errno. */
struct ipc_conn *userproc_take(struct userproc_pool *p, uid_t uid, gid_t gid, const char *name, int64_t deadline);
/* For `merpati check --sandbox`: outside the loop. */
void userproc_probe(struct userproc_pool *p);
void userproc_give(struct userproc_pool *p, struct ipc_conn **c, bool ok);
