/* restriction_rbl.c - DNS block lists by client address (reject_rbl_client) and by domain (reject_rhsbl_*). */
#include "lib/rt/dns.h"
#include "lib/syntax/address.h"
#include "smtpd/smtpd.h"

#include <arpa/inet.h>
#include <stdlib.h>

enum { LOOKUP_SECONDS = 30 };

/* "127.0.0.[4..5]", "[2;4..9]", "5": whether one number fits its pattern, which ends at '.' or the end. */
static bool octet_matches(const char **pattern, unsigned value)
{
    const char *p = *pattern;
    bool hit = false, brackets = *p == '[';
    p += brackets;
    do {
        char *end;
        unsigned long low = strtoul(p, &end, 10), high = low;
        if (end == p)
            return false;
        if (end[0] == '.' && end[1] == '.' && brackets)
            high = strtoul(end + 2, &end, 10);
        hit = hit || (value >= low && value <= high);
        p = end + (*end == ';');
    } while (brackets && *p && *p != ']');
    p += brackets && *p == ']';
    *pattern = p + (*p == '.');
    return hit;
}

static bool reply_matches(const char *pattern, const struct sockaddr_storage *addr)
{
    if (!pattern)
        return true;
    if (addr->ss_family != AF_INET)
        return false;
    uint32_t ip = ntohl(((const struct sockaddr_in *)addr)->sin_addr.s_addr);
    for (int shift = 24; shift >= 0; shift -= 8) {
        if (!octet_matches(&pattern, (ip >> shift) & 255))
            return false;
    }
    return *pattern == 0;
}

struct rbl_text {
    const char *names[8], *values[8];
};
static const char *rbl_name(void *ctx, const char *name)
{
    const struct rbl_text *t = ctx;
    for (size_t i = 0; t->names[i]; i++) {
        if (strcmp(t->names[i], name) == 0)
            return t->values[i];
    }
    return NULL;
}

static enum check_result listed(struct check *c, const char *zone, const char *what, const char *class_name,
                                const char *query)
{
    struct session *s = c->session;
    struct dns_answer txt = dns_lookup(s->call, query, DNS_TXT, deadline_in(LOOKUP_SECONDS));
    const char *reason = txt.status == DNS_OK && txt.records ? txt.records->target : "";
    struct rbl_text t = {{"rbl_code", "rbl_class", "rbl_what", "rbl_domain", "rbl_reason", NULL},
                         {"", class_name, what, zone, *reason ? reason : "", NULL}};
    BUF_AUTO text = BUF(2000);
    BUF_AUTO err = BUF(500);
    if (!conf_expand_with(daemon_env->conf, smtpd_params.default_rbl_reply, rbl_name, &t, &text, &err))
        return check_misconfigured(c, "default_rbl_reply", buf_cstr(&err));
    return check_reject(c, (int)smtpd_params.maps_rbl_reject_code, "5.7.1", "%s", buf_cstr(&text) + (text.len > 0));
}

static enum check_result look_up(struct check *c, const char *argument, const char *key, const char *what,
                                 const char *class_name)
{
    struct session *s = c->session;
    const char *equals = strchr(argument, '=');
    const char *zone = arena_strndup(s->call, argument, equals ? (size_t)(equals - argument) : strlen(argument));
    const char *query = arena_printf(s->call, "%s.%s", key, zone);
    struct dns_answer a = dns_lookup(s->call, query, DNS_A, deadline_in(LOOKUP_SECONDS));
    if (a.status == DNS_TRY_AGAIN)
        log_warn("%s: RBL lookup error: %s", query, dns_strerror(a.status));
    for (const struct dns_record *r = a.status == DNS_OK ? a.records : NULL; r; r = r->next) {
        if (reply_matches(equals ? equals + 1 : NULL, &r->addr))
            return listed(c, zone, what, class_name, query);
    }
    return CHECK_DUNNO;
}

enum check_result restriction_reject_rbl_client(struct check *c, const struct check_step *step)
{
    struct session *s = c->session;
    unsigned char b[16];
    BUF_AUTO key = BUF(200);
    if (inet_pton(AF_INET, s->client_addr, b) == 1) {
        buf_printf(&key, "%u.%u.%u.%u", b[3], b[2], b[1], b[0]);
    } else if (inet_pton(AF_INET6, s->client_addr, b) == 1) {
        for (int i = 15; i >= 0; i--)
            buf_printf(&key, "%x.%x%s", b[i] & 15, b[i] >> 4, i ? "." : "");
    } else {
        return CHECK_DUNNO;
    }
    return look_up(c, step->argument, buf_cstr(&key), s->client_addr, "Client host");
}

static enum check_result domain_list(struct check *c, const struct check_step *step, const char *domain,
                                     const char *what, const char *class_name)
{
    if (!domain || *domain == 0 || *domain == '[' || strcmp(domain, "unknown") == 0)
        return CHECK_DUNNO;
    return look_up(c, step->argument, domain, what, class_name);
}

enum check_result restriction_reject_rhsbl_client(struct check *c, const struct check_step *step)
{
    return domain_list(c, step, c->session->client_name, c->session->client_name, "Client host");
}

enum check_result restriction_reject_rhsbl_reverse_client(struct check *c, const struct check_step *step)
{
    return domain_list(c, step, c->session->reverse_name, c->session->reverse_name, "Unverified Client host");
}

enum check_result restriction_reject_rhsbl_helo(struct check *c, const struct check_step *step)
{
    return domain_list(c, step, c->session->helo, c->session->helo, "Helo command");
}

enum check_result restriction_reject_rhsbl_sender(struct check *c, const struct check_step *step)
{
    return domain_list(c, step, address_domain(c->session->sender), c->session->sender, "Sender address");
}

enum check_result restriction_reject_rhsbl_recipient(struct check *c, const struct check_step *step)
{
    return domain_list(c, step, address_domain(c->session->recipient), c->session->recipient, "Recipient address");
}
