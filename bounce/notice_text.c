/* notice_text.c - the part for people: what happened, in words that have been the same for decades, and for each
 * recipient the reason. */
#include "bounce/bounce.h"

#define GREETING "This is the mail system at host %s.\n\n"
#define ASSISTANCE                                                \
    "For further assistance, please send mail to postmaster.\n"   \
    "\n"                                                          \
    "If you do so, please include this problem report. You can\n" \
    "delete your own text from the attached returned message.\n"
#define SIGNATURE "\n                   The mail system\n"

static void words_of(const struct notice *n, struct buf *out)
{
    buf_printf(out, GREETING, n->myhostname);
    switch (n->kind) {
    case NOTICE_FAILURE:
        buf_puts(out, "I'm sorry to have to inform you that your message could not\n"
                      "be delivered to one or more recipients. It's attached below.\n\n" ASSISTANCE);
        break;
    case NOTICE_DELAY:
        buf_puts(out, "####################################################################\n"
                      "# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #\n"
                      "####################################################################\n\n");
        buf_printf(out, "Your message could not be delivered for more than %lld hour(s).\n",
                   (long long)(n->delay_warning_time / 3600));
        buf_printf(out, "It will be retried until it is %lld day(s) old.\n\n" ASSISTANCE,
                   (long long)(n->maximal_queue_lifetime / 86400));
        break;
    case NOTICE_SUCCESS:
        buf_puts(out, "Your message was successfully delivered to the destination(s)\n"
                      "listed below. If the message was delivered to mailbox you will\n"
                      "receive no further notifications. Otherwise you may still receive\n"
                      "notifications of mail delivery errors from other systems.\n");
        break;
    case NOTICE_VERIFY:
        buf_puts(out, "Enclosed is the mail delivery report that you requested.\n");
        break;
    }
    buf_puts(out, SIGNATURE);
}

void notice_wrap(struct buf *out, const char *line, size_t width)
{
    size_t indent = 0;
    while (*line) {
        size_t room = width - indent, n = strlen(line), skip = 0;
        if (n > room) {
            size_t cut = room;
            while (cut > 0 && line[cut] != ' ')
                cut--;
            for (n = cut ? cut : n; cut && line[n + skip] == ' ';)
                skip++;
            if (!cut) { /* a word without end: up to the next blank */
                n = strcspn(line, " ");
                skip = line[n] == ' ';
            }
        }
        buf_printf(out, "%*s", (int)indent, "");
        for (size_t i = 0; i < n; i++)
            buf_putc(out, (unsigned char)line[i] < ' ' || line[i] == 127 ? '?' : line[i]);
        buf_putc(out, '\n');
        line += n + skip;
        indent = 4;
    }
}

static void reason_of(const struct msg_bounce_recipient *r, struct buf *out)
{
    BUF_AUTO line = BUF(3 * IPC_TEXT);
    buf_printf(&line, "<%s>", r->address);
    if (*r->orig_address && !str_eq_fold(r->orig_address, r->address))
        buf_printf(&line, " (expanded from <%s>)", r->orig_address);
    buf_printf(&line, ": %s", r->text);
    buf_putc(out, '\n');
    notice_wrap(out, buf_cstr(&line), 79);
}

void notice_text(const struct notice *n, struct buf *out)
{
    buf_printf(out, "--%s\nContent-Description: Notification\nContent-Type: text/plain; charset=%s\n", n->boundary,
               n->eight_bit ? "utf-8" : "us-ascii");
    if (n->eight_bit)
        buf_puts(out, "Content-Transfer-Encoding: 8bit\n");
    buf_putc(out, '\n');
    if (!n->postmaster)
        words_of(n, out);
    for (size_t i = 0; i < n->request->n_recipients; i++)
        reason_of(&n->request->recipients[i], out);
    buf_putc(out, '\n');
}
