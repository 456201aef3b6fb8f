/* fuzz_header.c - header fields and dates. */
#include "lib/syntax/date.h"
#include "lib/syntax/header.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_make((const char *)data, size);
    struct header_field f;
    struct arena *a = arena_new();
    time_t t;
    size_t taken = 0;
    while (header_next(&rest, &f) == 1) {
        taken += f.raw.n;
        header_unfold(a, f.value);
        date_parse_rfc5322(f.value, &t, NULL);
        date_parse_imap(f.value, &t);
    }
    if (taken + rest.n > size)
        abort();
    arena_free(&a);
    return 0;
}
