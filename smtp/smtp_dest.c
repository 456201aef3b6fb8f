/* smtp_dest.c - see smtp_dest.h. */
#include "smtp/smtp_dest.h"

#include <netdb.h>

enum { MOST_DESTINATIONS = 100 };

static bool parse_port(struct arena *a, struct slice s, uint16_t *port)
{
    unsigned long long v;
    if (slice_to_u64(s, 65535, &v)) {
        *port = (uint16_t)v;
        return v != 0;
    }
    const struct servent *service = s.n ? getservbyname(arena_slice(a, s), "tcp") : NULL;
    if (service)
        *port = (uint16_t)((unsigned)service->s_port >> 8 | (unsigned)(service->s_port & 0xff) << 8);
    return service != NULL;
}

/* host, [host], host:port, [host]:port */
static bool parse_inet(struct arena *a, struct slice s, struct smtp_dest *d)
{
    struct slice host = s, port = {0};
    if (s.n && s.p[0] == '[') {
        ptrdiff_t close = slice_find(s, ']');
        if (close < 0)
            return false;
        host = slice_make(s.p + 1, (size_t)close - 1);
        struct slice tail = slice_make(s.p + close + 1, s.n - (size_t)close - 1);
        if (tail.n && tail.p[0] != ':')
            return false;
        if (tail.n)
            port = slice_make(tail.p + 1, tail.n - 1);
        d->no_mx = true;
        if (tail.n == 1)
            return false;
    } else {
        ptrdiff_t colon = slice_find(s, ':');
        if (colon >= 0) {
            host = slice_make(s.p, (size_t)colon);
            port = slice_make(s.p + colon + 1, s.n - (size_t)colon - 1);
            if (port.n == 0)
                return false;
        }
    }
    if (slice_starts_fold(host, SLICE("ipv6:")))
        host = slice_make(host.p + 5, host.n - 5);
    if (host.n == 0 || (port.n && !parse_port(a, port, &d->port)))
        return false;
    d->host = d->domain = arena_slice(a, host);
    return true;
}

static bool parse_one(struct arena *a, struct slice s, bool lmtp, uint16_t default_port, struct smtp_dest *d)
{
    *d = (struct smtp_dest){.text = arena_slice(a, s), .port = default_port};
    if (slice_starts_fold(s, SLICE("unix:"))) {
        if (!lmtp || s.n == 5)
            return false;
        d->is_unix = true;
        d->host = d->domain = arena_slice(a, slice_make(s.p + 5, s.n - 5));
        return true;
    }
    if (slice_starts_fold(s, SLICE("inet:"))) {
        s = slice_make(s.p + 5, s.n - 5);
        bool ok = parse_inet(a, s, d);
        d->no_mx = true;
        return ok;
    }
    bool ok = parse_inet(a, s, d);
    d->no_mx = d->no_mx || lmtp;
    return ok;
}

size_t smtp_dest_parse(struct arena *a, const char *nexthop, bool lmtp, uint16_t default_port, struct smtp_dest **dests,
                       const char **err)
{
    struct slice rest = slice_of(nexthop), word;
    size_t n = 0;
    *dests = ARENA_ARRAY(a, struct smtp_dest, MOST_DESTINATIONS);
    while (n < MOST_DESTINATIONS && slice_token(&rest, ", \t\r\n", &word)) {
        if (!parse_one(a, word, lmtp, default_port, &(*dests)[n])) {
            *err = arena_printf(a, "invalid destination %.*s", SLICE_ARG(word));
            return 0;
        }
        n++;
    }
    if (n == 0)
        *err = "no destination";
    return n;
}
