/* imap_store.c - what changes messages: STORE, EXPUNGE, COPY, MOVE. */
#include "imapd/imap_state.h"

bool imap_flag_list(struct imap *s, struct imap_cursor *c, struct mailbox *box, bool bare_too, unsigned *flags,
                    uint32_t *keywords)
{
    static const struct {
        const char *name;
        unsigned flag;
    } known[] = {{"\\Answered", MAILDIR_ANSWERED},
                 {"\\Flagged", MAILDIR_FLAGGED},
                 {"\\Deleted", MAILDIR_DELETED},
                 {"\\Seen", MAILDIR_SEEN},
                 {"\\Draft", MAILDIR_DRAFT}};
    bool in_parentheses = imap_char(c, '(');
    struct slice word;
    *flags = 0;
    *keywords = 0;
    if (!in_parentheses && !bare_too)
        return false;
    if (in_parentheses && imap_char(c, ')'))
        return true;
    do {
        if (!imap_flag(c, &word))
            return false;
        bool system = word.p[0] == '\\', found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            if (slice_eq_fold(word, slice_of(known[i].name))) {
                *flags |= known[i].flag;
                found = true;
            }
        if (system && !found)
            return false;
        int bit = system ? -1 : mailbox_keyword_bit(box, arena_slice(s->call, word));
        if (bit >= 0)
            *keywords |= 1u << bit;
    } while (imap_space(c));
    return !in_parentheses || imap_char(c, ')');
}

enum { CHANGES_MOST = 1000 }; /* in one job, which keeps others of this mailbox waiting */

struct store {
    struct imap_set set;
    char sign; /* '+', '-', or '=' */
    bool silent;
    uint64_t unchanged_since; /* UINT64_MAX: not asked */
    unsigned flags;
    uint32_t keywords;
};

/* " (UNCHANGEDSINCE 12)" and the space after it (RFC 7162 section 3.1.3). */
static bool take_store_modifier(struct imap *s, struct imap_cursor *c, struct store *st)
{
    st->unchanged_since = UINT64_MAX;
    if (!imap_char(c, '('))
        return true;
    if (!imap_word(c, "UNCHANGEDSINCE") || !imap_space(c) || !imap_number64(c, &st->unchanged_since) ||
        !imap_char(c, ')') || !imap_space(c))
        return false;
    imap_enable_condstore(s);
    return true;
}

static bool parse_store(struct imap *s, struct imap_cursor *c, struct store *st)
{
    if (!imap_space(c) || !imap_set_parse(c, &st->set) || !imap_space(c) || !take_store_modifier(s, c, st))
        return false;
    st->sign = imap_char(c, '+') ? '+' : imap_char(c, '-') ? '-' : '=';
    st->silent = imap_word(c, "FLAGS.SILENT");
    return (st->silent || imap_word(c, "FLAGS")) && imap_space(c) &&
           imap_flag_list(s, c, s->mailbox, true, &st->flags, &st->keywords) && imap_at_end(c);
}

static struct mailbox_change change_of(const struct store *st, uint32_t uid)
{
    struct mailbox_change c = {.uid = uid};
    if (st->sign != '-') {
        c.set = st->flags;
        c.set_keywords = st->keywords;
    }
    c.clear = st->sign == '-' ? st->flags : st->sign == '+' ? 0 : ~(unsigned)MAILDIR_PASSED;
    c.clear_keywords = st->sign == '-' ? st->keywords : st->sign == '+' ? 0 : UINT32_MAX;
    return c;
}

/* What the client need not be told, or must be told even when nothing changed. */
static void note_stored(struct imap *s, const struct store *st, const struct mailbox_change *c, size_t place)
{
    struct imap_seen *v = &s->view.items[place];
    const struct mailbox_message *m = mailbox_find(s->mailbox, c->uid);
    if (!m || c->outcome != CHANGE_DONE)
        return;
    v->flags = (uint16_t)(st->silent ? m->flags : ~m->flags);
    v->keywords = m->keywords;
}

struct storing {
    VEC(struct mailbox_change) changes;
    VEC(size_t) places;
    VEC(uint32_t) modified; /* numbers or UIDs */
};

static struct result store_batch(struct imap *s, const struct store *st, struct storing *all)
{
    struct result r = mailbox_change_flags(s->mailbox, all->changes.items, all->changes.n, st->unchanged_since);
    for (size_t i = 0; i < all->changes.n && result_is_ok(&r); i++) {
        const struct mailbox_change *c = &all->changes.items[i];
        note_stored(s, st, c, all->places.items[i]);
        if (c->outcome == CHANGE_MODIFIED)
            VEC_PUSH(&all->modified, s->by_uid ? c->uid : (uint32_t)all->places.items[i] + 1);
    }
    all->changes.n = all->places.n = 0;
    return r;
}

static enum imap_verdict store_answer(struct imap *s, const struct result *r, const struct storing *all)
{
    BUF_AUTO set = BUF(BUF_MAX_DEFAULT);
    if (!result_is_ok(r))
        return imap_no(s, "[SERVERBUG] %s", r->text);
    if (all->modified.n == 0)
        return imap_ok(s, true, "Store completed.");
    imap_set_print(&set, all->modified.items, all->modified.n);
    return imap_ok(s, true, "[MODIFIED %s] Conditional store failed for some.", buf_cstr(&set));
}

