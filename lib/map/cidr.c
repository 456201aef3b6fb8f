/* cidr.c - see cidr.h. */
#include "lib/map/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static void unmap(struct cidr_address *a)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (a->family != AF_INET6 || memcmp(a->bytes, mapped, sizeof mapped) != 0)
        return;
    a->family = AF_INET;
    memmove(a->bytes, a->bytes + 12, 4);
    memset(a->bytes + 4, 0, 12);
}

bool cidr_parse_address(struct slice text, struct cidr_address *a)
{
    char copy[INET6_ADDRSTRLEN + 1];
    memset(a, 0, sizeof *a);
    if (text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']')
        text = slice_make(text.p + 1, text.n - 2);
    if (slice_starts_fold(text, SLICE("IPv6:")))
        text = slice_make(text.p + 5, text.n - 5);
    if (text.n == 0 || text.n >= sizeof copy)
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    if (inet_pton(AF_INET, copy, a->bytes) == 1)
        a->family = AF_INET;
    else if (inet_pton(AF_INET6, copy, a->bytes) == 1)
        a->family = AF_INET6;
    unmap(a);
    return a->family != 0;
}

void cidr_from_sockaddr(const struct sockaddr *sa, struct cidr_address *a)
{
    memset(a, 0, sizeof *a);
    if (!sa)
        return;
    if (sa->sa_family == AF_INET)
        memcpy(a->bytes, &((const struct sockaddr_in *)sa)->sin_addr, 4);
    else if (sa->sa_family == AF_INET6)
        memcpy(a->bytes, &((const struct sockaddr_in6 *)sa)->sin6_addr, 16);
    else
        return;
    a->family = sa->sa_family;
    unmap(a);
}

static bool bit_is_set(const unsigned char *bytes, unsigned i)
{
    return bytes[i / 8] & (0x80 >> (i % 8));
}

const char *cidr_parse(struct slice text, struct cidr *c)
{
    struct slice address = text;
    unsigned long long bits;
    if (text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']' && slice_find(text, '/') >= 0)
        address = text = slice_make(text.p + 1, text.n - 2);
    ptrdiff_t slash = slice_rfind(text, '/');
    if (slash >= 0)
        address.n = (size_t)slash;
    bool colons = slice_find(address, ':') >= 0;
    if (!cidr_parse_address(address, &c->net))
        return "not an IP address";
    unsigned most = c->net.family == AF_INET ? 32 : 128;
    c->bits = most;
    if (slash < 0)
        return NULL;
    if (!slice_to_u64(slice_make(text.p + slash + 1, text.n - (size_t)slash - 1), 128, &bits))
        return "bad net mask length";
    if (colons && most == 32) /* ::ffff:192.0.2.0/120 */
        bits = bits >= 96 ? bits - 96 : 129;
    if (bits > most)
        return "bad net mask length";
    c->bits = (unsigned)bits;
    for (unsigned i = c->bits; i < most; i++)
        if (bit_is_set(c->net.bytes, i))
            return "non-null host address bits";
    return NULL;
}

bool cidr_contains(const struct cidr *c, const struct cidr_address *a)
{
    unsigned whole = c->bits / 8, part = c->bits % 8;
    if (a->family != c->net.family || memcmp(a->bytes, c->net.bytes, whole) != 0)
        return false;
    return part == 0 || ((a->bytes[whole] ^ c->net.bytes[whole]) & (0xff << (8 - part)) & 0xff) == 0;
}
