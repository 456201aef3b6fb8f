/* header.c - see header.h. */
#include "lib/syntax/header.h"

/* The bytes of the first line, its LF included. */
static size_t line_length(struct slice s)
{
    ptrdiff_t lf = slice_find(s, '\n');
    return lf < 0 ? s.n : (size_t)lf + 1;
}

static bool is_fold(struct slice s)
{
    return s.n && (s.p[0] == ' ' || s.p[0] == '\t');
}

int header_next(struct slice *rest, struct header_field *f)
{
    if (rest->n == 0)
        return 0;
    size_t n = line_length(*rest);
    if (slice_trim(slice_make(rest->p, n)).n == 0 && !is_fold(*rest)) {
        *rest = slice_make(rest->p + n, rest->n - n);
        return 0;
    }
    ptrdiff_t colon = slice_find(slice_make(rest->p, n), ':');
    if (colon <= 0)
        return -1;
    size_t name = (size_t)colon;
    while (name && (rest->p[name - 1] == ' ' || rest->p[name - 1] == '\t'))
        name--;
    for (size_t i = 0; i < name; i++)
        if ((unsigned char)rest->p[i] <= ' ' || rest->p[i] == 127)
            return -1;
    if (!name)
        return -1;
    while (n < rest->n && is_fold(slice_make(rest->p + n, rest->n - n)))
        n += line_length(slice_make(rest->p + n, rest->n - n));
    f->raw = slice_make(rest->p, n);
    f->name = slice_make(rest->p, name);
    f->value = slice_make(rest->p + colon + 1, n - (size_t)colon - 1);
    if (f->value.n && f->value.p[f->value.n - 1] == '\n')
        f->value.n--;
    *rest = slice_make(rest->p + n, rest->n - n);
    return 1;
}

const char *header_unfold(struct arena *a, struct slice value)
{
    char *out = arena_alloc(a, value.n + 1);
    size_t n = 0;
    value = slice_trim(value);
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] != '\n' && !(value.p[i] == '\r' && i + 1 < value.n && value.p[i + 1] == '\n'))
            out[n++] = value.p[i] ? value.p[i] : ' ';
    out[n] = '\0';
    return out;
}

bool header_is(const struct header_field *f, const char *name)
{
    return slice_eq_fold(f->name, slice_of(name));
}

const char *header_find(struct arena *a, struct slice header, const char *name)
{
    struct header_field f;
    while (header_next(&header, &f) == 1)
        if (header_is(&f, name))
            return header_unfold(a, f.value);
    return NULL;
}
