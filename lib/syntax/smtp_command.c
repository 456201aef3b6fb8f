/* smtp_command.c - see smtp_command.h. All input is a stranger's. */
#include "lib/syntax/smtp_command.h"

#include "lib/syntax/address_tree.h"

#define BLANKS " \t\r\n"
enum { ADDRESS_MAX = 2500 };

bool smtp_command_line(struct slice in, struct slice *line, size_t *used, bool *bare_lf)
{
    const char *lf = in.n ? memchr(in.p, '\n', in.n) : NULL;
    if (!lf)
        return false;
    size_t n = (size_t)(lf - in.p);
    *used = n + 1;
    *bare_lf = n == 0 || in.p[n - 1] != '\r';
    while (n > 0 && in.p[n - 1] == '\r')
        n--;
    *line = slice_make(in.p, n);
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Behind the character that closes what in.p[i] opened: a quote, or a '<', in which there may be both again. */
static size_t skip_enclosed(struct slice in, size_t i, bool *broken)
{
    unsigned depth = in.p[i] == '<';
    bool quoted = !depth;
    for (i++; i < in.n; i++) {
        char c = in.p[i];
        if (c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (c == '<' && !quoted)
            depth++;
        else if (c == '>' && !quoted)
            depth--;
        if (!quoted && depth == 0)
            return i + 1;
    }
    *broken = true;
    return in.n;
}

bool smtp_command_word(struct arena *a, struct slice *rest, const char **word, bool *broken)
{
    struct slice in = *rest;
    bool open = false;
    size_t i = 0;
    while (i < in.n && is_blank(in.p[i]))
        i++;
    size_t start = i;
    while (i < in.n && !is_blank(in.p[i])) {
        char c = in.p[i];
        if (c == '<' || c == '"') {
            i = skip_enclosed(in, i, &open);
            continue;
        }
        i += c == '\\' && i + 1 < in.n ? 2 : 1;
        struct slice so_far = slice_make(in.p + start, i - start);
        if (c == ':' && (slice_eq_fold(so_far, SLICE("from:")) || slice_eq_fold(so_far, SLICE("to:"))))
            break;
    }
    *word = arena_strndup(a, in.p + start, i - start);
    *rest = slice_make(in.p + i, in.n - i);
    if (broken)
        *broken = open;
    return i > start;
}

const char *smtp_command_words(struct arena *a, struct slice rest)
{
    BUF_AUTO out = BUF(BUF_MAX_DEFAULT);
    const char *word;
    while (smtp_command_word(a, &rest, &word, NULL))
        buf_printf(&out, "%s%s", out.len ? " " : "", word);
    return arena_strdup(a, buf_cstr(&out));
}

/* "user@host" in plain characters needs no closer look. */
static bool is_plain(struct slice t)
{
    unsigned ats = 0;
    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i], l = ascii_lower(c);
        ats += c == '@';
        if (!(l >= 'a' && l <= 'z') && !(c >= '0' && c <= '9') && !(c && strchr("@.-+_=", c)))
            return false;
    }
    return t.n > 0 && ats <= 1;
}

/* "@a,@b:user@c": the way is ours to find. */
static struct slice without_route(struct slice text)
{
    bool literal = false;
    for (size_t i = 0; text.n && text.p[0] == '@' && i < text.n; i++) {
        if (text.p[i] == '[' || text.p[i] == ']')
            literal = text.p[i] == '[';
        else if (text.p[i] == ':' && !literal)
            return slice_make(text.p + i + 1, text.n - i - 1);
    }
    return text;
}

