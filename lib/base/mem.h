/* mem.h - allocation that cannot fail: out of memory aborts with a log line. Free with free(). */
#pragma once
#include <stddef.h>
#include <stdlib.h>

void *mem_alloc(size_t n) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *mem_resize(void *p, size_t n) __attribute__((returns_nonnull));
char *mem_strdup(const char *s); /* NULL gives NULL */
char *mem_strndup(const char *p, size_t n);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define MEM_NEW(type) ((type *)mem_alloc(sizeof(type)))
void mem_free_ptr(void *p); /* for the cleanup attribute: frees *(void **)p */
#define MEM_AUTO __attribute__((cleanup(mem_free_ptr)))
void fd_close_ptr(int *fd); /* for the cleanup attribute: closes *fd when >= 0 */
#define FD_AUTO __attribute__((cleanup(fd_close_ptr))) int
