/* restriction_generic.c - permit, reject, defer and the like: they look at nothing but the session. */
#include "smtpd/smtpd.h"

#include <sys/ioctl.h>

enum { SLEEP_MAX = 300 };

enum check_result restriction_permit(struct check *c, const struct check_step *step)
{
    return CHECK_OK;
}

enum check_result restriction_reject(struct check *c, const struct check_step *step)
{
    const char *class_name, *subject = check_subject(c, &class_name);
    return check_reject(c, (int)smtpd_params.reject_code, "5.7.1", "<%s>: %s rejected: Access denied", subject,
                        class_name);
}

enum check_result restriction_defer(struct check *c, const struct check_step *step)
{
    const char *class_name, *subject = check_subject(c, &class_name);
    return check_reject(c, (int)smtpd_params.defer_code, "4.3.2", "<%s>: %s rejected: Try again later", subject,
                        class_name);
}

enum check_result restriction_defer_if_permit(struct check *c, const struct check_step *step)
{
    const char *class_name, *subject = check_subject(c, &class_name);
    check_defer_if_permit(c, 450, "4.7.0", "<%s>: %s rejected: defer_if_permit requested", subject, class_name);
    return CHECK_DUNNO;
}

enum check_result restriction_defer_if_reject(struct check *c, const struct check_step *step)
{
    const char *class_name, *subject = check_subject(c, &class_name);
    if (!c->warn && !c->defer_if_reject.code)
        c->defer_if_reject = (struct check_verdict){
            450,
            arena_printf(c->session->call, "4.7.0 <%s>: %s rejected: defer_if_reject requested", subject, class_name)};
    return CHECK_DUNNO;
}

enum check_result restriction_sleep(struct check *c, const struct check_step *step)
{
    unsigned long long seconds;
    if (!slice_to_u64(slice_of(step->argument), SLEEP_MAX, &seconds))
        return check_misconfigured(c, "bad argument of sleep", step->argument);
    fiber_sleep(deadline_in((int64_t)seconds));
    return CHECK_DUNNO;
}

enum check_result restriction_reject_plaintext_session(struct check *c, const struct check_step *step)
{
    if (stream_tls(c->session->stream))
        return CHECK_DUNNO;
    return check_reject(c, (int)smtpd_params.plaintext_reject_code, "4.7.1", "Session encryption is required");
}

static bool more_has_come(struct session *s)
{
    int n = 0;
    return ioctl(stream_fd(s->stream), FIONREAD, &n) == 0 && n > 0;
}

enum check_result restriction_reject_unauth_pipelining(struct check *c, const struct check_step *step)
{
    const char *class_name, *subject = check_subject(c, &class_name);
    struct session *s = c->session;
    bool waits = strcmp(s->where, "DATA") == 0 || !s->esmtp; /* where the client has to wait for an answer */
    if (!s->premature && !(waits && (stream_peek(s->stream).n > 0 || more_has_come(s))))
        return CHECK_DUNNO;
    return check_reject(c, 503, "5.5.0", "<%s>: %s rejected: Improper use of SMTP command pipelining", subject,
                        class_name);
}

enum check_result restriction_permit_mynetworks(struct check *c, const struct check_step *step)
{
    switch (match_list_host(smtpd_shared.mynetworks, c->session->client_name, c->session->peer)) {
    case MAP_FOUND:
        return CHECK_OK;
    case MAP_TRY_AGAIN:
        return check_table_failure(c, c->session->namaddr);
    default:
        return CHECK_DUNNO;
    }
}

enum check_result restriction_permit_inet_interfaces(struct check *c, const struct check_step *step)
{
    /* A client that has the address it connected to is this host. */
    return addr_equal(c->session->peer, c->session->local) ? CHECK_OK : CHECK_DUNNO;
}

enum check_result restriction_permit_sasl_authenticated(struct check *c, const struct check_step *step)
{
    return c->session->sasl_username ? CHECK_OK : CHECK_DUNNO;
}

enum check_result restriction_reject_multi_recipient_bounce(struct check *c, const struct check_step *step)
{
    struct session *s = c->session;
    const char *class_name, *subject = check_subject(c, &class_name);
    if (*s->sender || s->rcpt_count < 2)
        return CHECK_DUNNO;
    return check_reject(c, (int)smtpd_params.multi_recipient_bounce_reject_code, "5.5.3",
                        "<%s>: %s rejected: Multi-recipient bounce", subject, class_name);
}
