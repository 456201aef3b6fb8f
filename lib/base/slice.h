/* slice.h - a run of bytes that somebody else owns. Not NUL-terminated; may hold NUL bytes. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *p;
    size_t n;
};

/* A string literal as a slice. */
#define SLICE(lit) ((struct slice){(lit), sizeof(lit) - 1})
/* For printf: printf("%.*s", SLICE_ARG(s)). */
#define SLICE_ARG(s) (int)(s).n, (s).p

static inline struct slice slice_of(const char *s)
{
    return (struct slice){s, s ? strlen(s) : 0};
}
static inline struct slice slice_make(const char *p, size_t n)
{
    return (struct slice){p, n};
}
static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII-only case folding, whatever the locale: what every mail protocol asks for. */
char ascii_lower(char c);
char ascii_upper(char c);
/* Compare without regard to ASCII case. */
bool slice_eq_fold(struct slice a, struct slice b);
bool slice_starts_fold(struct slice s, struct slice prefix);
bool slice_ends_fold(struct slice s, struct slice suffix);
/* White space is blank, tab, CR, LF. */
struct slice slice_trim(struct slice s);
/* Index of the first (last) c, or -1. */
ptrdiff_t slice_find(struct slice s, char c);
ptrdiff_t slice_rfind(struct slice s, char c);
/* Cuts the next token off *rest; tokens are separated by runs of bytes of `separators`. False at the end. */
bool slice_token(struct slice *rest, const char *separators, struct slice *token);
/* Unsigned decimal; false on a non-digit, an empty string, or a value above max. */
bool slice_to_u64(struct slice s, unsigned long long max, unsigned long long *value);
/* C strings, ASCII case only. */
bool str_eq_fold(const char *a, const char *b);
/* Lower-cases in place (ASCII). */
void str_lower(char *s);