enum imap_verdict imap_store(struct imap *s, struct imap_cursor *c)
{
    struct store st = {0};
    struct storing all = {0};
    struct result r = result_ok("2.0.0", "ok");
    if (!parse_store(s, c, &st))
        return IMAP_MALFORMED;
    if (s->read_only)
        return imap_no(s, "[READ-ONLY] Mailbox is read-only.");
    imap_settle_set(s, &st.set);
    for (size_t i = 0; i < s->view.n && result_is_ok(&r); i++) {
        if (!imap_in_set(s, &st.set, i))
            continue;
        VEC_PUSH(&all.changes, change_of(&st, s->view.items[i].uid));
        VEC_PUSH(&all.places, i);
        if (all.changes.n == CHANGES_MOST)
            r = store_batch(s, &st, &all);
    }
    if (result_is_ok(&r))
        r = store_batch(s, &st, &all);
    enum imap_verdict verdict = store_answer(s, &r, &all);
    VEC_FREE(&all.changes);
    VEC_FREE(&all.places);
    VEC_FREE(&all.modified);
    return verdict;
}

/* ---- EXPUNGE ---- */

enum imap_verdict imap_expunge(struct imap *s, struct imap_cursor *c)
{
    struct imap_set set = {0};
    VEC(uint32_t) uids = {0};
    if (s->by_uid && (!imap_space(c) || !imap_set_parse(c, &set)))
        return IMAP_MALFORMED;
    if (!imap_at_end(c))
        return IMAP_MALFORMED;
    if (s->read_only)
        return imap_no(s, "[READ-ONLY] Mailbox is read-only.");
    imap_settle_set(s, &set);
    for (size_t i = 0; i < s->view.n; i++) {
        const struct mailbox_message *m = mailbox_find(s->mailbox, s->view.items[i].uid);
        if (m && (m->flags & MAILDIR_DELETED) && (!s->by_uid || imap_in_set(s, &set, i)))
            VEC_PUSH(&uids, m->uid);
    }
    struct result r = result_ok("2.0.0", "ok");
    if (uids.n)
        r = mailbox_expunge(s->mailbox, uids.items, uids.n);
    VEC_FREE(&uids);
    return result_is_ok(&r) ? imap_ok(s, false, "Expunge completed.") : imap_no(s, "[SERVERBUG] %s", r.text);
}

/* ---- COPY and MOVE ---- */

struct copied {
    VEC(uint32_t) from, to;
};

static uint32_t translate_keywords(struct mailbox *from, struct mailbox *to, uint32_t keywords)
{
    uint32_t out = 0;
    for (unsigned bit = 0; bit < 26; bit++) {
        const char *name = keywords & (1u << bit) ? mailbox_keyword(from, bit) : NULL;
        int there = name ? mailbox_keyword_bit(to, name) : -1;
        if (there >= 0)
            out |= 1u << there;
    }
    return out;
}

static struct result copy_all(struct imap *s, const struct imap_set *set, struct mailbox *to, struct copied *done)
{
    VEC(struct mailbox_copying) all = {0};
    uint32_t last_keywords = 0, last_translated = 0;
    for (size_t i = 0; i < s->view.n; i++) {
        const struct mailbox_message *m =
            imap_in_set(s, set, i) ? mailbox_find(s->mailbox, s->view.items[i].uid) : NULL;
        if (!m)
            continue;
        struct mailbox_copying one = {.uid = m->uid};
        if (m->keywords != last_keywords) { /* most have the same as the one before */
            last_keywords = m->keywords;
            last_translated = translate_keywords(s->mailbox, to, last_keywords);
        }
        one.keywords = last_translated;
        VEC_PUSH(&all, one);
    }
    struct result r = mailbox_copy_many(s->mailbox, all.items, all.n, to);
    for (size_t i = 0; i < all.n && result_is_ok(&r); i++) {
        VEC_PUSH(&done->from, all.items[i].uid);
        VEC_PUSH(&done->to, all.items[i].new_uid);
    }
    VEC_FREE(&all);
    return r;
}

static enum imap_verdict copy_or_move(struct imap *s, struct imap_cursor *c, bool move)
{
    struct imap_set set;
    const char *name;
    if (!imap_space(c) || !imap_set_parse(c, &set) || !imap_space(c) || !imap_mailbox_name(s, c, &name) ||
        !imap_at_end(c))
        return IMAP_MALFORMED;
    if (move && s->read_only)
        return imap_no(s, "[READ-ONLY] Mailbox is read-only.");
    struct mailbox *to = imap_open_mailbox(s, name, true);
    if (!to)
        return IMAP_DONE;
    struct copied done = {0};
    imap_settle_set(s, &set);
    BUF_AUTO from_set = BUF(1 << 20), to_set = BUF(1 << 20);
    struct result r = copy_all(s, &set, to, &done);
    uint32_t validity = mailbox_uid_validity(to);
    imap_set_print(&from_set, done.from.items, done.from.n);
    imap_set_print(&to_set, done.to.items, done.to.n);
    mailbox_free(&to);
    if (result_is_ok(&r) && move && done.from.n) {
        imap_say(s, "* OK [COPYUID %u %s %s] Moved UIDs.", validity, buf_cstr(&from_set), buf_cstr(&to_set));
        r = mailbox_expunge(s->mailbox, done.from.items, done.from.n);
    }
    bool any = done.from.n > 0;
    VEC_FREE(&done.from);
    VEC_FREE(&done.to);
    if (!result_is_ok(&r))
        return imap_no(s, "[SERVERBUG] %s", r.text);
    if (move || !any)
        return imap_ok(s, false, "%s completed.", move ? "Move" : "Copy");
    return imap_ok(s, false, "[COPYUID %u %s %s] Copy completed.", validity, buf_cstr(&from_set), buf_cstr(&to_set));
}

enum imap_verdict imap_copy(struct imap *s, struct imap_cursor *c)
{
    return copy_or_move(s, c, false);
}

enum imap_verdict imap_move(struct imap *s, struct imap_cursor *c)
{
    return copy_or_move(s, c, true);
}