bool smtp_command_path(struct arena *a, const char *word, bool strict, bool empty_ok, const char **address)
{
    struct slice text = slice_of(word);
    if (text.n >= 2 && text.p[0] == '<' && text.p[text.n - 1] == '>')
        text = slice_make(text.p + 1, text.n - 2);
    text = without_route(text);
    if (strict && *word != '<')
        return false;
    if (is_plain(text)) {
        *address = arena_slice(a, text);
        return text.n <= ADDRESS_MAX && !(strict && *text.p == '@');
    }
    struct address_tree tree = address_tree_parse(a, text, 0);
    struct address_node *one = address_tree_next(&tree, NULL);
    if ((!one && !empty_ok) || (one && address_tree_next(&tree, one)) || (strict && address_tree_has_more(&tree)))
        return false;
    *address = one ? address_tree_internal(&tree, one) : "";
    return (**address || empty_ok) && strlen(*address) <= ADDRESS_MAX && !(strict && **address == '@');
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3461 section 4, as tolerantly as Postfix reads it. NULL when malformed. */
static const char *decode_xtext(struct slice in, struct arena *a)
{
    char *out = arena_alloc(a, in.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        int c = (unsigned char)in.p[i];
        if (c == '+') {
            if (i + 2 >= in.n || hex_value(in.p[i + 1]) < 0 || hex_value(in.p[i + 2]) < 0)
                return NULL;
            c = hex_value(in.p[i + 1]) * 16 + hex_value(in.p[i + 2]);
            i += 2;
            if (c == 0)
                return NULL;
        }
        out[n++] = (char)c;
    }
    return out;
}

static void put_utf8(char *out, size_t *n, unsigned c)
{
    if (c >= 0x10000) {
        out[(*n)++] = (char)(0xf0 | c >> 18);
        out[(*n)++] = (char)(0x80 | (c >> 12 & 0x3f));
    } else if (c >= 0x800) {
        out[(*n)++] = (char)(0xe0 | c >> 12);
    }
    if (c >= 0x800)
        out[(*n)++] = (char)(0x80 | (c >> 6 & 0x3f));
    else
        out[(*n)++] = (char)(0xc0 | c >> 6);
    out[(*n)++] = (char)(0x80 | (c & 0x3f));
}

/* RFC 6533: "\x{E9}"; other characters stand for themselves. */
static const char *decode_uxtext(struct slice in, struct arena *a)
{
    char *out = arena_alloc(a, in.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] != '\\') {
            out[n++] = in.p[i];
            continue;
        }
        unsigned c = 0, digits = 0;
        if (i + 3 >= in.n || in.p[i + 1] != 'x' || in.p[i + 2] != '{')
            return NULL;
        for (i += 3; i < in.n && digits <= 6 && hex_value(in.p[i]) >= 0; i++, digits++)
            c = c * 16 + (unsigned)hex_value(in.p[i]);
        if (digits < 2 || digits > 6 || i == in.n || in.p[i] != '}' || c == 0 || c > 0x10ffff)
            return NULL;
        if (c < 0x80)
            out[n++] = (char)c;
        else
            put_utf8(out, &n, c);
    }
    return out;
}

static struct slice value_after(struct slice param, size_t n)
{
    return slice_make(param.p + n, param.n - n);
}

static enum smtp_param_status parse_ret(struct slice value, struct smtp_mail_params *out)
{
    if (out->ret != SMTP_RET_NONE)
        return SMTP_PARAM_BAD_RET;
    if (slice_eq_fold(value, SLICE("FULL")))
        out->ret = SMTP_RET_FULL;
    else if (slice_eq_fold(value, SLICE("HDRS")))
        out->ret = SMTP_RET_HDRS;
    else
        return SMTP_PARAM_BAD_RET;
    return SMTP_PARAM_OK;
}

static bool is_printable(const char *text)
{
    while (*text >= ' ' && *text < 0x7f)
        text++;
    return *text == 0;
}

