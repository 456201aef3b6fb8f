/* sasl_client.c - the connection to auth: one for a service object, kept open, with a reader fiber that hands each
 * answer to the exchange that waits for it. When the connection ends, everything that waits on it is told to try again,
 * and the next request makes a new one. */
#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/vec.h"
#include "lib/rt/addr.h"
#include "lib/rt/fiber.h"
#include "lib/rt/stream.h"
#include "lib/sasl/auth_line.h"
#include "lib/sasl/sasl_private.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Connecting and the server's greeting. */
#define HANDSHAKE_SECONDS 30

struct mechanism {
    char *name;
    bool plaintext, anonymous, active, dictionary, forward_secrecy, mutual, is_private;
};

struct connection {
    struct stream *stream; /* NULL until connected */
    unsigned refs;
    bool greeted, dead;
    bool writing;
    struct waitq changed; /* greeted, dead, or no longer writing */
    struct sasl_service *service;
    struct hash *waiting; /* id text to struct sasl_exchange */
    char cookie[65];
    VEC(struct mechanism) mechanisms;
};

struct sasl_service {
    char *path;
    struct connection *connection;
    pid_t pid; /* a child after fork must not use its parent's connection */
    uint64_t next_id;
};

static void unref(struct connection *c)
{
    if (--c->refs > 0)
        return;
    stream_free(&c->stream);
    hash_free(&c->waiting, NULL);
    for (size_t i = 0; i < c->mechanisms.n; i++)
        free(c->mechanisms.items[i].name);
    VEC_FREE(&c->mechanisms);
    free(c);
}

struct sasl_service *sasl_service_new(const char *path)
{
    struct sasl_service *s = MEM_NEW(struct sasl_service);
    if (path == NULL || *path == '\0' || strcmp(path, "smtpd") == 0)
        path = "private/auth";
    s->path = mem_strdup(strncmp(path, "unix:", 5) == 0 ? path + 5 : path);
    return s;
}

struct host_query {
    const char *host, *port;
    struct sockaddr_storage sa;
    socklen_t len;
};

static void resolve_host(void *arg)
{
    struct host_query *q = arg;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(q->host, q->port, &hints, &found) == 0 && found != NULL) {
        memcpy(&q->sa, found->ai_addr, found->ai_addrlen);
        q->len = found->ai_addrlen;
    }
    if (found != NULL)
        freeaddrinfo(found);
}

/* "inet:host:port" or "inet:port"; a UNIX path otherwise. */
static bool service_address(const char *path, struct sockaddr_storage *sa, socklen_t *len)
{
    if (strncmp(path, "inet:", 5) != 0)
        return addr_unix(path, sa, len);
    MEM_AUTO char *host = mem_strdup(path + 5);
    char *colon = strrchr(host, ':');
    struct host_query q = {.host = colon ? host : "127.0.0.1", .port = colon ? colon + 1 : host};
    if (colon != NULL)
        *colon = '\0';
    unsigned long long port;
    if (slice_to_u64(slice_of(q.port), 65535, &port) && addr_parse(q.host, (uint16_t)port, sa, len))
        return true;
    thread_run(resolve_host, &q);
    *sa = q.sa;
    *len = q.len;
    return q.len > 0;
}

static void add_mechanism(struct connection *c, const struct auth_line *l)
{
    if (l->n < 2 || c->mechanisms.n >= 100)
        return;
    struct mechanism m = {.name = mem_strdup(l->field[1])};
    m.plaintext = auth_line_get(l, 2, "plaintext") != NULL;
    m.anonymous = auth_line_get(l, 2, "anonymous") != NULL;
    m.active = auth_line_get(l, 2, "active") != NULL;
    m.dictionary = auth_line_get(l, 2, "dictionary") != NULL;
    m.forward_secrecy = auth_line_get(l, 2, "forward-secrecy") != NULL;
    m.mutual = auth_line_get(l, 2, "mutual-auth") != NULL;
    m.is_private = auth_line_get(l, 2, "private") != NULL;
    VEC_PUSH(&c->mechanisms, m);
}

