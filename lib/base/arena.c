/* arena.c - see arena.h. Blocks start small, so that a session that does little stays little. */
#include "lib/base/arena.h"

#include "lib/base/mem.h"

#include <stdint.h>
#include <stdio.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_EXACT 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_EXACT 1
#endif
#endif
#ifdef MERPATI_VALGRIND
#define ARENA_EXACT 1
#endif

enum { ALIGN = 16, FIRST_BLOCK = 512, LARGEST_BLOCK = 65536 };

struct block {
    struct block *next;
    size_t used, size; /* of what follows */
};

struct arena {
    struct block *blocks; /* newest first */
    size_t next_size;
};

static char *block_data(struct block *b)
{
    return (char *)b + ((sizeof *b + ALIGN - 1) & ~(size_t)(ALIGN - 1));
}

struct arena *arena_new(void)
{
    struct arena *a = MEM_NEW(struct arena);
    a->next_size = FIRST_BLOCK;
    return a;
}

static struct block *block_new(struct arena *a, size_t size)
{
    struct block *b = mem_alloc(((sizeof *b + ALIGN - 1) & ~(size_t)(ALIGN - 1)) + size);
    b->size = size;
    b->next = a->blocks;
    a->blocks = b;
    return b;
}

static void free_blocks(struct block *b)
{
    while (b) {
        struct block *next = b->next;
        free(b);
        b = next;
    }
}

void arena_free(struct arena **a)
{
    if (!*a)
        return;
    free_blocks((*a)->blocks);
    free(*a);
    *a = NULL;
}

void arena_reset(struct arena *a)
{
    free_blocks(a->blocks);
    a->blocks = NULL;
    a->next_size = FIRST_BLOCK;
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t need = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    struct block *b = a->blocks;
#ifdef ARENA_EXACT
    b = block_new(a, n);
    b->used = b->size;
    return block_data(b);
#endif
    if (!b || b->size - b->used < need) {
        size_t size = a->next_size;
        if (a->next_size < LARGEST_BLOCK)
            a->next_size *= 2;
        b = block_new(a, need > size ? need : size);
    }
    void *p = block_data(b) + b->used;
    b->used += need;
    return p;
}

void *arena_memdup(struct arena *a, const void *p, size_t n)
{
    void *q = arena_alloc(a, n);
    if (n)
        memcpy(q, p, n);
    return q;
}

char *arena_strndup(struct arena *a, const char *p, size_t n)
{
    char *s = arena_alloc(a, n + 1);
    if (n)
        memcpy(s, p, n);
    s[n] = '\0';
    return s;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *arena_slice(struct arena *a, struct slice s)
{
    return arena_strndup(a, s.p, s.n);
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *s = arena_alloc(a, n < 0 ? 1 : (size_t)n + 1);
    if (n >= 0)
        vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}
