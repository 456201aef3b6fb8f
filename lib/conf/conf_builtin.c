/* conf_builtin.c - defaults that the system gives: its name, its networks, and where the programs lie. The programs can
 * be moved as a whole: daemons are in DIR/libexec/merpati and commands in DIR/sbin, seen from any of them. */
#include "lib/conf/conf.h"
#include "lib/conf/conf_private.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

static const char *hostname(struct conf *c)
{
    char name[256] = "localhost";
    if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0' || name[0] == '.')
        strncpy(name, "localhost", sizeof name - 1);
    name[sizeof name - 1] = '\0';
    if (strchr(name, '.'))
        return arena_strdup(c->arena, name);
    /* $mydomain as set, not its default: that one is made of this name. */
    const char *domain = conf_raw(c, "mydomain") ? conf_value(c, "mydomain", NULL) : NULL;
    return arena_printf(c->arena, "%s.%s", name, domain && *domain ? domain : "localdomain");
}

static const char *domain(struct conf *c)
{
    const char *host = conf_value(c, "myhostname", NULL);
    const char *dot = host ? strchr(host, '.') : NULL;
    return dot && dot[1] ? arena_strdup(c->arena, dot + 1) : "localdomain";
}

/* The folder that holds libexec/merpati and sbin. */
static const char *prefix(struct conf *c)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return "/usr";
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    *slash = '\0'; /* the program's folder */
    static const char *const endings[] = {"/libexec/merpati", "/sbin", "/bin", "/tests"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t have = strlen(path), want = strlen(endings[i]);
        if (have >= want && strcmp(path + have - want, endings[i]) == 0) {
            path[have - want] = '\0';
            break;
        }
    }
    return arena_strdup(c->arena, path);
}

struct nets {
    struct conf *conf;
    const char *style;
    struct buf out;
};

static unsigned mask_bits(const unsigned char *mask, size_t bytes)
{
    unsigned bits = 0;
    for (size_t i = 0; i < bytes * 8 && (mask[i / 8] & (0x80 >> (i % 8))); i++)
        bits++;
    return bits;
}

static unsigned class_bits(const unsigned char *a)
{
    return a[0] < 128 ? 8 : a[0] < 192 ? 16 : a[0] < 224 ? 24 : 32;
}

