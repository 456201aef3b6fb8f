/* cleanup_header.c - the message's header: Received on top, unwanted fields dropped, addresses rewritten, checks,
 * missing fields at the end. */
#include "cleanup/cleanup.h"

#include "lib/base/log.h"
#include "lib/syntax/address.h"
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

/* The field with its addresses rewritten; the same text when all of them stay. */
static struct slice rewrite_field(struct cleanup *m, const struct header_field *f, enum header_kind kind)
{
    struct address_token *tokens;
    enum address_class class = kind == KIND_SENDER ? HEADER_SENDER : HEADER_RECIPIENT;
    size_t n = address_list_parse(m->arena, f->value, &tokens), done = 0;
    BUF_AUTO out = BUF(BUF_MAX_DEFAULT);
    bool changed = false;
    if ((int64_t)n > cleanup_params.header_address_token_limit)
        n = (size_t)cleanup_params.header_address_token_limit;
    buf_append(&out, f->raw.p, (size_t)(f->value.p - f->raw.p));
    for (size_t i = 0; i < n; i++) {
        const char *address = tokens[i].address;
        if (!*address)
            continue;
        const char *better = cleanup_map_address(m, cleanup_rewrite(m, address, m->begin.context), class);
        if (strcmp(better, address) == 0)
            continue;
        changed = true;
        buf_append(&out, f->value.p + done, tokens[i].start - done);
        address_quote(&out, better);
        done = tokens[i].end;
    }
    if (!changed)
        return f->raw;
    buf_append(&out, f->value.p + done, f->value.n - done);
    buf_putc(&out, '\n');
    return slice_of(arena_slice(m->arena, buf_slice(&out)));
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

static struct slice cut(struct cleanup *m, struct slice raw)
{
    size_t limit = (size_t)cleanup_params.header_size_limit;
    if (raw.n <= limit + 1)
        return raw;
    char *text = arena_strndup(m->arena, raw.p, limit + 1);
    text[limit] = '\n';
    return slice_make(text, limit + 1);
}

static void put_field(struct cleanup *m, struct slice raw)
{
    const char *replacement = NULL;
    raw = cut(m, raw);
    if ((m->begin.flags & CLEANUP_FILTER) && !maps_is_empty(cleanup_tables.header_checks)) {
        const char *text = arena_strndup(m->arena, raw.p, raw.n - 1);
        switch (cleanup_check(m, cleanup_tables.header_checks, "header", text, &replacement)) {
        case CHECK_KEEP:
            break;
        case CHECK_DROP:
            return;
        case CHECK_REPLACED:
            raw = slice_of(arena_printf(m->arena, "%s\n", replacement));
            break;
        }
    }
    cleanup_put(m, raw);
}

static void take_field(struct cleanup *m, const struct header_field *f, bool resent_message, bool rewrites)
{
    const struct known_header *k = known(f);
    struct slice raw = f->raw;
    if (k)
        note(m, f, k);
    if (k && k->extract && (m->begin.flags & CLEANUP_EXTRACT))
        extract(m, f, resent_message);
    if (is_dropped(f))
        return;
    if (k && k->addresses && rewrites)
        raw = rewrite_field(m, f, k->addresses);
    put_field(m, raw);
}

/* ---- what we add ---- */

static const char *without_route(const char *address)
{
    const char *colon = address[0] == '@' ? strchr(address, ':') : NULL;
    return colon ? colon + 1 : address;
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
            if (m->recipients.n == 1) { /* as the client gave it, without a source route */
                buf_puts(&out, "\n\tfor <");
                address_quote(&out, without_route(m->recipients.items[0].address));
                buf_puts(&out, ">");
            }
            text++;
        } else {
            buf_putc(&out, *text);
        }
    }
    buf_putc(&out, '\n');
    put_field(m, buf_slice(&out));
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
    const char *address = *m->sender ? cleanup_map_address(m, m->sender, HEADER_SENDER)
                                     : arena_printf(m->arena, "MAILER-DAEMON@%s", daemon_env->common.myorigin);
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
    put_received(m);
    for (size_t i = 0; i < m->begin.n_prepend; i++)
        cleanup_put(m, slice_of(arena_printf(m->arena, "%s\n", m->begin.prepend[i])));
    rest = header;
    while (header_next(&rest, &f) == 1)
        take_field(m, &f, resent_message, rewrites);
    put_missing(m, resent_message);
}
