/* smtpd_mail.c - MAIL FROM: begins a transaction (RFC 5321 section 4.1.1.2). */
#include "smtpd/smtpd.h"

#include <sys/statvfs.h>

enum { ADDRESS_MAX = 1100, SPACE_SECONDS = 1 };

static uint64_t free_space(void)
{
    static uint64_t bytes;
    static int64_t until;
    struct statvfs v;
    if (clock_mono() >= until && statvfs(".", &v) == 0) {
        bytes = (uint64_t)v.f_bavail * v.f_frsize;
        until = deadline_in(SPACE_SECONDS);
    }
    return bytes;
}

bool smtpd_space_left(uint64_t size)
{
    const struct common_params *p = &daemon_env->common;
    uint64_t keep = p->queue_minfree ? (uint64_t)p->queue_minfree : (uint64_t)p->message_size_limit * 3 / 2;
    return free_space() >= keep + size;
}

void smtpd_mail_reset(struct session *s)
{
    cleanup_abort(&s->cleanup);
    s->queue_id = s->sender = s->recipient = s->first_recipient = s->sasl_sender = NULL;
    s->data = NULL;
    s->bdat = s->bdat_failed = s->rcpt_tried = s->unlisted_checked = s->premature = false;
    s->rcpt_count = s->rcpt_overshoot = 0;
    s->params = (struct smtp_mail_params){0};
    s->effects = (struct check_effects){0};
    s->defer_if_permit = (struct check_verdict){0};
    arena_reset(s->mail);
}

static int refuse_param(struct session *s, enum smtp_param_status st, struct slice offending)
{
    switch (st) {
    case SMTP_PARAM_BAD_SIZE:
        smtpd_reply(s, "501 5.5.4 Bad message size syntax");
        break;
    case SMTP_PARAM_BAD_RET:
        smtpd_reply(s, "501 5.5.4 Bad RET parameter syntax");
        break;
    case SMTP_PARAM_BAD_ENVID:
        smtpd_reply(s, "501 5.5.4 Bad ENVID parameter syntax");
        break;
    case SMTP_PARAM_BAD_AUTH:
        smtpd_reply(s, "501 5.5.4 Bad AUTH parameter syntax");
        break;
    default:
        smtpd_reply(s, "555 5.5.4 Unsupported option: %.*s", SLICE_ARG(offending));
    }
    return -1;
}

static bool fits(struct session *s, uint64_t size)
{
    int64_t limit = daemon_env->common.message_size_limit;
    if (limit && size > (uint64_t)limit) {
        smtpd_reply(s, "552 5.3.4 Message size exceeds fixed limit");
        return false;
    }
    if (!smtpd_space_left(size)) {
        log_warn("not enough free space in mail queue for a message of %llu bytes", (unsigned long long)size);
        smtpd_reply(s, "452 4.3.1 Insufficient system storage");
        return false;
    }
    return true;
}

static bool may_begin(struct session *s)
{
    if (smtpd_params.smtpd_helo_required && !s->helo) {
        smtpd_reply(s, "503 5.5.1 Error: send HELO/EHLO first");
        return false;
    }
    if (s->sender) {
        smtpd_reply(s, "503 5.5.1 Error: nested MAIL command");
        return false;
    }
    if (!smtpd_anvil_event(s, ANVIL_MESSAGE, smtpd_params.smtpd_client_message_rate_limit,
                           "Message delivery request rate")) {
        smtpd_reply(s, "450 4.7.1 Error: too much mail from %s", s->client_addr);
        return false;
    }
    return true;
}

/* Restrictions that are not left for RCPT. */
static bool allowed(struct session *s)
{
    if (smtpd_params.smtpd_delay_reject ||
        check_run(s, STAGE_SENDER, &smtpd_shared.lists[STAGE_SENDER], NULL) != CHECK_REJECT)
        return true;
    smtpd_reply_verdict(s);
    return false;
}

int smtpd_mail(struct session *s, struct slice args)
{
    struct slice params, offending;
    BUF_AUTO address = BUF(ADDRESS_MAX);
    if (!may_begin(s))
        return -1;
    switch (smtp_command_path(args, SLICE("FROM:"), smtpd_params.strict_rfc821_envelopes, &address, &params)) {
    case SMTP_PATH_NO_KEYWORD:
        smtpd_reply(s, "501 5.5.4 Syntax: MAIL FROM:<address>");
        return -1;
    case SMTP_PATH_BAD:
        log_warn("Illegal address syntax from %s in MAIL command: %.*s", s->namaddr, SLICE_ARG(args));
        smtpd_reply(s, "501 5.1.7 Bad sender address syntax");
        return -1;
    case SMTP_PATH_OK:
        break;
    }
    smtpd_mail_reset(s);
    enum smtp_param_status st = smtp_command_mail_params(params, s->mail, &s->params, &offending);
    if (st != SMTP_PARAM_OK)
        return refuse_param(s, st, offending);
    if (!fits(s, s->params.size))
        return -1;
    s->sender = arena_strdup(s->mail, buf_cstr(&address));
    if (s->params.auth && strcmp(s->params.auth, "<>") != 0 && s->sasl_username)
        s->sasl_sender = s->params.auth;
    if (!allowed(s)) {
        s->sender = NULL;
        return -1;
    }
    s->arrival_usec = clock_wall_usec();
    smtpd_reply(s, "250 2.1.0 Ok");
    return 0;
}
