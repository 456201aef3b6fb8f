/* cleanup_header.c - the message's header: Received on top, unwanted fields dropped, addresses rewritten, checks,
 * missing fields at the end. */
#include "cleanup/cleanup.h"

#include "lib/base/log.h"
#include "lib/syntax/address.h"
#include "lib/syntax/address_tree.h"
#include "lib/syntax/date.h"

#include <stdio.h>
#include <unistd.h>

enum header_kind { KIND_OTHER = 0, KIND_SENDER = 1, KIND_RECIPIENT = 2 };

/* Headers that mean something here. */
static const struct known_header {
    const char *name;
    enum header_kind addresses;
    bool extract; /* sendmail -t */
    enum {
        NOTE_NONE,
        NOTE_FROM,
        NOTE_DATE,
        NOTE_MESSAGE_ID,
        NOTE_RECEIVED,
        NOTE_RECIPIENT,
        NOTE_RESENT_FROM,
        NOTE_RESENT_DATE,
        NOTE_RESENT_ID
    } note;
} known_headers[] = {
    {"From", KIND_SENDER, false, NOTE_FROM},
    {"To", KIND_RECIPIENT, true, NOTE_RECIPIENT},
    {"Cc", KIND_RECIPIENT, true, NOTE_RECIPIENT},
    {"Bcc", KIND_RECIPIENT, true, NOTE_RECIPIENT},
    {"Date", KIND_OTHER, false, NOTE_DATE},
    {"Message-Id", KIND_OTHER, false, NOTE_MESSAGE_ID},
    {"Received", KIND_OTHER, false, NOTE_RECEIVED},
    {"Reply-To", KIND_SENDER, false, NOTE_NONE},
    {"Sender", KIND_SENDER, false, NOTE_NONE},
    {"Return-Path", KIND_SENDER, false, NOTE_NONE},
    {"Errors-To", KIND_SENDER, false, NOTE_NONE},
    {"Return-Receipt-To", KIND_SENDER, false, NOTE_NONE},
    {"Mail-Followup-To", KIND_SENDER, false, NOTE_NONE},
    {"Disposition-Notification-To", KIND_SENDER, false, NOTE_NONE},
    {"Apparently-To", KIND_RECIPIENT, false, NOTE_NONE},
    {"Resent-From", KIND_SENDER, false, NOTE_RESENT_FROM},
    {"Resent-To", KIND_RECIPIENT, true, NOTE_RECIPIENT},
    {"Resent-Cc", KIND_RECIPIENT, true, NOTE_RECIPIENT},
    {"Resent-Bcc", KIND_RECIPIENT, true, NOTE_RECIPIENT},
    {"Resent-Sender", KIND_SENDER, false, NOTE_NONE},
    {"Resent-Reply-To", KIND_SENDER, false, NOTE_NONE},
    {"Resent-Date", KIND_OTHER, false, NOTE_RESENT_DATE},
    {"Resent-Message-Id", KIND_OTHER, false, NOTE_RESENT_ID},
};

static const struct known_header *known(const struct header_field *f)
{
    for (size_t i = 0; i < sizeof known_headers / sizeof known_headers[0]; i++)
        if (header_is(f, known_headers[i].name))
            return &known_headers[i];
    return NULL;
}

static bool is_resent(const struct header_field *f)
{
    return slice_starts_fold(f->name, SLICE("Resent-"));
}

static bool is_dropped(const struct header_field *f)
{
    struct slice rest = slice_of(cleanup_params.message_drop_headers), word;
    while (slice_token(&rest, " \t\r\n,", &word))
        if (slice_eq_fold(f->name, word))
            return true;
    return false;
}

/* ---- what is noted of a field ---- */

static void log_message_id(struct cleanup *m, const struct header_field *f, bool resent)
{
    char text[300];
    struct slice id = slice_trim(f->value);
    log_info("%s: %smessage-id=%s", m->queue_id, resent ? "resent-" : "", log_quote(text, sizeof text, id.p, id.n));
}

