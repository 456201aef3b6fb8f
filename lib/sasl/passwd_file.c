/* passwd_file.c - see passwd_file.h. */
#include "lib/sasl/passwd_file.h"

#include <string.h>

bool passwd_next_line(struct slice *rest, struct slice *line)
{
    if (rest->n == 0)
        return false;
    ptrdiff_t lf = slice_find(*rest, '\n');
    size_t n = lf < 0 ? rest->n : (size_t)lf;
    *line = slice_make(rest->p, n);
    rest->p += n + (lf >= 0);
    rest->n -= n + (lf >= 0);
    if (line->n > 0 && line->p[line->n - 1] == '\r')
        line->n--;
    return true;
}

struct slice passwd_line_user(struct slice line)
{
    ptrdiff_t colon = slice_find(line, ':');
    struct slice user = colon < 0 ? line : slice_make(line.p, (size_t)colon);
    return user.n == 0 || user.p[0] == '#' ? slice_make(line.p, 0) : user;
}

/* The last field may hold colons; a password's {scheme} may not. */
static struct slice next_field(struct slice *rest)
{
    ptrdiff_t colon = slice_find(*rest, ':');
    struct slice f = colon < 0 ? *rest : slice_make(rest->p, (size_t)colon);
    size_t gone = f.n + (colon >= 0);
    rest->p += gone;
    rest->n -= gone;
    return f;
}

static int64_t number_or_none(struct slice s)
{
    unsigned long long v;
    return slice_to_u64(s, UINT32_MAX - 1, &v) ? (int64_t)v : -1;
}

static void take_extra(struct arena *a, struct slice extra, struct passwd_entry *out)
{
    struct slice word;
    while (slice_token(&extra, " \t", &word)) {
        if (slice_starts_fold(word, SLICE("userdb_mail=")))
            out->mail = arena_strndup(a, word.p + 12, word.n - 12);
        else if (slice_starts_fold(word, SLICE("userdb_home=")))
            out->home = arena_strndup(a, word.p + 12, word.n - 12);
        else if (slice_eq_fold(word, SLICE("nologin")) || slice_eq_fold(word, SLICE("nologin=y")))
            out->nologin = true;
        else if (slice_eq_fold(word, SLICE("nopassword")) || slice_eq_fold(word, SLICE("nopassword=y")))
            out->nopassword = true;
    }
}

bool passwd_line_parse(struct arena *a, struct slice line, struct passwd_entry *out)
{
    *out = (struct passwd_entry){.user = "", .password = "", .home = "", .mail = "", .uid = -1, .gid = -1};
    if (passwd_line_user(line).n == 0 || memchr(line.p, '\0', line.n) != NULL)
        return false;
    out->user = arena_slice(a, next_field(&line));
    out->password = arena_slice(a, next_field(&line));
    out->uid = number_or_none(next_field(&line));
    out->gid = number_or_none(next_field(&line));
    next_field(&line); /* gecos */
    out->home = arena_slice(a, next_field(&line));
    next_field(&line); /* shell */
    take_extra(a, line, out);
    return true;
}