static void answer(struct connection *c, const struct auth_line *l)
{
    struct sasl_exchange *x = l->n > 1 ? hash_remove(c->waiting, l->field[1]) : NULL;
    if (x == NULL) /* it timed out meanwhile */
        return;
    arena_reset(x->arena);
    x->line.n = l->n;
    for (size_t i = 0; i < l->n; i++)
        x->line.field[i] = arena_strdup(x->arena, l->field[i]);
    x->answered = true;
    waitq_wake_all(&x->wake);
}

/* False when the line breaks the protocol. */
static bool take_line(struct connection *c, const struct auth_line *l)
{
    const char *verb = l->field[0];
    if (strcmp(verb, "VERSION") == 0)
        return l->n >= 3 && strcmp(l->field[1], "1") == 0;
    if (strcmp(verb, "MECH") == 0)
        add_mechanism(c, l);
    else if (strcmp(verb, "COOKIE") == 0 && l->n >= 2)
        snprintf(c->cookie, sizeof c->cookie, "%s", l->field[1]);
    else if (strcmp(verb, "DONE") == 0) {
        c->greeted = true;
        waitq_wake_all(&c->changed);
    } else if (strcmp(verb, "OK") == 0 || strcmp(verb, "CONT") == 0 || strcmp(verb, "FAIL") == 0 ||
               strcmp(verb, "USER") == 0 || strcmp(verb, "NOTFOUND") == 0)
        answer(c, l);
    return true; /* SPID, CUID and what later versions add say nothing to us */
}

static void read_answers(struct connection *c, int64_t greeting_deadline)
{
    struct arena *a = arena_new();
    struct slice text;
    enum stream_status st;
    while ((st = stream_read_line(c->stream, AUTH_LINE_MAX, &text, c->greeted ? DEADLINE_NEVER : greeting_deadline)) ==
           STREAM_OK) {
        struct auth_line l;
        if (!auth_line_parse(a, text, &l) || !take_line(c, &l)) {
            log_warn("SASL: authentication server %s: unexpected answer", c->service->path);
            break;
        }
        arena_reset(a);
    }
    arena_free(&a);
}

static bool greet(struct connection *c, int64_t deadline)
{
    struct sockaddr_storage sa;
    socklen_t len;
    if (!service_address(c->service->path, &sa, &len)) {
        errno = EADDRNOTAVAIL;
        return false;
    }
    c->stream = stream_connect((struct sockaddr *)&sa, len, NULL, 0, deadline);
    return c->stream != NULL &&
           stream_printf(c->stream, deadline, "VERSION\t1\t1\nCPID\t%d\n", (int)getpid()) == STREAM_OK &&
           stream_flush(c->stream, deadline) == STREAM_OK;
}

static void run_connection(void *arg)
{
    struct connection *c = arg;
    int64_t deadline = deadline_in(HANDSHAKE_SECONDS);
    if (greet(c, deadline))
        read_answers(c, deadline);
    else
        log_warn("SASL: connect to %s failed: %s", c->service->path, strerror(errno));
    c->dead = true;
    if (c->service->connection == c)
        c->service->connection = NULL;
    size_t it = 0;
    const char *key;
    void *x;
    while (hash_next(c->waiting, &it, &key, &x))
        waitq_wake_all(&((struct sasl_exchange *)x)->wake);
    waitq_wake_all(&c->changed);
    unref(c);
}

/* A greeted connection with one more reference; NULL when there is none by the deadline. */
static struct connection *take_connection(struct sasl_service *s, int64_t deadline)
{
    if (s->pid != getpid()) {
        s->connection = NULL; /* the parent's, if any: its memory stays with it */
        s->pid = getpid();
    }
    if (s->connection == NULL) {
        struct connection *fresh = MEM_NEW(struct connection);
        fresh->refs = 1;
        fresh->service = s;
        fresh->waiting = hash_new();
        waitq_init(&fresh->changed);
        s->connection = fresh;
        fiber_start("auth-client", run_connection, fresh);
    }
    struct connection *c = s->connection;
    c->refs++;
    enum wait w = WAIT_OK;
    while (!c->greeted && !c->dead && w == WAIT_OK)
        w = waitq_wait(&c->changed, deadline);
    if (c->greeted && !c->dead)
        return c;
    unref(c);
    return NULL;
}

