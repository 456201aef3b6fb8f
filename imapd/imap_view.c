/* imap_view.c - what the client knows of the selected mailbox, and how it learns what changed (RFC 3501 section 5.2
 * and 7.4.1). */
#include "imapd/imap_state.h"

#include "lib/base/mem.h"

static const struct {
    unsigned flag;
    const char *name;
} names[] = {{MAILDIR_ANSWERED, "\\Answered"},
             {MAILDIR_FLAGGED, "\\Flagged"},
             {MAILDIR_DELETED, "\\Deleted"},
             {MAILDIR_SEEN, "\\Seen"},
             {MAILDIR_DRAFT, "\\Draft"}};
enum { NAMES = sizeof names / sizeof names[0], KEYWORDS = 26 };

void imap_print_flags(struct imap *s, struct buf *out, unsigned flags, uint32_t keywords, bool recent)
{
    const char *before = "";
    buf_putc(out, '(');
    for (int i = 0; i < NAMES; i++)
        if (flags & names[i].flag) {
            buf_printf(out, "%s%s", before, names[i].name);
            before = " ";
        }
    for (unsigned bit = 0; bit < KEYWORDS; bit++) {
        const char *name = keywords & (1u << bit) ? mailbox_keyword(s->mailbox, bit) : NULL;
        if (name) {
            buf_printf(out, "%s%s", before, name);
            before = " ";
        }
    }
    if (recent)
        buf_printf(out, "%s\\Recent", before);
    buf_putc(out, ')');
}

void imap_tell_keywords(struct imap *s, bool always)
{
    BUF_AUTO all = BUF(10000);
    uint32_t known = 0;
    for (unsigned bit = 0; bit < KEYWORDS; bit++)
        if (mailbox_keyword(s->mailbox, bit))
            known |= 1u << bit;
    if (!always && (known & ~s->keywords_told) == 0)
        return;
    s->keywords_told = known;
    imap_print_flags(s, &all, MAILDIR_ANSWERED | MAILDIR_FLAGGED | MAILDIR_DELETED | MAILDIR_SEEN | MAILDIR_DRAFT,
                     known, false);
    imap_say(s, "* FLAGS %s", buf_cstr(&all));
    buf_truncate(&all, all.len - 1);
    if (s->read_only)
        imap_say(s, "* OK [PERMANENTFLAGS ()] Read-only mailbox.");
    else
        imap_say(s, "* OK [PERMANENTFLAGS %s \\*)] Flags permitted.", buf_cstr(&all));
}

static void add(struct imap *s, const struct mailbox_message *m)
{
    struct imap_seen seen = {
        .uid = m->uid, .keywords = m->keywords, .flags = (uint16_t)m->flags, .recent = m->recent && !s->read_only};
    VEC_PUSH(&s->view, seen);
}

static void say_sizes(struct imap *s)
{
    size_t recent = 0;
    for (size_t i = 0; i < s->view.n; i++)
        recent += s->view.items[i].recent;
    imap_say(s, "* %zu EXISTS", s->view.n);
    imap_say(s, "* %zu RECENT", recent);
}

void imap_take_view(struct imap *s)
{
    s->view.n = 0;
    for (size_t i = 0; i < mailbox_count(s->mailbox); i++)
        add(s, mailbox_at(s->mailbox, i));
    say_sizes(s);
}

/* Those that are gone, from the end, so that the numbers of the others stay true. */
static void tell_expunged(struct imap *s)
{
    for (size_t i = s->view.n; i-- > 0;) {
        if (mailbox_find(s->mailbox, s->view.items[i].uid))
            continue;
        imap_say(s, "* %zu EXPUNGE", i + 1);
        memmove(&s->view.items[i], &s->view.items[i + 1], (s->view.n - i - 1) * sizeof s->view.items[0]);
        s->view.n--;
    }
}

static void tell_flags(struct imap *s)
{
    for (size_t i = 0; i < s->view.n; i++) {
        struct imap_seen *v = &s->view.items[i];
        const struct mailbox_message *m = mailbox_find(s->mailbox, v->uid);
        if (!m || (v->flags == m->flags && v->keywords == m->keywords))
            continue;
        v->flags = (uint16_t)m->flags;
        v->keywords = m->keywords;
        BUF_AUTO flags = BUF(10000);
        imap_print_flags(s, &flags, v->flags, v->keywords, v->recent);
        if (s->by_uid)
            imap_say(s, "* %zu FETCH (UID %u FLAGS %s)", i + 1, v->uid, buf_cstr(&flags));
        else
            imap_say(s, "* %zu FETCH (FLAGS %s)", i + 1, buf_cstr(&flags));
    }
}

static void tell_new(struct imap *s)
{
    uint32_t last = s->view.n ? s->view.items[s->view.n - 1].uid : 0;
    size_t before = s->view.n;
    for (size_t i = mailbox_lower_bound(s->mailbox, last + 1); i < mailbox_count(s->mailbox); i++)
        add(s, mailbox_at(s->mailbox, i));
    if (s->view.n != before)
        say_sizes(s);
}

void imap_tell_changes(struct imap *s, bool keep_expunged)
{
    if (!s->mailbox)
        return;
    struct result r = mailbox_sync(s->mailbox, !s->read_only);
    if (!result_is_ok(&r))
        return; /* it is said when a command needs the mailbox */
    imap_tell_keywords(s, false);
    if (!keep_expunged)
        tell_expunged(s);
    tell_flags(s);
    tell_new(s);
}

bool imap_in_set(struct imap *s, const struct imap_set *set, size_t place)
{
    uint32_t highest = s->by_uid ? (s->view.n ? s->view.items[s->view.n - 1].uid : 0) : (uint32_t)s->view.n;
    return imap_set_has(set, s->by_uid ? s->view.items[place].uid : (uint32_t)place + 1, highest);
}

void imap_close_mailbox(struct imap *s)
{
    mailbox_free(&s->mailbox);
    free(s->path);
    s->path = NULL;
    s->view.n = 0;
    s->keywords_told = 0;
}
