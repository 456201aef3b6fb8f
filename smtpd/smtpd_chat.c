/* smtpd_chat.c - reading command lines and writing replies. Replies collect until the server has to wait, so that a
 * pipelined batch costs one read and one write. */
#include "smtpd/smtpd.h"

void smtpd_reply_line(struct session *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    stream_printf(s->stream, smtpd_deadline(), "%s\r\n", arena_vprintf(s->call, fmt, ap));
    va_end(ap);
}

/* Lines of the footer are parted by the two characters "\n"; "\c" at its start continues the reply's own line. */
static void write_with_footer(struct session *s, const char *text)
{
    const char *footer = smtpd_params.smtpd_reject_footer, *next;
    if (strncmp(footer, "\\c", 2) == 0) {
        smtpd_reply_line(s, "%s%s", text, footer + 2);
        return;
    }
    struct slice code = slice_make(text, 3), dsn = slice_make("", 0);
    size_t n = strlen(text) > 4 ? strspn(text + 4, "0123456789.") : 0;
    if (n >= 5)
        dsn = slice_make(text + 4, n);
    smtpd_reply_line(s, "%.*s-%s", SLICE_ARG(code), text + 4);
    for (; footer; footer = next) {
        next = strstr(footer, "\\n");
        size_t len = next ? (size_t)(next - footer) : strlen(footer);
        next = next ? next + 2 : NULL;
        smtpd_reply_line(s, "%.*s%c%.*s%s%.*s", SLICE_ARG(code), next ? '-' : ' ', SLICE_ARG(dsn), dsn.n ? " " : "",
                         (int)len, footer);
    }
}

static void write_reply(struct session *s, char *text)
{
    if (*text != '4' && *text != '5') {
        smtpd_reply_line(s, "%s", text);
        return;
    }
    if (daemon_env->common.soft_bounce && *text == '5') {
        text[0] = '4';
        if (strlen(text) > 5 && text[4] == '5' && text[5] == '.')
            text[4] = '4';
    }
    if (s->errors >= smtpd_params.smtpd_soft_error_limit && smtpd_params.smtpd_error_sleep_time > 0)
        fiber_sleep(deadline_in(smtpd_params.smtpd_error_sleep_time));
    if (*smtpd_params.smtpd_reject_footer && strlen(text) > 4)
        write_with_footer(s, text);
    else
        smtpd_reply_line(s, "%s", text);
    if (strncmp(text, "421", 3) == 0 || strncmp(text, "521", 3) == 0)
        s->closing = true;
}

void smtpd_reply(struct session *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_reply(s, arena_vprintf(s->call, fmt, ap));
    va_end(ap);
}

void smtpd_reply_verdict(struct session *s)
{
    if (!s->lost)
        write_reply(s, arena_printf(s->call, "%d %s", s->verdict.code, s->verdict.text));
}

void smtpd_lost(struct session *s, enum stream_status st)
{
    s->closing = s->lost = true;
    if (st == STREAM_CANCELLED)
        return;
    if (st == STREAM_TIMEOUT)
        stream_printf(s->stream, deadline_in(1), "421 4.4.2 %s Error: timeout exceeded\r\n",
                      daemon_env->common.myhostname);
    const char *what = st == STREAM_TIMEOUT ? "timeout" : "lost connection";
    if (s->data)
        log_info("%s after %s (%llu bytes) from %s", what, s->where, (unsigned long long)s->data->size, s->namaddr);
    else
        log_info("%s after %s from %s", what, s->where, s->namaddr);
}

static void take(struct session *s, size_t used, bool bare)
{
    stream_consume(s->stream, used);
    s->bare_lf = s->bare_lf || bare;
}

/* What a line that was too long begins with; its control characters may have been meant otherwise. */
static struct slice note_cut(struct session *s, struct slice line)
{
    char *text = arena_strndup(s->call, line.p, line.n);
    for (size_t i = 0; i < line.n; i++)
        text[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
    log_warn("%s: request longer than %zu: %.30s...", s->namaddr, line.n, text);
    return slice_make(text, line.n);
}

bool smtpd_read_line(struct session *s, size_t limit, struct slice *line)
{
    int64_t deadline = smtpd_deadline();
    const char *head = NULL; /* of a line that is too long: what is kept of it */
    size_t used;
    bool bare;
    for (;;) {
        struct slice have = stream_peek(s->stream);
        if (smtp_command_line(have, line, &used, &bare)) {
            bool cut = head || line->n > limit;
            size_t n = line->n < limit ? line->n : limit;
            *line = head ? slice_make(head, limit) : slice_make(arena_memdup(s->call, line->p, n + 1), n);
            take(s, used, bare);
            if (cut)
                *line = note_cut(s, *line);
            return true;
        }
        if (have.n >= limit) {
            if (!head)
                head = arena_memdup(s->call, have.p, limit);
            stream_consume(s->stream, have.n);
        }
        enum stream_status st = stream_flush(s->stream, deadline);
        if (st == STREAM_OK)
            st = stream_fill(s->stream, deadline);
        if (st != STREAM_OK) {
            smtpd_lost(s, st);
            return false;
        }
    }
}
