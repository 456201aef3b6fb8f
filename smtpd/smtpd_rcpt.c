/* smtpd_rcpt.c - RCPT TO: one recipient through all restrictions (RFC 5321 section 4.1.1.3). */
#include "smtpd/smtpd.h"

static bool run(struct session *s, enum check_stage stage)
{
    return check_run(s, stage, &smtpd_shared.lists[stage], NULL) != CHECK_REJECT;
}

static bool unlisted_ok(struct session *s)
{
    struct check c = {.session = s, .stage = STAGE_RECIPIENT};
    if (s->effects.discard || smtpd_shared.no_unknown_recipient_checks)
        return true;
    if (smtpd_params.smtpd_reject_unlisted_recipient && !s->unlisted_checked &&
        check_unlisted(&c, s->recipient, false) == CHECK_REJECT)
        return false;
    if (!smtpd_params.smtpd_reject_unlisted_sender || s->sender_checked || !s->sender)
        return true;
    return check_unlisted(&c, s->sender, true) != CHECK_REJECT;
}

bool smtpd_recipient_allowed(struct session *s)
{
    bool relay_first = smtpd_params.smtpd_relay_before_recipient_restrictions;
    s->unlisted_checked = false;
    if (str_eq_fold(s->recipient, "postmaster"))
        return true;
    s->defer_if_permit = s->sender_defer;
    if (smtpd_params.smtpd_delay_reject) {
        s->defer_if_permit = (struct check_verdict){0};
        if (!run(s, STAGE_CLIENT) || (s->helo && !run(s, STAGE_HELO)) || (s->sender && !run(s, STAGE_SENDER)))
            return false;
    }
    if (!run(s, relay_first ? STAGE_RELAY : STAGE_RECIPIENT) || !run(s, relay_first ? STAGE_RECIPIENT : STAGE_RELAY))
        return false;
    if (!unlisted_ok(s))
        return false;
    return !s->defer_if_permit.code || check_defer(s) != CHECK_REJECT;
}

static bool may_add(struct session *s)
{
    if (!s->sender) {
        smtpd_reply(s, "503 5.5.1 Error: need MAIL command");
        return false;
    }
    if (s->bdat || s->bdat_failed) {
        smtpd_reply(s, "503 5.5.1 Error: RCPT after BDAT");
        return false;
    }
    if (!smtpd_anvil_event(s, ANVIL_RECIPIENT, smtpd_params.smtpd_client_recipient_rate_limit,
                           "Recipient address rate")) {
        smtpd_reply(s, "450 4.7.1 Error: too many recipients from %s", s->client_addr);
        return false;
    }
    return true;
}

/* Without ORCPT the original recipient is the path as it came, brackets aside. */
static void note_original(struct session *s, const char *word, struct smtp_rcpt_params *out)
{
    size_t n = strlen(word);
    bool angle = *word == '<' && word[n - 1] == '>';
    while (n > 2 && strchr(" \t", word[n - 1 - angle]))
        n--;
    if (!out->orcpt)
        out->orcpt = arena_printf(s->mail, "rfc822;%.*s", (int)(n - 2 * angle), word + angle);
}

static bool parse(struct session *s, struct slice args, struct smtp_rcpt_params *out)
{
    const char *word, *address, *offending;
    bool broken;
    if (!smtp_command_word(s->mail, &args, &word, NULL) || !str_eq_fold(word, "to:") ||
        !smtp_command_word(s->mail, &args, &word, &broken)) {
        smtpd_reply(s, "501 5.5.4 Syntax: RCPT TO:<address>");
        return false;
    }
    if (broken || !smtpd_path(s, word, false, s->params.smtputf8, &address)) {
        smtpd_reply(s, "501 5.1.3 Bad recipient address syntax");
        return false;
    }
    s->recipient = arena_strdup(s->mail, address);
    switch (smtp_command_rcpt_params(args, s->mail, out, &offending)) {
    case SMTP_PARAM_OK:
        note_original(s, word, out);
        return true;
    case SMTP_PARAM_BAD_NOTIFY:
        smtpd_reply(s, "501 5.5.4 Error: Bad NOTIFY parameter syntax");
        return false;
    case SMTP_PARAM_BAD_ORCPT:
        smtpd_reply(s, "501 5.5.4 Error: Bad ORCPT parameter syntax");
        return false;
    default:
        smtpd_reply(s, "555 5.5.4 Unsupported option: %s", offending);
        return false;
    }
}

static int add(struct session *s, const struct smtp_rcpt_params *params)
{
    if (s->rcpt_count >= smtpd_params.smtpd_recipient_limit) {
        smtpd_reply(s, "452 4.5.3 Error: too many recipients");
        return s->rcpt_overshoot++ < smtpd_params.smtpd_recipient_overshoot_limit ? 0 : -1;
    }
    if (!smtpd_recipient_allowed(s)) {
        smtpd_reply_verdict(s);
        return -1;
    }
    if (!s->first_recipient)
        s->first_recipient = s->recipient;
    if (!s->cleanup && !smtpd_message_open(s))
        return -1;
    struct msg_cleanup_recipient r = {.address = s->recipient,
                                      .orig_address = "",
                                      .dsn_orcpt = params->orcpt ? params->orcpt : "",
                                      .dsn_notify = params->notify};
    cleanup_recipient(s->cleanup, &r);
    s->rcpt_count++;
    smtpd_reply(s, "250 2.1.5 Ok");
    return 0;
}

int smtpd_rcpt(struct session *s, struct slice args)
{
    struct smtp_rcpt_params params;
    int result = -1;
    if (!may_add(s))
        return -1;
    s->rcpt_tried = true;
    if (parse(s, args, &params))
        result = add(s, &params);
    s->recipient = NULL;
    return result;
}
