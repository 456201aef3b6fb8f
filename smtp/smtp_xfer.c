/* smtp_xfer.c - a mail transaction: MAIL, RCPT, DATA, the message, the results. With PIPELINING the envelope is one
 * write and the message another one; without, each command waits for its answer. */
#include "lib/syntax/address.h"
#include "lib/syntax/codec.h"
#include "smtp/smtp.h"
#include "smtp/smtp_content.h"

/* Recipients in one pipelined write: so many answers that the server never waits for us to read them. */
enum { PIPELINE_BATCH = 100 };

struct xfer {
    struct smtp_delivery *s;
    struct smtp_session *x;
    size_t *places; /* in request.recipients */
    size_t n;
    bool *accepted; /* by place in request.recipients */
    size_t n_accepted;
    bool mail_refused, data_sent, data_accepted;
};

/* ---- commands ---- */

static void append_xtext(struct buf *b, const char *text)
{
    xtext_encode(b, slice_of(text));
}

/* RFC 6533: characters by their number. */
static void append_uxtext(struct buf *b, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        unsigned c = *p++, more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
        if (c > ' ' && c < 0x7f && c != '+' && c != '=' && c != '\\') {
            buf_putc(b, (char)c);
            continue;
        }
        c &= more ? 0x3fu >> more : 0x7f;
        for (; more && *p; more--)
            c = c << 6 | (*p++ & 0x3f);
        buf_printf(b, "\\x{%X}", c);
    }
}

static void append_mail(const struct xfer *t, struct buf *b)
{
    const struct msg_deliver_request *q = &t->s->d->request;
    unsigned features = t->x->features;
    buf_puts(b, "MAIL FROM:<");
    address_quote(b, q->sender);
    buf_putc(b, '>');
    if (features & FEATURE_SIZE)
        buf_printf(b, " SIZE=%llu", (unsigned long long)q->content_size);
    if (features & FEATURE_8BITMIME && *q->body_type)
        buf_printf(b, " BODY=%s", q->body_type);
    if (features & FEATURE_SMTPUTF8 && q->flags & DELIVER_SMTPUTF8)
        buf_puts(b, " SMTPUTF8");
    if (features & FEATURE_DSN && q->dsn_ret)
        buf_printf(b, " RET=%s", q->dsn_ret == DSN_RET_FULL ? "FULL" : "HDRS");
    if (features & FEATURE_DSN && *q->dsn_envid) {
        buf_puts(b, " ENVID=");
        append_xtext(b, q->dsn_envid);
    }
    buf_puts(b, "\r\n");
}

static void append_notify(struct buf *b, uint32_t notify)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{DSN_NOTIFY_NEVER, "NEVER"},
                 {DSN_NOTIFY_SUCCESS, "SUCCESS"},
                 {DSN_NOTIFY_FAILURE, "FAILURE"},
                 {DSN_NOTIFY_DELAY, "DELAY"}};
    const char *before = " NOTIFY=";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (notify & names[i].bit) {
            buf_printf(b, "%s%s", before, names[i].name);
            before = ",";
        }
    }
}

static void append_rcpt(const struct xfer *t, size_t place, struct buf *b)
{
    const struct msg_deliver_recipient *r = &t->s->d->request.recipients[place];
    buf_puts(b, "RCPT TO:<");
    address_quote(b, r->address);
    buf_putc(b, '>');
    if (t->x->features & FEATURE_DSN) {
        bool utf8 = t->x->features & FEATURE_SMTPUTF8 && slice_starts_fold(slice_of(r->dsn_orcpt), SLICE("utf-8;"));
        if (strchr(r->dsn_orcpt, ';')) {
            buf_puts(b, " ORCPT=");
            (utf8 ? append_uxtext : append_xtext)(b, r->dsn_orcpt);
        }
        append_notify(b, r->dsn_notify);
    }
    buf_puts(b, "\r\n");
}

/* ---- replies ---- */

static bool read_reply(struct xfer *t, struct smtp_reply *reply, int64_t timeout, const char *what)
{
    enum stream_status st = smtp_read_reply(t->x, t->s->arena, reply, deadline_in(timeout));
    if (st != STREAM_OK)
        smtp_lost(t->s, t->x, st, what);
    return st == STREAM_OK;
}

