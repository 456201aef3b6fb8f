/* session.c - a connection of the Dovecot authentication protocol, version 1.2: mechanisms are offered in the greeting;
 * any number of logins (AUTH, CONT, CANCEL) run beside each other, each check in a fiber of its own. Peers that are
 * root or the mail system's owner may also look users up (USER) and claim logins (REQUEST). */
#include "auth/auth.h"
#include "lib/base/hash.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/rt/fiber.h"
#include "lib/sasl/auth_line.h"
#include "lib/sasl/mechanism.h"
#include "lib/sasl/password.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Longest wait for a peer that does not read its answers. */
#define WRITE_SECONDS 60

struct client {
    struct list all;
    struct stream *stream;
    unsigned refs;
    bool privileged, dead, writing;
    unsigned pid; /* as it says: claims name it */
    char cookie[33];
    struct waitq changed;
    struct hash *logins; /* id to struct login * */
    unsigned checking;   /* logins whose password is being checked, or waits for it */
};
struct login {
    struct client *client;
    char id[24];
    char *remote;
    bool nologin, checking, cancelled;
    const struct mechanism_kind *mechanism;
    struct mechanism_state state;
};

static struct list clients = {&clients, &clients};
static uid_t owner_uid = (uid_t)-1;
static unsigned connections;

void session_start(uid_t owner)
{
    owner_uid = owner;
}

static void unref(struct client *c)
{
    if (--c->refs > 0)
        return;
    stream_free(&c->stream);
    hash_free(&c->logins, NULL);
    free(c);
}

static void send_line(struct client *c, const struct buf *line)
{
    int64_t deadline = deadline_in(WRITE_SECONDS);
    while (c->writing && !c->dead)
        if (waitq_wait(&c->changed, deadline) != WAIT_OK)
            return;
    if (c->dead || line->overflow)
        return;
    c->writing = true;
    if (stream_write(c->stream, line->data, line->len, deadline) != STREAM_OK ||
        stream_flush(c->stream, deadline) != STREAM_OK)
        shutdown(stream_fd(c->stream), SHUT_RDWR);
    c->writing = false;
    waitq_wake_all(&c->changed);
}

__attribute__((format(printf, 2, 3))) static void reply(struct client *c, const char *fmt, ...)
{
    BUF_AUTO b = BUF(AUTH_LINE_MAX);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    send_line(c, &b);
}

static void login_free(struct login *l)
{
    if (hash_get(l->client->logins, l->id) == l)
        hash_remove(l->client->logins, l->id);
    mechanism_wipe(&l->state);
    free(l->remote);
    if (l->checking && l->client->checking-- == (unsigned)auth_params.auth_requests_limit)
        waitq_wake_all(&l->client->changed);
    unref(l->client);
    free(l);
}

static void say_failed(struct login *l, const char *user, enum backend_status st)
{
    BUF_AUTO b = BUF(AUTH_LINE_MAX);
    buf_printf(&b, "FAIL\t%s", l->id);
    auth_line_put(&b, "user", user);
    if (st == BACKEND_TRY_AGAIN)
        buf_puts(&b, "\ttemp\tcode=temp_fail");
    else if (st == BACKEND_REFUSED)
        buf_puts(&b, "\tuser_disabled\tcode=user_disabled");
    buf_putc(&b, '\n');
    send_line(l->client, &b);
}

static void say_ok(struct login *l, const char *user)
{
    BUF_AUTO b = BUF(AUTH_LINE_MAX);
    buf_printf(&b, "OK\t%s", l->id);
    auth_line_put(&b, "user", user);
    buf_putc(&b, '\n');
    if (!l->nologin)
        claim_add(l->client->pid, l->id, l->client->cookie, user);
    send_line(l->client, &b);
}

/* A fiber: checks the password and answers, late when it was wrong. */
static void run_check(void *arg)
{
    struct login *l = arg;
    ARENA_AUTO a = arena_new();
    const char *user = l->state.user;
    str_lower(l->state.user);
    str_lower(l->state.authzid);
    enum backend_status st = BACKEND_TRY_AGAIN;
    int64_t delay = 0;
    if (penalty_enter(l->remote)) {
        if (l->state.authzid[0] != '\0' && strcmp(l->state.authzid, l->state.user) != 0)
            st = BACKEND_MISMATCH; /* nobody may act for another */
        else
            st = backends_check(a, &user, l->state.password, l->remote);
        explicit_bzero(l->state.password, sizeof l->state.password);
        delay = penalty_leave(l->remote, st != BACKEND_OK && st != BACKEND_TRY_AGAIN);
    }
    if (delay > 0)
        fiber_sleep(deadline_in(delay));
    if (l->cancelled || l->client->dead)
        ;
    else if (st == BACKEND_OK)
        say_ok(l, user);
    else
        say_failed(l, user, st);
    login_free(l);
}