static void count_hop(struct cleanup *m)
{
    /* Our own Received header counts as well. */
    if ((int64_t)++m->hops + 1 < daemon_env->common.hopcount_limit || cleanup_failed(m))
        return;
    log_warn("%s: message rejected: hopcount exceeded", m->queue_id);
    struct result r = result_never("5.4.0", "Error: too many hops");
    cleanup_fail(m, 554, &r);
}

static void note(struct cleanup *m, const struct header_field *f, const struct known_header *k)
{
    switch (k->note) {
    case NOTE_NONE:
        break;
    case NOTE_FROM:
        m->had_from = true;
        break;
    case NOTE_DATE:
        m->had_date = true;
        break;
    case NOTE_MESSAGE_ID:
        m->had_message_id = true;
        log_message_id(m, f, false);
        break;
    case NOTE_RECEIVED:
        count_hop(m);
        break;
    case NOTE_RECIPIENT:
        m->had_recipient_header = true;
        break;
    case NOTE_RESENT_FROM:
        m->resent_from = true;
        break;
    case NOTE_RESENT_DATE:
        m->resent_date = true;
        break;
    case NOTE_RESENT_ID:
        m->resent_message_id = true;
        log_message_id(m, f, true);
        break;
    }
}

/* ---- addresses ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* A rewritten list comes with one address a line: joins lines as long as they stay short, and indents the others. */
static void fold_list(const char *list, struct buf *out)
{
    enum { LINE_MOST = 70 };
    size_t column = out->len;
    for (const char *next; list; list = next) {
        size_t n = strcspn(list, "\n");
        next = list[n] ? list + n + 1 : NULL;
        if (out->data[out->len - 1] == ',' && column + 1 + n < LINE_MOST) {
            buf_putc(out, ' ');
            column++;
        } else if (out->data[out->len - 1] == ',') {
            buf_puts(out, is_blank(*list) ? "\n" : "\n\t");
            column = 0;
        }
        buf_append(out, list, n);
        column += n;
    }
}

/* The field with its addresses rewritten; NULL when all of them stay. */
static const char *rewrite_field(struct cleanup *m, const struct header_field *f, enum header_kind kind)
{
    enum address_class class = kind == KIND_SENDER ? HEADER_SENDER : HEADER_RECIPIENT;
    struct address_tree t = address_tree_parse(m->arena, f->value, (size_t)cleanup_params.header_address_token_limit);
    bool changed = false;
    for (struct address_node *n = address_tree_next(&t, NULL); n; n = address_tree_next(&t, n)) {
        const char *address = address_tree_internal(&t, n);
        if (!*address)
            continue;
        const char *better =
            address_external(m->arena, cleanup_map_address(m, cleanup_rewrite(m, address, m->begin.context), class));
        changed = changed || strcmp(better, address_tree_external(&t, n)) != 0;
        address_tree_replace(&t, n, better);
    }
    if (!changed)
        return NULL;
    BUF_AUTO list = BUF(BUF_MAX_DEFAULT);
    BUF_AUTO out = BUF(BUF_MAX_DEFAULT);
    address_tree_print(&t, &list);
    buf_printf(&out, "%.*s: ", SLICE_ARG(f->name));
    fold_list(buf_cstr(&list), &out);
    return arena_strdup(m->arena, buf_cstr(&out));
}

static bool rewrites_addresses(const struct cleanup *m)
{
    bool local = strcmp(m->begin.context, "local") == 0;
    BUF_AUTO err = BUF(200);
    const char *domain = conf_value(daemon_env->conf, "remote_header_rewrite_domain", &err);
    return local || (domain && *domain);
}

static void extract(struct cleanup *m, const struct header_field *f, bool resent_message)
{
    struct address_token *tokens;
    if (resent_message != is_resent(f))
        return;
    size_t n = address_list_parse(m->arena, f->value, &tokens);
    for (size_t i = 0; i < n; i++)
        if (*tokens[i].address)
            cleanup_add_extracted(m, tokens[i].address);
}

/* ---- the fields ---- */

