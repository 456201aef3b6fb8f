/* imap_search.c - SEARCH (RFC 3501 section 6.4.4) and its extended results (RFC 4731). The keys become a tree, which
 * every message is held against. */
#include "imapd/imap_state.h"

#include "lib/base/mem.h"
#include "lib/rt/fiber.h"
#include "lib/syntax/codec.h"
#include "lib/syntax/date.h"
#include "lib/syntax/header.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MOST = 50, DAY = 86400, LOOKS_MOST = 5000 /* messages looked at in one go */ };

enum key_kind {
    KEY_ALL,
    KEY_AND,
    KEY_OR,
    KEY_NOT,
    KEY_SET,
    KEY_UID_SET,
    KEY_FLAG,
    KEY_UNFLAG,
    KEY_KEYWORD,
    KEY_RECENT,
    KEY_NEW,
    KEY_OLD,
    KEY_LARGER,
    KEY_SMALLER,
    KEY_BEFORE,
    KEY_ON,
    KEY_SINCE,
    KEY_SENT_BEFORE,
    KEY_SENT_ON,
    KEY_SENT_SINCE,
    KEY_HEADER,
    KEY_BODY,
    KEY_TEXT,
    KEY_MODSEQ
};

struct key {
    enum key_kind kind;
    struct key *a, *b; /* AND, OR, NOT */
    struct imap_set set;
    unsigned flag;
    const char *name, *text;
    uint32_t number;
    uint64_t modseq;
    time_t day;
};

enum { RETURN_MIN = 1, RETURN_MAX = 2, RETURN_ALL = 4, RETURN_COUNT = 8 };

static const struct simple {
    const char *word;
    enum key_kind kind;
    unsigned flag;
    enum { TAKES_NOTHING, TAKES_STRING, TAKES_NUMBER, TAKES_DAY, TAKES_KEYWORD, TAKES_FIELD } takes;
    const char *field;
} simple_keys[] = {
    {"ALL", KEY_ALL, 0, TAKES_NOTHING, NULL},
    {"ANSWERED", KEY_FLAG, MAILDIR_ANSWERED, TAKES_NOTHING, NULL},
    {"DELETED", KEY_FLAG, MAILDIR_DELETED, TAKES_NOTHING, NULL},
    {"DRAFT", KEY_FLAG, MAILDIR_DRAFT, TAKES_NOTHING, NULL},
    {"FLAGGED", KEY_FLAG, MAILDIR_FLAGGED, TAKES_NOTHING, NULL},
    {"SEEN", KEY_FLAG, MAILDIR_SEEN, TAKES_NOTHING, NULL},
    {"UNANSWERED", KEY_UNFLAG, MAILDIR_ANSWERED, TAKES_NOTHING, NULL},
    {"UNDELETED", KEY_UNFLAG, MAILDIR_DELETED, TAKES_NOTHING, NULL},
    {"UNDRAFT", KEY_UNFLAG, MAILDIR_DRAFT, TAKES_NOTHING, NULL},
    {"UNFLAGGED", KEY_UNFLAG, MAILDIR_FLAGGED, TAKES_NOTHING, NULL},
    {"UNSEEN", KEY_UNFLAG, MAILDIR_SEEN, TAKES_NOTHING, NULL},
    {"RECENT", KEY_RECENT, 0, TAKES_NOTHING, NULL},
    {"NEW", KEY_NEW, 0, TAKES_NOTHING, NULL},
    {"OLD", KEY_OLD, 0, TAKES_NOTHING, NULL},
    {"KEYWORD", KEY_KEYWORD, 1, TAKES_KEYWORD, NULL},
    {"UNKEYWORD", KEY_KEYWORD, 0, TAKES_KEYWORD, NULL},
    {"LARGER", KEY_LARGER, 0, TAKES_NUMBER, NULL},
    {"SMALLER", KEY_SMALLER, 0, TAKES_NUMBER, NULL},
    {"BEFORE", KEY_BEFORE, 0, TAKES_DAY, NULL},
    {"ON", KEY_ON, 0, TAKES_DAY, NULL},
    {"SINCE", KEY_SINCE, 0, TAKES_DAY, NULL},
    {"SENTBEFORE", KEY_SENT_BEFORE, 0, TAKES_DAY, NULL},
    {"SENTON", KEY_SENT_ON, 0, TAKES_DAY, NULL},
    {"SENTSINCE", KEY_SENT_SINCE, 0, TAKES_DAY, NULL},
    {"BODY", KEY_BODY, 0, TAKES_STRING, NULL},
    {"TEXT", KEY_TEXT, 0, TAKES_STRING, NULL},
    {"BCC", KEY_HEADER, 0, TAKES_STRING, "Bcc"},
    {"CC", KEY_HEADER, 0, TAKES_STRING, "Cc"},
    {"FROM", KEY_HEADER, 0, TAKES_STRING, "From"},
    {"SUBJECT", KEY_HEADER, 0, TAKES_STRING, "Subject"},
    {"TO", KEY_HEADER, 0, TAKES_STRING, "To"},
    {"HEADER", KEY_HEADER, 0, TAKES_FIELD, NULL},
};

