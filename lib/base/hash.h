/* hash.h - a hash table from strings to pointers. Keys are copied; values belong to the caller. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash;

struct hash *hash_new(void);
/* free_value may be NULL. Accepts NULL, clears the pointer. */
void hash_free(struct hash **h, void (*free_value)(void *));
void *hash_get(const struct hash *h, const char *key);
/* Returns the value that was there before, or NULL. value must not be NULL. */
void *hash_put(struct hash *h, const char *key, void *value);
/* Returns the removed value, or NULL. */
void *hash_remove(struct hash *h, const char *key);
size_t hash_count(const struct hash *h);
/* Walk: size_t it = 0; const char *k; void *v; while (hash_next(h, &it, &k, &v)). Order is arbitrary; removing the
 * entry just returned is allowed, adding is not. */
bool hash_next(const struct hash *h, size_t *it, const char **key, void **value);
/* Seeded per process, so that strangers cannot choose collisions. */
uint64_t hash_bytes(const void *p, size_t n);
