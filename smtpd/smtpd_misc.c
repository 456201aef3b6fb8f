/* smtpd_misc.c - the commands that do little: RSET, NOOP, QUIT, VRFY, ETRN. */
#include "lib/syntax/address.h"
#include "smtpd/smtpd.h"

enum { QMGR_SECONDS = 10 };

int smtpd_rset(struct session *s, struct slice args)
{
    if (args.n > 0) {
        smtpd_reply(s, "501 5.5.4 Syntax: RSET");
        return -1;
    }
    smtpd_mail_reset(s);
    smtpd_reply(s, "250 2.0.0 Ok");
    return 0;
}

int smtpd_noop(struct session *s, struct slice args)
{
    smtpd_reply(s, "250 2.0.0 Ok");
    return 0;
}

int smtpd_quit(struct session *s, struct slice args)
{
    smtpd_reply(s, "221 2.0.0 Bye");
    s->closing = true;
    return 0;
}

int smtpd_vrfy(struct session *s, struct slice args)
{
    const char *address;
    int result = -1;
    if (smtpd_params.disable_vrfy_command) {
        smtpd_reply(s, "502 5.5.1 VRFY command is disabled");
        return -1;
    }
    if (args.n == 0) {
        smtpd_reply(s, "501 5.5.4 Syntax: VRFY address%s", daemon_env->common.smtputf8_enable ? " [SMTPUTF8]" : "");
        return -1;
    }
    if (!smtpd_path(s, smtp_command_words(s->call, args), false, false, &address)) {
        smtpd_reply(s, "501 5.1.3 Bad recipient address syntax");
        return -1;
    }
    s->recipient = address;
    if (smtpd_recipient_allowed(s)) { /* so that VRFY tells no more than RCPT would */
        smtpd_reply(s, "252 2.0.0 %s", smtp_command_words(s->call, args));
        result = 0;
    } else {
        smtpd_reply_verdict(s);
    }
    s->recipient = NULL;
    return result;
}

/* Asks for a try of what waits for the domain. */
static bool flush_domain(struct session *s, const char *domain)
{
    struct msg_qmgr_command_reply reply = {.outcome = OUTCOME_TRY_AGAIN};
    struct msg_qmgr_command command = {.command = arena_printf(s->call, "flush-site %s", domain)};
    return ipc_call(smtpd_shared.qmgr, &ipc_type_qmgr_command, &command, &ipc_type_qmgr_command_reply, s->call, &reply,
                    deadline_in(QMGR_SECONDS)) == IPC_OK &&
           reply.outcome == OUTCOME_OK;
}

static int etrn(struct session *s, const char *domain)
{
    bool delayed = smtpd_params.smtpd_delay_reject;
    if ((delayed && (check_run(s, STAGE_CLIENT, &smtpd_shared.lists[STAGE_CLIENT], NULL) == CHECK_REJECT ||
                     check_run(s, STAGE_HELO, &smtpd_shared.lists[STAGE_HELO], NULL) == CHECK_REJECT)) ||
        check_run(s, STAGE_ETRN, &smtpd_shared.lists[STAGE_ETRN], NULL) == CHECK_REJECT) {
        smtpd_reply_verdict(s);
        return -1;
    }
    if (match_list_domain(smtpd_shared.flush_domains, domain) != MAP_FOUND) {
        smtpd_reply(s, "459 <%s>: service unavailable", domain);
        return -1;
    }
    if (!flush_domain(s, domain)) {
        smtpd_reply(s, "458 Unable to queue messages");
        return -1;
    }
    smtpd_reply(s, "250 Queuing started");
    return 0;
}

int smtpd_etrn(struct session *s, struct slice args)
{
    if (smtpd_params.smtpd_helo_required && !s->helo) {
        smtpd_reply(s, "503 Error: send HELO/EHLO first");
        return -1;
    }
    if (s->sender) {
        smtpd_reply(s, "503 Error: MAIL transaction in progress");
        return -1;
    }
    if (strcspn(arena_slice(s->call, args), " \t") < args.n || args.n == 0) {
        smtpd_reply(s, "500 Syntax: ETRN domain");
        return -1;
    }
    bool mark = args.n > 0 && (*args.p == '@' || *args.p == '#');
    const char *domain = arena_slice(s->call, slice_make(args.p + mark, args.n - mark));
    if (!hostname_valid(domain) && !address_literal_valid(domain)) {
        smtpd_reply(s, "501 Error: invalid parameter syntax");
        return -1;
    }
    s->recipient = domain;
    int result = etrn(s, domain);
    s->recipient = NULL;
    return result;
}
