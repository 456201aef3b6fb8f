/* buf.c - see buf.h. */
#include "lib/base/buf.h"

#include "lib/base/mem.h"

#include <stdint.h>
#include <stdio.h>

void buf_init(struct buf *b, size_t max)
{
    *b = BUF(max);
}

void buf_fini(struct buf *b)
{
    free(b->data);
    *b = BUF(b->max);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->overflow = false;
    if (b->data)
        b->data[0] = '\0';
}

char *buf_room(struct buf *b, size_t n)
{
    if (n > b->max || b->len > b->max - n) {
        b->overflow = true;
        return NULL;
    }
    size_t need = b->len + n + 1;
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap : 64;
        while (cap < need)
            cap *= 2;
        if (cap > b->max + 1)
            cap = b->max + 1;
        b->data = mem_resize(b->data, cap);
        b->cap = cap;
    }
    return b->data + b->len;
}

void buf_added(struct buf *b, size_t n)
{
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_append(struct buf *b, const void *p, size_t n)
{
    size_t room = b->len < b->max ? b->max - b->len : 0;
    if (n > room) {
        b->overflow = true;
        n = room;
    }
    if (n == 0 && b->data)
        return;
    char *dst = buf_room(b, n);
    if (n)
        memcpy(dst, p, n);
    buf_added(b, n);
}

void buf_append_slice(struct buf *b, struct slice s)
{
    buf_append(b, s.p, s.n);
}

void buf_puts(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
    buf_append(b, &c, 1);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    char small[256];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    if (n < 0) {
        b->overflow = true;
    } else if ((size_t)n < sizeof small) {
        buf_append(b, small, (size_t)n);
    } else {
        char *big = mem_alloc((size_t)n + 1);
        vsnprintf(big, (size_t)n + 1, fmt, again);
        buf_append(b, big, (size_t)n);
        free(big);
    }
    va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_consume(struct buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
    } else {
        memmove(b->data, b->data + n, b->len - n);
        b->len -= n;
    }
    if (b->data)
        b->data[b->len] = '\0';
}

void buf_truncate(struct buf *b, size_t len)
{
    if (len < b->len) {
        b->len = len;
        b->data[len] = '\0';
    }
}

const char *buf_cstr(struct buf *b)
{
    return b->data ? b->data : "";
}

char *buf_steal(struct buf *b)
{
    char *p = b->data ? b->data : mem_strdup("");
    *b = BUF(b->max);
    return p;
}
