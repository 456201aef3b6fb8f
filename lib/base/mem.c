/* mem.c - see mem.h. */
#include "lib/base/mem.h"

#include "lib/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void *mem_alloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    if (!p)
        log_panic("out of memory (%zu bytes)", n);
    return p;
}

void *mem_resize(void *p, size_t n)
{
    void *q = realloc(p, n ? n : 1);
    if (!q)
        log_panic("out of memory (%zu bytes)", n);
    return q;
}

char *mem_strndup(const char *p, size_t n)
{
    char *s = mem_alloc(n + 1);
    if (n)
        memcpy(s, p, n);
    return s;
}

char *mem_strdup(const char *s)
{
    return s ? mem_strndup(s, strlen(s)) : NULL;
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap;
    char *s = NULL;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (n < 0)
        log_panic("out of memory");
    return s;
}

void mem_free_ptr(void *p)
{
    free(*(void **)p);
}

void fd_close_ptr(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
    }
}
