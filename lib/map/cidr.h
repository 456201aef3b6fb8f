/* cidr.h - networks "10.0.0.0/8", "[2001:db8::]/32", and addresses to hold against them. IPv4-mapped IPv6 addresses
 * count as IPv4. */
#pragma once
#include "lib/base/slice.h"

#include <sys/socket.h>

struct cidr_address {
    int family; /* AF_INET, AF_INET6, or 0: none */
    unsigned char bytes[16];
};
struct cidr {
    struct cidr_address net;
    unsigned bits;
};

/* "192.0.2.1" or "2001:db8::1", with or without [ ]. */
bool cidr_parse_address(struct slice text, struct cidr_address *a);
void cidr_from_sockaddr(const struct sockaddr *sa, struct cidr_address *a);
/* An address, or one with "/bits" (inside or after [ ]). Bits of the host part must be zero: NULL when fine, otherwise
 * what is wrong with it. */
const char *cidr_parse(struct slice text, struct cidr *c);
bool cidr_contains(const struct cidr *c, const struct cidr_address *a);
