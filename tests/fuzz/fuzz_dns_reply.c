/* Answers of name servers, whoever sent them; the first byte chooses the type that was asked for. */
#include "lib/rt/dns_reply.h"
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = {DNS_A, DNS_NS, DNS_CNAME, DNS_PTR, DNS_MX, DNS_TXT, DNS_AAAA, DNS_TLSA};
    if (size == 0)
        return 0;
    ARENA_AUTO a = arena_new();
    struct dns_answer r = dns_reply_parse(a, slice_make((const char *)data + 1, size - 1),
                                          types[data[0] % (sizeof types / sizeof *types)]);
    for (const struct dns_record *rr = r.records; rr; rr = rr->next)
        if (!rr->name || !rr->target || strlen(rr->target) > rr->target_len + 1024)
            __builtin_trap();
    if ((r.status == DNS_OK) != (r.records != NULL))
        __builtin_trap();
    return 0;
}