static void add_net(struct nets *n, int family, const void *addr, unsigned bits)
{
    unsigned char net[16];
    char text[INET6_ADDRSTRLEN], item[INET6_ADDRSTRLEN + 8];
    size_t bytes = family == AF_INET ? 4 : 16;
    memcpy(net, addr, bytes);
    if (family == AF_INET && strcmp(n->style, "class") == 0)
        bits = class_bits(net);
    if (strcmp(n->style, "host") == 0)
        bits = (unsigned)bytes * 8;
    for (size_t i = bits; i < bytes * 8; i++)
        net[i / 8] &= (unsigned char)~(0x80 >> (i % 8));
    if (!inet_ntop(family, net, text, sizeof text))
        return;
    snprintf(item, sizeof item, family == AF_INET ? "%s/%u" : "[%s]/%u", text, bits);
    size_t len = strlen(item);
    for (const char *at = buf_cstr(&n->out); (at = strstr(at, item)); at += len)
        if ((at == n->out.data || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
            return;
    buf_printf(&n->out, "%s%s", n->out.len ? " " : "", item);
}

static const void *address_of(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return &((const struct sockaddr_in *)sa)->sin_addr;
    return &((const struct sockaddr_in6 *)sa)->sin6_addr;
}

static bool wants_family(struct conf *c, int family)
{
    const char *list = conf_value(c, "inet_protocols", NULL);
    if (!list || strstr(list, "all"))
        return true;
    return strstr(list, family == AF_INET ? "ipv4" : "ipv6") != NULL;
}

static bool same_address(const struct sockaddr *a, const struct sockaddr *b)
{
    return a->sa_family == b->sa_family && memcmp(address_of(a), address_of(b), a->sa_family == AF_INET ? 4 : 16) == 0;
}

/* Whether one of $inet_interfaces means this interface. */
static bool is_wanted(struct conf *c, const struct ifaddrs *i)
{
    const char *list = conf_value(c, "inet_interfaces", NULL);
    struct slice rest = slice_of(list ? list : "all"), token;
    while (slice_token(&rest, " \t\r\n,", &token)) {
        if (slice_eq_fold(token, SLICE("all")))
            return true;
        if (slice_eq_fold(token, SLICE("loopback-only"))) {
            if (i->ifa_flags & IFF_LOOPBACK)
                return true;
            continue;
        }
        if (token.n > 2 && token.p[0] == '[' && token.p[token.n - 1] == ']')
            token = slice_make(token.p + 1, token.n - 2);
        MEM_AUTO char *name = mem_strndup(token.p, token.n);
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
        if (getaddrinfo(name, NULL, &hints, &found) != 0)
            continue;
        bool hit = false;
        for (struct addrinfo *a = found; a && !hit; a = a->ai_next)
            hit = same_address(a->ai_addr, i->ifa_addr);
        freeaddrinfo(found);
        if (hit)
            return true;
    }
    return false;
}

static void add_family(struct nets *n, const struct ifaddrs *list, int family)
{
    for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
        if (!i->ifa_addr || !i->ifa_netmask || i->ifa_addr->sa_family != family || !(i->ifa_flags & IFF_UP))
            continue;
        if (is_wanted(n->conf, i))
            add_net(n, family, address_of(i->ifa_addr),
                    mask_bits(address_of(i->ifa_netmask), family == AF_INET ? 4 : 16));
    }
}

static const char *mynetworks(struct conf *c)
{
    struct nets n = {.conf = c, .style = conf_value(c, "mynetworks_style", NULL), .out = BUF(65536)};
    struct ifaddrs *list = NULL;
    if (!n.style || (strcmp(n.style, "subnet") != 0 && strcmp(n.style, "class") != 0))
        n.style = "host";
    if (getifaddrs(&list) == 0) {
        if (wants_family(c, AF_INET))
            add_family(&n, list, AF_INET);
        if (wants_family(c, AF_INET6))
            add_family(&n, list, AF_INET6);
        freeifaddrs(list);
    }
    const char *text = arena_strdup(c->arena, buf_cstr(&n.out));
    buf_fini(&n.out);
    return text;
}

static const char *daemon_directory(struct conf *c)
{
    return arena_printf(c->arena, "%s/libexec/merpati", prefix(c));
}

static const char *command_directory(struct conf *c)
{
    return arena_printf(c->arena, "%s/sbin", prefix(c));
}

static const char *config_directory(struct conf *c)
{
    return c->dir;
}

static const char *version(struct conf *c)
{
    return MERPATI_VERSION;
}

static const struct {
    const char *name;
    const char *(*compute)(struct conf *c);
} builtins[] = {
    {"merpati_hostname", hostname},
    {"merpati_domain", domain},
    {"merpati_mynetworks", mynetworks},
    {"merpati_daemon_directory", daemon_directory},
    {"merpati_command_directory", command_directory},
    {"merpati_config_directory", config_directory},
    {"merpati_version", version},
};

const char *conf_builtin(struct conf *c, const char *name)
{
    if (strncmp(name, "merpati_", 8) != 0)
        return NULL;
    const char *value = hash_get(c->computed, name);
    for (size_t i = 0; !value && i < sizeof builtins / sizeof *builtins; i++) {
        if (strcmp(builtins[i].name, name) != 0)
            continue;
        value = builtins[i].compute(c);
        hash_put(c->computed, name, (void *)value);
    }
    return value;
}

static bool holds_our_daemons(const char *dir)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/.merpati", dir);
    return access(path, F_OK) == 0;
}

const char *conf_daemon_directory(struct conf *c, struct buf *warning)
{
    const char *built_in = conf_builtin(c, "merpati_daemon_directory");
    const char *set = conf_value(c, "daemon_directory", warning);
    if (!set || strcmp(set, built_in) == 0 || holds_our_daemons(set))
        return set ? set : built_in;
    const char *origin = conf_origin(c, "daemon_directory");
    buf_printf(warning, "%s: daemon_directory = %s: Merpati's daemons are not there; using %s",
               origin ? origin : "default", set, built_in);
    return built_in;
}
