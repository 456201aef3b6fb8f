/* virtual - delivers to mailboxes that are listed in tables, without any system account, alias or .forward.
 *
 * virtual_mailbox_maps gives the path below virtual_mailbox_base, a Maildir when it ends in a slash; virtual_uid_maps
 * and virtual_gid_maps give the owner, as whom the delivery is done. Looked up is user+extension@domain, then
 * user@domain, then @domain. */
#include "lib/base/log.h"
#include "lib/daemon/daemon.h"
#include "lib/map/map.h"
#include "local/delivery.h"

#include <string.h>
#include <unistd.h>

static struct maps *mailboxes, *uids, *gids;

static enum map_status lookup(struct maps *m, const char *address, struct buf *out)
{
    return maps_lookup_address(m, address, daemon_env->common.recipient_delimiter,
                               MAPS_FULL | MAPS_NOEXT | MAPS_AT_DOMAIN, NULL, NULL, out, NULL);
}

/* A number from one of the tables; false with *r. */
static bool lookup_id(struct maps *m, const char *what, const char *address, int64_t least, int64_t *id,
                      struct result *r)
{
    BUF_AUTO b = BUF(1000);
    unsigned long long v;
    enum map_status st = lookup(m, address, &b);
    if (st == MAP_TRY_AGAIN) {
        *r = result_try_again("4.3.5", "%s lookup failure", what);
    } else if (st == MAP_NOT_FOUND) {
        *r = result_try_again("4.3.5", "mail system configuration error");
        log_warn("recipient %s: not found in %s", address, what);
    } else if (!slice_to_u64(slice_trim(buf_slice(&b)), UINT32_MAX - 1, &v) || (int64_t)v < least) {
        *r = result_try_again("4.3.5", "mail system configuration error");
        log_warn("recipient %s: bad %.3s %s in %s", address, what + strlen("virtual_"), buf_cstr(&b), what);
    } else {
        *id = (int64_t)v;
        return true;
    }
    return false;
}

/* What the operator has to put right waits for it: no user made this mailbox. */
static struct result explain(struct arena *a, const struct msg_user_delivery *t, struct result r, uid_t uid, gid_t gid)
{
    const char *text = strcmp(t->kind, "mbox") != 0
                           ? arena_strdup(a, r.text)
                           : arena_printf(a, "delivery failed to mailbox %s: %s", t->target, r.text);
    if (strstr(text, "Permission denied") != NULL)
        log_warn("mailbox access problem for UID/GID=%ld/%ld: %s; perhaps the mailboxes have to be made in advance",
                 (long)uid, (long)gid, text);
    if (strcmp(r.dsn, "5.2.0") == 0)
        return result_try_again("4.2.0", "%s", text);
    return r.outcome == OUTCOME_NEVER ? result_never(r.dsn, "%s", text) : result_try_again(r.dsn, "%s", text);
}

static struct result store(struct agent_delivery *d, const struct msg_deliver_recipient *rcpt, const char *path,
                           uid_t uid, gid_t gid)
{
    BUF_AUTO prefix = BUF(60000);
    size_t n = strlen(path);
    bool maildir = n > 0 && path[n - 1] == '/';
    char *target = arena_strdup(d->arena, path);
    while (n > 1 && target[n - 1] == '/')
        target[--n] = '\0';
    delivery_prefix(&prefix, d->request.sender, rcpt, rcpt->address,
                    PREFIX_RETURN_PATH | PREFIX_DELIVERED_TO |
                        (daemon_env->common.enable_original_recipient ? PREFIX_ORIGINAL_TO : 0U));
    struct msg_user_delivery t = {.kind = maildir ? "maildir" : "mbox",
                                  .queue_id = d->request.queue_id,
                                  .target = target,
                                  .prefix = buf_slice(&prefix),
                                  .sender = d->request.sender,
                                  .size_limit = local_params.virtual_mailbox_limit,
                                  .content_offset = d->request.content_offset,
                                  .content_size = d->request.content_size,
                                  .file = d->request.file};
    if (strstr(local_params.virtual_mailbox_lock, "dotlock") != NULL)
        t.flags |= TASK_DOTLOCK;
    struct result r = task_run_as(uid, gid, NULL, &t, d->arena, NULL, deadline_in(daemon_env->common.ipc_timeout));
    return result_is_ok(&r) ? r : explain(d->arena, &t, r, uid, gid);
}

static struct result deliver_one(struct agent_delivery *d, const struct msg_deliver_recipient *rcpt)
{
    BUF_AUTO found = BUF(2000);
    struct result r;
    int64_t uid, gid;
    char *address = arena_strdup(d->arena, rcpt->address);
    str_lower(address);
    enum map_status st = lookup(mailboxes, address, &found);
    if (st == MAP_TRY_AGAIN)
        return result_try_again("4.3.5", "mail system configuration error");
    if (st == MAP_NOT_FOUND)
        return result_never("5.1.1", "unknown user: \"%s\"", address);
    if (!lookup_id(uids, "virtual_uid_maps", address, local_params.virtual_minimum_uid, &uid, &r) ||
        !lookup_id(gids, "virtual_gid_maps", address, 1, &gid, &r))
        return r;
    const char *base = local_params.virtual_mailbox_base;
    const char *path = *base != '\0' ? arena_printf(d->arena, "%s/%s", base, buf_cstr(&found)) : buf_cstr(&found);
    if (*path != '/' || strstr(path, "/../") != NULL) {
        log_warn("recipient %s: mailbox %s is no safe absolute path", address, path);
        return result_try_again("4.3.5", "mail system configuration error");
    }
    return store(d, rcpt, path, (uid_t)uid, (gid_t)gid);
}

static void deliver(struct agent_delivery *d)
{
    for (size_t i = 0; i < d->request.n_recipients; i++) {
        struct agent_result r = {.relay = "virtual"};
        if (d->request.flags & DELIVER_PROBE)
            r.result = result_ok("2.0.0", "delivers to mailbox");
        else
            r.result = deliver_one(d, &d->request.recipients[i]);
        agent_report(d, i, &r);
    }
}

static void request(struct ipc_conn *c)
{
    agent_serve(c, deliver);
}

static bool open_tables(struct buf *err)
{
    struct conf *c = daemon_env->conf;
    mailboxes = maps_open(c, "virtual_mailbox_maps", daemon_env->common.virtual_mailbox_maps, err);
    uids = mailboxes ? maps_open(c, "virtual_uid_maps", local_params.virtual_uid_maps, err) : NULL;
    gids = uids ? maps_open(c, "virtual_gid_maps", local_params.virtual_gid_maps, err) : NULL;
    if (gids != NULL)
        task_pool_open("virtual", true, (uid_t)local_params.virtual_minimum_uid);
    return gids != NULL;
}

int main(int argc, char **argv)
{
    const struct daemon virtual = {
        .name = "virtual",
        .summary = "delivery to virtual mailboxes",
        .params = local_param_table,
        .n_params = local_param_count,
        .params_struct = &local_params,
        .user = DAEMON_AS_OWNER,
        .needs = NEEDS_CONF_READ,
        .before_sandbox = open_tables,
        .request = request,
    };
    return daemon_main(argc, argv, &virtual);
}
