/* imap_fetch.c - FETCH (RFC 3501 section 6.4.5): what is asked for is parsed once, then printed for each message. */
#include "imapd/imap_state.h"

#include "lib/base/mem.h"
#include "lib/rt/fiber.h"
#include "lib/syntax/date.h"
#include "lib/syntax/header.h"
#include "lib/syntax/mime_structure.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum item_kind {
    ITEM_FLAGS,
    ITEM_UID,
    ITEM_SIZE,
    ITEM_DATE,
    ITEM_MODSEQ,
    ITEM_ENVELOPE,
    ITEM_BODY,
    ITEM_STRUCTURE,
    ITEM_SECTION
};
enum section_kind { SECTION_ALL, SECTION_HEADER, SECTION_FIELDS, SECTION_FIELDS_NOT, SECTION_TEXT, SECTION_MIME };

struct item {
    enum item_kind kind;
    const char *label; /* as it is answered: "BODY[1.HEADER]" */
    struct slice part; /* "1.2", may be empty */
    enum section_kind section;
    const char **fields;
    size_t n_fields;
    bool partial, marks_seen;
    uint32_t origin, count;
};

struct request {
    VEC(struct item) items;
    bool needs_text, marks_seen;
    uint64_t changed_since;
};

/* One message's text, loaded when an item needs it. */
struct loaded {
    struct slice text; /* CRLF */
    char *memory;
    struct mime_part *mime;
    time_t date;
    bool failed;
};

/* ---- what is asked for ---- */

static void add(struct request *r, struct item i)
{
    VEC_PUSH(&r->items, i);
    r->needs_text |= i.kind >= ITEM_ENVELOPE;
    r->marks_seen |= i.marks_seen;
}

static bool parse_fields(struct imap *s, struct imap_cursor *c, struct item *i)
{
    struct slice name;
    size_t most = 1;
    for (size_t k = 0; k < c->rest.n; k++)
        most += c->rest.p[k] == ' ';
    i->fields = ARENA_ARRAY(s->call, const char *, most + 1);
    if (!imap_space(c) || !imap_char(c, '('))
        return false;
    do {
        if (!imap_astring(c, &name))
            return false;
        i->fields[i->n_fields++] = arena_slice(s->call, name);
    } while (imap_space(c));
    return imap_char(c, ')');
}

/* "1.2" and the dot before a word. */
static void parse_part_numbers(struct imap_cursor *c, struct item *i)
{
    size_t n = 0;
    while (n < c->rest.n && ((c->rest.p[n] >= '0' && c->rest.p[n] <= '9') || (c->rest.p[n] == '.' && n)))
        n++;
    i->part = slice_make(c->rest.p, n);
    c->rest = slice_make(c->rest.p + n, c->rest.n - n);
    if (i->part.n && i->part.p[i->part.n - 1] == '.')
        i->part.n--;
}

static bool parse_section(struct imap *s, struct imap_cursor *c, struct item *i)
{
    parse_part_numbers(c, i);
    if (imap_word(c, "HEADER.FIELDS.NOT")) {
        i->section = SECTION_FIELDS_NOT;
        return parse_fields(s, c, i);
    }
    if (imap_word(c, "HEADER.FIELDS")) {
        i->section = SECTION_FIELDS;
        return parse_fields(s, c, i);
    }
    if (imap_word(c, "HEADER"))
        i->section = SECTION_HEADER;
    else if (imap_word(c, "TEXT"))
        i->section = SECTION_TEXT;
    else if (i->part.n && imap_word(c, "MIME"))
        i->section = SECTION_MIME;
    return true;
}

static bool parse_partial(struct imap_cursor *c, struct item *i)
{
    if (!imap_char(c, '<'))
        return true;
    i->partial = true;
    return imap_number(c, &i->origin) && imap_char(c, '.') && imap_number(c, &i->count) && i->count &&
           imap_char(c, '>');
}

static bool parse_body(struct imap *s, struct imap_cursor *c, struct request *r, bool peek)
{
    struct item i = {.kind = ITEM_SECTION, .marks_seen = !peek};
    const char *start = c->rest.p;
    if (!parse_section(s, c, &i))
        return false;
    struct slice section = slice_make(start, (size_t)(c->rest.p - start));
    if (!imap_char(c, ']') || !parse_partial(c, &i))
        return false;
    /* Field names come back in capitals, as servers do. */
    char *label = arena_printf(s->call, "BODY[%.*s]", SLICE_ARG(section));
    for (char *p = label; *p; p++)
        *p = ascii_upper(*p);
    i.label = i.partial ? arena_printf(s->call, "%s<%u>", label, i.origin) : label;
    add(r, i);
    return true;
}