/* ---- parsing ---- */

static struct key *key_new(struct imap *s, enum key_kind kind)
{
    struct key *k = ARENA_NEW(s->call, struct key);
    k->kind = kind;
    return k;
}

static bool parse_keys(struct imap *s, struct imap_cursor *c, struct key **out, int depth);
static bool parse_key(struct imap *s, struct imap_cursor *c, struct key **out, int depth);

static bool take_string(struct imap *s, struct imap_cursor *c, const char **text)
{
    struct slice t;
    if (!imap_space(c) || !imap_astring(c, &t))
        return false;
    *text = arena_slice(s->call, t);
    return true;
}

static bool take_day(struct imap_cursor *c, time_t *day)
{
    struct slice t;
    return imap_space(c) && imap_astring(c, &t) && date_parse_imap_day(t, day);
}

static bool parse_simple(struct imap *s, struct imap_cursor *c, const struct simple *known, struct key *k)
{
    struct slice word;
    k->kind = known->kind;
    k->flag = known->flag;
    k->name = known->field;
    switch (known->takes) {
    case TAKES_NOTHING:
        return true;
    case TAKES_FIELD:
        return take_string(s, c, &k->name) && take_string(s, c, &k->text);
    case TAKES_STRING:
        return take_string(s, c, &k->text);
    case TAKES_NUMBER:
        return imap_space(c) && imap_number(c, &k->number);
    case TAKES_DAY:
        return take_day(c, &k->day);
    case TAKES_KEYWORD:
        if (!imap_space(c) || !imap_atom(c, &word))
            return false;
        k->text = arena_slice(s->call, word);
        return true;
    }
    return false;
}

/* MODSEQ ["/flags/NAME" all|priv|shared] 12 (RFC 7162 section 3.1.5); flags are kept together, so their names do not
 * matter. */
static bool parse_modseq(struct imap_cursor *c, struct key *k)
{
    struct slice entry;
    k->kind = KEY_MODSEQ;
    if (!imap_space(c))
        return false;
    if (c->rest.n && c->rest.p[0] == '"' &&
        (!imap_string(c, &entry) || !imap_space(c) ||
         (!imap_word(c, "all") && !imap_word(c, "priv") && !imap_word(c, "shared")) || !imap_space(c)))
        return false;
    return imap_number64(c, &k->modseq);
}

static bool parse_pair(struct imap *s, struct imap_cursor *c, struct key *k, int depth)
{
    return imap_space(c) && parse_key(s, c, &k->a, depth + 1) &&
           (k->kind == KEY_NOT || (imap_space(c) && parse_key(s, c, &k->b, depth + 1)));
}

