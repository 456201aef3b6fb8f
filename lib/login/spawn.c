/* spawn.c - see spawn.h: the daemon's side. Nothing of a session stays here once its owner's process has it. */
#include "lib/login/spawn.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/daemon/daemon.h"
#include "lib/daemon/userproc.h"
#include "lib/login/spawn_private.h"
#include "lib/sasl/sasl_client.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { CLAIM_SECONDS = 30, PROCESS_SECONDS = 30 };

static struct userproc_pool *processes;

void spawn_open(const struct spawn_settings *s)
{
    const struct common_params *p = &daemon_env->common;
    struct userproc_config c = {.name = s->protocol,
                                .serve = spawn_serve,
                                .start = spawn_child_start,
                                .orphaned = spawn_child_orphaned,
                                .idle_seconds = p->session_process_idle_time,
                                .most_processes = (unsigned)p->session_process_limit,
                                .confined = true,
                                .minimum_uid = (uid_t)p->session_minimum_uid};
    spawn_child_setup(s);
    processes = userproc_pool_new(&c);
}

void spawn_begin(void)
{
    log_set_tag(daemon_env->common.login_log_tag);
}

/* A login on its way to its process. */
struct start {
    struct arena *arena;
    struct msg_session_start m;
};

static bool open_session(const struct start *s, const struct sasl_user *u)
{
    const struct msg_session_start *m = &s->m;
    struct msg_session_open open = {.protocol = m->protocol,
                                    .user = u->user,
                                    .home = u->home,
                                    .mail_location = u->mail,
                                    .session_id = m->session_id,
                                    .remote_addr = m->remote_addr,
                                    .local_addr = m->local_addr,
                                    .tls = m->tls,
                                    .trusted = m->trusted,
                                    .method = m->method,
                                    .tag = m->tag,
                                    .buffered = m->buffered,
                                    .client = m->client};
    int64_t deadline = deadline_in(PROCESS_SECONDS);
    if (daemon_is_root() && u->uid < daemon_env->common.session_minimum_uid) {
        log_error("%s: user %s has id %lld, below session_minimum_uid", m->protocol, u->user, (long long)u->uid);
        return false;
    }
    struct ipc_conn *c = userproc_take(processes, (uid_t)u->uid, (gid_t)u->gid, NULL, deadline);
    if (!c) {
        log_error("%s: no process for user %s (uid %lld): %s", m->protocol, u->user, (long long)u->uid,
                  strerror(errno));
        return false;
    }
    enum ipc_status st = ipc_send(c, &ipc_type_session_open, &open, deadline);
    if (st != IPC_OK)
        log_error("%s: process of user %s: %s", m->protocol, u->user, ipc_strerror(st));
    /* Closed: the session's fiber reads it to its end, then closes its side too. */
    userproc_give(processes, &c, false);
    return st == IPC_OK;
}

static void start_fiber(void *arg)
{
    struct start *s = arg;
    struct sasl_user u;
    enum sasl_status st =
        sasl_claim(NULL, s->m.auth_id, s->m.secret_cookie, s->m.front_pid, s->arena, &u, deadline_in(CLAIM_SECONDS));
    bool ok = st == SASL_OK && open_session(s, &u);
    if (st != SASL_OK)
        log_warn("%s: login of session <%s> from %s is not known to auth%s", s->m.protocol, s->m.session_id,
                 s->m.remote_addr, st == SASL_TRY_AGAIN ? " (it cannot be asked)" : "");
    if (!ok)
        spawn_refuse_client(&s->m);
    close(s->m.client);
    arena_free(&s->arena);
    free(s);
}

void spawn_request(struct ipc_conn *c)
{
    enum ipc_status st;
    while (ipc_next_type(c, &st, DEADLINE_NEVER) != NULL) {
        struct start *s = MEM_NEW(struct start);
        s->arena = arena_new();
        st = ipc_recv(c, &ipc_type_session_start, s->arena, &s->m, deadline_in(daemon_env->common.ipc_timeout));
        if (st == IPC_OK && s->m.client >= 0) {
            struct slice early = s->m.buffered;
            s->m.buffered.p = arena_memdup(s->arena, early.p, early.n); /* it lies in the connection */
            fiber_start("session-start", start_fiber, s);
            continue;
        }
        arena_free(&s->arena);
        free(s);
        break;
    }
    if (st == IPC_BROKEN)
        log_warn("a request that is no session");
    ipc_conn_free(&c);
}
