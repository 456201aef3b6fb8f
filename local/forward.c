/* forward.c - recipients that an alias or .forward names go on as a new message through cleanup, one for each sender
 * (owner- aliases change it). The message begins with Received and Delivered-To, which break mail loops. */
#include "lib/base/vec.h"
#include "lib/daemon/daemon.h"
#include "lib/ipc/cleanup_client.h"
#include "lib/syntax/address.h"
#include "lib/syntax/date.h"
#include "local/delivery.h"

#include <string.h>

struct group {
    const char *sender;
    VEC(const char *) addresses;
    struct group *next;
};
struct forward {
    struct arena *arena;
    struct group *groups;
};
static struct ipc_pool *cleanup;

void forward_open(const char *cleanup_service)
{
    MEM_AUTO char *path = mem_printf("private/%s", cleanup_service);
    cleanup = ipc_pool_new(path, 8);
}

struct forward *forward_new(struct arena *a)
{
    struct forward *f = ARENA_NEW(a, struct forward);
    f->arena = a;
    return f;
}

void forward_add(struct forward *f, const char *sender, const char *address)
{
    struct group *g = f->groups;
    while (g != NULL && strcmp(g->sender, sender) != 0)
        g = g->next;
    if (g == NULL) {
        g = ARENA_NEW(f->arena, struct group);
        g->sender = arena_strdup(f->arena, sender);
        g->next = f->groups;
        f->groups = g;
    }
    VEC_PUSH(&g->addresses, arena_strdup(f->arena, address));
}

static bool put_content(void *client, const char *p, size_t n)
{
    return cleanup_content(client, p, n);
}

static const char *received(struct arena *a)
{
    BUF_AUTO date = BUF(100);
    date_rfc5322(&date, (time_t)(clock_wall_usec() / 1000000));
    return arena_printf(a, "by %s (%s)\n\tid %%Q; %s", daemon_env->common.myhostname, daemon_env->common.mail_name,
                        buf_cstr(&date));
}

static struct result send_group(struct forward *f, const struct group *g, struct agent_delivery *d,
                                const struct msg_deliver_recipient *rcpt)
{
    const struct msg_deliver_request *q = &d->request;
    struct result r;
    int64_t deadline = deadline_in(daemon_env->common.ipc_timeout);
    bool same_sender = strcmp(g->sender, q->sender) == 0;
    struct msg_cleanup_begin begin = {.origin = "local",
                                      .syslog_name = daemon_env->common.syslog_name,
                                      .flags = CLEANUP_MAP | (q->flags & DELIVER_SMTPUTF8 ? CLEANUP_SMTPUTF8 : 0U),
                                      .sender = g->sender,
                                      .dsn_envid = same_sender ? q->dsn_envid : "",
                                      .dsn_ret = same_sender ? q->dsn_ret : 0,
                                      .body_type = q->body_type,
                                      .context = "local",
                                      .client_name = q->client_name,
                                      .client_addr = q->client_addr,
                                      .client_port = q->client_port,
                                      .client_proto = q->client_proto,
                                      .client_helo = q->client_helo,
                                      .received = received(f->arena),
                                      .size_hint = q->content_size,
                                      .hop = q->hop + 1};
    struct cleanup_client *c = cleanup_open(cleanup, &begin, &r, deadline);
    if (c == NULL)
        return r;
    for (size_t i = 0; i < g->addresses.n; i++) {
        struct msg_cleanup_recipient n = {.address = g->addresses.items[i],
                                          .orig_address = same_sender ? rcpt->orig_address : g->addresses.items[i],
                                          .dsn_orcpt = same_sender ? rcpt->dsn_orcpt : "",
                                          .dsn_notify = same_sender ? rcpt->dsn_notify : 0};
        cleanup_recipient(c, &n);
    }
    BUF_AUTO head = BUF(5000);
    delivery_prefix(&head, "", rcpt, rcpt->address, PREFIX_DELIVERED_TO);
    cleanup_content(c, buf_cstr(&head), head.len);
    if (!agent_content(d, put_content, c)) {
        cleanup_abort(&c);
        return result_try_again("4.3.0", "message content cannot be read or passed on");
    }
    const char *id = arena_strdup(f->arena, cleanup_queue_id(c));
    struct msg_cleanup_done done;
    cleanup_finish(&c, f->arena, &done, deadline);
    if (done.outcome == OUTCOME_OK)
        return result_ok("2.0.0", "forwarded as %s", id);
    return done.outcome == OUTCOME_NEVER ? result_never(done.dsn, "%s", done.text)
                                         : result_try_again(done.dsn, "%s", done.text);
}

struct result forward_send(struct forward *f, struct agent_delivery *d, const struct msg_deliver_recipient *rcpt)
{
    struct result r = result_ok("2.0.0", "%s", "");
    for (struct group *g = f->groups; g != NULL; g = g->next) {
        if (result_is_ok(&r))
            r = send_group(f, g, d, rcpt);
        VEC_FREE(&g->addresses);
    }
    return r;
}
