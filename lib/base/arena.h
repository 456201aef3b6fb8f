/* arena.h - memory that dies together: a session's, a transaction's, a call's. Under sanitizers each allocation
 * is a malloc of its own, so that overruns are seen. Out of memory aborts. */
#pragma once
#include "lib/base/slice.h"

#include <stdarg.h>

struct arena;

struct arena *arena_new(void);
/* Frees everything; accepts NULL, clears the pointer. */
void arena_free(struct arena **a);
/* Frees every allocation and keeps the arena. */
void arena_reset(struct arena *a);
/* Zeroed, aligned for any type. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((malloc, returns_nonnull));
void *arena_memdup(struct arena *a, const void *p, size_t n);
char *arena_strdup(struct arena *a, const char *s); /* NULL gives NULL */
char *arena_strndup(struct arena *a, const char *p, size_t n);
char *arena_slice(struct arena *a, struct slice s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap);
#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (n)))
#define ARENA_AUTO __attribute__((cleanup(arena_free))) struct arena *
