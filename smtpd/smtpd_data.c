/* smtpd_data.c - DATA: the content up to the line with the dot. */
#include "smtpd/smtpd.h"

static bool may_begin(struct session *s, struct slice args)
{
    if (s->bdat || s->bdat_failed)
        smtpd_reply(s, "503 5.5.1 Error: DATA after BDAT");
    else if (s->rcpt_count == 0 && !s->sender)
        smtpd_reply(s, "503 5.5.1 Error: need RCPT command");
    else if (s->rcpt_count == 0)
        smtpd_reply(s, "554 5.5.1 Error: no valid recipients");
    else if (args.n > 0)
        smtpd_reply(s, "501 5.5.4 Syntax: DATA");
    else if (check_run(s, STAGE_DATA, &smtpd_shared.lists[STAGE_DATA], NULL) == CHECK_REJECT)
        smtpd_reply_verdict(s);
    else
        return true;
    return false;
}

/* "From sender date", as mailbox files have it, is no header; it is made one where a message begins with it. */
static enum stream_status name_mailbox_line(struct session *s)
{
    static const char from[] = "From ";
    for (;;) {
        struct slice have = stream_peek(s->stream);
        size_t quotes = 0, n = 0;
        while (quotes < have.n && have.p[quotes] == '>')
            quotes++;
        while (quotes + n < have.n && n < 5 && have.p[quotes + n] == from[n])
            n++;
        if (n == 5)
            smtpd_message_emit(s, "X-Mailbox-Line: ", 16);
        if (n == 5 || quotes + n < have.n || quotes > (size_t)daemon_env->common.line_length_limit)
            return STREAM_OK;
        enum stream_status st = stream_fill(s->stream, smtpd_deadline());
        if (st != STREAM_OK)
            return st;
    }
}

/* False when the client went away. */
static bool receive(struct session *s)
{
    enum stream_status st = stream_flush(s->stream, smtpd_deadline());
    if (st == STREAM_OK)
        st = name_mailbox_line(s);
    while (st == STREAM_OK && !s->data->done) {
        struct slice have = stream_peek(s->stream);
        if (have.n > 0)
            stream_consume(s->stream, smtp_data_feed(s->data, have, smtpd_message_emit, s));
        else
            st = stream_fill(s->stream, smtpd_deadline());
    }
    if (st != STREAM_OK)
        smtpd_lost(s, st);
    return st == STREAM_OK;
}

int smtpd_data(struct session *s, struct slice args)
{
    struct smtp_data data;
    if (!may_begin(s, args))
        return -1;
    bool standard = s->forbid_bare && smtpd_shared.bare_newline >= BARE_NORMALIZE;
    smtp_data_init(&data, standard ? SMTP_DATA_STANDARD_EOD : SMTP_DATA_ANY_EOD, standard);
    s->data = &data;
    smtpd_reply(s, "354 End data with <CR><LF>.<CR><LF>");
    int result = receive(s) ? smtpd_message_finish(s) : -1;
    s->data = NULL;
    return result;
}
