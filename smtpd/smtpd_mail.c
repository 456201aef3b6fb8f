/* smtpd_mail.c - MAIL FROM: begins a transaction (RFC 5321 section 4.1.1.2). */
#include "lib/syntax/address.h"
#include "smtpd/smtpd.h"

#include <sys/statvfs.h>

enum { SPACE_SECONDS = 1 };

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

/* Letters, digits and labels: such a domain needs no resolver to be one. */
static bool is_plain_domain(const char *domain)
{
    return hostname_valid(domain) && domain[strspn(domain, "0123456789.")];
}

static bool is_ascii(const char *text)
{
    while (*text && (unsigned char)*text < 0x80)
        text++;
    return *text == 0;
}

static bool refuse_path(struct session *s, const char *word)
{
    log_warn("Illegal address syntax from %s in %s command: %s", s->namaddr, s->where, word);
    return false;
}

bool smtpd_path(struct session *s, const char *word, bool empty_ok, bool utf8, const char **address)
{
    struct msg_resolved r = {0};
    if (smtp_command_path(s->call, word, smtpd_params.strict_rfc821_envelopes, empty_ok, address) &&
        (**address != '-' || daemon_env->common.allow_min_user)) {
        const char *domain = address_domain(*address);
        if (domain && !utf8 && !is_ascii(domain))
            return refuse_path(s, word);
        if (!**address ||
            (domain ? is_plain_domain(domain) && strchr(*address, '@') == domain - 1 : !strpbrk(*address, "@%!")))
            return true;
        if (!check_resolve(s, *address, &r) || !(r.flags & RESOLVE_ERROR))
            return true;
    }
    return refuse_path(s, word);
}

void smtpd_mail_reset(struct session *s)
{
    cleanup_abort(&s->cleanup);
    s->queue_id = s->sender = s->recipient = s->first_recipient = s->sasl_sender = NULL;
    s->data = NULL;
    s->bdat = s->bdat_failed = s->rcpt_tried = s->unlisted_checked = false;
    s->rcpt_count = s->rcpt_overshoot = 0;
    s->params = (struct smtp_mail_params){0};
    s->effects = (struct check_effects){0};
    s->defer_if_permit = s->helo_defer;
    arena_reset(s->mail);
}

static int refuse_param(struct session *s, enum smtp_param_status st, const char *offending)
{
    switch (st) {
    case SMTP_PARAM_BAD_SIZE:
        smtpd_reply(s, "501 5.5.4 Bad message size syntax");
        break;
    case SMTP_PARAM_HUGE_SIZE:
        smtpd_reply(s, "552 5.3.4 Message size exceeds file system imposed limit");
        break;
    case SMTP_PARAM_BAD_RET:
        smtpd_reply(s, "501 5.5.4 Bad RET parameter syntax");
        break;
    case SMTP_PARAM_BAD_ENVID:
        smtpd_reply(s, "501 5.5.4 Bad ENVID parameter syntax");
        break;
    case SMTP_PARAM_BAD_AUTH:
        smtpd_reply(s, "503 5.5.4 Error: multiple AUTH= options");
        break;
    default:
        smtpd_reply(s, "555 5.5.4 Unsupported option: %s", offending);
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
    if (s->bdat || s->bdat_failed) {
        smtpd_reply(s, "503 5.5.1 Error: MAIL after BDAT");
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

/* What a path may hold depends on a parameter that comes after it. */
static bool wants_utf8(struct session *s, struct slice params)
{
    const char *word;
    while (daemon_env->common.smtputf8_enable && smtp_command_word(s->call, &params, &word, NULL)) {
        if (str_eq_fold(word, "SMTPUTF8"))
            return true;
    }
    return false;
}

/* "FROM:<path>"; *args is left with the parameters. */
static bool parse(struct session *s, struct slice *args, const char **address)
{
    const char *word;
    bool broken;
    if (!smtp_command_word(s->call, args, &word, NULL) || !str_eq_fold(word, "from:") ||
        !smtp_command_word(s->call, args, &word, &broken)) {
        smtpd_reply(s, "501 5.5.4 Syntax: MAIL FROM:<address>");
        return false;
    }
    if (broken || !smtpd_path(s, word, true, wants_utf8(s, *args), address)) {
        smtpd_reply(s, "501 5.1.7 Bad sender address syntax");
        return false;
    }
    return true;
}

int smtpd_mail(struct session *s, struct slice args)
{
    const char *address, *offending;
    if (!may_begin(s) || !parse(s, &args, &address))
        return -1;
    smtpd_mail_reset(s);
    enum smtp_param_status st = smtp_command_mail_params(args, s->mail, &s->params, &offending);
    if (st != SMTP_PARAM_OK)
        return refuse_param(s, st, offending);
    if (!fits(s, s->params.size))
        return -1;
    s->sender = arena_strdup(s->mail, address);
    if (s->params.auth && strcmp(s->params.auth, "<>") != 0 && s->sasl_username)
        s->sasl_sender = s->params.auth;
    if (!allowed(s)) {
        s->sender = NULL;
        return -1;
    }
    s->sender_defer = s->defer_if_permit;
    s->arrival_usec = clock_wall_usec();
    smtpd_reply(s, "250 2.1.0 Ok");
    return 0;
}
