/* mechanism.c - see mechanism.h. */
#include "lib/sasl/mechanism.h"

#include <string.h>

/* Copies a field that must be text without NUL bytes. */
static bool keep(char *dst, size_t size, struct slice s)
{
    if (s.n >= size || memchr(s.p, '\0', s.n) != NULL)
        return false;
    memcpy(dst, s.p, s.n);
    dst[s.n] = '\0';
    return true;
}

static enum mechanism_step plain(struct mechanism_state *s, struct slice r, struct buf *out)
{
    if (r.p == NULL)
        return s->step++ == 0 ? MECHANISM_CHALLENGE : MECHANISM_BROKEN;
    ptrdiff_t first = slice_find(r, '\0');
    if (first < 0)
        return MECHANISM_BROKEN;
    struct slice rest = slice_make(r.p + first + 1, r.n - (size_t)first - 1);
    ptrdiff_t second = slice_find(rest, '\0');
    if (second < 1)
        return MECHANISM_BROKEN;
    struct slice password = slice_make(rest.p + second + 1, rest.n - (size_t)second - 1);
    bool ok = keep(s->authzid, sizeof s->authzid, slice_make(r.p, (size_t)first)) &&
              keep(s->user, sizeof s->user, slice_make(rest.p, (size_t)second)) &&
              keep(s->password, sizeof s->password, password);
    return ok ? MECHANISM_CHECK : MECHANISM_BROKEN;
}

static enum mechanism_step login(struct mechanism_state *s, struct slice r, struct buf *out)
{
    if (r.p == NULL) {
        if (s->step++ > 0)
            return MECHANISM_BROKEN;
        buf_puts(out, "Username:");
        return MECHANISM_CHALLENGE;
    }
    if (s->step < 2) {
        s->step = 2;
        buf_puts(out, "Password:");
        return r.n > 0 && keep(s->user, sizeof s->user, r) ? MECHANISM_CHALLENGE : MECHANISM_BROKEN;
    }
    return keep(s->password, sizeof s->password, r) ? MECHANISM_CHECK : MECHANISM_BROKEN;
}

const struct mechanism_kind mechanism_kinds[] = {{"PLAIN", "plaintext", plain}, {"LOGIN", "plaintext", login}, {0}};

const struct mechanism_kind *mechanism_find(const char *name)
{
    for (const struct mechanism_kind *k = mechanism_kinds; k->name != NULL; k++)
        if (str_eq_fold(k->name, name))
            return k;
    return NULL;
}

void mechanism_wipe(struct mechanism_state *s)
{
    explicit_bzero(s, sizeof *s);
}