static void refuse(struct login *l, const char *reason)
{
    reply(l->client, "FAIL\t%s\treason=%s\n", l->id, reason);
    login_free(l);
}

/* Goes on with the client's response (base64), NULL when there is none yet. */
static void step(struct login *l, const char *response)
{
    BUF_AUTO in = BUF(4096), out = BUF(1000), text = BUF(2000);
    if (response != NULL && strcmp(response, "=") != 0 && !password_base64_decode(&in, slice_of(response))) {
        refuse(l, "Invalid base64 data in continued response");
        return;
    }
    struct slice data = response != NULL ? buf_slice(&in) : slice_make(NULL, 0);
    enum mechanism_step s = l->mechanism->step(&l->state, data, &out);
    if (in.data != NULL)
        explicit_bzero(in.data, in.len);
    if (s == MECHANISM_BROKEN) {
        refuse(l, "Invalid data in response");
    } else if (s == MECHANISM_CHALLENGE) {
        password_base64_encode(&text, out.data, out.len);
        reply(l->client, "CONT\t%s\t%s\n", l->id, buf_cstr(&text));
    } else {
        l->checking = true;
        l->client->checking++;
        fiber_start("auth-check", run_check, l);
    }
}

static void command_auth(struct client *c, const struct auth_line *l)
{
    unsigned long long id;
    if (!auth_line_u64(l, 1, UINT32_MAX, &id) || l->n < 3)
        return;
    bool full = hash_count(c->logins) - c->checking >= (size_t)auth_params.auth_requests_limit;
    if (full)
        log_warn("auth: a peer has %lld logins that wait for their client's answer -- refused one more "
                 "(auth_requests_limit)",
                 (long long)auth_params.auth_requests_limit);
    if (full || hash_get(c->logins, l->field[1]) != NULL) {
        reply(c, "FAIL\t%s\ttemp\tcode=temp_fail\n", l->field[1]);
        return;
    }
    struct login *n = MEM_NEW(struct login);
    n->client = c;
    c->refs++;
    snprintf(n->id, sizeof n->id, "%s", l->field[1]);
    const char *rip = auth_line_get(l, 3, "rip");
    char shown[64];
    n->remote = mem_strdup(rip != NULL && *rip != '\0' ? log_quote(shown, sizeof shown, rip, strlen(rip)) : "-");
    n->nologin = auth_line_get(l, 3, "nologin") != NULL;
    n->mechanism = mechanism_find(l->field[2]);
    hash_put(c->logins, n->id, n);
    if (n->mechanism == NULL)
        refuse(n, "Unsupported authentication mechanism");
    else
        step(n, auth_line_get(l, 3, "resp"));
}

static void command_cont(struct client *c, const struct auth_line *l)
{
    struct login *n = l->n >= 2 ? hash_get(c->logins, l->field[1]) : NULL;
    if (n != NULL && !n->checking)
        step(n, l->n > 2 ? l->field[2] : "");
}

static void command_cancel(struct client *c, const struct auth_line *l)
{
    struct login *n = l->n >= 2 ? hash_get(c->logins, l->field[1]) : NULL;
    if (n != NULL && n->checking)
        n->cancelled = true;
    else if (n != NULL)
        login_free(n);
}

struct lookup {
    struct client *client;
    char id[24];
    char *user; /* NULL: an unknown login was claimed */
};

/* A fiber: the name service may be slow. */
static void run_lookup(void *arg)
{
    struct lookup *q = arg;
    ARENA_AUTO a = arena_new();
    BUF_AUTO b = BUF(AUTH_LINE_MAX);
    struct account u;
    enum backend_status st = q->user != NULL ? userdb_find(a, q->user, &u) : BACKEND_UNKNOWN;
    if (st == BACKEND_OK) {
        buf_printf(&b, "USER\t%s\t", q->id);
        auth_line_escape(&b, u.user);
        buf_printf(&b, "\tuid=%u\tgid=%u", u.uid, u.gid);
        auth_line_put(&b, "home", u.home);
        auth_line_put(&b, "mail", u.mail);
        buf_putc(&b, '\n');
    } else {
        buf_printf(&b, st == BACKEND_UNKNOWN ? "NOTFOUND\t%s\n" : "FAIL\t%s\ttemp\n", q->id);
    }
    send_line(q->client, &b);
    unref(q->client);
    free(q->user);
    free(q);
}

