/* restriction_login.c - whether the login may use the sender address (smtpd_sender_login_maps). */
#include "smtpd/smtpd.h"

static bool never_local(void *ctx, const char *domain)
{
    return false;
}

/* The owners of the sender; *owned tells whether there is an entry at all. False: *r holds the failure. */
static bool owns(struct check *c, bool *owned, bool *mine, enum check_result *r)
{
    struct session *s = c->session;
    BUF_AUTO owners = BUF(10000);
    *owned = *mine = false;
    if (!smtpd_shared.sender_login || maps_is_empty(smtpd_shared.sender_login))
        return true;
    switch (maps_lookup_address(smtpd_shared.sender_login, s->sender, daemon_env->common.recipient_delimiter,
                                MAPS_DEFAULT, never_local, NULL, &owners, NULL)) {
    case MAP_TRY_AGAIN:
        *r = check_table_failure(c, s->sender);
        return false;
    case MAP_NOT_FOUND:
        return true;
    default:
        break;
    }
    struct slice rest = buf_slice(&owners), name;
    *owned = true;
    while (s->sasl_username && slice_token(&rest, " \t\r\n,", &name))
        *mine = *mine || slice_eq_fold(name, slice_of(s->sasl_username));
    return true;
}

static enum check_result not_owned(struct check *c)
{
    struct session *s = c->session;
    if (s->sasl_username)
        return check_reject(c, 553, "5.7.1", "<%s>: Sender address rejected: not owned by user %s", s->sender,
                            s->sasl_username);
    return check_reject(c, 553, "5.7.1", "<%s>: Sender address rejected: not logged in", s->sender);
}

enum check_result restriction_reject_authenticated_mismatch(struct check *c, const struct check_step *step)
{
    bool owned, mine;
    enum check_result r;
    if (!c->session->sasl_username)
        return CHECK_DUNNO;
    if (!owns(c, &owned, &mine, &r))
        return r;
    return mine ? CHECK_DUNNO : not_owned(c);
}

enum check_result restriction_reject_unauthenticated_mismatch(struct check *c, const struct check_step *step)
{
    bool owned, mine;
    enum check_result r;
    if (c->session->sasl_username)
        return CHECK_DUNNO;
    if (!owns(c, &owned, &mine, &r))
        return r;
    return owned ? not_owned(c) : CHECK_DUNNO;
}

enum check_result restriction_reject_known_mismatch(struct check *c, const struct check_step *step)
{
    bool owned, mine;
    enum check_result r;
    if (!owns(c, &owned, &mine, &r))
        return r;
    return owned && !mine ? not_owned(c) : CHECK_DUNNO;
}

enum check_result restriction_reject_sender_login_mismatch(struct check *c, const struct check_step *step)
{
    return c->session->sasl_username ? restriction_reject_authenticated_mismatch(c, step)
                                     : restriction_reject_unauthenticated_mismatch(c, step);
}
