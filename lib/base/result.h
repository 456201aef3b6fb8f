/* result.h - the three outcomes that mail knows, each with an enhanced status code (RFC 3463) and a text that a
 * postmaster can act on. Temporary or permanent is decided once, where the trouble is first seen. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>

enum outcome {
    OUTCOME_OK = 0,
    OUTCOME_TRY_AGAIN = 1, /* 4.x.x: keep the mail, try later */
    OUTCOME_NEVER = 2,     /* 5.x.x: no use in trying again */
};

struct result {
    enum outcome outcome;
    char dsn[16];   /* "2.1.5"; its class agrees with outcome */
    char text[600]; /* one line, printable or UTF-8, cut when longer */
};

struct result result_ok(const char *dsn, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The first digit of dsn is set to 4 (to 5). */
struct result result_try_again(const char *dsn, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct result result_never(const char *dsn, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct result result_make(enum outcome o, const char *dsn, const char *fmt, va_list ap);
static inline bool result_is_ok(const struct result *r)
{
    return r->outcome == OUTCOME_OK;
}