/* Headers of MIME have checks of their own, wherever they stand. */
static bool is_mime_header(const char *text)
{
    static const char *const names[] = {"MIME-Version",        "Content-Type", "Content-Transfer-Encoding",
                                        "Content-Disposition", "Content-ID",   "Content-Description"};
    struct slice name = slice_make(text, strcspn(text, ":"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_eq_fold(name, slice_of(names[i])))
            return true;
    return false;
}

/* before: bytes of the line that are in *out already. */
static void append_line(struct buf *out, struct slice line, size_t before, size_t limit)
{
    size_t piece_most = (size_t)daemon_env->common.line_length_limit;
    const char *nul = line.n ? memchr(line.p, 0, line.n) : NULL;
    if (nul)
        line.n = (size_t)(nul - line.p);
    /* Lines come in pieces, and a piece is taken whole as long as the limit is not reached. */
    size_t n = before < piece_most ? piece_most - before : 1;
    for (size_t i = 0; i < line.n && out->len < limit; i += n, n = piece_most) {
        n = line.n - i < n ? line.n - i : n;
        buf_append(out, line.p + i, n);
    }
}

const char *cleanup_field_text(struct cleanup *m, const struct header_field *f)
{
    size_t limit = (size_t)cleanup_params.header_size_limit;
    BUF_AUTO out = BUF(BUF_MAX_DEFAULT);
    if (f->raw.n <= limit && f->name.p[f->name.n] == ':' && !memchr(f->raw.p, 0, f->raw.n))
        return arena_strndup(m->arena, f->raw.p, f->raw.n - 1);
    buf_append_slice(&out, f->name);
    buf_putc(&out, ':');
    struct slice rest = f->value;
    for (bool first = true; rest.n; first = false) {
        ptrdiff_t lf = slice_find(rest, '\n');
        size_t n = lf < 0 ? rest.n : (size_t)lf;
        if (!first && out.len < limit)
            buf_putc(&out, '\n');
        append_line(&out, slice_make(rest.p, n), first ? (size_t)(f->value.p - f->raw.p) : 0, limit);
        rest = lf < 0 ? slice_make(rest.p + n, 0) : slice_make(rest.p + n + 1, rest.n - n - 1);
    }
    return arena_strdup(m->arena, buf_cstr(&out));
}

void cleanup_put_field(struct cleanup *m, enum header_place place, const char *text)
{
    const char *replacement = NULL;
    struct maps *checks = place == HEADER_PART || is_mime_header(text) ? cleanup_tables.mime_header_checks
                          : place == HEADER_ATTACHED                   ? cleanup_tables.nested_header_checks
                                                                       : cleanup_tables.header_checks;
    if ((m->begin.flags & CLEANUP_FILTER) && !maps_is_empty(checks)) {
        switch (cleanup_check(m, checks, "header", text, &replacement)) {
        case CHECK_KEEP:
            break;
        case CHECK_DROP:
            return;
        case CHECK_REPLACED:
            text = replacement;
            break;
        }
    }
    cleanup_put(m, slice_of(text));
    cleanup_put(m, SLICE("\n"));
}

static void take_field(struct cleanup *m, const struct header_field *f, bool resent_message, bool rewrites)
{
    const struct known_header *k = known(f);
    if (k)
        note(m, f, k);
    if (k && k->extract && (m->begin.flags & CLEANUP_EXTRACT))
        extract(m, f, resent_message);
    if (is_dropped(f))
        return;
    const char *text = k && k->addresses && rewrites ? rewrite_field(m, f, k->addresses) : NULL;
    cleanup_put_field(m, HEADER_MESSAGE, text ? text : cleanup_field_text(m, f));
}

/* ---- what we add ---- */

static const char *without_route(const char *address)
{
    const char *colon = address[0] == '@' ? strchr(address, ':') : NULL;
    return colon ? colon + 1 : address;
}

static bool has_one_recipient(const struct cleanup *m)
{
    size_t n = m->recipients.n;
    while (n > 1 && m->recipients.items[n - 1].is_copy)
        n--;
    return n == 1;
}

static void put_received(struct cleanup *m)
{
    BUF_AUTO out = BUF(2 * IPC_TEXT);
    const char *text = m->begin.received;
    if (!*text)
        return;
    buf_puts(&out, "Received: ");
    for (; *text; text++) {
        if (text[0] == '%' && text[1] == 'Q') {
            buf_puts(&out, m->queue_id);
            text++;
        } else if (text[0] == '%' && text[1] == 'F') {
            if (has_one_recipient(m)) { /* as the client gave it, without a source route */
                buf_puts(&out, "\n\tfor <");
                address_quote(&out, without_route(m->recipients.items[0].address));
                buf_puts(&out, ">; ");
            } else {
                buf_puts(&out, ";\n\t");
            }
            text++;
        } else {
            buf_putc(&out, *text);
        }
    }
    cleanup_put_field(m, HEADER_MESSAGE, buf_cstr(&out));
}

static void put_message_id(struct cleanup *m, const char *prefix)
{
    time_t now = (time_t)(clock_wall_usec() / 1000000);
    struct tm tm;
    char stamp[20];
    gmtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%d%H%M%S", &tm);
    const char *id = arena_printf(m->arena, "<%s.%s@%s>", stamp, m->queue_id, daemon_env->common.myhostname);
    log_info("%s: %smessage-id=%s", m->queue_id, *prefix ? "resent-" : "", id);
    cleanup_put(m, slice_of(arena_printf(m->arena, "%sMessage-Id: %s\n", prefix, id)));
}

static void put_date(struct cleanup *m, const char *prefix)
{
    BUF_AUTO date = BUF(100);
    int64_t usec = m->begin.arrival_usec ? m->begin.arrival_usec : clock_wall_usec();
    date_rfc5322(&date, (time_t)(usec / 1000000));
    cleanup_put(m, slice_of(arena_printf(m->arena, "%sDate: %s\n", prefix, buf_cstr(&date))));
}

/* "From: Full Name <address>", the name quoted where it must be. */
static void put_from(struct cleanup *m, const char *prefix)
{
    BUF_AUTO out = BUF(IPC_ADDR * 2);
    const char *name = m->begin.sender_fullname;
    const char *address = *m->sender ? cleanup_map_address(m, m->sender, HEADER_SENDER) : "MAILER-DAEMON";
    buf_printf(&out, "%sFrom: ", prefix);
    if (*name) {
        bool quoted = strpbrk(name, "()<>[]:;@\\,.\"") != NULL;
        buf_puts(&out, quoted ? "\"" : "");
        for (; *name; name++) {
            if (quoted && (*name == '"' || *name == '\\'))
                buf_putc(&out, '\\');
            buf_putc(&out, (unsigned char)*name < 32 ? ' ' : *name);
        }
        buf_puts(&out, quoted ? "\" <" : " <");
    }
    address_quote(&out, address);
    buf_puts(&out, *m->begin.sender_fullname ? ">\n" : "\n");
    cleanup_put(m, buf_slice(&out));
}

static void put_missing(struct cleanup *m, bool resent_message)
{
    const char *prefix = resent_message ? "Resent-" : "";
    bool add = (m->begin.flags & CLEANUP_ADD_MISSING) || cleanup_params.always_add_missing_headers;
    if (add && !(resent_message ? m->resent_message_id : m->had_message_id))
        put_message_id(m, prefix);
    else if (!m->had_message_id && !resent_message)
        log_info("%s: message-id=<>", m->queue_id);
    if (!add)
        return;
    if (!(resent_message ? m->resent_date : m->had_date))
        put_date(m, prefix);
    if (!(resent_message ? m->resent_from : m->had_from))
        put_from(m, prefix);
    if (!m->had_recipient_header && *cleanup_params.undisclosed_recipients_header)
        cleanup_put(m, slice_of(arena_printf(m->arena, "%s\n", cleanup_params.undisclosed_recipients_header)));
}

void cleanup_header(struct cleanup *m, struct slice header)
{
    struct slice rest = header;
    struct header_field f;
    bool resent_message = false, rewrites = rewrites_addresses(m);
    while (header_next(&rest, &f) == 1)
        resent_message |= is_resent(&f);
    for (size_t i = 0; i < m->begin.n_prepend; i++)
        cleanup_put(m, slice_of(arena_printf(m->arena, "%s\n", m->begin.prepend[i])));
    put_received(m);
    rest = header;
    while (header_next(&rest, &f) == 1)
        take_field(m, &f, resent_message, rewrites);
    put_missing(m, resent_message);
}
