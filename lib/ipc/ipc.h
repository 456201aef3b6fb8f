/* ipc.h - connections between daemons: UNIX stream sockets under $queue_directory/public and private, kept open in a
 * pool; each message is a frame (length, type) with at most one descriptor beside it. */
#pragma once
#include "lib/base/clock.h"
#include "lib/ipc/messages.h"

#include <sys/types.h>

struct ipc_conn;

enum ipc_status {
    IPC_OK = 0,
    IPC_CLOSED,
    IPC_TIMEOUT,
    IPC_CANCELLED,
    IPC_BROKEN /* not our protocol, or past a bound */
};
const char *ipc_strerror(enum ipc_status s);

/* Takes the descriptor over. */
struct ipc_conn *ipc_conn_new(int fd);
void ipc_conn_free(struct ipc_conn **c); /* closes */
/* The other end sends one message and waits for the answer: after a message nothing more is to come, so none is looked
 * for. */
void ipc_conn_lockstep(struct ipc_conn *c);
int ipc_conn_fd(const struct ipc_conn *c);
/* Appends a frame to the output; ipc_flush sends (so that several frames cost one system call). A frame with a
 * descriptor is flushed at once. The descriptor is not closed. */
enum ipc_status ipc_queue(struct ipc_conn *c, const struct ipc_type *t, const void *msg, int64_t deadline);
enum ipc_status ipc_flush(struct ipc_conn *c, int64_t deadline);
/* ipc_queue and ipc_flush. */
enum ipc_status ipc_send(struct ipc_conn *c, const struct ipc_type *t, const void *msg, int64_t deadline);
/* Next frame's type, which stays to be received; NULL with *status when there is none. */
const struct ipc_type *ipc_next_type(struct ipc_conn *c, enum ipc_status *status, int64_t deadline);
/* Between two requests, for those who serve: waits until another comes. False: the connection was closed, or the daemon
 * drains (then all fibers that wait here are woken): free the connection. */
bool ipc_await_request(struct ipc_conn *c);
void ipc_stop_awaiting(void);
/* Receives one message of exactly this type; its strings live in the arena, its BYTES fields point into the
 * connection's buffer until the next call on it. */
enum ipc_status ipc_recv(struct ipc_conn *c, const struct ipc_type *t, struct arena *a, void *msg, int64_t deadline);
/* Nothing is left of an earlier exchange, and the other end has not closed it: it may be used for another request. */
bool ipc_conn_usable(struct ipc_conn *c);
/* The other end: from SO_PEERCRED. */
bool ipc_peer(const struct ipc_conn *c, pid_t *pid, uid_t *uid, gid_t *gid);

/* Connects to a service, "private/cleanup" (relative to the queue directory, which is the working directory of every
 * daemon). Waits and tries again while nobody listens, until the deadline. NULL with errno. */
struct ipc_conn *ipc_connect(const char *service, int64_t deadline);

/* A pool of idle connections to one service; a fiber takes one for a request and gives it back. A connection that the
 * other end closed meanwhile is noticed at taking. */
struct ipc_pool;
struct ipc_pool *ipc_pool_new(const char *service, unsigned most_idle);
void ipc_pool_free(struct ipc_pool **p);
struct ipc_conn *ipc_pool_take(struct ipc_pool *p, int64_t deadline);
/* ok false: it is closed, because an exchange on it was not finished. */
void ipc_pool_give(struct ipc_pool *p, struct ipc_conn **c, bool ok);
/* One request and its reply over a pooled connection, once more over a fresh one when the first was closed before the
 * reply. */
enum ipc_status ipc_call(struct ipc_pool *p, const struct ipc_type *request_type, const void *request,
                         const struct ipc_type *reply_type, struct arena *a, void *reply, int64_t deadline);
