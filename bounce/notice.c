/* notice.c - the notice as a whole: multipart/report (RFC 6522) of three parts. */
#include "bounce/bounce.h"

#include "lib/syntax/address.h"

bool notice_kind_parse(const char *name, enum notice_kind *kind)
{
    static const char *const names[] = {"failure", "delay", "success", "verify"};
    for (int i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0) {
            *kind = (enum notice_kind)i;
            return true;
        }
    return false;
}

static const char *subject_of(const struct notice *n)
{
    switch (n->kind) {
    case NOTICE_FAILURE:
        return n->postmaster ? "Postmaster Copy: Undelivered Mail" : "Undelivered Mail Returned to Sender";
    case NOTICE_DELAY:
        return n->postmaster ? "Postmaster Warning: Delayed Mail" : "Delayed Mail (still being retried)";
    case NOTICE_SUCCESS:
        return "Successful Mail Delivery Report";
    case NOTICE_VERIFY:
        break;
    }
    return "Mail Delivery Status Report";
}

/* The value of a header of the message, on one line; empty when there is none. */
static struct slice header_of(struct slice content, struct slice name)
{
    struct slice rest = {content.p, notice_header_length(content)};
    while (rest.n > 0) {
        ptrdiff_t end = slice_find(rest, '\n');
        struct slice line = {rest.p, end < 0 ? rest.n : (size_t)end};
        if (line.n > name.n && slice_starts_fold(line, name))
            return slice_trim((struct slice){line.p + name.n, line.n - name.n});
        if (end < 0)
            break;
        rest = (struct slice){rest.p + end + 1, rest.n - (size_t)end - 1};
    }
    return (struct slice){"", 0};
}

static bool message_id_valid(struct slice id)
{
    if (id.n < 3 || id.n > 900 || id.p[0] != '<' || id.p[id.n - 1] != '>')
        return false;
    for (size_t i = 1; i + 1 < id.n; i++)
        if ((unsigned char)id.p[i] <= ' ' || id.p[i] == 127 || id.p[i] == '<' || id.p[i] == '>')
            return false;
    return true;
}

static void thread_headers(const struct notice *n, struct buf *out)
{
    struct slice id = header_of(n->content, SLICE("Message-ID:"));
    if (!message_id_valid(id))
        return;
    struct slice refs = header_of(n->content, SLICE("References:")), ref;
    if (refs.n == 0)
        refs = header_of(n->content, SLICE("In-Reply-To:"));
    buf_puts(out, "References:");
    while (slice_token(&refs, " \t", &ref))
        if (message_id_valid(ref))
            buf_printf(out, " %.*s\n", SLICE_ARG(ref));
    buf_printf(out, " %.*s\nIn-Reply-To: %.*s\n", SLICE_ARG(id), SLICE_ARG(id));
}

void notice_write(const struct notice *n, struct buf *out)
{
    buf_printf(out, "From: Mail Delivery System <MAILER-DAEMON>\nSubject: %s\nTo: ", subject_of(n));
    address_quote(out, n->to);
    buf_putc(out, '\n');
    if (n->threaded)
        thread_headers(n, out);
    buf_printf(out, "Auto-Submitted: %s\nMIME-Version: 1.0\n", n->postmaster ? "auto-generated" : "auto-replied");
    buf_printf(out, "Content-Type: multipart/report; report-type=delivery-status;\n\tboundary=\"%s\"\n", n->boundary);
    if (n->eight_bit)
        buf_puts(out, "Content-Transfer-Encoding: 8bit\n");
    buf_puts(out, "\nThis is a MIME-encapsulated message.\n\n");
    notice_text(n, out);
    notice_status(n, out);
    notice_original(n, out);
}
