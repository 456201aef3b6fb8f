/* hash.c - see hash.h. Open hashing with chains; the seed comes from the kernel once per process. */
#include "lib/base/hash.h"

#include "lib/base/mem.h"

#include <string.h>
#include <sys/random.h>

struct entry {
    struct entry *next;
    uint64_t hash;
    void *value;
    char key[];
};

struct hash {
    struct entry **slots;
    size_t n_slots, count;
};

static uint64_t seed(void)
{
    static uint64_t s;
    if (!s) {
        if (getrandom(&s, sizeof s, GRND_NONBLOCK) != (ssize_t)sizeof s)
            s = (uint64_t)(uintptr_t)&s * UINT64_C(0x9E3779B97F4A7C15);
        s |= 1;
    }
    return s;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t m = (__uint128_t)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

uint64_t hash_bytes(const void *p, size_t n)
{
    const unsigned char *c = p;
    uint64_t h = seed() ^ (n * UINT64_C(0xA0761D6478BD642F));
    for (; n >= 8; c += 8, n -= 8) {
        uint64_t v;
        memcpy(&v, c, 8);
        h = mix(h ^ v, UINT64_C(0xE7037ED1A0B428DB));
    }
    uint64_t tail = 0;
    memcpy(&tail, c, n);
    return mix(h ^ tail, UINT64_C(0x8EBC6AF09C88C6E3) ^ seed());
}

struct hash *hash_new(void)
{
    return MEM_NEW(struct hash);
}

void hash_free(struct hash **h, void (*free_value)(void *))
{
    if (!*h)
        return;
    for (size_t i = 0; i < (*h)->n_slots; i++)
        for (struct entry *e = (*h)->slots[i], *next; e; e = next) {
            next = e->next;
            if (free_value)
                free_value(e->value);
            free(e);
        }
    free((*h)->slots);
    free(*h);
    *h = NULL;
}

static struct entry **find(const struct hash *h, const char *key, uint64_t hash)
{
    struct entry **at = &h->slots[hash & (h->n_slots - 1)];
    while (*at && ((*at)->hash != hash || strcmp((*at)->key, key) != 0))
        at = &(*at)->next;
    return at;
}

void *hash_get(const struct hash *h, const char *key)
{
    if (!h->count)
        return NULL;
    struct entry *e = *find(h, key, hash_bytes(key, strlen(key)));
    return e ? e->value : NULL;
}

static void grow(struct hash *h)
{
    size_t n = h->n_slots ? h->n_slots * 2 : 16;
    struct entry **slots = mem_alloc(n * sizeof *slots);
    for (size_t i = 0; i < h->n_slots; i++)
        for (struct entry *e = h->slots[i], *next; e; e = next) {
            next = e->next;
            e->next = slots[e->hash & (n - 1)];
            slots[e->hash & (n - 1)] = e;
        }
    free(h->slots);
    h->slots = slots;
    h->n_slots = n;
}

void *hash_put(struct hash *h, const char *key, void *value)
{
    if (h->count >= h->n_slots)
        grow(h);
    size_t len = strlen(key);
    uint64_t hash = hash_bytes(key, len);
    struct entry **at = find(h, key, hash);
    if (*at) {
        void *old = (*at)->value;
        (*at)->value = value;
        return old;
    }
    struct entry *e = mem_alloc(sizeof *e + len + 1);
    memcpy(e->key, key, len + 1);
    e->hash = hash;
    e->value = value;
    *at = e;
    h->count++;
    return NULL;
}

void *hash_remove(struct hash *h, const char *key)
{
    if (!h->count)
        return NULL;
    struct entry **at = find(h, key, hash_bytes(key, strlen(key)));
    struct entry *e = *at;
    if (!e)
        return NULL;
    void *value = e->value;
    *at = e->next;
    free(e);
    h->count--;
    return value;
}

size_t hash_count(const struct hash *h)
{
    return h->count;
}

/* The iterator is slot << 20 | place in the chain + 1, counted from the end of the chain, so that removing the entry
 * just returned does not skip one. */
bool hash_next(const struct hash *h, size_t *it, const char **key, void **value)
{
    size_t slot = *it >> 20, left = *it & 0xFFFFF;
    for (; slot < h->n_slots; slot++, left = 0) {
        size_t length = 0;
        for (struct entry *e = h->slots[slot]; e; e = e->next)
            length++;
        size_t remaining = left ? left - 1 : length;
        if (!remaining)
            continue;
        struct entry *e = h->slots[slot];
        for (size_t skip = length - remaining; skip; skip--)
            e = e->next;
        *key = e->key;
        *value = e->value;
        *it = slot << 20 | remaining;
        if (remaining == 1)
            *it = (slot + 1) << 20;
        return true;
    }
    return false;
}
