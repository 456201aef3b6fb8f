/* restriction_host.c - what DNS and syntax say about the client's and the HELO name, and about the domains of
 * addresses. */
#include "lib/rt/dns.h"
#include "lib/syntax/address.h"
#include "smtpd/smtpd.h"

enum { LOOKUP_SECONDS = 30 };

static bool exists(enum dns_status st)
{
    return st == DNS_OK;
}

/* Whether mail could go to the name: DNS_OK when it has MX, A or AAAA records. */
static enum dns_status mail_host(struct session *s, const char *name, bool *null_mx)
{
    static const enum dns_type types[] = {DNS_MX, DNS_A, DNS_AAAA};
    enum dns_status worst = DNS_NO_NAME;
    *null_mx = false;
    for (size_t i = 0; i < 3; i++) {
        struct dns_answer a = dns_lookup(s->call, name, types[i], deadline_in(LOOKUP_SECONDS));
        if (exists(a.status)) {
            *null_mx = types[i] == DNS_MX && a.records && !*a.records->target;
            return DNS_OK;
        }
        if (a.status == DNS_TRY_AGAIN)
            return DNS_TRY_AGAIN;
        if (a.status == DNS_NO_DATA)
            worst = DNS_NO_DATA;
    }
    return worst;
}

enum check_result restriction_reject_unknown_client(struct check *c, const struct check_step *step)
{
    struct session *s = c->session;
    if (s->name_status == PEER_FOUND)
        return CHECK_DUNNO;
    int code = s->name_status == PEER_TRY_AGAIN ? 450 : (int)smtpd_params.unknown_client_reject_code;
    return check_reject(c, code, "4.7.25", "Client host rejected: cannot find your hostname, [%s]", s->client_addr);
}

enum check_result restriction_reject_unknown_reverse_client(struct check *c, const struct check_step *step)
{
    struct session *s = c->session;
    if (s->reverse_status == PEER_FOUND)
        return CHECK_DUNNO;
    int code = s->reverse_status == PEER_TRY_AGAIN ? 450 : (int)smtpd_params.unknown_client_reject_code;
    return check_reject(c, code, "4.7.1", "Client host rejected: cannot find your reverse hostname, [%s]",
                        s->client_addr);
}

/* One dot at the end is a way to write a full name. */
static const char *without_last_dot(struct check *c, const char *name)
{
    size_t n = strlen(name);
    bool dot = n > 1 && name[n - 1] == '.' && name[n - 2] != '.';
    return dot ? arena_strndup(c->session->call, name, n - 1) : name;
}

enum check_result restriction_reject_invalid_helo(struct check *c, const struct check_step *step)
{
    const char *helo = c->session->helo;
    struct sockaddr_storage ss;
    socklen_t len;
    int code = (int)smtpd_params.invalid_hostname_reject_code;
    if (*helo == '[') {
        if (address_literal_valid(helo))
            return CHECK_DUNNO;
        return check_reject(c, code, "5.5.2", "<%s>: Helo command rejected: invalid ip address", helo);
    }
    if (hostname_valid(without_last_dot(c, helo)) || addr_parse(helo, 0, &ss, &len))
        return CHECK_DUNNO;
    return check_reject(c, code, "5.5.2", "<%s>: Helo command rejected: Invalid name", helo);
}

enum check_result restriction_reject_non_fqdn_helo(struct check *c, const struct check_step *step)
{
    const char *helo = c->session->helo;
    if ((*helo == '[' && address_literal_valid(helo)) || hostname_is_fqdn(without_last_dot(c, helo)))
        return CHECK_DUNNO;
    return check_reject(c, (int)smtpd_params.non_fqdn_reject_code, "5.5.2",
                        "<%s>: Helo command rejected: need fully-qualified hostname", helo);
}

enum check_result restriction_reject_unknown_helo(struct check *c, const struct check_step *step)
{
    const char *helo = c->session->helo;
    bool null_mx;
    if (*helo == '[')
        return restriction_reject_invalid_helo(c, step);
    enum dns_status st = mail_host(c->session, helo, &null_mx);
    if (exists(st))
        return CHECK_DUNNO;
    int code = st == DNS_TRY_AGAIN ? 450 : (int)smtpd_params.unknown_hostname_reject_code;
    return check_reject(c, code, "4.7.1", "<%s>: Helo command rejected: Host not found", helo);
}

static enum check_result non_fqdn(struct check *c, const char *address, const char *class_name)
{
    const char *domain = address_domain(address);
    if (domain && ((*domain == '[' && address_literal_valid(domain)) || hostname_is_fqdn(without_last_dot(c, domain))))
        return CHECK_DUNNO;
    return check_reject(c, (int)smtpd_params.non_fqdn_reject_code, "5.5.2",
                        "<%s>: %s rejected: need fully-qualified address", address, class_name);
}

enum check_result restriction_reject_non_fqdn_sender(struct check *c, const struct check_step *step)
{
    return non_fqdn(c, c->session->sender, "Sender address");
}

enum check_result restriction_reject_non_fqdn_recipient(struct check *c, const struct check_step *step)
{
    return non_fqdn(c, c->session->recipient, "Recipient address");
}

static enum check_result unknown_domain(struct check *c, const char *address, const char *class_name, const char *dsn,
                                        const char *null_mx_dsn)
{
    struct msg_resolved r = {0};
    bool null_mx;
    if (!check_resolve(c->session, address, &r))
        return check_table_failure(c, address);
    const char *domain = address_domain(r.recipient);
    if (!domain || *domain == '[' || (r.flags & (RESOLVE_LOCAL | RESOLVE_VIRTUAL_ALIAS | RESOLVE_VIRTUAL_MAILBOX)))
        return CHECK_DUNNO;
    enum dns_status st = mail_host(c->session, domain, &null_mx);
    if (exists(st) && null_mx)
        return check_reject(c, 556, null_mx_dsn, "<%s>: %s rejected: Domain %s does not accept mail (nullMX)", address,
                            class_name, domain);
    if (exists(st))
        return CHECK_DUNNO;
    int code = st == DNS_TRY_AGAIN ? 450 : (int)smtpd_params.unknown_address_reject_code;
    return check_reject(c, code, dsn, "<%s>: %s rejected: Domain not found", address, class_name);
}

enum check_result restriction_reject_unknown_sender_domain(struct check *c, const struct check_step *step)
{
    return unknown_domain(c, c->session->sender, "Sender address", "4.1.8", "5.7.27");
}

enum check_result restriction_reject_unknown_recipient_domain(struct check *c, const struct check_step *step)
{
    return unknown_domain(c, c->session->recipient, "Recipient address", "4.1.2", "5.1.10");
}
