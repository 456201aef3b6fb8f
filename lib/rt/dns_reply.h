/* dns_reply.h - reads an answer of a name server. Pure: the bytes come from whoever answers on the network. */
#pragma once
#include "lib/rt/dns.h"

/* What a reply of wire form (RFC 1035 section 4.1) says about records of that type; in the arena. Malformed or cut
 * short: DNS_TRY_AGAIN, or the records that could be read. */
struct dns_answer dns_reply_parse(struct arena *a, struct slice reply, enum dns_type type);
