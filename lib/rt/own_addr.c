/* own_addr.c - see own_addr.h. */
#include "lib/rt/own_addr.h"

#include "lib/base/vec.h"
#include "lib/rt/addr.h"

#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>

struct own_addr {
    VEC(struct sockaddr_storage) addrs;
    size_t n_inet; /* those behind it are proxy_interfaces' */
};

static void add(struct own_addr *o, const struct sockaddr *sa)
{
    struct sockaddr_storage ss = {0};
    if (sa->sa_family == AF_INET)
        memcpy(&ss, sa, sizeof(struct sockaddr_in));
    else if (sa->sa_family == AF_INET6)
        memcpy(&ss, sa, sizeof(struct sockaddr_in6));
    else
        return;
    VEC_PUSH(&o->addrs, ss);
}

static bool is_loopback(const struct sockaddr *sa)
{
    char text[ADDR_TEXT_MAX];
    addr_text(sa, text);
    return strncmp(text, "127.", 4) == 0 || strcmp(text, "::1") == 0;
}

static bool add_interfaces(struct own_addr *o, bool loopback_only, struct buf *err)
{
    struct ifaddrs *list;
    if (getifaddrs(&list) != 0) {
        buf_puts(err, "cannot read the addresses of the network interfaces");
        return false;
    }
    for (struct ifaddrs *i = list; i; i = i->ifa_next) {
        if (i->ifa_addr && (!loopback_only || is_loopback(i->ifa_addr)))
            add(o, i->ifa_addr);
    }
    freeifaddrs(list);
    return true;
}

static bool add_name(struct own_addr *o, const char *name, const char *parameter, struct buf *err)
{
    struct sockaddr_storage ss;
    socklen_t len;
    if (addr_parse(name, 0, &ss, &len)) {
        VEC_PUSH(&o->addrs, ss);
        return true;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int rc = getaddrinfo(name, NULL, &hints, &list);
    if (rc != 0) {
        buf_printf(err, "parameter %s: host not found: %s: %s", parameter, name, gai_strerror(rc));
        return false;
    }
    for (struct addrinfo *i = list; i; i = i->ai_next)
        add(o, i->ai_addr);
    freeaddrinfo(list);
    return true;
}

static bool add_list(struct own_addr *o, const char *value, const char *parameter, struct buf *err)
{
    struct slice rest = slice_of(value), word;
    while (slice_token(&rest, ", \t\r\n", &word)) {
        char name[NI_MAXHOST];
        if (word.n >= sizeof name) {
            buf_printf(err, "parameter %s: host name too long", parameter);
            return false;
        }
        memcpy(name, word.p, word.n);
        name[word.n] = '\0';
        bool loopback = str_eq_fold(name, "loopback-only");
        bool ok =
            loopback || str_eq_fold(name, "all") ? add_interfaces(o, loopback, err) : add_name(o, name, parameter, err);
        if (!ok)
            return false;
    }
    return true;
}

struct own_addr *own_addr_new(const char *inet_interfaces, const char *proxy_interfaces, struct buf *err)
{
    struct own_addr *o = MEM_NEW(struct own_addr);
    bool ok = add_list(o, inet_interfaces, "inet_interfaces", err);
    o->n_inet = o->addrs.n;
    if (!ok || !add_list(o, proxy_interfaces, "proxy_interfaces", err))
        own_addr_free(&o);
    return o;
}

void own_addr_free(struct own_addr **o)
{
    if (*o)
        VEC_FREE(&(*o)->addrs);
    free(*o);
    *o = NULL;
}

static bool find(const struct own_addr *o, size_t from, const struct sockaddr *sa)
{
    for (size_t i = from; i < o->addrs.n; i++) {
        if (addr_equal((const struct sockaddr *)&o->addrs.items[i], sa))
            return true;
    }
    return false;
}

bool own_addr_has(const struct own_addr *o, const struct sockaddr *sa)
{
    return find(o, 0, sa);
}

bool own_addr_is_proxy(const struct own_addr *o, const struct sockaddr *sa)
{
    return find(o, o->n_inet, sa);
}