static bool read_mail(struct xfer *t)
{
    struct smtp_reply reply;
    if (!read_reply(t, &reply, smtp_params.smtp_mail_timeout, "sending MAIL FROM"))
        return false;
    if (reply.code / 100 != 2) {
        t->mail_refused = true;
        smtp_message_fail(t->s, t->x, &reply, "MAIL FROM", NULL);
    }
    return true;
}

static bool read_rcpt(struct xfer *t, size_t place)
{
    struct smtp_reply reply;
    if (!read_reply(t, &reply, smtp_params.smtp_rcpt_timeout, "sending RCPT TO"))
        return false;
    if (t->mail_refused)
        return true;
    if (reply.code / 100 == 2) {
        t->accepted[place] = true;
        t->n_accepted++;
    } else {
        smtp_recipient_fail(t->s, t->x, &reply, "RCPT TO", place);
    }
    return true;
}

static bool read_data(struct xfer *t)
{
    struct smtp_reply reply;
    if (!read_reply(t, &reply, smtp_params.smtp_data_init_timeout, "sending DATA command"))
        return false;
    t->data_accepted = reply.code / 100 == 3;
    if (!t->data_accepted && t->n_accepted > 0 && !t->mail_refused) {
        smtp_message_fail(t->s, t->x, &reply, "DATA", t->accepted);
        t->n_accepted = 0;
    }
    return true;
}

static bool send_buf(struct xfer *t, struct buf *b, int64_t timeout, const char *what)
{
    int64_t deadline = deadline_in(timeout);
    enum stream_status st = stream_write(t->x->stream, buf_cstr(b), b->len, deadline);
    if (st == STREAM_OK)
        st = stream_flush(t->x->stream, deadline);
    buf_reset(b);
    if (st != STREAM_OK)
        smtp_lost(t->s, t->x, st, what);
    return st == STREAM_OK;
}

/* ---- the envelope ---- */

static bool envelope_pipelined(struct xfer *t)
{
    BUF_AUTO b = BUF(BUF_MAX_DEFAULT);
    append_mail(t, &b);
    size_t next = 0, answered = 0;
    bool mail_pending = true;
    while (answered < t->n) {
        for (size_t i = 0; i < PIPELINE_BATCH && next < t->n; i++)
            append_rcpt(t, t->places[next++], &b);
        if (next == t->n) {
            buf_puts(&b, "DATA\r\n");
            t->data_sent = true;
        }
        if (!send_buf(t, &b, smtp_params.smtp_rcpt_timeout, "sending RCPT TO"))
            return false;
        if (mail_pending && !read_mail(t))
            return false;
        mail_pending = false;
        while (answered < next) {
            if (!read_rcpt(t, t->places[answered++]))
                return false;
        }
        if (t->mail_refused && !t->data_sent)
            return true;
    }
    return read_data(t);
}

static bool envelope_stepwise(struct xfer *t)
{
    BUF_AUTO b = BUF(BUF_MAX_DEFAULT);
    append_mail(t, &b);
    if (!send_buf(t, &b, smtp_params.smtp_mail_timeout, "sending MAIL FROM") || !read_mail(t))
        return false;
    for (size_t i = 0; i < t->n && !t->mail_refused; i++) {
        append_rcpt(t, t->places[i], &b);
        if (!send_buf(t, &b, smtp_params.smtp_rcpt_timeout, "sending RCPT TO") || !read_rcpt(t, t->places[i]))
            return false;
    }
    if (t->n_accepted == 0)
        return true;
    t->data_sent = true;
    buf_puts(&b, "DATA\r\n");
    return send_buf(t, &b, smtp_params.smtp_data_init_timeout, "sending DATA command") && read_data(t);
}

/* ---- the message ---- */

struct body {
    struct xfer *t;
    struct smtp_content content;
    struct buf out;
    enum stream_status status;
};

static bool send_piece(void *ctx, const char *p, size_t n)
{
    struct body *b = ctx;
    smtp_content_encode(&b->content, slice_make(p, n), &b->out);
    b->status =
        stream_write(b->t->x->stream, buf_cstr(&b->out), b->out.len, deadline_in(smtp_params.smtp_data_xfer_timeout));
    buf_reset(&b->out);
    return b->status == STREAM_OK;
}

