/* dns.c - see dns.h. c-ares does the network; the queries are sent raw, so that the AD bit and the real response codes
 * are seen (a SERVFAIL must not look like a dead server), and the answers are read here. */
#include "lib/rt/dns.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/rt/addr.h"
#include "lib/rt/dns_reply.h"
#include "lib/rt/loop_internal.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>

enum { CLASS_IN = 1, EDNS_SIZE = 1232, SOCKETS_MOST = 64 };

static struct {
    ares_channel channel;
    bool ready;
    struct timer timer;
    struct watch sockets[SOCKETS_MOST];
    bool used[SOCKETS_MOST];
    char *servers;
} resolver;

bool dns_set_servers(const char *csv)
{
    ares_channel probe;
    if (ares_init(&probe) != ARES_SUCCESS)
        return false;
    bool ok = ares_set_servers_ports_csv(probe, csv) == ARES_SUCCESS;
    ares_destroy(probe);
    if (!ok)
        return false;
    free(resolver.servers);
    resolver.servers = mem_strdup(csv);
    if (resolver.ready)
        ares_set_servers_ports_csv(resolver.channel, csv);
    return true;
}

/* ---- c-ares on the loop ---- */

static void arm_timer(void)
{
    struct timeval tv, *next = ares_timeout(resolver.channel, NULL, &tv);
    if (next)
        timer_set(&resolver.timer, clock_mono() + next->tv_sec * NSEC_PER_SEC + next->tv_usec * 1000);
    else
        timer_clear(&resolver.timer);
}

static void on_timer(void *arg)
{
    ares_process_fd(resolver.channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm_timer();
}

static void on_socket(void *self, uint32_t events)
{
    struct watch *w = self;
    bool in = events & (EPOLLIN | EPOLLERR | EPOLLHUP), out = events & (EPOLLOUT | EPOLLERR | EPOLLHUP);
    ares_process_fd(resolver.channel, in ? w->fd : ARES_SOCKET_BAD, out ? w->fd : ARES_SOCKET_BAD);
    arm_timer();
}

static struct watch *socket_watch(int fd)
{
    int unused = -1;
    for (int i = 0; i < SOCKETS_MOST; i++) {
        if (resolver.used[i] && resolver.sockets[i].fd == fd)
            return &resolver.sockets[i];
        if (!resolver.used[i] && unused < 0)
            unused = i;
    }
    if (unused < 0)
        return NULL;
    resolver.used[unused] = true;
    resolver.sockets[unused] = (struct watch){.on_event = on_socket, .fd = fd};
    return &resolver.sockets[unused];
}

static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
    struct watch *w = socket_watch(fd);
    if (!w)
        return; /* its queries time out */
    if (readable || writable) {
        loop_watch(w, (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u));
    } else {
        loop_unwatch(w);
        resolver.used[w - resolver.sockets] = false;
    }
}

bool dns_init(struct buf *err)
{
    if (resolver.ready)
        return true;
    struct ares_options o = {
        .flags = ARES_FLAG_NOCHECKRESP | ARES_FLAG_EDNS,
        .timeout = 3000,
        .tries = 3,
        .sock_state_cb = on_socket_state,
        .lookups = (char *)(uintptr_t) "b",
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS;
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status == ARES_SUCCESS)
        status = ares_init_options(&resolver.channel, &o, mask);
    if (status != ARES_SUCCESS) {
        buf_printf(err, "cannot start the DNS resolver: %s", ares_strerror(status));
        return false;
    }
    if (resolver.servers)
        ares_set_servers_ports_csv(resolver.channel, resolver.servers);
    resolver.timer.fn = on_timer;
    resolver.ready = true;
    return true;
}

void dns_after_fork(void)
{
    /* The parent's channel and its sockets are the parent's: a new one is made when it is needed. */
    resolver.ready = false;
    memset(resolver.used, 0, sizeof resolver.used);
    resolver.timer.place = 0;
}

/* ---- a query ---- */

struct query {
    bool done, abandoned;
    int status;
    unsigned char *reply;
    size_t reply_len;
    struct fiber *fiber;
};

