/* dns.h - DNS look-ups for fibers, on c-ares. Servers come from /etc/resolv.conf or dns_set_servers. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"

#include <stdint.h>
#include <sys/socket.h>

enum dns_status {
    DNS_OK = 0,
    DNS_NO_DATA,   /* the name exists, not with that type */
    DNS_NO_NAME,   /* NXDOMAIN */
    DNS_TRY_AGAIN, /* time-out, SERVFAIL, no server */
    DNS_INVALID,   /* not a valid name */
};
enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_PTR = 12,
    DNS_MX = 15,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_TLSA = 52
};

struct dns_record {
    enum dns_type type;
    uint32_t ttl;
    uint16_t preference; /* MX */
    const char *name;    /* owner */
    const char
        *target; /* MX, CNAME, PTR, NS: host name without final dot ("" for a null MX); TXT: text, strings joined */
    size_t target_len;            /* TXT may hold NUL bytes */
    struct sockaddr_storage addr; /* A, AAAA; port 0 */
    const unsigned char *raw;     /* TLSA: the rdata */
    size_t raw_len;
    struct dns_record *next;
};
struct dns_answer {
    enum dns_status status;
    bool secure;                /* AD bit */
    struct dns_record *records; /* of the asked type only; MX sorted by preference, equal ones shuffled */
};

/* "127.0.0.1:5353,..." instead of resolv.conf; call before the first look-up. False when it does not parse. */
bool dns_set_servers(const char *csv);
/* Reads the resolver's configuration: to be called before chroot. False with a text in err. Done by itself at the first
 * look-up. */
bool dns_init(struct buf *err);
/* The answer lives in the arena. */
struct dns_answer dns_lookup(struct arena *a, const char *name, enum dns_type type, int64_t deadline);
/* PTR name look-up for an address. */
struct dns_answer dns_lookup_ptr(struct arena *a, const struct sockaddr *addr, int64_t deadline);
/* "Host not found", "Host found but no data record of requested type", "Host not found, try again". */
const char *dns_strerror(enum dns_status s);
