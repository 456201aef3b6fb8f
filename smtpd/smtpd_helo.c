/* smtpd_helo.c - HELO and EHLO (RFC 5321 section 4.1.1.1). */
#include "smtpd/smtpd.h"

static const struct {
    const char *name;
    unsigned bit;
} keywords[] = {
    {"pipelining", EHLO_PIPELINING},
    {"size", EHLO_SIZE},
    {"vrfy", EHLO_VRFY},
    {"etrn", EHLO_ETRN},
    {"starttls", EHLO_STARTTLS},
    {"auth", EHLO_AUTH},
    {"enhancedstatuscodes", EHLO_ENHANCED},
    {"8bitmime", EHLO_8BITMIME},
    {"dsn", EHLO_DSN},
    {"smtputf8", EHLO_SMTPUTF8},
    {"chunking", EHLO_CHUNKING},
    {"silent-discard", EHLO_SILENT},
};

static void note_discards(struct session *s)
{
    BUF_AUTO by_address = BUF(1000);
    struct slice rest = slice_of(smtpd_params.smtpd_discard_ehlo_keywords), word;
    if (s->discard_known)
        return;
    s->discard_known = true;
    if (!maps_is_empty(smtpd_shared.discard_ehlo) &&
        maps_lookup(smtpd_shared.discard_ehlo, s->client_addr, &by_address) == MAP_FOUND)
        rest = buf_slice(&by_address);
    while (slice_token(&rest, " \t\r\n,", &word)) {
        for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
            if (slice_eq_fold(word, slice_of(keywords[i].name)))
                s->ehlo_discard |= keywords[i].bit;
        }
    }
    if (s->ehlo_discard && !(s->ehlo_discard & EHLO_SILENT))
        log_info("discarding EHLO keywords: %s", smtpd_params.smtpd_discard_ehlo_keywords);
}

/* The name is shown in headers: what could be read as syntax there becomes '?'. */
const char *smtpd_clean_name(struct session *s, const char *text)
{
    char *name = arena_strdup(s->arena, text);
    for (char *p = name; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f || strchr(" <>()\\\";@", *p))
            *p = '?';
    }
    return name;
}

static int greet(struct session *s, struct slice args, const char *verb)
{
    if (args.n == 0) {
        smtpd_reply(s, "501 Syntax: %s hostname", verb);
        return -1;
    }
    if (s->bdat) {
        smtpd_reply(s, "503 5.5.1 Error: MAIL transaction in progress");
        return -1;
    }
    if (s->sender)
        smtpd_mail_reset(s);
    const char *name = smtp_command_words(s->call, args), *before = s->helo;
    s->helo = name;                      /* restrictions are shown what was said, logs and headers are not */
    s->esmtp = s->esmtp || *verb == 'E'; /* HELO after EHLO takes nothing back */
    s->proto = s->esmtp ? "ESMTP" : "SMTP";
    note_discards(s);
    s->defer_if_permit = s->client_defer;
    if (!smtpd_params.smtpd_delay_reject &&
        check_run(s, STAGE_HELO, &smtpd_shared.lists[STAGE_HELO], NULL) == CHECK_REJECT) {
        s->helo = before;
        smtpd_reply_verdict(s);
        return -1;
    }
    s->helo = smtpd_clean_name(s, name);
    s->helo_defer = s->defer_if_permit;
    return 0;
}

int smtpd_helo(struct session *s, struct slice args)
{
    if (greet(s, args, "HELO") < 0)
        return -1;
    smtpd_reply(s, "250 %s", daemon_env->common.myhostname);
    return 0;
}

/* The lines in the order that Postfix has; returns their number. */
static size_t announce(struct session *s, const char **line)
{
    size_t n = 0;
    unsigned off = s->ehlo_discard;
    const char *mechanisms = off & EHLO_AUTH ? NULL : smtpd_auth_mechanisms(s);
    line[n++] = daemon_env->common.myhostname;
    if (!(off & EHLO_PIPELINING))
        line[n++] = "PIPELINING";
    if (!(off & EHLO_SIZE))
        line[n++] = daemon_env->common.message_size_limit
                        ? arena_printf(s->call, "SIZE %lld", (long long)daemon_env->common.message_size_limit)
                        : "SIZE";
    if (!(off & EHLO_VRFY) && !smtpd_params.disable_vrfy_command)
        line[n++] = "VRFY";
    if (!(off & EHLO_ETRN))
        line[n++] = "ETRN";
    if (!(off & EHLO_STARTTLS) && smtpd_shared.tls && !stream_tls(s->stream))
        line[n++] = "STARTTLS";
    if (mechanisms) {
        line[n++] = arena_printf(s->call, "AUTH %s", mechanisms);
        if (smtpd_params.broken_sasl_auth_clients)
            line[n++] = arena_printf(s->call, "AUTH=%s", mechanisms);
    }
    if (s->may_xclient)
        line[n++] = "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT";
    if (s->may_xforward)
        line[n++] = "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT";
    if (!(off & EHLO_ENHANCED))
        line[n++] = "ENHANCEDSTATUSCODES";
    if (!(off & EHLO_8BITMIME))
        line[n++] = "8BITMIME";
    if (!(off & EHLO_DSN))
        line[n++] = "DSN";
    if (!(off & EHLO_SMTPUTF8) && daemon_env->common.smtputf8_enable)
        line[n++] = "SMTPUTF8";
    if (!(off & EHLO_CHUNKING))
        line[n++] = "CHUNKING";
    return n;
}

int smtpd_ehlo(struct session *s, struct slice args)
{
    const char *line[16];
    if (greet(s, args, "EHLO") < 0)
        return -1;
    size_t n = announce(s, line);
    for (size_t i = 0; i < n; i++)
        smtpd_reply_line(s, "250%c%s", i + 1 < n ? '-' : ' ', line[i]);
    return 0;
}
