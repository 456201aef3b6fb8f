/* addr.c - see addr.h. */
#include "lib/rt/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

static const struct in6_addr *v6(const struct sockaddr *sa)
{
    return &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
}

static const struct in_addr *v4(const struct sockaddr *sa)
{
    return &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
}

const char *addr_text(const struct sockaddr *sa, char dst[ADDR_TEXT_MAX])
{
    const char *text = NULL;
    if (sa->sa_family == AF_INET)
        text = inet_ntop(AF_INET, v4(sa), dst, ADDR_TEXT_MAX);
    else if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(v6(sa)))
        text = inet_ntop(AF_INET, &v6(sa)->s6_addr[12], dst, ADDR_TEXT_MAX);
    else if (sa->sa_family == AF_INET6)
        text = inet_ntop(AF_INET6, v6(sa), dst, ADDR_TEXT_MAX);
    if (!text)
        snprintf(dst, ADDR_TEXT_MAX, "unknown");
    return dst;
}

uint16_t addr_port(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)(const void *)sa)->sin_port);
    if (sa->sa_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)sa)->sin6_port);
    return 0;
}

void addr_set_port(struct sockaddr *sa, uint16_t port)
{
    if (sa->sa_family == AF_INET)
        ((struct sockaddr_in *)(void *)sa)->sin_port = htons(port);
    else if (sa->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)sa)->sin6_port = htons(port);
}

bool addr_parse(const char *text, uint16_t port, struct sockaddr_storage *out, socklen_t *len)
{
    char plain[ADDR_TEXT_MAX];
    struct slice s = slice_of(text);
    if (s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
        s = slice_make(s.p + 1, s.n - 2);
    if (slice_starts_fold(s, SLICE("IPv6:")))
        s = slice_make(s.p + 5, s.n - 5);
    if (s.n >= sizeof plain)
        return false;
    memcpy(plain, s.p, s.n);
    plain[s.n] = '\0';
    *out = (struct sockaddr_storage){0};
    struct sockaddr_in *in4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    if (inet_pton(AF_INET, plain, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        *len = sizeof *in4;
    } else if (inet_pton(AF_INET6, plain, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        *len = sizeof *in6;
    } else {
        return false;
    }
    addr_set_port((struct sockaddr *)out, port);
    return true;
}

static struct in6_addr mapped(const struct sockaddr *sa)
{
    struct in6_addr a = {0};
    if (sa->sa_family == AF_INET6)
        return *v6(sa);
    a.s6_addr[10] = a.s6_addr[11] = 0xFF;
    memcpy(&a.s6_addr[12], v4(sa), 4);
    return a;
}

bool addr_equal(const struct sockaddr *a, const struct sockaddr *b)
{
    bool inet_a = a->sa_family == AF_INET || a->sa_family == AF_INET6;
    bool inet_b = b->sa_family == AF_INET || b->sa_family == AF_INET6;
    if (!inet_a || !inet_b)
        return false;
    struct in6_addr x = mapped(a), y = mapped(b);
    return memcmp(&x, &y, sizeof x) == 0;
}

bool addr_unix(const char *path, struct sockaddr_storage *out, socklen_t *len)
{
    struct sockaddr_un *sun = (struct sockaddr_un *)out;
    size_t n = strlen(path);
    if (n >= sizeof sun->sun_path)
        return false;
    *out = (struct sockaddr_storage){0};
    sun->sun_family = AF_UNIX;
    memcpy(sun->sun_path, path, n + 1);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    return true;
}
