/* smtp_addr.c - from a destination to addresses: MX hosts by preference, then their addresses; or one host's addresses;
 * by DNS, by the system's own way (/etc/hosts), or both. Mail that would come back to this host is noticed here. */
#include "lib/base/mem.h"
#include "lib/base/vec.h"
#include "lib/rt/addr.h"
#include "lib/rt/dns.h"
#include "smtp/smtp.h"

#include <netinet/in.h>
#include <stdlib.h>

enum { MOST_HOSTS = 200, DNS_SECONDS = 60 };

struct finder {
    struct smtp_delivery *s;
    const struct smtp_dest *dest;
    VEC(struct smtp_host) hosts;
    struct result why; /* of the last name that was not found */
    bool try_again;    /* one of them may be found later */
};

static void finder_fail(struct finder *f, struct result r)
{
    f->why = r;
    f->try_again = f->try_again || r.outcome == OUTCOME_TRY_AGAIN;
}

static void add_host(struct finder *f, const char *name, const struct sockaddr *sa, unsigned preference)
{
    bool wanted = sa->sa_family == AF_INET ? smtp_program.ipv4 : sa->sa_family == AF_INET6 && smtp_program.ipv6;
    if (!wanted || f->hosts.n >= MOST_HOSTS)
        return;
    struct smtp_host h = {.name = arena_strdup(f->s->arena, name), .preference = preference};
    h.len = sa->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    memcpy(&h.addr, sa, h.len);
    addr_set_port((struct sockaddr *)&h.addr, f->dest->port);
    VEC_PUSH(&f->hosts, h);
}

/* ---- DNS ---- */

static const char not_found[] = "Host or domain name not found. Name service error for name=%s type=%s: %s";

static void dns_fail(struct finder *f, const char *name, const char *type, enum dns_status st)
{
    const char *text = st == DNS_INVALID ? "Malformed or unexpected name server reply" : dns_strerror(st);
    finder_fail(f, st == DNS_TRY_AGAIN ? result_try_again("4.4.3", not_found, name, type, text)
                                       : result_never("5.4.4", not_found, name, type, text));
}

static bool find_dns_type(struct finder *f, const char *name, unsigned preference, enum dns_type type)
{
    struct dns_answer r = dns_lookup(f->s->arena, name, type, deadline_in(DNS_SECONDS));
    if (r.status != DNS_OK) {
        dns_fail(f, name, type == DNS_A ? "A" : "AAAA", r.status);
        return false;
    }
    for (struct dns_record *d = r.records; d; d = d->next)
        add_host(f, name, (struct sockaddr *)&d->addr, preference);
    return true;
}

static bool find_dns(struct finder *f, const char *name, unsigned preference)
{
    bool found4 = smtp_program.ipv4 && find_dns_type(f, name, preference, DNS_A);
    bool found6 = smtp_program.ipv6 && find_dns_type(f, name, preference, DNS_AAAA);
    return found4 || found6;
}

/* ---- the system's own way: /etc/hosts, then the DNS ---- */

struct native_find {
    struct finder *f;
    const char *name;
    unsigned preference;
};

static void take_native(void *ctx, const struct sockaddr *sa)
{
    const struct native_find *n = ctx;
    add_host(n->f, n->name, sa, n->preference);
}

static bool find_in_hosts(struct finder *f, const char *name, unsigned preference)
{
    size_t before = f->hosts.n;
    struct native_find n = {f, name, preference};
    hosts_find(name, take_native, &n);
    return f->hosts.n > before;
}

/* As the C library words it. */
static const char *native_strerror(const struct result *r)
{
    if (r->outcome == OUTCOME_TRY_AGAIN)
        return "Temporary failure in name resolution";
    return strstr(r->text, "no data record") ? "No address associated with hostname" : "Name or service not known";
}

static bool find_native(struct finder *f, const char *name, unsigned preference)
{
    if (find_in_hosts(f, name, preference) || find_dns(f, name, preference))
        return true;
    struct result r = f->why;
    const char *fmt = "unable to look up host %s: %s";
    finder_fail(f, r.outcome == OUTCOME_TRY_AGAIN ? result_try_again("4.4.3", fmt, name, native_strerror(&r))
                                                  : result_never("5.4.4", fmt, name, native_strerror(&r)));
    return false;
}

