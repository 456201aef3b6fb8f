/* restriction_destination.c - whether we are responsible for a recipient's domain, and whether an address of ours
 * exists: the class tables. */
#include "lib/syntax/address.h"
#include "smtpd/smtpd.h"

enum { OURS = RESOLVE_LOCAL | RESOLVE_VIRTUAL_ALIAS | RESOLVE_VIRTUAL_MAILBOX | RESOLVE_RELAY };

enum destination { DEST_FAILED, DEST_OURS, DEST_FOREIGN };

/* Addresses that tell us themselves where to go next (user%host@) are never ours. */
static enum destination destination(struct check *c)
{
    struct msg_resolved r = {0};
    if (!check_resolve(c->session, c->session->recipient, &r))
        return DEST_FAILED;
    if (!strchr(c->session->recipient, '@'))
        return DEST_OURS;
    return (r.flags & OURS) && !(r.flags & RESOLVE_ROUTED) ? DEST_OURS : DEST_FOREIGN;
}

enum check_result restriction_permit_auth_destination(struct check *c, const struct check_step *step)
{
    switch (destination(c)) {
    case DEST_FAILED:
        return check_table_failure(c, c->session->recipient);
    case DEST_OURS:
        return CHECK_OK;
    default:
        return CHECK_DUNNO;
    }
}

static enum check_result unauth(struct check *c, int code)
{
    switch (destination(c)) {
    case DEST_FAILED:
        return check_table_failure(c, c->session->recipient);
    case DEST_OURS:
        return CHECK_DUNNO;
    default:
        return check_reject(c, code, "5.7.1", "<%s>: Relay access denied", c->session->recipient);
    }
}

enum check_result restriction_reject_unauth_destination(struct check *c, const struct check_step *step)
{
    return unauth(c, (int)smtpd_params.relay_domains_reject_code);
}

enum check_result restriction_defer_unauth_destination(struct check *c, const struct check_step *step)
{
    int code = (int)smtpd_params.relay_domains_reject_code;
    return unauth(c, code >= 500 ? code - 100 : code);
}

static bool is_local(void *ctx, const char *domain)
{
    return *(const bool *)ctx;
}

static enum map_status in(struct maps *m, const char *address, bool local, struct buf *value)
{
    if (!m || maps_is_empty(m))
        return MAP_NOT_FOUND;
    return maps_lookup_address(m, address, daemon_env->common.recipient_delimiter, MAPS_DEFAULT, is_local, &local,
                               value, NULL);
}

struct class_table {
    uint32_t flag;
    struct maps *maps;
    int64_t code;
    const char *name;
};

