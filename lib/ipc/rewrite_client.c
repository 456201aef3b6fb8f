/* rewrite_client.c - see rewrite_client.h. Answers are kept a short while, because the same addresses come again within
 * a message's life and a burst of mail; when the cache is full it is emptied, which costs one more question each. */
#include "lib/ipc/rewrite_client.h"

#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ipc/ipc.h"

enum { MOST_IDLE = 4, MOST_CACHED = 10000, MOST_IN_BATCH = 500, ASK_SECONDS = 60 };

struct rewrite_client {
    struct ipc_pool *pool;
    struct hash *cache;
    int64_t cache_seconds;
};

/* What was answered: of a rewrite only `address`; of a resolve all. */
struct cached {
    int64_t expires;
    char *address, *transport, *nexthop;
    uint32_t flags;
};

static void cached_free(void *p)
{
    struct cached *c = p;
    free(c->address);
    free(c->transport);
    free(c->nexthop);
    free(c);
}

struct rewrite_client *rewrite_client_new(const char *service, int64_t cache_seconds)
{
    struct rewrite_client *c = MEM_NEW(struct rewrite_client);
    c->pool = ipc_pool_new(service, MOST_IDLE);
    c->cache = hash_new();
    c->cache_seconds = cache_seconds;
    return c;
}

void rewrite_client_free(struct rewrite_client **c)
{
    if (!*c)
        return;
    ipc_pool_free(&(*c)->pool);
    hash_free(&(*c)->cache, cached_free);
    free(*c);
    *c = NULL;
}

/* "W" context or "S" sender, then the address: LF stands in neither. */
static const char *cache_key(struct arena *a, char kind, const char *scope, const char *address)
{
    return arena_printf(a, "%c%s\n%s", kind, scope, address);
}

static const struct cached *cache_get(struct rewrite_client *c, const char *key, int64_t now)
{
    struct cached *e = hash_get(c->cache, key);
    return e && e->expires > now ? e : NULL;
}

static void cache_put(struct rewrite_client *c, const char *key, const char *address, const struct msg_resolved *m)
{
    if (c->cache_seconds <= 0)
        return;
    if (hash_count(c->cache) >= MOST_CACHED) {
        hash_free(&c->cache, cached_free);
        c->cache = hash_new();
    }
    struct cached *e = MEM_NEW(struct cached);
    e->expires = deadline_in(c->cache_seconds);
    e->address = mem_strdup(address);
    if (m) {
        e->transport = mem_strdup(m->transport);
        e->nexthop = mem_strdup(m->nexthop);
        e->flags = m->flags;
    }
    struct cached *old = hash_put(c->cache, key, e);
    if (old)
        cached_free(old);
}

static bool ask(struct rewrite_client *c, const struct ipc_type *qt, const void *q, const struct ipc_type *rt,
                struct arena *a, void *r)
{
    enum ipc_status st = ipc_call(c->pool, qt, q, rt, a, r, deadline_in(ASK_SECONDS));
    if (st != IPC_OK)
        log_warn("problem talking to the address rewriting service: %s", ipc_strerror(st));
    return st == IPC_OK;
}

/* The addresses that the cache does not know, with their places. */
struct misses {
    const char **addresses;
    size_t *places;
    size_t n;
};

static struct misses misses_new(struct arena *a, size_t n)
{
    return (struct misses){ARENA_ARRAY(a, const char *, n + 1), ARENA_ARRAY(a, size_t, n + 1), 0};
}

static void misses_add(struct misses *m, const char *address, size_t place)
{
    m->addresses[m->n] = address;
    m->places[m->n++] = place;
}

bool rewrite_addresses(struct rewrite_client *c, struct arena *a, const char *context, const char *const *in, size_t n,
                       const char **out)
{
    struct misses miss = misses_new(a, n);
    int64_t now = clock_mono();
    for (size_t i = 0; i < n; i++) {
        const struct cached *e = cache_get(c, cache_key(a, 'W', context, in[i]), now);
        if (e)
            out[i] = arena_strdup(a, e->address);
        else
            misses_add(&miss, in[i], i);
    }
    for (size_t from = 0; from < miss.n; from += MOST_IN_BATCH) {
        size_t count = miss.n - from < MOST_IN_BATCH ? miss.n - from : MOST_IN_BATCH;
        struct msg_rewrite_request q = {context, miss.addresses + from, count};
        struct msg_rewrite_reply r;
        if (!ask(c, &ipc_type_rewrite_request, &q, &ipc_type_rewrite_reply, a, &r))
            return false;
        if (r.try_again || r.n_addresses != count)
            return false;
        for (size_t i = 0; i < count; i++) {
            out[miss.places[from + i]] = r.addresses[i];
            cache_put(c, cache_key(a, 'W', context, miss.addresses[from + i]), r.addresses[i], NULL);
        }
    }
    return true;
}

static struct msg_resolved from_cache(struct arena *a, const struct cached *e)
{
    return (struct msg_resolved){.transport = arena_strdup(a, e->transport),
                                 .nexthop = arena_strdup(a, e->nexthop),
                                 .recipient = arena_strdup(a, e->address),
                                 .flags = e->flags};
}

bool resolve_addresses(struct rewrite_client *c, struct arena *a, const char *sender, const char *const *addresses,
                       size_t n, struct msg_resolved *out)
{
    struct misses miss = misses_new(a, n);
    int64_t now = clock_mono();
    for (size_t i = 0; i < n; i++) {
        const struct cached *e = cache_get(c, cache_key(a, 'S', sender, addresses[i]), now);
        if (e)
            out[i] = from_cache(a, e);
        else
            misses_add(&miss, addresses[i], i);
    }
    for (size_t from = 0; from < miss.n; from += MOST_IN_BATCH) {
        size_t count = miss.n - from < MOST_IN_BATCH ? miss.n - from : MOST_IN_BATCH;
        struct msg_resolve_request q = {sender, miss.addresses + from, count};
        struct msg_resolve_reply r;
        if (!ask(c, &ipc_type_resolve_request, &q, &ipc_type_resolve_reply, a, &r) || r.n_resolved != count)
            return false;
        for (size_t i = 0; i < count; i++) {
            out[miss.places[from + i]] = r.resolved[i];
            if (!(r.resolved[i].flags & RESOLVE_TRY_AGAIN))
                cache_put(c, cache_key(a, 'S', sender, miss.addresses[from + i]), r.resolved[i].recipient,
                          &r.resolved[i]);
        }
    }
    return true;
}
