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
    struct imap_seen seen = {.uid = m->uid,
                             .keywords = m->keywords,
                             .modseq = m->modseq,
                             .flags = (uint16_t)m->flags,
                             .recent = m->recent && !s->read_only};
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

void imap_enable_condstore(struct imap *s)
{
    if (!s->condstore && s->mailbox) /* RFC 7162 section 3.1.2: the client learns where it stands */
        imap_say(s, "* OK [HIGHESTMODSEQ %llu] Highest", (unsigned long long)mailbox_modseq(s->mailbox));
    s->condstore = true;
}

/* Both lists are in the order of UIDs; each number is that of the moment when the line is said. */
static void tell_expunged(struct imap *s)
{
    size_t kept = 0, at = 0, n = mailbox_count(s->mailbox);
    for (size_t i = 0; i < s->view.n; i++) {
        uint32_t uid = s->view.items[i].uid;
        while (at < n && mailbox_at(s->mailbox, at)->uid < uid)
            at++;
        if (at < n && mailbox_at(s->mailbox, at)->uid == uid)
            s->view.items[kept++] = s->view.items[i];
        else
            imap_say(s, "* %zu EXPUNGE", kept + 1);
    }
    s->view.n = kept;
}

static void tell_one(struct imap *s, size_t i, const struct mailbox_message *m)
{
    struct imap_seen *v = &s->view.items[i];
    bool flags_changed = v->flags != m->flags || v->keywords != m->keywords;
    bool modseq_changed = s->condstore && v->modseq != m->modseq;
    v->flags = (uint16_t)m->flags;
    v->keywords = m->keywords;
    v->modseq = m->modseq;
    if (!flags_changed && !modseq_changed)
        return;
    BUF_AUTO out = BUF(10000);
    buf_printf(&out, "* %zu FETCH (", i + 1);
    if (s->by_uid)
        buf_printf(&out, "UID %u ", v->uid);
    if (flags_changed) {
        buf_puts(&out, "FLAGS ");
        imap_print_flags(s, &out, v->flags, v->keywords, v->recent);
    }
    if (s->condstore)
        buf_printf(&out, "%sMODSEQ (%llu)", flags_changed ? " " : "", (unsigned long long)v->modseq);
    buf_puts(&out, ")\r\n");
    imap_write(s, buf_slice(&out));
}

/* A write may wait, but nobody else changes this session's mailbox meanwhile. */
static void tell_flags(struct imap *s)
{
    size_t at = 0, n = mailbox_count(s->mailbox);
    for (size_t i = 0; i < s->view.n; i++) {
        while (at < n && mailbox_at(s->mailbox, at)->uid < s->view.items[i].uid)
            at++;
        if (at < n && mailbox_at(s->mailbox, at)->uid == s->view.items[i].uid)
            tell_one(s, i, mailbox_at(s->mailbox, at));
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

static uint32_t highest(const struct imap *s)
{
    return s->by_uid ? (s->view.n ? s->view.items[s->view.n - 1].uid : 0) : (uint32_t)s->view.n;
}

void imap_settle_set(struct imap *s, struct imap_set *set)
{
    imap_set_settle(set, highest(s));
}

bool imap_in_set(struct imap *s, const struct imap_set *set, size_t place)
{
    return imap_set_has(set, s->by_uid ? s->view.items[place].uid : (uint32_t)place + 1, highest(s));
}

void imap_close_mailbox(struct imap *s)
{
    mailbox_free(&s->mailbox);
    free(s->path);
    s->path = NULL;
    s->view.n = 0;
    s->keywords_told = 0;
}
