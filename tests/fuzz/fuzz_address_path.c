/* fuzz_address_path.c - SMTP paths: what was accepted, quoted again, is read as the same address. */
#include "lib/syntax/address.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const char *internal)
{
    BUF_AUTO external = BUF(BUF_MAX_DEFAULT);
    BUF_AUTO again = BUF(BUF_MAX_DEFAULT);
    address_quote(&external, internal);
    if (*internal == 0)
        return;
    if (!address_unquote(buf_slice(&external), &again) || strcmp(buf_cstr(&again), internal) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int strict = 0; strict < 2; strict++) {
        BUF_AUTO internal = BUF(BUF_MAX_DEFAULT);
        struct slice rest;
        if (!address_parse_path(slice_make((const char *)data, size), strict, &internal, &rest))
            continue;
        if (rest.n > size || memchr(buf_cstr(&internal), '\n', internal.len))
            abort();
        check_round_trip(buf_cstr(&internal));
        hostname_valid(buf_cstr(&internal));
        address_literal_valid(buf_cstr(&internal));
    }
    return 0;
}
