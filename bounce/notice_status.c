/* notice_status.c - the part for programs: message/delivery-status (RFC 3464), in the form of RFC 6533 for
 * internationalised mail. */
#include "bounce/bounce.h"

#include "lib/syntax/date.h"

#include <stdio.h>

static bool is_ascii(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80)
            return false;
    return true;
}

/* The address type (RFC 6533 section 3): rfc822 as long as ASCII is enough. */
static const char *type_of(const struct notice *n, const char *address)
{
    return (n->request->flags & DELIVER_SMTPUTF8) && !is_ascii(address) ? "utf-8" : "rfc822";
}

enum { FOLDED = 79, WHOLE = 1 << 20 }; /* columns */

/* "Name: value" with the value's control bytes as '?'. */
static void field_of_width(struct buf *out, const char *name, const char *value, size_t width)
{
    BUF_AUTO line = BUF(3 * IPC_TEXT);
    buf_printf(&line, "%s: %s", name, value);
    notice_wrap(out, buf_cstr(&line), width);
}

static void field(struct buf *out, const char *name, const char *value)
{
    field_of_width(out, name, value, WHOLE);
}

static void typed_field(struct buf *out, const char *name, const char *type, const char *value)
{
    BUF_AUTO text = BUF(2 * IPC_TEXT);
    buf_printf(&text, "%s; %s", type, value);
    field(out, name, buf_cstr(&text));
}

static void date_field(struct buf *out, const char *name, int64_t seconds)
{
    buf_printf(out, "%s: ", name);
    date_rfc5322(out, (time_t)seconds);
    buf_putc(out, '\n');
}

static void message_fields(const struct notice *n, struct buf *out)
{
    const struct msg_bounce_request *q = n->request;
    char name[200];
    typed_field(out, "Reporting-MTA", "dns", n->myhostname);
    if (*q->dsn_envid)
        field(out, "Original-Envelope-Id", q->dsn_envid);
    snprintf(name, sizeof name, "X-%s-Queue-ID", n->mail_name);
    field(out, name, q->queue_id);
    snprintf(name, sizeof name, "X-%s-Sender", n->mail_name);
    typed_field(out, name, type_of(n, q->sender), q->sender);
    date_field(out, "Arrival-Date", q->arrival_usec / 1000000);
}

/* A remote server's reply comes whole or with its type before it ("x-unix; text"); what this system says is
 * X-Postfix's.
 */
static void diagnostic_field(const struct notice *n, const struct msg_bounce_recipient *r, struct buf *out)
{
    BUF_AUTO text = BUF(2 * IPC_TEXT);
    size_t type = strspn(r->diagnostic, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-");
    if (!*r->diagnostic)
        buf_printf(&text, "X-%s; %s", n->mail_name, r->text);
    else
        buf_printf(&text, "%s%s", type > 0 && r->diagnostic[type] == ';' ? "" : "smtp; ", r->diagnostic);
    field_of_width(out, "Diagnostic-Code", buf_cstr(&text), FOLDED);
}

static void recipient_fields(const struct notice *n, const struct msg_bounce_recipient *r, struct buf *out)
{
    buf_putc(out, '\n');
    typed_field(out, "Final-Recipient", type_of(n, r->address), r->address);
    if (*r->dsn_orcpt) {
        field(out, "Original-Recipient", r->dsn_orcpt);
    } else if (*r->orig_address) {
        BUF_AUTO orig = BUF(2 * IPC_ADDR);
        buf_printf(&orig, "%s;%s", type_of(n, r->orig_address), r->orig_address);
        field(out, "Original-Recipient", buf_cstr(&orig));
    }
    field(out, "Action", *r->action ? r->action : n->kind == NOTICE_DELAY ? "delayed" : "failed");
    field(out, "Status", *r->dsn ? r->dsn : n->kind == NOTICE_FAILURE ? "5.0.0" : "4.0.0");
    if (*r->remote_mta)
        typed_field(out, "Remote-MTA", "dns", r->remote_mta);
    diagnostic_field(n, r, out);
    if (n->kind == NOTICE_DELAY && n->request->retry_until)
        date_field(out, "Will-Retry-Until", n->request->retry_until);
}

void notice_status(const struct notice *n, struct buf *out)
{
    bool global = n->request->flags & DELIVER_SMTPUTF8;
    buf_printf(out, "--%s\nContent-Description: Delivery report\nContent-Type: message/%sdelivery-status\n",
               n->boundary, global ? "global-" : "");
    if (global && n->eight_bit)
        buf_puts(out, "Content-Transfer-Encoding: 8bit\n");
    buf_putc(out, '\n');
    message_fields(n, out);
    for (size_t i = 0; i < n->request->n_recipients; i++)
        recipient_fields(n, &n->request->recipients[i], out);
    buf_putc(out, '\n');
}
