/* smtp_command.c - see smtp_command.h. All input is a stranger's. */
#include "lib/syntax/smtp_command.h"

#include "lib/syntax/address.h"

#define BLANKS " \t\r\n"
enum { ADDRESS_MAX = 1000 };

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

void smtp_command_split(struct slice line, struct slice *verb, struct slice *rest)
{
    *rest = slice_trim(line);
    if (!slice_token(rest, BLANKS, verb))
        *verb = slice_make("", 0);
    *rest = slice_trim(*rest);
}

/* The part after the last '@' must be able to be a host; source routes and further '@' are routing's business. */
static bool domain_ok(const char *address)
{
    const char *domain = address_domain(address);
    if (!domain)
        return true;
    if (*domain == '[')
        return address_literal_valid(domain);
    /* Names longer than DNS allows, or odd ones, are told from broken ones: only empty labels at the ends are refused
     * here, and reject_non_fqdn_* does the rest. */
    size_t n = strlen(domain);
    return n > 0 && domain[0] != '.' && domain[0] != '-' && !strstr(domain, "..");
}

/* "(text)" directly after the path. */
static bool skip_comment(struct slice *rest)
{
    unsigned depth = 0;
    for (size_t i = 0; i < rest->n; i++) {
        char c = rest->p[i];
        if (c == '\\')
            i++;
        else if (c == '(')
            depth++;
        else if (c == ')' && --depth == 0) {
            *rest = slice_make(rest->p + i + 1, rest->n - i - 1);
            return true;
        }
    }
    return false;
}

/* "<...>" without quoting, blanks or list syntax, whatever else it holds: other servers' users have such addresses. */
static bool lenient_path(struct slice text, struct buf *address, struct slice *rest)
{
    ptrdiff_t end = slice_find(text, '>');
    if (end < 2 || text.p[0] != '<')
        return false;
    for (ptrdiff_t i = 1; i < end; i++) {
        if (text.p[i] == 0 || strchr(" \t\"(),;<\\", text.p[i]))
            return false;
    }
    buf_reset(address);
    buf_append(address, text.p + 1, (size_t)end - 1);
    *rest = slice_make(text.p + end + 1, text.n - (size_t)end - 1);
    return true;
}

static bool parse_path(struct slice text, bool strict, struct buf *address, struct slice *rest)
{
    buf_reset(address);
    if (!address_parse_path(text, strict, address, rest) && (strict || !lenient_path(text, address, rest)))
        return false;
    if (address->overflow || address->len > ADDRESS_MAX)
        return false;
    if (!strict && rest->n > 0 && rest->p[0] == '(' && !skip_comment(rest))
        return false;
    if (rest->n > 0 && rest->p[0] != ' ' && rest->p[0] != '\t')
        return false;
    return memchr(buf_cstr(address), 0, address->len) == NULL && domain_ok(buf_cstr(address));
}

enum smtp_path_status smtp_command_path(struct slice rest, struct slice keyword, bool strict, struct buf *address,
                                        struct slice *params)
{
    if (!slice_starts_fold(rest, keyword))
        return SMTP_PATH_NO_KEYWORD;
    struct slice text = slice_make(rest.p + keyword.n, rest.n - keyword.n);
    if (!strict)
        text = slice_trim(text);
    if (text.n == 0)
        return SMTP_PATH_NO_KEYWORD;
    return parse_path(text, strict, address, params) ? SMTP_PATH_OK : SMTP_PATH_BAD;
}

bool smtp_command_address(struct slice text, bool strict, struct buf *address)
{
    struct slice rest;
    text = slice_trim(text);
    if (text.n == 0)
        return false;
    return parse_path(text, strict && text.p[0] == '<', address, &rest) && slice_trim(rest).n == 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* RFC 3461 section 4. NULL when malformed, or when it would hold control characters (they would reach logs and queue
 * files). */
static const char *decode_xtext(struct slice in, struct arena *a)
{
    char *out = arena_alloc(a, in.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        int c = (unsigned char)in.p[i];
        if (c <= ' ' || c >= 0x7f || c == '=')
            return NULL;
        if (c == '+') {
            if (i + 2 >= in.n || hex_value(in.p[i + 1]) < 0 || hex_value(in.p[i + 2]) < 0)
                return NULL;
            c = hex_value(in.p[i + 1]) * 16 + hex_value(in.p[i + 2]);
            i += 2;
            if (c < ' ' || c == 0x7f)
                return NULL;
        }
        out[n++] = (char)c;
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
        if (!slice_to_u64(value_after(p, 5), INT64_MAX, &size))
            return SMTP_PARAM_BAD_SIZE;
        out->size = size;
        return SMTP_PARAM_OK;
    }
    if (slice_starts_fold(p, SLICE("RET=")))
        return parse_ret(value_after(p, 4), out);
    if (slice_starts_fold(p, SLICE("ENVID="))) {
        if (out->envid || p.n == 6 || p.n > 6 + 200)
            return SMTP_PARAM_BAD_ENVID;
        out->envid = decode_xtext(value_after(p, 6), a);
        return out->envid ? SMTP_PARAM_OK : SMTP_PARAM_BAD_ENVID;
    }
    if (slice_starts_fold(p, SLICE("AUTH="))) {
        out->auth = decode_xtext(value_after(p, 5), a);
        return out->auth && *out->auth ? SMTP_PARAM_OK : SMTP_PARAM_BAD_AUTH;
    }
    return SMTP_PARAM_UNSUPPORTED;
}

enum smtp_param_status smtp_command_mail_params(struct slice params, struct arena *a, struct smtp_mail_params *out,
                                                struct slice *offending)
{
    *out = (struct smtp_mail_params){0};
    while (slice_token(&params, BLANKS, offending)) {
        enum smtp_param_status st = parse_mail_param(*offending, a, out);
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
    if (out->orcpt || semi <= 0 || value.n > 1000)
        return SMTP_PARAM_BAD_ORCPT;
    struct slice type = slice_make(value.p, (size_t)semi);
    for (size_t i = 0; i < type.n; i++) {
        char c = ascii_lower(type.p[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return SMTP_PARAM_BAD_ORCPT;
    }
    const char *address = decode_xtext(value_after(value, type.n + 1), a);
    if (!address)
        return SMTP_PARAM_BAD_ORCPT;
    out->orcpt = arena_printf(a, "%.*s;%s", SLICE_ARG(type), address);
    return SMTP_PARAM_OK;
}

enum smtp_param_status smtp_command_rcpt_params(struct slice params, struct arena *a, struct smtp_rcpt_params *out,
                                                struct slice *offending)
{
    *out = (struct smtp_rcpt_params){0};
    while (slice_token(&params, BLANKS, offending)) {
        enum smtp_param_status st = SMTP_PARAM_UNSUPPORTED;
        if (slice_starts_fold(*offending, SLICE("NOTIFY=")))
            st = parse_notify(value_after(*offending, 7), out);
        else if (slice_starts_fold(*offending, SLICE("ORCPT=")))
            st = parse_orcpt(value_after(*offending, 6), a, out);
        if (st != SMTP_PARAM_OK)
            return st;
    }
    return SMTP_PARAM_OK;
}
