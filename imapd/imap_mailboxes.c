/* imap_mailboxes.c - commands about mailboxes by name: LIST, LSUB, STATUS, CREATE, DELETE, RENAME, SUBSCRIBE,
 * UNSUBSCRIBE, APPEND. */
#include "imapd/imap_state.h"

#include "lib/syntax/date.h"
#include "lib/syntax/imap_name.h"

/* ---- LIST and LSUB ---- */

static const char *special_use(const char *name)
{
    static const char *const uses[][2] = {
        {"Drafts", "\\Drafts"}, {"Sent", "\\Sent"}, {"Junk", "\\Junk"}, {"Trash", "\\Trash"}, {"Archive", "\\Archive"}};
    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++)
        if (str_eq_fold(name, uses[i][0]))
            return uses[i][1];
    return NULL;
}

static bool is_below(const char *parent, const char *name)
{
    size_t n = strlen(parent);
    return strncmp(parent, name, n) == 0 && name[n] == '.';
}

static bool has_children(const char *name, const char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_below(name, names[i]))
            return true;
    return false;
}

static bool is_listed(const char *name, const char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* INBOX matches in any case. */
static bool matches(struct slice pattern, const char *name)
{
    if (strcmp(name, "INBOX") == 0) {
        BUF_AUTO folded = BUF(2000);
        for (size_t i = 0; i < pattern.n; i++)
            buf_putc(&folded, ascii_upper(pattern.p[i]));
        return imap_name_matches(buf_slice(&folded), SLICE("INBOX"), '.');
    }
    return imap_name_matches(pattern, slice_of(name), '.');
}

struct listing {
    struct imap *s;
    const char *verb;
    struct slice pattern;
    const char **names; /* that exist */
    size_t n;
};

static void say_name(struct listing *l, const char *attributes, const char *name)
{
    BUF_AUTO out = BUF(3000);
    imap_print_astring(&out, slice_of(name));
    imap_say(l->s, "* %s (%s) \".\" %s", l->verb, attributes, buf_cstr(&out));
}

static void list_one(struct listing *l, const char *name)
{
    const char *use = special_use(name);
    if (!matches(l->pattern, name))
        return;
    say_name(l,
             arena_printf(l->s->call, "%s%s%s",
                          has_children(name, l->names, l->n) ? "\\HasChildren" : "\\HasNoChildren", use ? " " : "",
                          use ? use : ""),
             name);
}

/* "a.b" without "a": the parent shows as something that cannot be selected. */
static void list_missing_parents(struct listing *l, size_t i, const char **told, size_t *n_told)
{
    for (const char *dot = strchr(l->names[i], '.'); dot; dot = strchr(dot + 1, '.')) {
        const char *parent = arena_strndup(l->s->call, l->names[i], (size_t)(dot - l->names[i]));
        if (strcmp(parent, "INBOX") == 0 || is_listed(parent, l->names, l->n) || is_listed(parent, told, *n_told))
            continue;
        told[(*n_told)++] = parent;
        if (matches(l->pattern, parent))
            say_name(l, "\\Noselect \\HasChildren", parent);
    }
}

static bool list_arguments(struct imap *s, struct imap_cursor *c, struct slice *pattern, bool *separator_only)
{
    struct slice reference, mailbox;
    if (!imap_space(c) || !imap_astring(c, &reference) || !imap_space(c) || !imap_list_mailbox(c, &mailbox) ||
        !imap_at_end(c))
        return false;
    *separator_only = mailbox.n == 0;
    *pattern = slice_of(arena_printf(s->call, "%.*s%.*s", SLICE_ARG(reference), SLICE_ARG(mailbox)));
    return true;
}

enum imap_verdict imap_list(struct imap *s, struct imap_cursor *c)
{
    struct listing l = {.s = s, .verb = "LIST"};
    bool separator_only;
    if (!list_arguments(s, c, &l.pattern, &separator_only))
        return IMAP_MALFORMED;
    if (separator_only) {
        imap_say(s, "* LIST (\\Noselect) \".\" \"\"");
        return imap_ok(s, false, "List completed.");
    }
    struct result r = folders_list(s->root, s->call, &l.names, &l.n);
    if (!result_is_ok(&r))
        return imap_no(s, "[UNAVAILABLE] %s", r.text);
    const char **told = ARENA_ARRAY(s->call, const char *, l.n * 20 + 1);
    size_t n_told = 0;
    for (size_t i = 0; i < l.n; i++) {
        if (n_told < l.n * 19)
            list_missing_parents(&l, i, told, &n_told);
        list_one(&l, l.names[i]);
    }
    return imap_ok(s, false, "List completed.");
}

enum imap_verdict imap_lsub(struct imap *s, struct imap_cursor *c)
{
    struct listing l = {.s = s, .verb = "LSUB"};
    bool separator_only;
    if (!list_arguments(s, c, &l.pattern, &separator_only))
        return IMAP_MALFORMED;
    struct result r = folders_subscriptions(s->root, s->call, &l.names, &l.n);
    if (!result_is_ok(&r))
        return imap_no(s, "[UNAVAILABLE] %s", r.text);
    const char **told = ARENA_ARRAY(s->call, const char *, l.n * 20 + 1);
    size_t n_told = 0;
    for (size_t i = 0; i < l.n; i++) {
        if (matches(l.pattern, l.names[i])) {
            say_name(&l, "", l.names[i]);
            continue;
        }
        /* With '%', a name whose child is subscribed to (RFC 3501 section 6.3.9). */
        for (const char *dot = strchr(l.names[i], '.'); dot && memchr(l.pattern.p, '%', l.pattern.n);
             dot = strchr(dot + 1, '.')) {
            const char *parent = arena_strndup(s->call, l.names[i], (size_t)(dot - l.names[i]));
            if (!matches(l.pattern, parent) || is_listed(parent, l.names, l.n) || is_listed(parent, told, n_told) ||
                n_told >= l.n * 19)
                continue;
            told[n_told++] = parent;
            say_name(&l, "\\Noselect", parent);
        }
    }
    return imap_ok(s, false, "Lsub completed.");
}

/* ---- STATUS ---- */

static bool status_items(struct imap *s, struct imap_cursor *c, struct mailbox *m, struct buf *out)
{
    const char *before = "";
    if (!imap_char(c, '('))
        return false;
    size_t messages = mailbox_count(m), unseen = 0, recent = 0;
    for (size_t i = 0; i < messages; i++) {
        const struct mailbox_message *one = mailbox_at(m, i);
        unseen += !(one->flags & MAILDIR_SEEN);
        recent += one->recent || strncmp(one->file, "new/", 4) == 0;
    }
    do {
        if (imap_word(c, "MESSAGES"))
            buf_printf(out, "%sMESSAGES %zu", before, messages);
        else if (imap_word(c, "RECENT"))
            buf_printf(out, "%sRECENT %zu", before, recent);
        else if (imap_word(c, "UIDNEXT"))
            buf_printf(out, "%sUIDNEXT %u", before, mailbox_uid_next(m));
        else if (imap_word(c, "UIDVALIDITY"))
            buf_printf(out, "%sUIDVALIDITY %u", before, mailbox_uid_validity(m));
        else if (imap_word(c, "UNSEEN"))
            buf_printf(out, "%sUNSEEN %zu", before, unseen);
        else if (imap_word(c, "HIGHESTMODSEQ")) {
            buf_printf(out, "%sHIGHESTMODSEQ %llu", before, (unsigned long long)mailbox_modseq(m));
            imap_enable_condstore(s);
        } else
            return false;
        before = " ";
    } while (imap_space(c));
    return imap_char(c, ')') && imap_at_end(c);
}

enum imap_verdict imap_status(struct imap *s, struct imap_cursor *c)
{
    const char *name;
    BUF_AUTO items = BUF(1000), printed = BUF(3000);
    if (!imap_space(c) || !imap_mailbox_name(s, c, &name) || !imap_space(c) || c->rest.n == 0 || c->rest.p[0] != '(')
        return IMAP_MALFORMED;
    struct mailbox *m = imap_open_mailbox(s, name, false);
    if (!m)
        return IMAP_DONE;
    mailbox_sync(m, false);
    bool ok = status_items(s, c, m, &items);
    mailbox_free(&m);
    if (!ok)
        return IMAP_MALFORMED;
    imap_print_astring(&printed, slice_of(name));
    imap_say(s, "* STATUS %s (%s)", buf_cstr(&printed), buf_cstr(&items));
    return imap_ok(s, false, "Status completed.");
}

/* ---- names ---- */

static bool one_name(struct imap *s, struct imap_cursor *c, const char **name)
{
    return imap_space(c) && imap_mailbox_name(s, c, name) && imap_at_end(c);
}

/* RFC 5530 codes by what the store says. */
static enum imap_verdict answer(struct imap *s, const struct result *r, const char *what)
{
    if (result_is_ok(r))
        return imap_ok(s, false, "%s completed.", what);
    const char *code = r->outcome == OUTCOME_TRY_AGAIN ? "UNAVAILABLE"
                       : strstr(r->text, "exists")     ? "ALREADYEXISTS"
                       : strcmp(r->dsn, "5.1.1") == 0  ? "NONEXISTENT"
                                                       : "CANNOT";
    return imap_no(s, "[%s] %s", code, r->text);
}

enum imap_verdict imap_create(struct imap *s, struct imap_cursor *c)
{
    const char *name;
    if (!one_name(s, c, &name))
        return IMAP_MALFORMED;
    size_t n = strlen(name);
    if (n && name[n - 1] == '.') /* only says that names below it will come */
        name = arena_strndup(s->call, name, n - 1);
    struct result r = folders_create(s->root, name);
    return answer(s, &r, "Create");
}

enum imap_verdict imap_delete(struct imap *s, struct imap_cursor *c)
{
    const char *name;
    if (!one_name(s, c, &name))
        return IMAP_MALFORMED;
    struct result r = folders_delete(s->root, name);
    return answer(s, &r, "Delete");
}

enum imap_verdict imap_rename(struct imap *s, struct imap_cursor *c)
{
    const char *from, *to;
    if (!imap_space(c) || !imap_mailbox_name(s, c, &from) || !imap_space(c) || !imap_mailbox_name(s, c, &to) ||
        !imap_at_end(c))
        return IMAP_MALFORMED;
    struct result r = folders_rename(s->root, from, to);
    return answer(s, &r, "Rename");
}

static enum imap_verdict set_subscription(struct imap *s, struct imap_cursor *c, bool on)
{
    const char *name;
    if (!one_name(s, c, &name))
        return IMAP_MALFORMED;
    struct result r = folders_subscribe(s->root, name, on);
    return answer(s, &r, on ? "Subscribe" : "Unsubscribe");
}

enum imap_verdict imap_subscribe(struct imap *s, struct imap_cursor *c)
{
    return set_subscription(s, c, true);
}

enum imap_verdict imap_unsubscribe(struct imap *s, struct imap_cursor *c)
{
    return set_subscription(s, c, false);
}

/* ---- APPEND ---- */

/* The message's literal, which may hold anything but NUL: the announcement, CRLF, and so many bytes. */
static bool take_literal(struct imap_cursor *c, struct slice *text)
{
    const char *lf = c->rest.n && c->rest.p[0] == '{' ? memchr(c->rest.p, '\n', c->rest.n) : NULL;
    uint64_t size;
    bool synchronizing;
    if (!lf || lf == c->rest.p ||
        !imap_literal_announced(slice_make(c->rest.p, (size_t)(lf - c->rest.p) - 1), &size, &synchronizing))
        return false;
    size_t head = (size_t)(lf - c->rest.p) + 1;
    if (c->rest.n - head < size)
        return false;
    *text = slice_make(lf + 1, size);
    c->rest = slice_make(lf + 1 + size, c->rest.n - head - size);
    return true;
}

static bool take_date(struct imap_cursor *c, time_t *date)
{
    struct slice text;
    return c->rest.n && c->rest.p[0] == '"' && imap_string(c, &text) && date_parse_imap(text, date) && imap_space(c);
}

enum imap_verdict imap_append(struct imap *s, struct imap_cursor *c)
{
    const char *name;
    unsigned flags = 0;
    uint32_t keywords = 0, uid = 0;
    time_t date = time(NULL);
    struct slice text;
    if (!imap_space(c) || !imap_mailbox_name(s, c, &name) || !imap_space(c))
        return IMAP_MALFORMED;
    struct mailbox *m = imap_open_mailbox(s, name, true);
    if (!m)
        return IMAP_DONE;
    bool ok =
        c->rest.n && c->rest.p[0] == '(' ? imap_flag_list(s, c, m, false, &flags, &keywords) && imap_space(c) : true;
    ok = ok && (c->rest.n && c->rest.p[0] == '"' ? take_date(c, &date) : true) && take_literal(c, &text) &&
         imap_at_end(c);
    struct result r = result_ok("2.0.0", "ok");
    if (ok && text.n == 0)
        r = result_never("5.6.0", "Can't save a zero byte message.");
    else if (ok && memchr(text.p, '\0', text.n))
        r = result_never("5.6.0", "A message must not hold NUL bytes.");
    else if (ok)
        r = mailbox_append(m, text, flags, keywords, date, &uid);
    uint32_t validity = mailbox_uid_validity(m);
    mailbox_free(&m);
    if (!ok)
        return IMAP_MALFORMED;
    if (!result_is_ok(&r))
        return imap_no(s, "%s", r.text);
    return imap_ok(s, false, "[APPENDUID %u %u] Append completed.", validity, uid);
}
