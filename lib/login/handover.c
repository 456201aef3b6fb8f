/* handover.c - the authenticated client goes to the session part: its descriptor itself, or, because TLS keys stay
 * here, one end of a socket pair with this process between them. */
#include "lib/base/log.h"
#include "lib/daemon/daemon.h"
#include "lib/login/login.h"
#include "lib/sasl/sasl_client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IDLE_CONNECTIONS = 8, SEND_SECONDS = 30 };

static bool send_start(const struct msg_session_start *m)
{
    static struct ipc_pool *pool;
    if (!pool)
        pool = ipc_pool_new(login_settings.session_service, IDLE_CONNECTIONS);
    int64_t deadline = deadline_in(SEND_SECONDS);
    struct ipc_conn *c = ipc_pool_take(pool, deadline);
    enum ipc_status st = c ? ipc_send(c, &ipc_type_session_start, m, deadline) : IPC_CLOSED;
    if (st != IPC_OK)
        log_warn("%s: %s", login_settings.session_service, c ? ipc_strerror(st) : strerror(errno));
    if (c)
        ipc_pool_give(pool, &c, st == IPC_OK);
    return st == IPC_OK;
}

static void fill(struct msg_session_start *m, const struct login *l, const struct sasl_exchange *x, const char *tag)
{
    *m = (struct msg_session_start){.protocol = login_settings.protocol,
                                    .auth_id = sasl_auth_id(x),
                                    .secret_cookie = sasl_cookie(x),
                                    .front_pid = (uint32_t)getpid(),
                                    .session_id = l->session_id,
                                    .remote_addr = l->remote,
                                    .local_addr = l->local,
                                    .tls = stream_tls(l->stream) != NULL,
                                    .trusted = l->trusted,
                                    .method = l->method,
                                    .tag = tag};
}

static bool hand_over_plain(struct login *l, struct msg_session_start *m)
{
    struct slice early = stream_peek(l->stream);
    m->buffered = early;
    m->client = stream_fd(l->stream);
    if (!send_start(m))
        return false;
    stream_consume(l->stream, early.n);
    close(stream_release(&l->stream));
    return true;
}

static bool hand_over_tls(struct login *l, struct msg_session_start *m)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        log_warn("socketpair: %s", strerror(errno));
        return false;
    }
    m->client = pair[1];
    bool sent = send_start(m);
    close(pair[1]);
    if (sent)
        l->inner = stream_new(pair[0], 0);
    else
        close(pair[0]);
    return sent;
}

enum login_outcome login_hand_over(struct login *l, const struct sasl_exchange *x, const char *tag)
{
    struct msg_session_start m;
    fill(&m, l, x, tag);
    enum stream_status st = stream_flush(l->stream, l->deadline);
    if (st != STREAM_OK) {
        login_log_end(l, login_end_reason(l, st));
        return LOGIN_LOST;
    }
    return (m.tls ? hand_over_tls(l, &m) : hand_over_plain(l, &m)) ? LOGIN_DONE : LOGIN_UNAVAILABLE;
}
