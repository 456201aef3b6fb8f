/* buf.h - a growing byte buffer with a declared maximum. It always holds a NUL after its last byte once
 * something was written. Writing past the maximum drops the excess and sets `overflow`, which stays set until
 * buf_reset, so that a caller may check once at the end. */
#pragma once
#include "lib/base/slice.h"

#include <stdarg.h>

struct buf {
    char *data; /* NULL until first written to; see buf_cstr */
    size_t len;
    size_t cap;
    size_t max; /* most bytes that it may hold, not counting the NUL */
    bool overflow;
};

#define BUF_MAX_DEFAULT ((size_t)64 << 20)
/* An empty buffer: struct buf b = BUF(1000); */
#define BUF(maximum) ((struct buf){.max = (maximum)})
/* Frees itself at the end of the scope. */
#define BUF_AUTO __attribute__((cleanup(buf_fini))) struct buf

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
/* Empties it and keeps the memory. */
void buf_reset(struct buf *b);
void buf_append(struct buf *b, const void *p, size_t n);
void buf_append_slice(struct buf *b, struct slice s);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);
/* Room for n more bytes at the end; NULL (and overflow set) when that is past the maximum. Follow with buf_added. */
char *buf_room(struct buf *b, size_t n);
void buf_added(struct buf *b, size_t n);
/* Drops n bytes from the front. */
void buf_consume(struct buf *b, size_t n);
void buf_truncate(struct buf *b, size_t len);
/* "" when nothing was ever written. Valid until the next change. */
const char *buf_cstr(struct buf *b);
static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->data ? b->data : "", b->len};
}
/* Gives the memory to the caller (free()); the buffer is empty afterwards. Never NULL. */
char *buf_steal(struct buf *b);