static bool send_content(struct xfer *t)
{
    struct body b = {.t = t, .content = {.line_limit = (size_t)smtp_params.smtp_line_length_limit}};
    buf_init(&b.out, BUF_MAX_DEFAULT);
    bool ok = agent_content(t->s->d, send_piece, &b);
    if (!ok && b.status == STREAM_OK) {
        /* Without the final dot the server throws the piece away. */
        struct result r = result_try_again("4.3.0", "unreadable mail queue entry");
        t->x->broken = true;
        smtp_site_fail(t->s, NULL, NULL, &r);
        t->s->why.site = false;
    } else if (ok) {
        smtp_content_end(&b.content, &b.out);
        ok = send_buf(t, &b.out, smtp_params.smtp_data_xfer_timeout, "sending message body");
    } else {
        smtp_lost(t->s, t->x, b.status, "sending message body");
    }
    buf_fini(&b.out);
    return ok;
}

static const char after_dot[] = "sending end of data -- message may be sent more than once";

static void read_lmtp_results(struct xfer *t)
{
    for (size_t i = 0; i < t->n; i++) {
        size_t place = t->places[i];
        struct smtp_reply reply;
        if (!t->accepted[place])
            continue;
        if (!read_reply(t, &reply, smtp_params.smtp_data_done_timeout, after_dot))
            return;
        if (reply.code / 100 == 2)
            smtp_sent(t->s, t->x, &reply, place);
        else
            smtp_recipient_fail(t->s, t->x, &reply, "end of DATA", place);
    }
}

static void read_smtp_result(struct xfer *t)
{
    struct smtp_reply reply;
    if (!read_reply(t, &reply, smtp_params.smtp_data_done_timeout, after_dot))
        return;
    if (reply.code / 100 != 2) {
        smtp_message_fail(t->s, t->x, &reply, "end of DATA", t->accepted);
        return;
    }
    for (size_t i = 0; i < t->n; i++) {
        if (t->accepted[t->places[i]])
            smtp_sent(t->s, t->x, &reply, t->places[i]);
    }
}

/* DATA went out with the envelope, but nobody is to get the message: RFC 2920 section 3.1. */
static void send_lone_dot(struct xfer *t)
{
    struct smtp_reply reply;
    BUF_AUTO b = BUF(10);
    buf_puts(&b, ".\r\n");
    if (send_buf(t, &b, smtp_params.smtp_data_xfer_timeout, "sending end of data"))
        read_reply(t, &reply, smtp_params.smtp_data_done_timeout, "sending end of data");
}

/* ---- before anything is sent ---- */

static bool needs_utf8(const struct msg_deliver_request *q)
{
    bool plain = is_ascii(slice_of(q->sender));
    for (size_t i = 0; i < q->n_recipients && plain; i++)
        plain = is_ascii(slice_of(q->recipients[i].address));
    return !plain;
}

static bool is_acceptable(struct smtp_delivery *s, struct smtp_session *x)
{
    const struct msg_deliver_request *q = &s->d->request;
    struct result r;
    if (x->size_limit > 0 && q->content_size > x->size_limit)
        r = result_never("5.3.4", "message size %llu exceeds size limit %llu of server %s",
                         (unsigned long long)q->content_size, (unsigned long long)x->size_limit, x->namaddr);
    else if (!(x->features & FEATURE_SMTPUTF8) && needs_utf8(q))
        r = result_never("5.6.7", "SMTPUTF8 is required, but was not offered by host %s", x->namaddr);
    else
        return true;
    smtp_message_never(s, x, &r);
    return false;
}

void smtp_xfer(struct smtp_delivery *s, struct smtp_session *x)
{
    size_t total = s->d->request.n_recipients;
    struct xfer t = {
        .s = s, .x = x, .places = ARENA_ARRAY(s->arena, size_t, total), .accepted = ARENA_ARRAY(s->arena, bool, total)};
    for (size_t i = 0; i < total; i++) {
        if (!s->d->reported[i])
            t.places[t.n++] = i;
    }
    s->d->connected_usec = clock_wall_usec();
    s->d->conn_use = x->uses;
    if (!is_acceptable(s, x))
        return;
    if (smtp_params.smtp_send_xforward_command && !smtp_xforward(s, x))
        return;
    if (x->features & FEATURE_PIPELINING ? !envelope_pipelined(&t) : !envelope_stepwise(&t))
        return;
    x->need_rset = !t.data_accepted;
    if (!t.data_accepted)
        return;
    if (t.mail_refused || t.n_accepted == 0)
        send_lone_dot(&t);
    else if (send_content(&t) && smtp_program.lmtp)
        read_lmtp_results(&t);
    else if (!x->broken)
        read_smtp_result(&t);
}