static void query_free(struct query *q)
{
    free(q->reply);
    free(q);
}

static void on_reply(void *arg, int status, int timeouts, unsigned char *reply, int len)
{
    struct query *q = arg;
    if (q->abandoned) {
        query_free(q);
        return;
    }
    q->status = status;
    q->done = true;
    if (reply && len > 0) {
        q->reply = mem_alloc((size_t)len);
        memcpy(q->reply, reply, (size_t)len);
        q->reply_len = (size_t)len;
    }
    fiber_wake(q->fiber, WAIT_OK);
}

/* Asks for the AD bit without DNSSEC records. NULL with *st when nothing could be asked, or in time. */
static struct query *ask(const char *name, enum dns_type type, int64_t deadline, enum dns_status *st)
{
    unsigned char *packet;
    int len;
    uint16_t id;
    if (getrandom(&id, sizeof id, GRND_NONBLOCK) != (ssize_t)sizeof id)
        id = (uint16_t)random();
    int status = ares_create_query(name, CLASS_IN, type, id, 1, &packet, &len, EDNS_SIZE);
    if (status != ARES_SUCCESS) {
        *st = status == ARES_EBADNAME ? DNS_INVALID : DNS_TRY_AGAIN;
        return NULL;
    }
    packet[3] |= 0x20;
    struct query *q = MEM_NEW(struct query);
    q->fiber = fiber_self();
    ares_send(resolver.channel, packet, len, on_reply, q);
    ares_free_string(packet);
    arm_timer();
    while (!q->done) {
        if (fiber_park(deadline) != WAIT_OK) {
            if (q->done)
                break;
            q->abandoned = true;
            *st = DNS_TRY_AGAIN;
            return NULL;
        }
    }
    return q;
}

static struct dns_answer read_reply(struct arena *a, struct query *q, enum dns_type type)
{
    if (q->status != ARES_SUCCESS)
        return (struct dns_answer){.status = DNS_TRY_AGAIN};
    return dns_reply_parse(a, slice_make((const char *)q->reply, q->reply_len), type);
}

struct dns_answer dns_lookup(struct arena *a, const char *name, enum dns_type type, int64_t deadline)
{
    struct dns_answer answer = {.status = DNS_TRY_AGAIN};
    BUF_AUTO err = BUF(300);
    if (!dns_init(&err)) {
        log_warn("%s", buf_cstr(&err));
        return answer;
    }
    if (!*name || strlen(name) > 255) {
        answer.status = DNS_INVALID;
        return answer;
    }
    struct query *q = ask(name, type, deadline, &answer.status);
    if (q) {
        answer = read_reply(a, q, type);
        query_free(q);
    }
    return answer;
}

struct dns_answer dns_lookup_ptr(struct arena *a, const struct sockaddr *addr, int64_t deadline)
{
    char name[128] = "", plain[ADDR_TEXT_MAX];
    struct in_addr in4;
    if (inet_pton(AF_INET, addr_text(addr, plain), &in4) == 1) {
        const unsigned char *b = (const unsigned char *)&in4;
        snprintf(name, sizeof name, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2], b[1], b[0]);
    } else if (addr->sa_family == AF_INET6) {
        const unsigned char *b = ((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr.s6_addr;
        size_t n = 0;
        for (int i = 15; i >= 0; i--)
            n += (size_t)snprintf(name + n, sizeof name - n, "%x.%x.", b[i] & 15, b[i] >> 4);
        snprintf(name + n, sizeof name - n, "ip6.arpa");
    } else {
        return (struct dns_answer){.status = DNS_INVALID};
    }
    return dns_lookup(a, name, DNS_PTR, deadline);
}

const char *dns_strerror(enum dns_status s)
{
    switch (s) {
    case DNS_OK:
        return "Success";
    case DNS_NO_DATA:
        return "Host found but no data record of requested type";
    case DNS_NO_NAME:
        return "Host not found";
    case DNS_TRY_AGAIN:
        return "Host not found, try again";
    case DNS_INVALID:
        return "Name is not valid";
    }
    return "Unknown";
}
