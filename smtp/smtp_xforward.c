/* smtp_xforward.c - XFORWARD (the Postfix extension): tells an after-queue filter where the message came from. */
#include "lib/syntax/codec.h"
#include "smtp/smtp.h"

/* One command holds at most this much; more attributes go into another one. */
enum { LINE_ROOM = 500 };

struct attribute {
    unsigned feature;
    const char *name, *value;
};

static bool send_line(struct smtp_delivery *s, struct smtp_session *x, struct buf *line)
{
    struct smtp_reply reply;
    if (line->len == 0)
        return true;
    enum stream_status st =
        smtp_command(x, s->arena, &reply, deadline_in(smtp_params.smtp_xforward_timeout), "XFORWARD%s", buf_cstr(line));
    buf_reset(line);
    if (st != STREAM_OK)
        smtp_lost(s, x, st, "sending XFORWARD name/address");
    return st == STREAM_OK; /* a refusal does not matter */
}

bool smtp_xforward(struct smtp_delivery *s, struct smtp_session *x)
{
    const struct msg_deliver_request *q = &s->d->request;
    const struct attribute attributes[] = {
        {FEATURE_XFORWARD_NAME, "NAME", q->client_name},
        {FEATURE_XFORWARD_ADDR, "ADDR", q->client_addr},
        {FEATURE_XFORWARD_PORT, "PORT", q->client_port},
        {FEATURE_XFORWARD_PROTO, "PROTO", q->client_proto},
        {FEATURE_XFORWARD_HELO, "HELO", q->client_helo},
        {FEATURE_XFORWARD_IDENT, "IDENT", q->queue_id},
        {FEATURE_XFORWARD_SOURCE, "SOURCE", strcmp(q->context, "remote") == 0 ? "REMOTE" : "LOCAL"},
    };
    BUF_AUTO line = BUF(8000);
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        if (!(x->features & attributes[i].feature))
            continue;
        BUF_AUTO value = BUF(4000);
        if (*attributes[i].value == '\0' || strcmp(attributes[i].value, "unknown") == 0)
            buf_puts(&value, "[UNAVAILABLE]");
        else
            xtext_encode(&value, slice_of(attributes[i].value));
        if (line.len + value.len > LINE_ROOM && !send_line(s, x, &line))
            return false;
        buf_printf(&line, " %s=%s", attributes[i].name, buf_cstr(&value));
    }
    return send_line(s, x, &line);
}
