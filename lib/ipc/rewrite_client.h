/* rewrite_client.h - asks trivial-rewrite, with a small cache (entries live rewrite_cache_time seconds, default 2; that
 * is how soon a table change is seen). */
#pragma once
#include "lib/ipc/messages.h"

struct rewrite_client;
struct rewrite_client *rewrite_client_new(const char *service, int64_t cache_seconds);
void rewrite_client_free(struct rewrite_client **c);
/* Both may wait. Results live in the arena. False: could not be asked (logged). context: "local" or "remote". */
bool rewrite_addresses(struct rewrite_client *c, struct arena *a, const char *context, const char *const *in, size_t n,
                       const char **out);
bool resolve_addresses(struct rewrite_client *c, struct arena *a, const char *sender, const char *const *addresses,
                       size_t n, struct msg_resolved *out);
