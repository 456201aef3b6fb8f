/* imap_select.c - SELECT, EXAMINE, CLOSE, UNSELECT. */
#include "imapd/imap_state.h"

#include "lib/base/mem.h"
#include "lib/store/deliver.h"

#include <sys/stat.h>

bool imap_mailbox_name(struct imap *s, struct imap_cursor *c, const char **name)
{
    struct slice text;
    if (!imap_astring(c, &text))
        return false;
    *name = slice_eq_fold(text, SLICE("INBOX")) ? "INBOX" : arena_slice(s->call, text);
    return true;
}

/* A user's first login: there may be no mail yet. */
static void make_inbox(const char *root)
{
    static const char *const folders[] = {"", "/cur", "/new", "/tmp"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        MEM_AUTO char *path = mem_printf("%s%s", root, folders[i]);
        mkdir(path, 0700);
    }
}

struct mailbox *imap_open_mailbox(struct imap *s, const char *name, bool try_create)
{
    struct result r;
    MEM_AUTO char *path = folders_path(s->root, name);
    if (!path) {
        imap_no(s, "[CANNOT] Invalid mailbox name.");
        return NULL;
    }
    if (strcmp(name, "INBOX") == 0)
        make_inbox(s->root);
    struct mailbox *m = mailbox_open(path, &r);
    if (!m && r.outcome == OUTCOME_NEVER)
        imap_no(s, "%s Mailbox doesn't exist: %s", try_create ? "[TRYCREATE]" : "[NONEXISTENT]", name);
    else if (!m)
        imap_no(s, "[UNAVAILABLE] %s", r.text);
    return m;
}

static size_t first_unseen(const struct imap *s)
{
    for (size_t i = 0; i < s->view.n; i++)
        if (!(s->view.items[i].flags & MAILDIR_SEEN))
            return i + 1;
    return 0;
}

/* " (CONDSTORE)", when there is one (RFC 4466 section 2.1). */
static bool take_select_parameters(struct imap *s, struct imap_cursor *c)
{
    if (imap_at_end(c))
        return true;
    if (!imap_space(c) || !imap_char(c, '(') || !imap_word(c, "CONDSTORE") || !imap_char(c, ')') || !imap_at_end(c))
        return false;
    s->condstore = true;
    return true;
}

static enum imap_verdict open_selected(struct imap *s, struct imap_cursor *c, bool read_only)
{
    const char *name;
    if (!imap_space(c) || !imap_mailbox_name(s, c, &name) || !take_select_parameters(s, c))
        return IMAP_MALFORMED;
    imap_close_mailbox(s); /* also when this one fails */
    struct mailbox *m = imap_open_mailbox(s, name, false);
    if (!m)
        return IMAP_DONE;
    s->mailbox = m;
    s->path = folders_path(s->root, name);
    s->read_only = read_only;
    mailbox_sync(m, !read_only);
    imap_tell_keywords(s, true);
    imap_take_view(s);
    if (first_unseen(s))
        imap_say(s, "* OK [UNSEEN %zu] First unseen.", first_unseen(s));
    imap_say(s, "* OK [UIDVALIDITY %u] UIDs valid", mailbox_uid_validity(m));
    imap_say(s, "* OK [UIDNEXT %u] Predicted next UID", mailbox_uid_next(m));
    imap_say(s, "* OK [HIGHESTMODSEQ %llu] Highest", (unsigned long long)mailbox_modseq(m));
    imap_say(s, "%.*s OK [%s] %s completed.", SLICE_ARG(s->tag), read_only ? "READ-ONLY" : "READ-WRITE",
             read_only ? "Examine" : "Select");
    return IMAP_DONE;
}

enum imap_verdict imap_select(struct imap *s, struct imap_cursor *c)
{
    return open_selected(s, c, false);
}

enum imap_verdict imap_examine(struct imap *s, struct imap_cursor *c)
{
    return open_selected(s, c, true);
}

enum imap_verdict imap_close(struct imap *s, struct imap_cursor *c)
{
    if (!imap_at_end(c))
        return IMAP_MALFORMED;
    if (!s->read_only) {
        VEC(uint32_t) uids = {0};
        for (size_t i = 0; i < mailbox_count(s->mailbox); i++)
            if (mailbox_at(s->mailbox, i)->flags & MAILDIR_DELETED)
                VEC_PUSH(&uids, mailbox_at(s->mailbox, i)->uid);
        if (uids.n)
            mailbox_expunge(s->mailbox, uids.items, uids.n);
        VEC_FREE(&uids);
    }
    imap_close_mailbox(s);
    return imap_ok(s, false, "Close completed.");
}

enum imap_verdict imap_unselect(struct imap *s, struct imap_cursor *c)
{
    if (!imap_at_end(c))
        return IMAP_MALFORMED;
    imap_close_mailbox(s);
    return imap_ok(s, false, "Unselect completed.");
}