static bool starts(const struct imap_cursor *c, const char *word)
{
    return slice_starts_fold(c->rest, slice_of(word));
}

static void skip(struct imap_cursor *c, size_t n)
{
    c->rest = slice_make(c->rest.p + n, c->rest.n - n);
}

static bool parse_item(struct imap *s, struct imap_cursor *c, struct request *r)
{
    if (starts(c, "BODY.PEEK["))
        return skip(c, 10), parse_body(s, c, r, true);
    if (starts(c, "BODY["))
        return skip(c, 5), parse_body(s, c, r, false);
    if (imap_word(c, "BODYSTRUCTURE"))
        add(r, (struct item){.kind = ITEM_STRUCTURE, .label = "BODYSTRUCTURE"});
    else if (imap_word(c, "BODY"))
        add(r, (struct item){.kind = ITEM_BODY, .label = "BODY"});
    else if (imap_word(c, "ENVELOPE"))
        add(r, (struct item){.kind = ITEM_ENVELOPE, .label = "ENVELOPE"});
    else if (imap_word(c, "FLAGS"))
        add(r, (struct item){.kind = ITEM_FLAGS, .label = "FLAGS"});
    else if (imap_word(c, "INTERNALDATE"))
        add(r, (struct item){.kind = ITEM_DATE, .label = "INTERNALDATE"});
    else if (imap_word(c, "RFC822.SIZE"))
        add(r, (struct item){.kind = ITEM_SIZE, .label = "RFC822.SIZE"});
    else if (imap_word(c, "RFC822.HEADER"))
        add(r, (struct item){.kind = ITEM_SECTION, .label = "RFC822.HEADER", .section = SECTION_HEADER});
    else if (imap_word(c, "RFC822.TEXT"))
        add(r,
            (struct item){.kind = ITEM_SECTION, .label = "RFC822.TEXT", .section = SECTION_TEXT, .marks_seen = true});
    else if (imap_word(c, "RFC822"))
        add(r, (struct item){.kind = ITEM_SECTION, .label = "RFC822", .marks_seen = true});
    else if (imap_word(c, "MODSEQ"))
        add(r, (struct item){.kind = ITEM_MODSEQ, .label = "MODSEQ"});
    else if (imap_word(c, "UID"))
        add(r, (struct item){.kind = ITEM_UID, .label = "UID"});
    else
        return false;
    return true;
}

static bool parse_request(struct imap *s, struct imap_cursor *c, struct request *r)
{
    const struct item flags = {.kind = ITEM_FLAGS, .label = "FLAGS"},
                      date = {.kind = ITEM_DATE, .label = "INTERNALDATE"};
    const struct item size = {.kind = ITEM_SIZE, .label = "RFC822.SIZE"},
                      envelope = {.kind = ITEM_ENVELOPE, .label = "ENVELOPE"};
    bool full = imap_word(c, "FULL"), all = full || imap_word(c, "ALL"), fast = all || imap_word(c, "FAST");
    if (fast) {
        add(r, flags);
        add(r, date);
        add(r, size);
        if (all)
            add(r, envelope);
        if (full)
            add(r, (struct item){.kind = ITEM_BODY, .label = "BODY"});
        return true;
    }
    if (!imap_char(c, '('))
        return parse_item(s, c, r);
    do
        if (!parse_item(s, c, r))
            return false;
    while (imap_space(c));
    return imap_char(c, ')');
}

static bool asks_for(const struct request *r, enum item_kind kind)
{
    for (size_t i = 0; i < r->items.n; i++)
        if (r->items.items[i].kind == kind)
            return true;
    return false;
}

/* " (CHANGEDSINCE 12)", when there is one (RFC 7162 section 3.1.4). */
static bool parse_modifier(struct imap_cursor *c, struct request *r)
{
    if (imap_at_end(c))
        return true;
    if (!imap_space(c) || !imap_char(c, '(') || !imap_word(c, "CHANGEDSINCE") || !imap_space(c) ||
        !imap_number64(c, &r->changed_since) || r->changed_since == 0 || !imap_char(c, ')'))
        return false;
    if (!asks_for(r, ITEM_MODSEQ))
        add(r, (struct item){.kind = ITEM_MODSEQ, .label = "MODSEQ"});
    return imap_at_end(c);
}

/* ---- the message ---- */

struct reading {
    int fd;
    char *memory;
    size_t n;
    time_t date;
    bool ok;
};

