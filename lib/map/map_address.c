/* map_address.c - the order in which parts of an address are looked up (canonical(5), virtual(5)). */
#include "lib/base/mem.h"
#include "lib/map/map_private.h"

#include <stdlib.h>

/* Where "+ext" begins in the local part, or its length when there is none. Addresses that the mail system makes for
 * itself are never split; with '-' among the delimiters neither are owner-LIST and LIST-request. */
static size_t extension_start(struct slice local, const char *delimiters)
{
    if (!delimiters || !*delimiters || slice_eq_fold(local, SLICE("mailer-daemon")) ||
        slice_eq_fold(local, SLICE("double-bounce")))
        return local.n;
    if (strchr(delimiters, '-') &&
        (slice_starts_fold(local, SLICE("owner-")) || slice_ends_fold(local, SLICE("-request"))))
        return local.n;
    for (size_t i = 1; i < local.n; i++)
        if (strchr(delimiters, local.p[i]))
            return i;
    return local.n;
}

struct search {
    struct maps *maps;
    struct buf *out;
    struct slice local, domain; /* domain without '@' */
    size_t ext;                 /* index into local */
};

/* Looks for local[0..n)@domain; either part may be left out. */
static enum map_status ask(struct search *s, size_t n, bool with_domain, bool partial)
{
    BUF_AUTO key = BUF(70000);
    buf_append(&key, s->local.p, n);
    if (with_domain)
        buf_printf(&key, "@%.*s", SLICE_ARG(s->domain));
    return maps_lookup_part(s->maps, buf_cstr(&key), partial, s->out, NULL);
}

static void set_extension(struct search *s, bool used, struct slice *extension)
{
    if (!extension)
        return;
    size_t n = s->local.n - s->ext;
    *extension = used || n == 0 ? slice_make(NULL, 0) : slice_make(s->local.p + s->ext, n);
}

static bool domain_is_local(struct search *s, bool (*is_local)(void *ctx, const char *domain), void *ctx)
{
    MEM_AUTO char *domain = mem_strndup(s->domain.p, s->domain.n);
    return is_local && is_local(ctx, domain);
}

enum map_status maps_lookup_address(struct maps *m, const char *address, const char *delimiters, unsigned strategy,
                                    bool (*is_local)(void *ctx, const char *domain), void *ctx, struct buf *out,
                                    struct slice *extension)
{
    struct slice whole = slice_of(address);
    ptrdiff_t at = slice_rfind(whole, '@');
    bool has_domain = at >= 0;
    struct search s = {.maps = m, .out = out, .local = slice_make(whole.p, has_domain ? (size_t)at : whole.n)};
    enum map_status r;
    if (has_domain)
        s.domain = slice_make(whole.p + at + 1, whole.n - (size_t)at - 1);
    s.ext = extension_start(s.local, delimiters);
    bool extended = s.ext < s.local.n;
    set_extension(&s, true, extension);
    if (maps_is_empty(m))
        return MAP_NOT_FOUND;
    if ((strategy & MAPS_FULL) && (r = maps_lookup_part(m, address, false, out, NULL)) != MAP_NOT_FOUND)
        return r;
    if ((strategy & MAPS_NOEXT) && extended && (r = ask(&s, s.ext, has_domain, true)) != MAP_NOT_FOUND) {
        set_extension(&s, false, extension);
        return r;
    }
    if ((strategy & MAPS_LOCALPART) && has_domain && domain_is_local(&s, is_local, ctx)) {
        if ((r = ask(&s, s.local.n, false, true)) != MAP_NOT_FOUND)
            return r;
        if (extended && (r = ask(&s, s.ext, false, true)) != MAP_NOT_FOUND) {
            set_extension(&s, false, extension);
            return r;
        }
    }
    /* A whole domain's entry is for no user in particular: no extension goes with it. */
    return (strategy & MAPS_AT_DOMAIN) && has_domain ? ask(&s, 0, true, true) : MAP_NOT_FOUND;
}
