/* smtp_session.c - a connection to a server, and the idle ones that wait for the next delivery to the same destination.
 * Idle sessions belong to this worker; one fiber, which exists only while there are some, ends those that nobody took
 * in time. */
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/daemon/daemon.h"
#include "smtp/smtp.h"

static struct list idle = LIST_INIT(idle); /* oldest first */
static size_t n_idle;
static bool janitor_runs;

struct smtp_session *smtp_session_new(struct stream *stream, const char *host, const char *addr, int port,
                                      const char *key)
{
    struct smtp_session *x = MEM_NEW(struct smtp_session);
    x->stream = stream;
    x->host = mem_strdup(host);
    x->namaddr = mem_printf("%s[%s]", host, addr);
    x->relay = port > 0 ? mem_printf("%s:%d", x->namaddr, port) : mem_strdup(x->namaddr);
    x->key = mem_strdup(key);
    x->uses = 1;
    x->created = clock_mono();
    list_init(&x->node);
    return x;
}

void smtp_session_free(struct smtp_session **session)
{
    struct smtp_session *x = *session;
    if (!x)
        return;
    stream_free(&x->stream);
    free(x->host);
    free(x->namaddr);
    free(x->relay);
    free(x->key);
    free(x);
    *session = NULL;
}

static void quit(struct smtp_session **session)
{
    struct smtp_session *x = *session;
    int64_t deadline = deadline_in(smtp_params.smtp_quit_timeout);
    if (!x->broken && stream_puts(x->stream, "QUIT\r\n", deadline) == STREAM_OK) {
        if (!smtp_params.smtp_skip_quit_response && stream_flush(x->stream, deadline) == STREAM_OK) {
            ARENA_AUTO a = arena_new();
            struct smtp_reply ignored;
            smtp_read_reply(x, a, &ignored, deadline);
        }
        if (!x->broken)
            stream_close(&x->stream, deadline);
    }
    smtp_session_free(session);
}

/* ---- idle sessions ---- */

static struct smtp_session *unlist(struct list *node)
{
    list_remove(node);
    n_idle--;
    return LIST_ENTRY(node, struct smtp_session, node);
}

static void janitor(void *arg)
{
    while (!list_empty(&idle)) {
        struct smtp_session *x = LIST_ENTRY(idle.next, struct smtp_session, node);
        int64_t when = x->idle_until;
        if (!daemon_env->draining && when > clock_mono()) {
            fiber_sleep(when);
            if (!fiber_is_cancelled())
                continue;
        }
        if (list_empty(&idle))
            break;
        x = unlist(idle.next);
        quit(&x);
    }
    janitor_runs = false;
}

static void put_idle(struct smtp_session *x)
{
    x->idle_until = deadline_in(smtp_params.smtp_connection_cache_time_limit);
    list_append(&idle, &x->node);
    n_idle++;
    if ((int64_t)n_idle > smtp_params.smtp_idle_connection_limit) {
        struct smtp_session *oldest = unlist(idle.next);
        smtp_session_free(&oldest);
    }
    if (!janitor_runs) {
        janitor_runs = true;
        fiber_start("idle sessions", janitor, NULL);
    }
}

static bool is_listed(const char *destinations, const char *key)
{
    struct slice rest = slice_of(destinations), word;
    while (slice_token(&rest, ", \t\r\n", &word)) {
        if (slice_eq_fold(word, slice_of(key)))
            return true;
    }
    return false;
}

static bool want_reuse(const struct smtp_delivery *s, const struct smtp_session *x)
{
    const struct smtp_params *p = &smtp_params;
    bool asked = p->smtp_connection_cache_on_demand && (s->d->request.flags & DELIVER_REUSE_CONNECTION);
    if (!asked && !is_listed(p->smtp_connection_cache_destinations, x->key))
        return false;
    if (x->broken || x->last_use || p->smtp_connection_cache_time_limit == 0 || daemon_env->draining)
        return false;
    if (p->smtp_connection_reuse_count_limit && x->uses >= p->smtp_connection_reuse_count_limit)
        return false;
    return clock_mono() - x->created < p->smtp_connection_reuse_time_limit * NSEC_PER_SEC;
}

void smtp_session_end(struct smtp_delivery *s, struct smtp_session **session)
{
    struct smtp_session *x = *session;
    if (!x)
        return;
    *session = NULL;
    if (!want_reuse(s, x)) {
        quit(&x);
        return;
    }
    if (x->need_rset) {
        struct smtp_reply reply;
        if (smtp_command(x, s->arena, &reply, deadline_in(smtp_params.smtp_rset_timeout), "RSET") != STREAM_OK ||
            reply.code / 100 != 2) {
            smtp_session_free(&x);
            return;
        }
        x->need_rset = false;
    }
    put_idle(x);
}

struct smtp_session *smtp_session_take(const char *key)
{
    LIST_EACH_SAFE (node, &idle) {
        struct smtp_session *x = LIST_ENTRY(node, struct smtp_session, node);
        if (strcmp(x->key, key) != 0)
            continue;
        unlist(node);
        /* Input here is the end of the connection, or a 421. */
        if (stream_input_pending(x->stream)) {
            smtp_session_free(&x);
            continue;
        }
        x->uses++;
        x->reused = true;
        return x;
    }
    return NULL;
}

/* ---- replies ---- */

enum stream_status smtp_read_reply(struct smtp_session *x, struct arena *a, struct smtp_reply *reply, int64_t deadline)
{
    for (;;) {
        size_t used;
        enum smtp_reply_status rs = smtp_reply_parse(stream_peek(x->stream), a, reply, &used);
        if (rs == SMTP_REPLY_OK) {
            for (size_t i = 0; i < reply->n_lines; i++)
                reply->lines[i] = slice_of(arena_slice(a, reply->lines[i]));
            stream_consume(x->stream, used);
            x->last_use = x->last_use || reply->code == 421;
            return STREAM_OK;
        }
        enum stream_status st = rs == SMTP_REPLY_BROKEN ? STREAM_FULL : stream_fill(x->stream, deadline);
        if (st != STREAM_OK) {
            x->broken = true;
            return st;
        }
    }
}

enum stream_status smtp_command(struct smtp_session *x, struct arena *a, struct smtp_reply *reply, int64_t deadline,
                                const char *fmt, ...)
{
    BUF_AUTO line = BUF(65536);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&line, fmt, ap);
    va_end(ap);
    buf_puts(&line, "\r\n");
    enum stream_status st = stream_write(x->stream, line.data, line.len, deadline);
    if (st == STREAM_OK)
        st = stream_flush(x->stream, deadline);
    if (st != STREAM_OK) {
        x->broken = true;
        return st;
    }
    return smtp_read_reply(x, a, reply, deadline);
}