static bool parse_key(struct imap *s, struct imap_cursor *c, struct key **out, int depth)
{
    if (depth > DEPTH_MOST)
        return false;
    if (imap_char(c, '('))
        return parse_keys(s, c, out, depth + 1) && imap_char(c, ')');
    struct key *k = *out = key_new(s, KEY_SET);
    if (imap_set_parse(c, &k->set)) {
        imap_set_settle(&k->set, (uint32_t)s->view.n);
        return true;
    }
    if (imap_word(c, "UID")) {
        k->kind = KEY_UID_SET;
        if (!imap_space(c) || !imap_set_parse(c, &k->set))
            return false;
        imap_set_settle(&k->set, s->view.n ? s->view.items[s->view.n - 1].uid : 0);
        return true;
    }
    if (imap_word(c, "MODSEQ"))
        return parse_modseq(c, k);
    if (imap_word(c, "NOT") || imap_word(c, "OR")) {
        k->kind = ascii_upper(c->rest.p[-1]) == 'T' ? KEY_NOT : KEY_OR;
        return parse_pair(s, c, k, depth);
    }
    for (size_t i = 0; i < sizeof simple_keys / sizeof simple_keys[0]; i++)
        if (imap_word(c, simple_keys[i].word))
            return parse_simple(s, c, &simple_keys[i], k);
    return false;
}

/* Keys one after the other all have to hold. */
static bool parse_keys(struct imap *s, struct imap_cursor *c, struct key **out, int depth)
{
    struct key *k;
    *out = NULL;
    do {
        if (!parse_key(s, c, &k, depth))
            return false;
        if (*out) {
            struct key *both = key_new(s, KEY_AND);
            both->a = *out;
            both->b = k;
            *out = both;
        } else {
            *out = k;
        }
    } while (imap_space(c));
    return true;
}

static bool parse_return(struct imap_cursor *c, unsigned *wanted)
{
    if (!imap_word(c, "RETURN"))
        return true;
    *wanted = RETURN_ALL;
    if (!imap_space(c) || !imap_char(c, '('))
        return false;
    if (imap_char(c, ')'))
        return imap_space(c);
    *wanted = 0;
    do {
        unsigned bit = imap_word(c, "MIN")     ? RETURN_MIN
                       : imap_word(c, "MAX")   ? RETURN_MAX
                       : imap_word(c, "ALL")   ? RETURN_ALL
                       : imap_word(c, "COUNT") ? RETURN_COUNT
                                               : 0;
        if (!bit)
            return false;
        *wanted |= bit;
    } while (imap_space(c));
    return imap_char(c, ')') && imap_space(c);
}

/* ---- a message ---- */

struct candidate {
    struct imap *s;
    size_t place;
    const struct imap_seen *seen;
    char *text; /* of the file, LF line ends, when something asked for it */
    size_t n;
    time_t date;
    bool loaded;
};

struct reading {
    int fd;
    struct candidate *m;
};

