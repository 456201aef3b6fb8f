/* smtp_report.c - results of recipients. A temporary trouble is not reported while another host may still be asked: it
 * is kept, and reported when nobody is left to ask. The texts are those that log tools know. */
#include "lib/base/log.h"
#include "smtp/smtp.h"

static const char *relay_of(const struct smtp_session *session)
{
    return session ? session->relay : NULL;
}

static void report(struct smtp_delivery *s, size_t place, const struct agent_result *r)
{
    if (s->d->reported[place])
        return;
    agent_report(s->d, place, r);
    s->left--;
}

static void report_why(struct smtp_delivery *s, size_t place)
{
    struct agent_result r = {.result = s->why.result,
                             .relay = s->why.relay,
                             .remote_mta = s->why.remote_mta,
                             .diagnostic = s->why.diagnostic};
    report(s, place, &r);
}

static void keep_why(struct smtp_delivery *s, const struct smtp_session *session, const struct smtp_reply *reply,
                     const struct result *r, bool site)
{
    struct arena *a = s->arena;
    s->why = (struct smtp_why){.result = *r, .site = site};
    if (session) {
        s->why.relay = arena_strdup(a, session->relay);
        s->why.remote_mta = arena_strdup(a, session->host);
    }
    if (reply)
        s->why.diagnostic = reply->text;
}

void smtp_report_rest(struct smtp_delivery *s)
{
    if (s->left == 0)
        return;
    if (s->why.result.text[0] == '\0')
        s->why.result = result_try_again("4.3.0", "unknown delivery problem");
    if (s->why.site && s->why.result.outcome == OUTCOME_TRY_AGAIN)
        agent_site_dead(s->d, &s->why.result);
    for (size_t i = 0; i < s->d->request.n_recipients; i++)
        report_why(s, i);
}

void smtp_site_fail(struct smtp_delivery *s, const struct smtp_session *session, const struct smtp_reply *reply,
                    const struct result *r)
{
    keep_why(s, session, reply, r, true);
    if (r->outcome == OUTCOME_NEVER)
        smtp_report_rest(s);
    else if (!s->final_server)
        log_info("%s: %s", s->d->request.queue_id, r->text);
}

void smtp_message_never(struct smtp_delivery *s, const struct smtp_session *session, const struct result *r)
{
    keep_why(s, session, NULL, r, false);
    smtp_report_rest(s);
}

/* 5xx is never, all else (a reply that makes no sense here included) is to be tried again. */
static struct result refusal(const struct smtp_session *session, const struct smtp_reply *reply, const char *command)
{
    bool never = reply->code / 100 == 5;
    const char *dsn = reply->dsn[0] == '4' || reply->dsn[0] == '5' ? reply->dsn : "4.5.0";
    const char *fmt = "host %s said: %s (in reply to %s command)";
    return never ? result_never(dsn, fmt, session->namaddr, reply->text, command)
                 : result_try_again(dsn, fmt, session->namaddr, reply->text, command);
}

void smtp_message_fail(struct smtp_delivery *s, const struct smtp_session *session, const struct smtp_reply *reply,
                       const char *command, const bool *only)
{
    struct result r = refusal(session, reply, command);
    keep_why(s, session, reply, &r, false);
    if (r.outcome != OUTCOME_NEVER && !s->final_server) {
        log_info("%s: %s", s->d->request.queue_id, r.text);
        return;
    }
    for (size_t i = 0; i < s->d->request.n_recipients; i++) {
        if (!only || only[i])
            report_why(s, i);
    }
}

void smtp_recipient_fail(struct smtp_delivery *s, const struct smtp_session *session, const struct smtp_reply *reply,
                         const char *command, size_t place)
{
    struct smtp_reply softened = *reply;
    if (reply->code == 552 && strcmp(command, "RCPT TO") == 0) { /* RFC 5321 section 4.5.3.1.10 */
        softened.code = 452;
        softened.dsn[0] = '4';
    }
    struct result r = refusal(session, &softened, command);
    keep_why(s, session, reply, &r, false);
    if (r.outcome == OUTCOME_NEVER || s->final_server)
        report_why(s, place);
    else
        log_info("%s: %s", s->d->request.queue_id, r.text);
}

void smtp_sent(struct smtp_delivery *s, const struct smtp_session *session, const struct smtp_reply *reply,
               size_t place)
{
    const struct msg_deliver_recipient *rcpt = &s->d->request.recipients[place];
    struct agent_result r = {.result = result_ok(reply->dsn, "%s", reply->text),
                             .relay = relay_of(session),
                             .remote_mta = session->host,
                             .diagnostic = reply->text};
    /* Who passed NOTIFY on leaves the success report to the next host. */
    if (rcpt->dsn_notify & DSN_NOTIFY_SUCCESS && session->features & FEATURE_DSN)
        r.action = "none";
    else if (rcpt->dsn_notify & DSN_NOTIFY_SUCCESS && !smtp_program.lmtp)
        r.action = "relayed";
    report(s, place, &r);
}

void smtp_lost(struct smtp_delivery *s, struct smtp_session *session, enum stream_status st, const char *what)
{
    session->broken = true;
    struct result r = st == STREAM_TIMEOUT
                          ? result_try_again("4.4.2", "conversation with %s timed out while %s", session->namaddr, what)
                      : st == STREAM_FULL
                          ? result_try_again("4.5.0", "%s sent what is no reply while %s", session->namaddr, what)
                          : result_try_again("4.4.2", "lost connection with %s while %s", session->namaddr, what);
    keep_why(s, session, NULL, &r, true);
    if (!s->final_server)
        log_info("%s: %s", s->d->request.queue_id, r.text);
}
