/* trivial-rewrite - puts mail addresses into canonical form and says where mail for them goes.
 *
 * Two requests, any number in a batch. "rewrite" completes addresses: source routes are cut, site!user and user%site
 * turned into user@site, $myorigin and $mydomain appended. "resolve" finds an address's class (local, virtual alias,
 * virtual mailbox, relay, default) and from it, the transport tables and the relay host the transport, the next hop and
 * the recipient. A table that cannot be asked makes the answer "try again", never "not found". */
#include "lib/base/log.h"
#include "lib/daemon/daemon.h"
#include "trivial-rewrite/trivial_rewrite.h"

struct trivial_rewrite_params trivial_rewrite_params;
/* clang-format off */
const struct param trivial_rewrite_param_table[] = {
#define PARAM_OWNER struct trivial_rewrite_params
#include "lib/conf/param_table.h"
#include "trivial-rewrite/params.def"
#include "lib/conf/param_end.h"
};
/* clang-format on */
const size_t trivial_rewrite_param_count = sizeof trivial_rewrite_param_table / sizeof *trivial_rewrite_param_table;

static enum ipc_status serve_rewrite(struct ipc_conn *c, struct arena *a)
{
    struct msg_rewrite_request q;
    int64_t deadline = deadline_in(daemon_env->common.ipc_timeout);
    enum ipc_status st = ipc_recv(c, &ipc_type_rewrite_request, a, &q, deadline);
    if (st != IPC_OK)
        return st;
    struct msg_rewrite_reply reply = {.addresses = ARENA_ARRAY(a, const char *, q.n_addresses + 1),
                                      .n_addresses = q.n_addresses};
    const struct rewrite_rules *rules = tables_rewrite_rules(q.context);
    for (size_t i = 0; i < q.n_addresses; i++) {
        BUF_AUTO b = BUF(IPC_ADDR * 4);
        rewrite_address(rules, q.addresses[i], &b);
        reply.addresses[i] = arena_strdup(a, buf_cstr(&b));
    }
    return ipc_send(c, &ipc_type_rewrite_reply, &reply, deadline);
}

static enum ipc_status serve_resolve(struct ipc_conn *c, struct arena *a)
{
    struct msg_resolve_request q;
    int64_t deadline = deadline_in(daemon_env->common.ipc_timeout);
    enum ipc_status st = ipc_recv(c, &ipc_type_resolve_request, a, &q, deadline);
    if (st != IPC_OK)
        return st;
    struct msg_resolve_reply reply = {.resolved = ARENA_ARRAY(a, struct msg_resolved, q.n_addresses + 1),
                                      .n_resolved = q.n_addresses};
    for (size_t i = 0; i < q.n_addresses; i++)
        resolve_address(tables_rules(), tables_lookups(), a, q.sender, q.addresses[i], &reply.resolved[i]);
    return ipc_send(c, &ipc_type_resolve_reply, &reply, deadline);
}

static void request(struct ipc_conn *c)
{
    struct arena *a = arena_new();
    enum ipc_status st = IPC_OK;
    const struct ipc_type *t;
    while (ipc_await_request(c) && (t = ipc_next_type(c, &st, DEADLINE_NEVER)) != NULL) {
        if (t == &ipc_type_rewrite_request)
            st = serve_rewrite(c, a);
        else if (t == &ipc_type_resolve_request)
            st = serve_resolve(c, a);
        else
            st = IPC_BROKEN;
        if (st != IPC_OK)
            break;
        arena_reset(a);
    }
    if (st == IPC_BROKEN)
        log_warn("a request that trivial-rewrite does not know");
    arena_free(&a);
    ipc_conn_free(&c);
}

static const struct daemon trivial_rewrite = {
    .name = "trivial-rewrite",
    .summary = "address rewriting and resolving",
    .params = trivial_rewrite_param_table,
    .n_params = sizeof trivial_rewrite_param_table / sizeof *trivial_rewrite_param_table,
    .params_struct = &trivial_rewrite_params,
    .user = DAEMON_AS_OWNER,
    .needs = NEEDS_CONF_READ,
    .before_sandbox = tables_open,
    .request = request,
};

int main(int argc, char **argv)
{
    return daemon_main(argc, argv, &trivial_rewrite);
}
