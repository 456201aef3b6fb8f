/* dns_reply.c - see dns_reply.h. */
#include "lib/rt/dns_reply.h"

#include <ares.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { CLASS_IN = 1, RECORDS_MOST = 200 };

struct reader {
    const unsigned char *p;
    size_t n, at;
};

static unsigned get16(struct reader *r)
{
    unsigned v = r->at + 2 <= r->n ? (unsigned)r->p[r->at] << 8 | r->p[r->at + 1] : 0;
    r->at += 2;
    return v;
}

static char *get_name(struct reader *r, struct arena *a)
{
    char *name;
    long used;
    if (r->at >= r->n || ares_expand_name(r->p + r->at, r->p, (int)r->n, &name, &used) != ARES_SUCCESS)
        return NULL;
    r->at += (size_t)used;
    char *copy = arena_strdup(a, name);
    ares_free_string(name);
    return copy;
}

static bool read_address(struct dns_record *rr, const unsigned char *p, size_t n)
{
    if (rr->type == DNS_A && n == 4) {
        struct sockaddr_in *sin = (struct sockaddr_in *)&rr->addr;
        sin->sin_family = AF_INET;
        memcpy(&sin->sin_addr, p, 4);
        return true;
    }
    if (rr->type == DNS_AAAA && n == 16) {
        struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&rr->addr;
        sin6->sin6_family = AF_INET6;
        memcpy(&sin6->sin6_addr, p, 16);
        return true;
    }
    return false;
}

static void read_text(struct dns_record *rr, struct arena *a, const unsigned char *p, size_t n)
{
    char *text = arena_alloc(a, n + 1);
    size_t len = 0;
    for (size_t i = 0; i < n;) {
        size_t piece = p[i++];
        if (piece > n - i)
            piece = n - i;
        memcpy(text + len, p + i, piece);
        len += piece;
        i += piece;
    }
    rr->target = text;
    rr->target_len = len;
}

/* The data of one record; false when it is malformed. */
static bool read_data(struct dns_record *rr, struct arena *a, struct reader r, size_t length)
{
    const unsigned char *data = r.p + r.at;
    rr->raw = arena_memdup(a, data, length);
    rr->raw_len = length;
    rr->target = "";
    switch (rr->type) {
    case DNS_A:
    case DNS_AAAA:
        return read_address(rr, data, length);
    case DNS_TXT:
        read_text(rr, a, data, length);
        return true;
    case DNS_MX:
        rr->preference = (uint16_t)get16(&r);
        /* fall through */
    case DNS_NS:
    case DNS_CNAME:
    case DNS_PTR:
        rr->target = get_name(&r, a);
        return rr->target != NULL;
    case DNS_TLSA:
        return length >= 3;
    }
    return false;
}

static bool skip_questions(struct reader *r, struct arena *a, unsigned count)
{
    while (count--) {
        if (!get_name(r, a))
            return false;
        r->at += 4;
    }
    return true;
}

static struct dns_record *read_records(struct arena *a, struct reader *r, enum dns_type type, unsigned count)
{
    struct dns_record *first = NULL, **end = &first;
    for (unsigned i = 0; i < count && i < RECORDS_MOST; i++) {
        const char *owner = get_name(r, a);
        unsigned rr_type = get16(r), rr_class = get16(r), ttl_high = get16(r), ttl_low = get16(r), length = get16(r);
        if (!owner || r->at + length > r->n)
            break;
        if (rr_type == type && rr_class == CLASS_IN) {
            struct dns_record *rr = ARENA_NEW(a, struct dns_record);
            rr->type = type;
            rr->name = owner;
            rr->ttl = ttl_high << 16 | ttl_low;
            if (read_data(rr, a, *r, length)) {
                *end = rr;
                end = &rr->next;
            }
        }
        r->at += length;
    }
    return first;
}

/* By preference; equal ones in random order (RFC 5321 section 5.1). */
static struct dns_record *sort_mx(struct dns_record *list)
{
    struct dns_record *sorted = NULL;
    while (list) {
        struct dns_record *rr = list, **at = &sorted;
        list = rr->next;
        while (*at && ((*at)->preference < rr->preference || ((*at)->preference == rr->preference && (random() & 1))))
            at = &(*at)->next;
        rr->next = *at;
        *at = rr;
    }
    return sorted;
}

struct dns_answer dns_reply_parse(struct arena *a, struct slice reply, enum dns_type type)
{
    enum { RCODE_NXDOMAIN = 3 };
    struct reader r = {(const unsigned char *)reply.p, reply.n, 12};
    struct dns_answer answer = {.status = DNS_TRY_AGAIN};
    if (reply.n < 12)
        return answer;
    unsigned rcode = r.p[3] & 15, questions = (unsigned)r.p[4] << 8 | r.p[5];
    unsigned answers = (unsigned)r.p[6] << 8 | r.p[7];
    answer.secure = r.p[3] & 0x20;
    if (rcode == RCODE_NXDOMAIN)
        answer.status = DNS_NO_NAME;
    if (rcode != 0)
        return answer;
    if (!skip_questions(&r, a, questions))
        return answer;
    answer.records = read_records(a, &r, type, answers);
    if (type == DNS_MX)
        answer.records = sort_mx(answer.records);
    answer.status = answer.records ? DNS_OK : DNS_NO_DATA;
    return answer;
}