static enum smtp_param_status parse_mail_param(struct slice p, struct arena *a, struct smtp_mail_params *out)
{
    unsigned long long size;
    if (slice_eq_fold(p, SLICE("BODY=7BIT")) || slice_eq_fold(p, SLICE("BODY=8BITMIME"))) {
        out->body = p.n == 9 ? "7BIT" : "8BITMIME";
        return SMTP_PARAM_OK;
    }
    if (slice_eq_fold(p, SLICE("SMTPUTF8"))) {
        out->smtputf8 = true;
        return SMTP_PARAM_OK;
    }
    if (slice_starts_fold(p, SLICE("SIZE="))) {
        struct slice value = value_after(p, 5);
        if (value.n == 0 || strspn(value.p, "0123456789") < value.n)
            return SMTP_PARAM_BAD_SIZE;
        if (!slice_to_u64(value, INT64_MAX, &size))
            return SMTP_PARAM_HUGE_SIZE;
        out->size = size;
        return SMTP_PARAM_OK;
    }
    if (slice_starts_fold(p, SLICE("RET=")))
        return parse_ret(value_after(p, 4), out);
    if (slice_starts_fold(p, SLICE("ENVID="))) {
        if (out->envid || p.n == 6)
            return SMTP_PARAM_BAD_ENVID;
        out->envid = decode_xtext(value_after(p, 6), a);
        return out->envid && is_printable(out->envid) ? SMTP_PARAM_OK : SMTP_PARAM_BAD_ENVID;
    }
    if (slice_starts_fold(p, SLICE("AUTH="))) {
        if (out->auth)
            return SMTP_PARAM_BAD_AUTH;
        out->auth = arena_slice(a, value_after(p, 5));
        return SMTP_PARAM_OK;
    }
    return SMTP_PARAM_UNSUPPORTED;
}

enum smtp_param_status smtp_command_mail_params(struct slice params, struct arena *a, struct smtp_mail_params *out,
                                                const char **offending)
{
    *out = (struct smtp_mail_params){0};
    while (smtp_command_word(a, &params, offending, NULL)) {
        enum smtp_param_status st = parse_mail_param(slice_of(*offending), a, out);
        if (st != SMTP_PARAM_OK)
            return st;
    }
    return SMTP_PARAM_OK;
}

static enum smtp_param_status parse_notify(struct slice value, struct smtp_rcpt_params *out)
{
    static const struct {
        const char *name;
        unsigned bit;
    } names[] = {{"NEVER", SMTP_NOTIFY_NEVER},
                 {"SUCCESS", SMTP_NOTIFY_SUCCESS},
                 {"FAILURE", SMTP_NOTIFY_FAILURE},
                 {"DELAY", SMTP_NOTIFY_DELAY}};
    struct slice word;
    unsigned bits = 0;
    if (out->notify)
        return SMTP_PARAM_BAD_NOTIFY;
    while (slice_token(&value, ",", &word)) {
        size_t i = 0;
        while (i < 4 && !slice_eq_fold(word, slice_of(names[i].name)))
            i++;
        if (i == 4)
            return SMTP_PARAM_BAD_NOTIFY;
        bits |= names[i].bit;
    }
    if (bits == 0 || ((bits & SMTP_NOTIFY_NEVER) && bits != SMTP_NOTIFY_NEVER))
        return SMTP_PARAM_BAD_NOTIFY;
    out->notify = bits;
    return SMTP_PARAM_OK;
}

static enum smtp_param_status parse_orcpt(struct slice value, struct arena *a, struct smtp_rcpt_params *out)
{
    ptrdiff_t semi = slice_find(value, ';');
    if (out->orcpt || semi <= 0 || value.n > ADDRESS_MAX)
        return SMTP_PARAM_BAD_ORCPT;
    struct slice type = slice_make(value.p, (size_t)semi);
    struct slice text = value_after(value, type.n + 1);
    const char *address = slice_eq_fold(type, SLICE("utf-8")) ? decode_uxtext(text, a) : decode_xtext(text, a);
    if (!address)
        return SMTP_PARAM_BAD_ORCPT;
    out->orcpt = arena_printf(a, "%.*s;%s", SLICE_ARG(type), address);
    return SMTP_PARAM_OK;
}

enum smtp_param_status smtp_command_rcpt_params(struct slice params, struct arena *a, struct smtp_rcpt_params *out,
                                                const char **offending)
{
    *out = (struct smtp_rcpt_params){0};
    while (smtp_command_word(a, &params, offending, NULL)) {
        struct slice p = slice_of(*offending);
        enum smtp_param_status st = SMTP_PARAM_UNSUPPORTED;
        if (slice_starts_fold(p, SLICE("NOTIFY=")))
            st = parse_notify(value_after(p, 7), out);
        else if (slice_starts_fold(p, SLICE("ORCPT=")))
            st = parse_orcpt(value_after(p, 6), a, out);
        if (st != SMTP_PARAM_OK)
            return st;
    }
    return SMTP_PARAM_OK;
}
