/* smtpd_peer.c - who the client is: its address, the name that its PTR record gives, and whether that name leads back
 * to the address. */
#include "lib/rt/dns.h"
#include "lib/rt/hosts.h"
#include "lib/syntax/address.h"
#include "smtpd/smtpd.h"

static bool leads_back(struct session *s, const char *name, int64_t deadline, bool *later)
{
    enum dns_type type = s->peer->sa_family == AF_INET6 && strchr(s->client_addr, ':') ? DNS_AAAA : DNS_A;
    struct dns_answer a = dns_lookup(s->call, name, type, deadline);
    char text[ADDR_TEXT_MAX];
    *later = a.status == DNS_TRY_AGAIN;
    for (const struct dns_record *r = a.status == DNS_OK ? a.records : NULL; r; r = r->next) {
        if (strcmp(addr_text((const struct sockaddr *)&r->addr, text), s->client_addr) == 0)
            return true;
    }
    return false;
}

static void look_up(struct session *s)
{
    int64_t deadline = deadline_in(smtpd_params.smtpd_peername_timeout);
    const char *known = hosts_name_of(s->peer);
    if (known && hostname_valid(known)) {
        s->client_name = s->reverse_name = arena_strdup(s->arena, known);
        s->name_status = s->reverse_status = PEER_FOUND;
        return;
    }
    struct dns_answer ptr = dns_lookup_ptr(s->call, s->peer, deadline);
    bool later;
    if (ptr.status != DNS_OK || !ptr.records || !hostname_valid(ptr.records->target)) {
        s->name_status = s->reverse_status = ptr.status == DNS_TRY_AGAIN ? PEER_TRY_AGAIN : PEER_UNKNOWN;
        return;
    }
    s->reverse_name = arena_strdup(s->arena, ptr.records->target);
    s->reverse_status = PEER_FOUND;
    if (leads_back(s, s->reverse_name, deadline, &later)) {
        s->client_name = s->reverse_name;
        s->name_status = PEER_FOUND;
        return;
    }
    s->name_status = later ? PEER_TRY_AGAIN : PEER_UNKNOWN;
    log_warn("hostname %s does not resolve to address %s", s->reverse_name, s->client_addr);
}

void smtpd_peer_lookup(struct session *s)
{
    char text[ADDR_TEXT_MAX];
    s->client_addr = arena_strdup(s->arena, addr_text(s->peer, text));
    s->server_addr = arena_strdup(s->arena, addr_text(s->local, text));
    s->client_port = arena_printf(s->arena, "%u", (unsigned)addr_port(s->peer));
    s->client_name = s->reverse_name = "unknown";
    s->name_status = s->reverse_status = PEER_UNKNOWN;
    if (smtpd_params.smtpd_peername_lookup && s->peer->sa_family != AF_UNIX)
        look_up(s);
    smtpd_name_peer(s);
}

void smtpd_name_peer(struct session *s)
{
    s->namaddr = arena_printf(s->arena, "%s[%s]%s%s", s->client_name, s->client_addr,
                              smtpd_params.smtpd_client_port_logging ? ":" : "",
                              smtpd_params.smtpd_client_port_logging ? s->client_port : "");
}
