/* cleanup_client.h - giving a message to cleanup: smtpd, pickup, bounce, local. */
#pragma once
#include "lib/base/result.h"
#include "lib/ipc/ipc.h"

struct cleanup_client;

/* Begins a message over a connection of the pool ("public/cleanup" or $cleanup_service_name). NULL with *r when cleanup
 * cannot take one. */
struct cleanup_client *cleanup_open(struct ipc_pool *pool, const struct msg_cleanup_begin *begin, struct result *r,
                                    int64_t deadline);
const char *cleanup_queue_id(const struct cleanup_client *c);
/* These two buffer; false once the connection failed (cleanup_finish then says so). */
bool cleanup_recipient(struct cleanup_client *c, const struct msg_cleanup_recipient *rcpt);
bool cleanup_content(struct cleanup_client *c, const void *p, size_t n);
/* What is to be done with the message, decided after it was begun; the strings live until cleanup_finish. */
void cleanup_decide(struct cleanup_client *c, const struct msg_cleanup_end *end);
/* Commits and waits: *done as cleanup answered (strings in the arena), or a made-up 451 4.3.0 "queue file write error".
 * Frees the client.
 */
void cleanup_finish(struct cleanup_client **c, struct arena *a, struct msg_cleanup_done *done, int64_t deadline);
/* Drops the message. Accepts NULL. */
void cleanup_abort(struct cleanup_client **c);
