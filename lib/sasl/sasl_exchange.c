/* sasl_exchange.c - what is said in an exchange: AUTH and CONT for a login, USER and REQUEST for the user database. */
#include "lib/base/mem.h"
#include "lib/rt/stream.h"
#include "lib/sasl/sasl_private.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_plain_text(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f)
            return false;
    return true;
}

static enum sasl_status login_answer(struct sasl_exchange *x, struct arena *a, const char **challenge)
{
    const struct auth_line *l = &x->line;
    if (strcmp(l->field[0], "CONT") == 0) {
        *challenge = arena_strdup(a, l->n > 2 ? l->field[2] : "");
        return SASL_CONTINUE;
    }
    x->finished = true;
    const char *user = auth_line_get(l, 2, "user");
    free(x->user);
    x->user = mem_strdup(user ? user : "");
    if (strcmp(l->field[0], "OK") == 0)
        return user != NULL ? SASL_OK : SASL_TRY_AGAIN;
    const char *reason = auth_line_get(l, 2, "reason"), *code = auth_line_get(l, 2, "code");
    *challenge = arena_strdup(a, reason ? reason : "");
    if (auth_line_get(l, 2, "temp") != NULL || (code != NULL && strcmp(code, "temp_fail") == 0))
        return SASL_TRY_AGAIN;
    return SASL_FAILED;
}

static enum sasl_status ask(struct sasl_exchange *x, struct buf *line, struct arena *a, const char **challenge,
                            int64_t deadline)
{
    bool answered = sasl_exchange_ask(x, line, deadline);
    if (line->data != NULL)
        explicit_bzero(line->data, line->len);
    if (answered)
        return login_answer(x, a, challenge);
    *challenge = "Connection lost to authentication server";
    return SASL_TRY_AGAIN;
}

enum sasl_status sasl_start(struct sasl_service *s, struct sasl_exchange **x, const struct sasl_request *r,
                            struct arena *a, const char **challenge, int64_t deadline)
{
    *x = NULL;
    *challenge = "";
    if (r->initial != NULL && !is_plain_text(r->initial))
        return SASL_MALFORMED;
    *x = sasl_exchange_open(s, deadline);
    if (*x == NULL) {
        *challenge = "Connection lost to authentication server";
        return SASL_TRY_AGAIN;
    }
    if (!is_plain_text(r->mechanism) || !sasl_exchange_offers(*x, r->mechanism)) {
        *challenge = "Invalid authentication mechanism";
        return SASL_FAILED;
    }
    BUF_AUTO b = BUF(AUTH_LINE_MAX);
    buf_printf(&b, "AUTH\t%s\t%s", (*x)->id_text, r->mechanism);
    auth_line_put(&b, "service", r->service);
    if (strcmp(r->service, "smtp") == 0)
        buf_puts(&b, "\tnologin"); /* nobody will claim it */
    auth_line_put(&b, "lip", r->local_addr);
    auth_line_put(&b, "rip", r->remote_addr);
    auth_line_put(&b, "session", r->session_id);
    if (r->tls)
        buf_puts(&b, "\tsecured");
    if (r->initial != NULL)
        buf_printf(&b, "\tresp=%s", r->initial);
    buf_putc(&b, '\n');
    (*x)->started = true;
    return ask(*x, &b, a, challenge, deadline);
}

enum sasl_status sasl_continue(struct sasl_exchange *x, const char *response_base64, struct arena *a,
                               const char **challenge, int64_t deadline)
{
    *challenge = "";
    if (!is_plain_text(response_base64))
        return SASL_MALFORMED;
    BUF_AUTO b = BUF(AUTH_LINE_MAX);
    buf_printf(&b, "CONT\t%s\t%s\n", x->id_text, response_base64);
    return ask(x, &b, a, challenge, deadline);
}

const char *sasl_user(const struct sasl_exchange *x)
{
    return x->user ? x->user : "";
}

uint64_t sasl_auth_id(const struct sasl_exchange *x)
{
    return x->id;
}

const char *sasl_cookie(const struct sasl_exchange *x)
{
    return x->cookie;
}

/* "USER id name key=value..." */
static bool user_answer(const struct auth_line *l, struct arena *a, struct sasl_user *out)
{
    unsigned long long uid, gid;
    const char *u = auth_line_get(l, 3, "uid"), *g = auth_line_get(l, 3, "gid");
    const char *home = auth_line_get(l, 3, "home"), *mail = auth_line_get(l, 3, "mail");
    if (l->n < 3 || u == NULL || g == NULL || !slice_to_u64(slice_of(u), UINT32_MAX - 1, &uid) ||
        !slice_to_u64(slice_of(g), UINT32_MAX - 1, &gid))
        return false;
    *out = (struct sasl_user){.user = arena_strdup(a, l->field[2]),
                              .home = arena_strdup(a, home ? home : ""),
                              .mail = arena_strdup(a, mail ? mail : ""),
                              .uid = (int64_t)uid,
                              .gid = (int64_t)gid};
    return true;
}

/* One service object for each path; they live as long as the process. */
static struct sasl_service *service_of(const char *path)
{
    static struct known {
        struct known *next;
        const char *path;
        struct sasl_service *service;
    } * all;
    if (path == NULL)
        path = "";
    for (struct known *k = all; k != NULL; k = k->next)
        if (strcmp(k->path, path) == 0)
            return k->service;
    struct known *k = MEM_NEW(struct known);
    *k = (struct known){.next = all, .path = mem_strdup(path), .service = sasl_service_new(path)};
    all = k;
    return k->service;
}

static enum sasl_status ask_user(struct sasl_exchange *x, struct buf *b, struct arena *a, struct sasl_user *out,
                                 int64_t deadline)
{
    enum sasl_status st = SASL_TRY_AGAIN;
    if (sasl_exchange_ask(x, b, deadline)) {
        if (strcmp(x->line.field[0], "USER") == 0)
            st = user_answer(&x->line, a, out) ? SASL_OK : SASL_TRY_AGAIN;
        else if (strcmp(x->line.field[0], "NOTFOUND") == 0 || auth_line_get(&x->line, 2, "temp") == NULL)
            st = SASL_FAILED;
    }
    return st;
}

enum sasl_status sasl_userdb(const char *path, const char *user, struct arena *a, struct sasl_user *out,
                             int64_t deadline)
{
    struct sasl_exchange *x = sasl_exchange_open(service_of(path), deadline);
    if (x == NULL)
        return SASL_TRY_AGAIN;
    BUF_AUTO b = BUF(AUTH_LINE_MAX);
    buf_printf(&b, "USER\t%s\t", x->id_text);
    auth_line_escape(&b, user);
    buf_putc(&b, '\n');
    enum sasl_status st = ask_user(x, &b, a, out, deadline);
    sasl_free(&x);
    return st;
}

enum sasl_status sasl_claim(const char *path, uint64_t auth_id, const char *cookie, uint32_t front_pid, struct arena *a,
                            struct sasl_user *out, int64_t deadline)
{
    struct sasl_exchange *x = sasl_exchange_open(service_of(path), deadline);
    if (x == NULL)
        return SASL_TRY_AGAIN;
    BUF_AUTO b = BUF(AUTH_LINE_MAX);
    buf_printf(&b, "REQUEST\t%s\t%u\t%llu\t", x->id_text, front_pid, (unsigned long long)auth_id);
    auth_line_escape(&b, cookie);
    buf_putc(&b, '\n');
    enum sasl_status st = ask_user(x, &b, a, out, deadline);
    explicit_bzero(b.data, b.len);
    sasl_free(&x);
    return st;
}