/* The whole file with CRLF line ends, on a pool thread. */
static void read_file(void *arg)
{
    struct reading *r = arg;
    struct stat st;
    if (fstat(r->fd, &st) != 0)
        return;
    r->date = st.st_mtime;
    size_t size = (size_t)st.st_size, got = 0, lines = 0;
    char *raw = malloc(size + 1);
    while (raw && got < size) {
        ssize_t n = pread(r->fd, raw + got, size - got, (off_t)got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    for (size_t i = 0; raw && i < got; i++)
        lines += raw[i] == '\n';
    r->memory = raw ? malloc(got + lines + 1) : NULL;
    for (size_t i = 0; r->memory && i < got; i++) {
        if (raw[i] == '\n' && (i == 0 || raw[i - 1] != '\r'))
            r->memory[r->n++] = '\r';
        r->memory[r->n++] = raw[i];
    }
    free(raw);
    r->ok = r->memory != NULL;
}

static void load(struct imap *s, uint32_t uid, struct loaded *l)
{
    struct result r;
    struct reading reading = {.fd = mailbox_read(s->mailbox, uid, &r)};
    if (reading.fd < 0) { /* it was renamed by a change of flags, or is gone */
        mailbox_sync(s->mailbox, false);
        reading.fd = mailbox_read(s->mailbox, uid, &r);
    }
    if (reading.fd >= 0) {
        thread_run(read_file, &reading);
        close(reading.fd);
    }
    l->failed = !reading.ok;
    l->memory = reading.memory;
    l->text = slice_make(reading.memory, reading.n);
    l->date = reading.date;
}

static time_t internal_date(struct imap *s, uint32_t uid, struct loaded *l)
{
    struct result r;
    struct stat st;
    if (l->memory)
        return l->date;
    FD_AUTO fd = mailbox_read(s->mailbox, uid, &r);
    return fd >= 0 && fstat(fd, &st) == 0 ? st.st_mtime : 0;
}

/* ---- printing ---- */

static bool wants_field(const struct item *i, const struct header_field *f)
{
    bool listed = false;
    for (size_t k = 0; k < i->n_fields; k++)
        listed |= header_is(f, i->fields[k]);
    return listed == (i->section == SECTION_FIELDS);
}

static void pick_fields(const struct item *i, struct slice header, struct buf *out)
{
    struct header_field f;
    while (header_next(&header, &f) == 1)
        if (wants_field(i, &f))
            buf_append_slice(out, f.raw);
    buf_puts(out, "\r\n");
}

/* The bytes of a section; false when there is no such part. */
static bool section_bytes(const struct item *i, struct loaded *l, struct buf *space, struct slice *out)
{
    struct mime_part *p = mime_find(l->mime, i->part);
    if (!p)
        return false;
    bool whole = i->part.n == 0;
    /* HEADER and TEXT of a part are those of the message that is attached there. */
    struct mime_part *message = whole ? p : strcmp(p->type, "MESSAGE") == 0 ? p->children : NULL;
    switch (i->section) {
    case SECTION_ALL:
        *out = whole ? l->text : p->body;
        return true;
    case SECTION_MIME:
        *out = p->header;
        return true;
    case SECTION_HEADER:
        *out = message ? message->header : SLICE("");
        return message != NULL;
    case SECTION_TEXT:
        *out = message ? message->body : SLICE("");
        return message != NULL;
    case SECTION_FIELDS:
    case SECTION_FIELDS_NOT:
        if (!message)
            return false;
        pick_fields(i, message->header, space);
        *out = buf_slice(space);
        return true;
    }
    return false;
}

static void print_section(struct imap *s, const struct item *i, struct loaded *l)
{
    BUF_AUTO space = BUF(BUF_MAX_DEFAULT), head = BUF(20000);
    struct slice bytes;
    if (!section_bytes(i, l, &space, &bytes)) {
        buf_printf(&head, "%s NIL", i->label);
        imap_write(s, buf_slice(&head));
        return;
    }
    if (i->partial) {
        size_t from = i->origin < bytes.n ? i->origin : bytes.n;
        bytes = slice_make(bytes.p + from, bytes.n - from < i->count ? bytes.n - from : i->count);
    }
    buf_printf(&head, "%s {%zu}\r\n", i->label, bytes.n);
    imap_write(s, buf_slice(&head));
    imap_write(s, bytes);
}

static void print_item(struct imap *s, const struct item *i, struct imap_seen *v, struct loaded *l)
{
    BUF_AUTO out = BUF(BUF_MAX_DEFAULT);
    if (i->kind == ITEM_SECTION) {
        print_section(s, i, l);
        return;
    }
    buf_printf(&out, "%s ", i->label);
    switch (i->kind) {
    case ITEM_FLAGS:
        imap_print_flags(s, &out, v->flags, v->keywords, v->recent);
        break;
    case ITEM_UID:
        buf_printf(&out, "%u", v->uid);
        break;
    case ITEM_SIZE:
        buf_printf(&out, "%lld",
                   l->memory ? (long long)l->text.n : (long long)mailbox_virtual_size(s->mailbox, v->uid));
        break;
    case ITEM_MODSEQ:
        buf_printf(&out, "(%llu)", (unsigned long long)v->modseq);
        break;
    case ITEM_DATE:
        buf_putc(&out, '"');
        date_imap(&out, internal_date(s, v->uid, l));
        buf_putc(&out, '"');
        break;
    case ITEM_ENVELOPE:
        mime_print_envelope(&out, s->call, l->mime->header);
        break;
    case ITEM_BODY:
    case ITEM_STRUCTURE:
        mime_print_structure(&out, l->mime, i->kind == ITEM_STRUCTURE);
        break;
    case ITEM_SECTION:
        break;
    }
    imap_write(s, buf_slice(&out));
}

/* Reading a body marks the message as seen; the FLAGS go along, whether asked for or not. */
static bool mark_seen(struct imap *s, const struct request *r, struct imap_seen *v)
{
    const struct mailbox_message *m = mailbox_find(s->mailbox, v->uid);
    if (!r->marks_seen || s->read_only || !m || (m->flags & MAILDIR_SEEN))
        return false;
    unsigned flags = m->flags | MAILDIR_SEEN;
    uint32_t keywords = m->keywords;
    struct result done = mailbox_set_flags(s->mailbox, v->uid, flags, keywords);
    if (!result_is_ok(&done))
        return false;
    m = mailbox_find(s->mailbox, v->uid);
    v->flags = (uint16_t)flags;
    v->keywords = keywords;
    v->modseq = m ? m->modseq : v->modseq;
    return true;
}

/* False when the message is gone. */
static bool fetch_one(struct imap *s, const struct request *r, size_t place)
{
    struct imap_seen *v = &s->view.items[place];
    struct loaded l = {0};
    struct arena *command = s->call;
    if (!mailbox_find(s->mailbox, v->uid))
        return false;
    s->call = arena_new(); /* a message's parts are of no use for the next one */
    if (r->needs_text)
        load(s, v->uid, &l);
    if (!l.failed) {
        if (l.memory)
            l.mime = mime_parse(s->call, l.text);
        bool seen_now = mark_seen(s, r, v);
        imap_write(s, slice_of(arena_printf(s->call, "* %zu FETCH (", place + 1)));
        const char *before = "";
        if (s->by_uid && !asks_for(r, ITEM_UID)) {
            imap_write(s, slice_of(arena_printf(s->call, "UID %u", v->uid)));
            before = " ";
        }
        for (size_t i = 0; i < r->items.n; i++, before = " ") {
            imap_write(s, slice_of(before));
            print_item(s, &r->items.items[i], v, &l);
        }
        if (seen_now && !asks_for(r, ITEM_FLAGS)) {
            imap_write(s, SLICE(" "));
            print_item(s, &(struct item){.kind = ITEM_FLAGS, .label = "FLAGS"}, v, &l);
        }
        if (seen_now && s->condstore && !asks_for(r, ITEM_MODSEQ)) {
            imap_write(s, SLICE(" "));
            print_item(s, &(struct item){.kind = ITEM_MODSEQ, .label = "MODSEQ"}, v, &l);
        }
        imap_write(s, SLICE(")\r\n"));
    }
    free(l.memory);
    arena_free(&s->call);
    s->call = command;
    return !l.failed;
}

enum imap_verdict imap_fetch(struct imap *s, struct imap_cursor *c)
{
    struct imap_set set;
    struct request r = {0};
    bool ok =
        imap_space(c) && imap_set_parse(c, &set) && imap_space(c) && parse_request(s, c, &r) && parse_modifier(c, &r);
    /* A number that no message has is a mistake; a UID may have gone any time. */
    for (size_t i = 0; ok && !s->by_uid && i < set.n; i++)
        ok = (set.ranges[i].first <= s->view.n || set.ranges[i].first == UINT32_MAX) && s->view.n > 0;
    bool missing = false;
    if (ok)
        imap_settle_set(s, &set);
    if (ok && asks_for(&r, ITEM_MODSEQ))
        imap_enable_condstore(s);
    for (size_t i = 0; ok && i < s->view.n; i++)
        if (imap_in_set(s, &set, i) && s->view.items[i].modseq > r.changed_since)
            missing |= !fetch_one(s, &r, i);
    VEC_FREE(&r.items);
    if (!ok)
        return IMAP_MALFORMED;
    if (missing)
        return imap_no(s, "[EXPUNGEISSUED] Some messages could not be fetched; they are gone.");
    return imap_ok(s, true, "Fetch completed.");
}
