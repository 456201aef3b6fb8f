/* smtpd_xclient.c - XCLIENT and XFORWARD: what a proxy or content filter that we trust says of the client behind it.
 * XCLIENT begins the session anew as that client's; XFORWARD only changes what is logged and passed on. */
#include "lib/syntax/address.h"
#include "lib/syntax/codec.h"
#include "smtpd/smtpd.h"

enum { VALUE_MAX = 255 };

struct attribute {
    const char *name, *value;
    bool unavailable, later; /* [UNAVAILABLE], [TEMPUNAVAIL] */
};
/* False after a reply. */
typedef bool take_fn(struct session *s, const struct attribute *a);

static bool bad(struct session *s, const struct attribute *a)
{
    smtpd_reply(s, "501 5.5.4 Bad %s syntax: %s", a->name, a->value);
    return false;
}

/* "name=value", the value decoded and without anything that could not be shown. */
static bool parse(struct session *s, const char *word, struct attribute *a)
{
    const char *equal = strchr(word, '=');
    if (!equal || !equal[1]) {
        smtpd_reply(s, "501 5.5.4 Error: attribute=value expected");
        return false;
    }
    if (strlen(equal + 1) > VALUE_MAX) {
        smtpd_reply(s, "501 5.5.4 Error: attribute value too long");
        return false;
    }
    char *name = arena_strndup(s->arena, word, (size_t)(equal - word));
    for (char *p = name; *p; p++)
        *p = ascii_upper(*p);
    BUF_AUTO decoded = BUF(VALUE_MAX);
    if (!xtext_decode(&decoded, slice_of(equal + 1))) {
        smtpd_reply(s, "501 5.5.4 Bad attribute value syntax: %s", equal + 1);
        return false;
    }
    char *value = arena_strdup(s->arena, buf_cstr(&decoded));
    for (char *p = value; *p; p++)
        *p = (unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p;
    *a = (struct attribute){name, value, str_eq_fold(value, "[UNAVAILABLE]"), str_eq_fold(value, "[TEMPUNAVAIL]")};
    return true;
}

/* ---- XCLIENT ---- */

static bool take_name(struct session *s, const struct attribute *a)
{
    enum smtpd_peer status = a->unavailable ? PEER_UNKNOWN : a->later ? PEER_TRY_AGAIN : PEER_FOUND;
    if (status == PEER_FOUND && !hostname_valid(a->value))
        return bad(s, a);
    s->client_name = status == PEER_FOUND ? a->value : "unknown";
    s->name_status = status;
    if (status == PEER_FOUND) {
        s->reverse_name = a->value;
        s->reverse_status = status;
    }
    return true;
}

static bool take_reverse_name(struct session *s, const struct attribute *a)
{
    s->reverse_status = a->unavailable ? PEER_UNKNOWN : a->later ? PEER_TRY_AGAIN : PEER_FOUND;
    if (s->reverse_status == PEER_FOUND && !hostname_valid(a->value))
        return bad(s, a);
    s->reverse_name = s->reverse_status == PEER_FOUND ? a->value : "unknown";
    return true;
}

static bool inet_allowed(const char *protocol)
{
    const char *list = daemon_env->common.inet_protocols;
    return strstr(list, protocol) || strstr(list, "all");
}

static bool take_addr(struct session *s, const struct attribute *a)
{
    struct sockaddr_storage *sa = ARENA_NEW(s->arena, struct sockaddr_storage);
    socklen_t len;
    char text[ADDR_TEXT_MAX];
    if (a->unavailable) {
        s->client_addr = "unknown";
        sa->ss_family = AF_UNSPEC;
    } else {
        bool v6 = strchr(a->value, ':') != NULL;
        if (*a->value == '[' || (v6 && !slice_starts_fold(slice_of(a->value), SLICE("IPv6:"))) ||
            !inet_allowed(v6 ? "ipv6" : "ipv4") || !addr_parse(a->value, 0, sa, &len))
            return bad(s, a);
        s->client_addr = arena_strdup(s->arena, addr_text((struct sockaddr *)sa, text));
    }
    s->peer = (const struct sockaddr *)sa;
    return true;
}

static bool take_port(struct session *s, const struct attribute *a)
{
    if (!a->unavailable && (strspn(a->value, "0123456789") < strlen(a->value) || strlen(a->value) > 5))
        return bad(s, a);
    s->client_port = a->unavailable ? "unknown" : a->value;
    return true;
}

static bool take_helo(struct session *s, const struct attribute *a)
{
    s->xclient_helo = a->unavailable ? NULL : smtpd_clean_name(s, a->value);
    return true;
}

static bool take_proto(struct session *s, const struct attribute *a)
{
    if (!str_eq_fold(a->value, "SMTP") && !str_eq_fold(a->value, "ESMTP"))
        return bad(s, a);
    s->xclient_esmtp = *a->value == 'E' || *a->value == 'e';
    return true;
}

static bool take_login(struct session *s, const struct attribute *a)
{
    s->sasl_username = a->unavailable ? NULL : a->value;
    s->sasl_method = a->unavailable ? NULL : "XCLIENT";
    return true;
}

static bool take_dest_addr(struct session *s, const struct attribute *a)
{
    struct sockaddr_storage sa;
    socklen_t len;
    if (!a->unavailable && !addr_parse(a->value, 0, &sa, &len))
        return bad(s, a);
    s->server_addr = a->unavailable ? "unknown" : a->value;
    return true;
}

static bool take_dest_port(struct session *s, const struct attribute *a)
{
    return a->unavailable || strspn(a->value, "0123456789") == strlen(a->value) || bad(s, a);
}

/* ---- XFORWARD ---- */

static const char *forwarded(const struct attribute *a)
{
    return a->unavailable || a->later ? "unknown" : a->value;
}

static bool forward_name(struct session *s, const struct attribute *a)
{
    if (!a->unavailable && !a->later && !hostname_valid(a->value))
        return bad(s, a);
    s->forward.name = forwarded(a);
    return true;
}

static bool forward_addr(struct session *s, const struct attribute *a)
{
    struct sockaddr_storage sa;
    socklen_t len;
    if (!a->unavailable && !addr_parse(a->value, 0, &sa, &len))
        return bad(s, a);
    s->forward.addr = forwarded(a);
    return true;
}

static bool forward_port(struct session *s, const struct attribute *a)
{
    if (!a->unavailable && (strspn(a->value, "0123456789") < strlen(a->value) || strlen(a->value) > 5))
        return bad(s, a);
    s->forward.port = forwarded(a);
    return true;
}

static bool forward_helo(struct session *s, const struct attribute *a)
{
    s->forward.helo = a->unavailable ? "" : smtpd_clean_name(s, a->value);
    return true;
}

static bool forward_proto(struct session *s, const struct attribute *a)
{
    if (strlen(a->value) > 64)
        return bad(s, a);
    s->forward.proto = a->unavailable ? "" : a->value;
    return true;
}

static bool forward_ident(struct session *s, const struct attribute *a)
{
    s->forward.ident = a->unavailable ? "" : a->value;
    return true;
}

static bool forward_source(struct session *s, const struct attribute *a)
{
    return a->unavailable || str_eq_fold(a->value, "LOCAL") || str_eq_fold(a->value, "REMOTE") || bad(s, a);
}

struct attribute_row {
    const char *name;
    take_fn *take;
};
static const struct attribute_row xclient_rows[] = {{"NAME", take_name},          {"REVERSE_NAME", take_reverse_name},
                                                    {"ADDR", take_addr},          {"PORT", take_port},
                                                    {"HELO", take_helo},          {"PROTO", take_proto},
                                                    {"LOGIN", take_login},        {"DESTADDR", take_dest_addr},
                                                    {"DESTPORT", take_dest_port}, {NULL, NULL}};
static const struct attribute_row xforward_rows[] = {
    {"NAME", forward_name},   {"ADDR", forward_addr},   {"PORT", forward_port},     {"HELO", forward_helo},
    {"PROTO", forward_proto}, {"IDENT", forward_ident}, {"SOURCE", forward_source}, {NULL, NULL}};

static bool may_begin(struct session *s, struct slice args, const char *verb, bool allowed)
{
    if (s->sender)
        smtpd_reply(s, "503 5.5.1 Error: MAIL transaction in progress");
    else if (args.n == 0)
        smtpd_reply(s, "501 5.5.4 Syntax: %s attribute=value...", verb);
    else if (!allowed)
        smtpd_reply(s, "550 5.7.0 Error: insufficient authorization");
    else
        return true;
    return false;
}

static bool take_all(struct session *s, struct slice args, const char *verb, const struct attribute_row *rows)
{
    const char *word;
    struct attribute a;
    while (smtp_command_word(s->call, &args, &word, NULL)) {
        const struct attribute_row *row = rows;
        if (!parse(s, word, &a))
            return false;
        while (row->name && strcmp(row->name, a.name) != 0)
            row++;
        if (!row->name) {
            smtpd_reply(s, "501 5.5.4 Bad %s attribute name: %s", verb, a.name);
            return false;
        }
        if (!row->take(s, &a))
            return false;
    }
    return true;
}

int smtpd_xclient(struct session *s, struct slice args)
{
    if (!may_begin(s, args, "XCLIENT", s->may_xclient))
        return -1;
    s->xclient_helo = s->sasl_username = s->sasl_method = NULL;
    s->xclient_esmtp = false;
    if (!take_all(s, args, "XCLIENT", xclient_rows))
        return -1;
    smtpd_name_peer(s);
    smtpd_mail_reset(s);
    s->helo = s->xclient_helo;
    s->esmtp = s->xclient_esmtp;
    s->proto = s->esmtp ? "ESMTP" : "SMTP";
    s->client_verdict = (struct check_verdict){0};
    s->may_xclient = match_list_host(smtpd_shared.xclient_hosts, s->client_name, s->peer) == MAP_FOUND;
    smtpd_greet(s);
    return 0;
}

int smtpd_xforward(struct session *s, struct slice args)
{
    if (!may_begin(s, args, "XFORWARD", s->may_xforward))
        return -1;
    s->forward.given = true;
    if (!take_all(s, args, "XFORWARD", xforward_rows))
        return -1;
    smtpd_reply(s, "250 2.0.0 Ok");
    return 0;
}