static bool is_allowed(const struct mechanism *m, const char *options)
{
    struct slice rest = slice_of(options ? options : ""), o;
    if (m->is_private)
        return false;
    while (slice_token(&rest, ", \t\r\n", &o))
        if ((m->plaintext && slice_eq_fold(o, SLICE("noplaintext"))) ||
            (m->anonymous && slice_eq_fold(o, SLICE("noanonymous"))) ||
            (m->active && slice_eq_fold(o, SLICE("noactive"))) ||
            (m->dictionary && slice_eq_fold(o, SLICE("nodictionary"))) ||
            (!m->forward_secrecy && slice_eq_fold(o, SLICE("forward_secrecy"))) ||
            (!m->mutual && slice_eq_fold(o, SLICE("mutual_auth"))))
            return false;
    return true;
}

const char *sasl_mechanisms(struct sasl_service *s, struct arena *a, const char *security_options, bool tls,
                            int64_t deadline)
{
    struct connection *c = take_connection(s, deadline);
    if (c == NULL)
        return NULL;
    BUF_AUTO b = BUF(4096);
    for (size_t i = 0; i < c->mechanisms.n; i++)
        if (is_allowed(&c->mechanisms.items[i], security_options)) {
            if (b.len > 0)
                buf_putc(&b, ' ');
            buf_puts(&b, c->mechanisms.items[i].name);
        }
    unref(c);
    return arena_strdup(a, buf_cstr(&b));
}

/* One writer at a time, because only one fiber may wait for a descriptor's direction. */
static bool write_line(struct connection *c, const struct buf *line, int64_t deadline)
{
    while (c->writing && !c->dead)
        if (waitq_wait(&c->changed, deadline) != WAIT_OK)
            return false;
    if (c->dead)
        return false;
    c->writing = true;
    bool ok = stream_write(c->stream, line->data, line->len, deadline) == STREAM_OK &&
              stream_flush(c->stream, deadline) == STREAM_OK;
    c->writing = false;
    if (!ok) /* perhaps a part went out: the reader ends the connection */
        shutdown(stream_fd(c->stream), SHUT_RDWR);
    waitq_wake_all(&c->changed);
    return ok;
}

struct sasl_exchange *sasl_exchange_open(struct sasl_service *s, int64_t deadline)
{
    struct connection *c = take_connection(s, deadline);
    if (c == NULL)
        return NULL;
    struct sasl_exchange *x = MEM_NEW(struct sasl_exchange);
    x->connection = c;
    x->arena = arena_new();
    x->id = ++s->next_id & 0x7fffffff;
    snprintf(x->id_text, sizeof x->id_text, "%llu", (unsigned long long)x->id);
    snprintf(x->cookie, sizeof x->cookie, "%s", c->cookie);
    waitq_init(&x->wake);
    return x;
}

bool sasl_exchange_offers(const struct sasl_exchange *x, const char *mechanism)
{
    const struct connection *c = x->connection;
    for (size_t i = 0; i < c->mechanisms.n; i++)
        if (str_eq_fold(c->mechanisms.items[i].name, mechanism))
            return true;
    return false;
}

bool sasl_exchange_ask(struct sasl_exchange *x, const struct buf *line, int64_t deadline)
{
    struct connection *c = x->connection;
    x->answered = false;
    if (line->overflow || c->dead)
        return false;
    hash_put(c->waiting, x->id_text, x);
    enum wait w = WAIT_OK;
    if (write_line(c, line, deadline))
        while (!x->answered && !c->dead && w == WAIT_OK)
            w = waitq_wait(&x->wake, deadline);
    if (!x->answered)
        hash_remove(c->waiting, x->id_text);
    return x->answered;
}

void sasl_free(struct sasl_exchange **x)
{
    if (*x == NULL)
        return;
    hash_remove((*x)->connection->waiting, (*x)->id_text);
    if (!(*x)->finished && !(*x)->connection->dead && (*x)->started) {
        BUF_AUTO b = BUF(100);
        buf_printf(&b, "CANCEL\t%s\n", (*x)->id_text);
        write_line((*x)->connection, &b, deadline_in(1));
    }
    unref((*x)->connection);
    free((*x)->user);
    arena_free(&(*x)->arena);
    free(*x);
    *x = NULL;
}
