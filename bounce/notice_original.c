/* notice_original.c - the message that the notice is about, or its headers. */
#include "bounce/bounce.h"

#include "lib/syntax/address.h"

size_t notice_header_length(struct slice content)
{
    if (content.n > 0 && content.p[0] == '\n')
        return 0;
    const char *end = memmem(content.p, content.n, "\n\n", 2);
    return end ? (size_t)(end - content.p) + 1 : content.n;
}

/* RFC 3461 section 4.3: RET is of failures; other notices, and those of big messages, come with the headers alone. */
static bool whole_message(const struct notice *n)
{
    const struct msg_bounce_request *q = n->request;
    return n->kind == NOTICE_FAILURE && !n->postmaster && q->dsn_ret != DSN_RET_HDRS &&
           q->content_size <= (uint64_t)n->size_limit && n->content.n == q->content_size;
}

void notice_original(const struct notice *n, struct buf *out)
{
    bool whole = whole_message(n), global = n->request->flags & DELIVER_SMTPUTF8;
    bool undelivered = n->kind == NOTICE_FAILURE || n->kind == NOTICE_DELAY;
    const char *type = whole ? (global ? "message/global" : "message/rfc822")
                             : (global ? "message/global-headers" : "text/rfc822-headers");
    buf_printf(out, "--%s\nContent-Description: %sMessage%s\nContent-Type: %s\n", n->boundary,
               undelivered ? "Undelivered " : "", whole ? "" : " Headers", type);
    if (n->eight_bit)
        buf_puts(out, "Content-Transfer-Encoding: 8bit\n");
    buf_puts(out, "\nReturn-Path: <");
    address_quote(out, n->request->sender);
    buf_puts(out, ">\n");
    size_t size = whole ? n->content.n : notice_header_length(n->content);
    buf_append(out, n->content.p, size);
    if (size > 0 && n->content.p[size - 1] != '\n')
        buf_putc(out, '\n');
    buf_printf(out, "\n--%s--\n", n->boundary);
}
