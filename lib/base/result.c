/* result.c - see result.h. */
#include "lib/base/result.h"

#include <stdio.h>
#include <string.h>

struct result result_make(enum outcome o, const char *dsn, const char *fmt, va_list ap)
{
    static const char class_of[] = {'2', '4', '5'};
    struct result r = {.outcome = o};
    snprintf(r.dsn, sizeof r.dsn, "%s", dsn && *dsn ? dsn : "2.0.0");
    r.dsn[0] = class_of[o];
    vsnprintf(r.text, sizeof r.text, fmt, ap);
    return r;
}

struct result result_ok(const char *dsn, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct result r = result_make(OUTCOME_OK, dsn, fmt, ap);
    va_end(ap);
    return r;
}

struct result result_try_again(const char *dsn, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct result r = result_make(OUTCOME_TRY_AGAIN, dsn, fmt, ap);
    va_end(ap);
    return r;
}

struct result result_never(const char *dsn, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct result r = result_make(OUTCOME_NEVER, dsn, fmt, ap);
    va_end(ap);
    return r;
}
