/* cleanup_client.c - see cleanup_client.h. Content collects here until a piece is worth a message. */
#include "lib/ipc/cleanup_client.h"

#include "lib/base/mem.h"

#include <stdio.h>

enum { PIECE = 32768 };

struct cleanup_client {
    struct ipc_pool *pool;
    struct ipc_conn *conn; /* NULL once it failed */
    char queue_id[104];
    struct buf content;
    int64_t deadline;
    struct msg_cleanup_end end;
};

static void drop(struct cleanup_client *c, bool ok)
{
    if (c->conn)
        ipc_pool_give(c->pool, &c->conn, ok);
}

static bool queue(struct cleanup_client *c, const struct ipc_type *type, const void *msg)
{
    if (c->conn && ipc_queue(c->conn, type, msg, c->deadline) != IPC_OK)
        drop(c, false);
    return c->conn != NULL;
}

/* Begins on one connection; false when the exchange failed, with the connection closed. */
static bool begin_on(struct ipc_pool *pool, struct ipc_conn **conn, const struct msg_cleanup_begin *begin,
                     struct arena *a, struct msg_cleanup_begun *begun, int64_t deadline)
{
    if (ipc_send(*conn, &ipc_type_cleanup_begin, begin, deadline) == IPC_OK &&
        ipc_recv(*conn, &ipc_type_cleanup_begun, a, begun, deadline) == IPC_OK)
        return true;
    ipc_pool_give(pool, conn, false);
    return false;
}

struct cleanup_client *cleanup_open(struct ipc_pool *pool, const struct msg_cleanup_begin *begin, struct result *r,
                                    int64_t deadline)
{
    ARENA_AUTO a = arena_new();
    struct msg_cleanup_begun begun = {0};
    struct ipc_conn *conn = NULL;
    /* A pooled connection may have been closed just now; a second one is fresh. */
    for (int attempt = 0; attempt < 2 && !conn; attempt++) {
        conn = ipc_pool_take(pool, deadline);
        if (conn)
            begin_on(pool, &conn, begin, a, &begun, deadline);
    }
    if (!conn) {
        *r = result_try_again("4.3.0", "the cleanup service cannot be reached");
        return NULL;
    }
    if (*begun.queue_id == 0) {
        *r = result_try_again("4.3.0", "%s", *begun.error ? begun.error : "queue file write error");
        ipc_pool_give(pool, &conn, true);
        return NULL;
    }
    struct cleanup_client *c = MEM_NEW(struct cleanup_client);
    c->end = (struct msg_cleanup_end){.content_filter = "", .redirect_to = ""};
    *c = (struct cleanup_client){.pool = pool, .conn = conn, .deadline = deadline, .content = BUF(2 * PIECE)};
    snprintf(c->queue_id, sizeof c->queue_id, "%s", begun.queue_id);
    *r = result_ok("2.0.0", "%s", "Ok");
    return c;
}

const char *cleanup_queue_id(const struct cleanup_client *c)
{
    return c->queue_id;
}

static bool send_content(struct cleanup_client *c)
{
    struct msg_cleanup_content msg = {.data = buf_slice(&c->content)};
    bool ok = c->content.len == 0 || queue(c, &ipc_type_cleanup_content, &msg);
    buf_reset(&c->content);
    return ok;
}

bool cleanup_recipient(struct cleanup_client *c, const struct msg_cleanup_recipient *rcpt)
{
    return send_content(c) && queue(c, &ipc_type_cleanup_recipient, rcpt);
}

bool cleanup_content(struct cleanup_client *c, const void *p, size_t n)
{
    const char *from = p;
    /* Receivers take a while with large messages: the time counts anew for every piece. */
    c->deadline = deadline_in(300);
    while (n > 0) {
        size_t piece = n < PIECE ? n : PIECE;
        buf_append(&c->content, from, piece);
        from += piece;
        n -= piece;
        if (c->content.len >= PIECE && !send_content(c))
            return false;
    }
    return c->conn != NULL;
}

void cleanup_decide(struct cleanup_client *c, const struct msg_cleanup_end *end)
{
    c->end = *end;
}

void cleanup_finish(struct cleanup_client **cp, struct arena *a, struct msg_cleanup_done *done, int64_t deadline)
{
    struct cleanup_client *c = *cp;
    c->deadline = deadline;
    bool ok = send_content(c) && queue(c, &ipc_type_cleanup_end, &c->end) && ipc_flush(c->conn, deadline) == IPC_OK &&
              ipc_recv(c->conn, &ipc_type_cleanup_done, a, done, deadline) == IPC_OK;
    drop(c, ok);
    if (!ok)
        *done = (struct msg_cleanup_done){
            .outcome = OUTCOME_TRY_AGAIN, .code = 451, .dsn = "4.3.0", .text = "Error: queue file write error"};
    buf_fini(&c->content);
    free(c);
    *cp = NULL;
}

void cleanup_abort(struct cleanup_client **cp)
{
    struct cleanup_client *c = *cp;
    struct msg_cleanup_abort msg = {0};
    if (!c)
        return;
    bool ok = queue(c, &ipc_type_cleanup_abort, &msg) && ipc_flush(c->conn, deadline_in(5)) == IPC_OK;
    drop(c, ok);
    buf_fini(&c->content);
    free(c);
    *cp = NULL;
}