static bool class_of(uint32_t flags, struct class_table *t)
{
    const struct class_table all[] = {
        {RESOLVE_LOCAL, smtpd_shared.local_recipients, smtpd_params.unknown_local_recipient_reject_code,
         "local recipient"},
        {RESOLVE_VIRTUAL_ALIAS, NULL, smtpd_params.unknown_virtual_alias_reject_code, "virtual alias"},
        {RESOLVE_VIRTUAL_MAILBOX, smtpd_shared.virtual_mailboxes, smtpd_params.unknown_virtual_mailbox_reject_code,
         "virtual mailbox"},
        {RESOLVE_RELAY, smtpd_shared.relay_recipients, smtpd_params.unknown_relay_recipient_reject_code,
         "relay recipient"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (flags & all[i].flag) {
            *t = all[i];
            return t->flag == RESOLVE_VIRTUAL_ALIAS || (t->maps && !maps_is_empty(t->maps));
        }
    }
    return false;
}

/* The transport "error" (or "retry") with its reason as next hop. */
static enum check_result error_transport(struct check *c, const struct msg_resolved *r, const char *address,
                                         const char *class_name, bool is_sender)
{
    bool later = strcmp(r->transport, "retry") == 0;
    char dsn[16] = "5.1.1";
    if (is_sender)
        memcpy(dsn, "5.1.0", 6);
    const char *text = r->nexthop;
    size_t n = strspn(text, "0123456789.");
    if (n >= 5 && n < sizeof dsn && text[1] == '.' && (text[n] == ' ' || text[n] == 0)) {
        memcpy(dsn, text, n);
        dsn[n] = 0;
        text += n + strspn(text + n, " ");
    }
    check_fit_dsn(dsn, class_name);
    return check_reject(c, later || dsn[0] == '4' ? 450 : 550, dsn, "<%s>: %s rejected: %s", address, class_name,
                        *text ? text : "undeliverable");
}

/* Addresses that the suite itself sends from, and the one that every domain must have. */
static bool is_own_name(const char *address)
{
    static const char *const names[] = {"double-bounce", "postmaster", "mailer-daemon"};
    ptrdiff_t at = address_at(address);
    for (size_t i = 0; i < 3 && at > 0; i++) {
        if (slice_eq_fold(slice_make(address, (size_t)at), slice_of(names[i])))
            return true;
    }
    return false;
}

static enum check_result unlisted_in(struct check *c, const struct msg_resolved *r, const char *address, bool is_sender)
{
    const char *class_name = is_sender ? "Sender address" : "Recipient address";
    struct maps *const first[] = {smtpd_shared.recipient_canonical, smtpd_shared.canonical,
                                  smtpd_shared.virtual_aliases};
    bool local = r->flags & RESOLVE_LOCAL;
    struct class_table t = {0};
    BUF_AUTO value = BUF(10000);
    enum map_status st = MAP_NOT_FOUND;
    for (size_t i = 0; i < 3 && st == MAP_NOT_FOUND; i++)
        st = in(first[i], r->recipient, local, &value);
    if (st == MAP_NOT_FOUND && (st = in(smtpd_shared.relocated, r->recipient, local, &value)) == MAP_FOUND)
        return check_reject(c, 550, is_sender ? "5.1.0" : "5.1.6", "<%s>: %s rejected: User has moved to %s", address,
                            class_name, buf_cstr(&value));
    if (st == MAP_NOT_FOUND && (strcmp(r->transport, "error") == 0 || strcmp(r->transport, "retry") == 0) &&
        !(r->flags & RESOLVE_VIRTUAL_ALIAS))
        return error_transport(c, r, address, class_name, is_sender);
    if (st == MAP_NOT_FOUND) {
        if (!class_of(r->flags, &t) || (local && is_own_name(r->recipient)))
            return CHECK_DUNNO;
        if (t.maps)
            st = in(t.maps, r->recipient, local, &value);
    }
    if (st == MAP_TRY_AGAIN)
        return check_table_failure(c, address);
    if (st == MAP_FOUND)
        return CHECK_DUNNO;
    const char *dsn = !is_sender ? "5.1.1" : t.flag == RESOLVE_VIRTUAL_ALIAS ? "5.1.7" : "5.1.0";
    if (!smtpd_params.show_user_unknown_table_name)
        return check_reject(c, (int)t.code, dsn, "<%s>: %s rejected: User unknown", address, class_name);
    return check_reject(c, (int)t.code, dsn, "<%s>: %s rejected: User unknown in %s table", address, class_name,
                        t.name);
}

enum check_result check_unlisted(struct check *c, const char *address, bool is_sender)
{
    struct msg_resolved r = {0};
    if (*address == 0)
        return CHECK_DUNNO;
    if (!check_resolve(c->session, address, &r))
        return check_table_failure(c, address);
    return unlisted_in(c, &r, address, is_sender);
}

enum check_result restriction_reject_unlisted_recipient(struct check *c, const struct check_step *step)
{
    c->session->unlisted_checked = true;
    return check_unlisted(c, c->session->recipient, false);
}

enum check_result restriction_reject_unlisted_sender(struct check *c, const struct check_step *step)
{
    return check_unlisted(c, c->session->sender, true);
}