static void read_text(void *arg)
{
    struct reading *r = arg;
    struct candidate *m = r->m;
    struct stat st;
    if (fstat(r->fd, &st) != 0)
        return;
    m->date = st.st_mtime;
    m->text = malloc((size_t)st.st_size + 1);
    while (m->text && m->n < (size_t)st.st_size) {
        ssize_t n = pread(r->fd, m->text + m->n, (size_t)st.st_size - m->n, (off_t)m->n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        m->n += (size_t)n;
    }
}

static void load(struct candidate *m)
{
    struct result r;
    if (m->loaded)
        return;
    m->loaded = true;
    struct reading reading = {.fd = mailbox_read(m->s->mailbox, m->seen->uid, &r), .m = m};
    if (reading.fd < 0)
        return;
    thread_run(read_text, &reading);
    close(reading.fd);
}

static bool contains(struct slice hay, const char *needle)
{
    size_t n = strlen(needle);
    for (size_t i = 0; i + n <= hay.n; i++)
        if (slice_starts_fold(slice_make(hay.p + i, hay.n - i), slice_make(needle, n)))
            return true;
    return false;
}

/* Header and body of the text. */
static void split(const struct candidate *m, struct slice *header, struct slice *body)
{
    struct header_field f;
    struct slice all = slice_make(m->text, m->text ? m->n : 0), rest = all;
    while (header_next(&rest, &f) == 1)
        ;
    *header = slice_make(all.p, all.n - rest.n);
    *body = rest;
}

static bool header_holds(struct candidate *m, const char *name, const char *text)
{
    struct slice header, body;
    struct header_field f;
    load(m);
    split(m, &header, &body);
    while (header_next(&header, &f) == 1)
        if (header_is(&f, name) && (!*text || contains(slice_of(header_unfold(m->s->call, f.value)), text)))
            return true;
    return false;
}

static bool sent_day(struct candidate *m, time_t *day)
{
    struct slice header, body;
    int zone = 0;
    time_t t;
    load(m);
    split(m, &header, &body);
    const char *date = header_find(m->s->call, header, "Date");
    if (!date || !date_parse_rfc5322(slice_of(date), &t, &zone))
        return false;
    t += zone * 60; /* the day where it was sent */
    *day = t - t % DAY;
    return true;
}

static time_t arrival_day(struct candidate *m)
{
    struct tm tm;
    load(m);
    localtime_r(&m->date, &tm);
    time_t t = m->date + tm.tm_gmtoff;
    return t - t % DAY;
}

static bool has_keyword(struct candidate *m, const char *name)
{
    for (unsigned bit = 0; bit < 26; bit++) {
        const char *known = m->seen->keywords & (1u << bit) ? mailbox_keyword(m->s->mailbox, bit) : NULL;
        if (known && str_eq_fold(known, name))
            return true;
    }
    return false;
}

static bool text_holds(struct candidate *m, const struct key *k)
{
    struct slice header, body;
    load(m);
    split(m, &header, &body);
    return contains(body, k->text) || (k->kind == KEY_TEXT && contains(header, k->text));
}

static bool holds(struct candidate *m, const struct key *k)
{
    struct imap *s = m->s;
    time_t day;
    uint32_t number = (uint32_t)m->place + 1, last_uid = s->view.items[s->view.n - 1].uid;
    switch (k->kind) {
    case KEY_ALL:
        return true;
    case KEY_AND:
        return holds(m, k->a) && holds(m, k->b);
    case KEY_OR:
        return holds(m, k->a) || holds(m, k->b);
    case KEY_NOT:
        return !holds(m, k->a);
    case KEY_SET:
        return imap_set_has(&k->set, number, (uint32_t)s->view.n);
    case KEY_UID_SET:
        return imap_set_has(&k->set, m->seen->uid, last_uid);
    case KEY_FLAG:
        return m->seen->flags & k->flag;
    case KEY_UNFLAG:
        return !(m->seen->flags & k->flag);
    case KEY_KEYWORD:
        return has_keyword(m, k->text) == (k->flag != 0);
    case KEY_RECENT:
        return m->seen->recent;
    case KEY_NEW:
        return m->seen->recent && !(m->seen->flags & MAILDIR_SEEN);
    case KEY_OLD:
        return !m->seen->recent;
    case KEY_LARGER:
        return mailbox_virtual_size(s->mailbox, m->seen->uid) > (int64_t)k->number;
    case KEY_SMALLER:
        return mailbox_virtual_size(s->mailbox, m->seen->uid) < (int64_t)k->number;
    case KEY_BEFORE:
        return arrival_day(m) < k->day;
    case KEY_ON:
        return arrival_day(m) == k->day;
    case KEY_SINCE:
        return arrival_day(m) >= k->day;
    case KEY_SENT_BEFORE:
        return sent_day(m, &day) && day < k->day;
    case KEY_SENT_ON:
        return sent_day(m, &day) && day == k->day;
    case KEY_SENT_SINCE:
        return sent_day(m, &day) && day >= k->day;
    case KEY_HEADER:
        return header_holds(m, k->name, k->text);
    case KEY_BODY:
    case KEY_TEXT:
        return text_holds(m, k);
    case KEY_MODSEQ:
        return m->seen->modseq >= k->modseq;
    }
    return false;
}

/* ---- the answer ---- */

static bool has_modseq(const struct key *k)
{
    return k && (k->kind == KEY_MODSEQ || has_modseq(k->a) || has_modseq(k->b));
}

/* The highest of those that are told of: of the first and the last when only these are (RFC 7162 section 3.1.10). */
static uint64_t highest_modseq(const uint64_t *modseqs, size_t n, unsigned wanted)
{
    uint64_t highest = 0;
    bool ends_only = wanted && !(wanted & (RETURN_ALL | RETURN_COUNT));
    for (size_t i = 0; i < n; i++)
        if (modseqs[i] > highest &&
            (!ends_only || (i == 0 && (wanted & RETURN_MIN)) || (i == n - 1 && (wanted & RETURN_MAX))))
            highest = modseqs[i];
    return highest;
}

static void say_plain(struct imap *s, const uint32_t *found, size_t n, uint64_t modseq)
{
    BUF_AUTO out = BUF(BUF_MAX_DEFAULT);
    buf_puts(&out, "* SEARCH");
    for (size_t i = 0; i < n; i++)
        buf_printf(&out, " %u", found[i]);
    if (n && modseq)
        buf_printf(&out, " (MODSEQ %llu)", (unsigned long long)modseq);
    buf_puts(&out, "\r\n");
    imap_write(s, buf_slice(&out));
}

static void say_extended(struct imap *s, unsigned wanted, const uint32_t *found, size_t n, uint64_t modseq)
{
    BUF_AUTO out = BUF(BUF_MAX_DEFAULT);
    buf_puts(&out, "* ESEARCH (TAG ");
    imap_print_string(&out, s->tag);
    buf_puts(&out, s->by_uid ? ") UID" : ")");
    if (n && (wanted & RETURN_MIN))
        buf_printf(&out, " MIN %u", found[0]);
    if (n && (wanted & RETURN_MAX))
        buf_printf(&out, " MAX %u", found[n - 1]);
    if (n && (wanted & RETURN_ALL)) {
        buf_puts(&out, " ALL ");
        imap_set_print(&out, found, n);
    }
    if (wanted & RETURN_COUNT)
        buf_printf(&out, " COUNT %zu", n);
    if (n && modseq)
        buf_printf(&out, " MODSEQ %llu", (unsigned long long)modseq);
    buf_puts(&out, "\r\n");
    imap_write(s, buf_slice(&out));
}

enum imap_verdict imap_search(struct imap *s, struct imap_cursor *c)
{
    unsigned wanted = 0;
    struct key *keys;
    struct slice charset;
    VEC(uint32_t) found = {0};
    VEC(uint64_t) modseqs = {0};
    if (!imap_space(c) || !parse_return(c, &wanted))
        return IMAP_MALFORMED;
    if (imap_word(c, "CHARSET")) {
        if (!imap_space(c) || !imap_astring(c, &charset) || !imap_space(c))
            return IMAP_MALFORMED;
        if (!slice_eq_fold(charset, SLICE("UTF-8")) && !slice_eq_fold(charset, SLICE("US-ASCII")))
            return imap_no(s, "[BADCHARSET (US-ASCII UTF-8)] Unknown charset.");
    }
    if (!parse_keys(s, c, &keys, 0) || !imap_at_end(c))
        return IMAP_MALFORMED;
    bool about_modseq = has_modseq(keys);
    if (about_modseq)
        imap_enable_condstore(s);
    for (size_t i = 0; i < s->view.n; i++) {
        struct candidate m = {.s = s, .place = i, .seen = &s->view.items[i]};
        if (mailbox_find(s->mailbox, m.seen->uid) && holds(&m, keys)) {
            VEC_PUSH(&found, s->by_uid ? m.seen->uid : (uint32_t)i + 1);
            VEC_PUSH(&modseqs, m.seen->modseq);
        }
        free(m.text);
        if (i % LOOKS_MOST == LOOKS_MOST - 1)
            fiber_yield(); /* others of this process have their turn */
    }
    uint64_t modseq = about_modseq ? highest_modseq(modseqs.items, modseqs.n, wanted) : 0;
    VEC_FREE(&modseqs);
    if (wanted)
        say_extended(s, wanted, found.items, found.n, modseq);
    else
        say_plain(s, found.items, found.n, modseq);
    VEC_FREE(&found);
    return imap_ok(s, true, "Search completed.");
}