/* USER id name; REQUEST id front-pid login-id cookie */
static void command_lookup(struct client *c, const struct auth_line *l)
{
    unsigned long long id, pid;
    bool claim = strcmp(l->field[0], "REQUEST") == 0;
    if (!auth_line_u64(l, 1, UINT32_MAX, &id) || l->n < (claim ? 5U : 3U))
        return;
    if (!c->privileged) {
        log_warn("auth: a peer that is neither root nor the mail system's owner asked for %s", l->field[0]);
        reply(c, "FAIL\t%s\treason=not permitted\n", l->field[1]);
        return;
    }
    struct lookup *q = MEM_NEW(struct lookup);
    q->client = c;
    c->refs++;
    snprintf(q->id, sizeof q->id, "%s", l->field[1]);
    if (!claim)
        q->user = mem_strdup(l->field[2]);
    else if (auth_line_u64(l, 2, UINT32_MAX, &pid))
        q->user = claim_take((unsigned)pid, l->field[3], l->field[4]);
    fiber_start("auth-lookup", run_lookup, q);
}

static const struct {
    const char *verb;
    void (*run)(struct client *c, const struct auth_line *l);
} commands[] = {
    {"AUTH", command_auth},      {"CONT", command_cont},   {"CANCEL", command_cancel},
    {"REQUEST", command_lookup}, {"USER", command_lookup},
};

/* False when the connection is to end. */
static bool take_line(struct client *c, const struct auth_line *l)
{
    unsigned long long pid;
    if (strcmp(l->field[0], "VERSION") == 0)
        return l->n >= 2 && strcmp(l->field[1], "1") == 0;
    if (strcmp(l->field[0], "CPID") == 0 && auth_line_u64(l, 1, UINT32_MAX, &pid))
        c->pid = (unsigned)pid;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(l->field[0], commands[i].verb) == 0)
            commands[i].run(c, l);
    return true;
}

static void greet(struct client *c)
{
    BUF_AUTO b = BUF(AUTH_LINE_MAX);
    buf_puts(&b, "VERSION\t1\t2\n");
    for (const struct mechanism_kind *k = mechanism_kinds; k->name != NULL; k++)
        buf_printf(&b, "MECH\t%s\t%s\n", k->name, k->traits);
    buf_printf(&b, "SPID\t%d\nCUID\t%u\nCOOKIE\t%s\nDONE\n", (int)getpid(), ++connections, c->cookie);
    send_line(c, &b);
}

static bool is_privileged(int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    int domain;
    socklen_t domain_n = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_n) == 0 && domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
           (peer.uid == 0 || peer.uid == owner_uid || peer.uid == geteuid());
}

/* Logins that wait for a CONT will never get one. */
static void drop_logins(struct client *c)
{
    size_t it = 0;
    const char *key;
    void *value;
    while (hash_next(c->logins, &it, &key, &value)) {
        struct login *l = value;
        if (!l->checking)
            login_free(l);
    }
}

void session_serve(struct stream *s, const struct sockaddr *peer, const struct sockaddr *local)
{
    struct client *c = MEM_NEW(struct client);
    unsigned char random[16];
    c->stream = s;
    c->refs = 1;
    c->privileged = is_privileged(stream_fd(s));
    c->logins = hash_new();
    waitq_init(&c->changed);
    if (RAND_bytes(random, sizeof random) != 1)
        log_fatal("no random numbers");
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(c->cookie + 2 * i, 3, "%02x", random[i]);
    list_append(&clients, &c->all);
    greet(c);
    struct arena *a = arena_new();
    struct slice text;
    struct auth_line l;
    while (stream_read_line(s, AUTH_LINE_MAX, &text, DEADLINE_NEVER) == STREAM_OK) {
        if (text.n > 0 && (!auth_line_parse(a, text, &l) || !take_line(c, &l))) {
            log_warn("auth: a peer broke the protocol");
            break;
        }
        explicit_bzero((char *)text.p, text.n);
        arena_reset(a);
        /* A crowd waits in the socket until there is room; none of it is turned away. */
        while (c->checking >= (unsigned)auth_params.auth_requests_limit)
            waitq_wait(&c->changed, DEADLINE_NEVER);
    }
    arena_free(&a);
    list_remove(&c->all);
    drop_logins(c);
    c->dead = true;
    waitq_wake_all(&c->changed);
    unref(c);
}

void session_drain(void)
{
    LIST_EACH (node, &clients)
        shutdown(stream_fd(LIST_ENTRY(node, struct client, all)->stream), SHUT_RD);
}
