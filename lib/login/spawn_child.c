/* spawn_child.c - the owner's process: a fiber for each session, which holds the client's descriptor and little else.
 */
#include "lib/base/hash.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/daemon/daemon.h"
#include "lib/login/login.h"
#include "lib/login/spawn_private.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OPEN_SECONDS = 30, CLOSE_SECONDS = 30 };

static struct spawn_settings settings;
static pid_t master;
static struct hash *by_client;                        /* "user address" to unsigned *: sessions */
static struct list sessions = {&sessions, &sessions}; /* struct running */

struct running {
    struct list link;
    struct fiber *fiber;
};

void spawn_child_setup(const struct spawn_settings *s)
{
    settings = *s;
    master = getppid();
}

void spawn_child_start(void)
{
    log_set_tag(daemon_env->common.login_log_tag);
    by_client = hash_new();
}

/* The daemon ended, because the configuration was read again, and sessions may go on; or because everything stops. */
static void await_master(void *arg)
{
    while (kill(master, 0) == 0 || errno == EPERM)
        if (fiber_sleep(deadline_in(1)) != WAIT_TIMEOUT)
            return;
    daemon_env->draining = true;
    LIST_EACH (l, &sessions)
        fiber_cancel(LIST_ENTRY(l, struct running, link)->fiber);
}

void spawn_child_orphaned(void)
{
    fiber_start("await-master", await_master, NULL);
}

void spawn_refuse_client(const struct msg_session_start *m)
{
    BUF_AUTO b = BUF(1000);
    if (*m->tag)
        buf_printf(&b, "%s NO [UNAVAILABLE] Temporary authentication failure.\r\n* BYE Try again later.\r\n", m->tag);
    else
        buf_puts(&b, "-ERR [SYS/TEMP] Temporary authentication failure.\r\n");
    if (send(m->client, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_warn("%s: session <%s>: %s", m->protocol, m->session_id, strerror(errno));
}

static void log_login(const struct msg_session_open *o)
{
    BUF_AUTO b = BUF(2000);
    buf_printf(&b, "%s-login: Login: ", o->protocol);
    login_log_peer(&b, o->user, o->method, o->remote_addr, o->local_addr);
    buf_printf(&b, ", mpid=%d%s, session=<%s>", (int)getpid(),
               o->tls       ? ", TLS"
               : o->trusted ? ", secured"
                            : "",
               o->session_id);
    log_info("%s", buf_cstr(&b));
}

static void refuse(struct stream *s, const struct msg_session_open *o, int64_t limit)
{
    BUF_AUTO text = BUF(200), b = BUF(2000);
    buf_printf(&text, "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=%lld)",
               (long long)limit);
    buf_printf(&b, "%s-login: %s: ", o->protocol, buf_cstr(&text));
    login_log_peer(&b, o->user, o->method, o->remote_addr, o->local_addr);
    log_info("%s, session=<%s>", buf_cstr(&b), o->session_id);
    settings.refuse(s, o, buf_cstr(&text));
}

static void run(struct stream *s, const struct msg_session_open *o)
{
    struct running me = {.fiber = fiber_self()};
    list_append(&sessions, &me.link);
    log_login(o);
    settings.session(s, o);
    list_remove(&me.link);
}

/* As many as the limit says; trusted networks are those of webmail and proxies, where one address is many clients. */
static void run_counted(struct stream *s, const struct msg_session_open *o)
{
    int64_t limit = daemon_env->common.mail_max_userip_connections;
    if (limit == 0 || o->trusted) {
        run(s, o);
        return;
    }
    MEM_AUTO char *key = mem_printf("%s %s", o->user, o->remote_addr);
    unsigned *count = hash_get(by_client, key);
    if (!count)
        hash_put(by_client, key, count = MEM_NEW(unsigned));
    if (*count >= limit) {
        refuse(s, o, limit);
        return;
    }
    ++*count;
    run(s, o);
    if (--*count == 0)
        free(hash_remove(by_client, key));
}

void spawn_serve(struct ipc_conn *c)
{
    ARENA_AUTO a = arena_new();
    struct msg_session_open o;
    enum ipc_status st = ipc_recv(c, &ipc_type_session_open, a, &o, deadline_in(OPEN_SECONDS));
    if (st != IPC_OK || o.client < 0) {
        ipc_conn_free(&c);
        return;
    }
    struct stream *s = stream_new(o.client, 0);
    stream_unread(s, o.buffered);
    o.buffered = SLICE("");
    o.client = -1;
    ipc_conn_free(&c);
    run_counted(s, &o);
    stream_close(&s, deadline_in(CLOSE_SECONDS));
}