static void find_host(struct finder *f, const char *name, unsigned preference)
{
    struct sockaddr_storage ss;
    socklen_t len;
    if (addr_parse(name, 0, &ss, &len)) {
        add_host(f, name, (struct sockaddr *)&ss, preference);
        if (f->hosts.n == 0)
            finder_fail(f, result_never("5.4.4", "address family of %s is not enabled (inet_protocols)", name));
        return;
    }
    if (smtp_program.native_first || !smtp_program.dns) {
        if (find_native(f, name, preference) || !smtp_program.dns)
            return;
    }
    if (!find_dns(f, name, preference) && smtp_program.native && !smtp_program.native_first)
        find_in_hosts(f, name, preference);
}

static bool is_null_mx(const struct dns_record *d)
{
    return d && !d->next && d->target[0] == '\0';
}

static void find_mx(struct finder *f)
{
    const char *domain = f->dest->host;
    struct dns_answer r = dns_lookup(f->s->arena, domain, DNS_MX, deadline_in(DNS_SECONDS));
    switch (r.status) {
    case DNS_OK:
        if (is_null_mx(r.records)) {
            finder_fail(f, result_never("5.1.10", "Domain %s does not accept mail (nullMX)", domain));
            return;
        }
        for (struct dns_record *d = r.records; d; d = d->next)
            find_host(f, d->target, d->preference);
        if (f->hosts.n == 0 && f->why.outcome == OUTCOME_NEVER && smtp_params.smtp_defer_if_no_mx_address_found)
            f->why = result_try_again("4.4.4", "%s", f->why.text);
        return;
    case DNS_NO_DATA:
        find_host(f, domain, 0);
        return;
    case DNS_NO_NAME:
    case DNS_TRY_AGAIN:
    case DNS_INVALID:
        dns_fail(f, domain, "MX", r.status);
        /* The system's own table may know a name that the DNS does not. */
        if (smtp_program.native)
            find_in_hosts(f, domain, 0);
        return;
    }
}

/* ---- order ---- */

static unsigned family_rank(const struct smtp_host *h)
{
    const char *first = smtp_params.smtp_address_preference;
    int family = h->addr.ss_family;
    return (strcmp(first, "ipv4") == 0 && family != AF_INET) || (strcmp(first, "ipv6") == 0 && family != AF_INET6);
}

static int compare_hosts(const void *a, const void *b)
{
    const struct smtp_host *x = a, *y = b;
    if (x->preference != y->preference)
        return x->preference < y->preference ? -1 : 1;
    return (int)family_rank(x) - (int)family_rank(y);
}

static void shuffle(struct smtp_host *items, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)random() % i;
        struct smtp_host t = items[i - 1];
        items[i - 1] = items[j];
        items[j] = t;
    }
}

/* Hosts as good as this one or worse than this one are no way forward: mail only moves to better MX hosts. */
static void drop_own(struct finder *f)
{
    for (size_t i = 0; i < f->hosts.n; i++) {
        if (!own_addr_has(smtp_program.own, (struct sockaddr *)&f->hosts.items[i].addr))
            continue;
        unsigned own = f->hosts.items[i].preference;
        size_t keep = 0;
        while (keep < f->hosts.n && f->hosts.items[keep].preference < own)
            keep++;
        f->hosts.n = keep;
        if (keep == 0)
            finder_fail(f, result_never("5.4.6", "mail for %s loops back to myself", f->dest->domain));
        return;
    }
}

struct smtp_hosts smtp_addr_find(struct smtp_delivery *s, const struct smtp_dest *dest)
{
    struct finder f = {.s = s, .dest = dest};
    if (dest->no_mx || !smtp_program.dns)
        find_host(&f, dest->host, 0);
    else
        find_mx(&f);
    if (smtp_params.smtp_randomize_addresses)
        shuffle(f.hosts.items, f.hosts.n);
    if (f.hosts.n > 1)
        qsort(f.hosts.items, f.hosts.n, sizeof *f.hosts.items, compare_hosts);
    if (!smtp_program.lmtp && dest->port == 25)
        drop_own(&f);
    struct smtp_hosts found = {.n = f.hosts.n};
    if (found.n)
        found.items = arena_memdup(s->arena, f.hosts.items, found.n * sizeof *found.items);
    VEC_FREE(&f.hosts);
    if (found.n == 0) {
        struct result r = f.why;
        if (r.text[0] == '\0')
            r = result_try_again("4.4.4", "no address for %s", dest->host);
        if (f.try_again && r.outcome == OUTCOME_NEVER && strncmp(r.dsn, "5.4.6", 5) != 0)
            r = result_try_again("4.4.3", "%s", r.text);
        /* Kept, not reported: a fallback host may know better. */
        s->why = (struct smtp_why){.result = r, .site = r.outcome == OUTCOME_TRY_AGAIN};
    }
    return found;
}
