/* fuzz_address_list.c - header address lists: places lie within the text and in order. */
#include "lib/syntax/address.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ARENA_AUTO a = arena_new();
    struct address_token *t;
    size_t n = address_list_parse(a, slice_make((const char *)data, size), &t), last = 0;
    for (size_t i = 0; i < n; i++) {
        if (t[i].start < last || t[i].end < t[i].start || t[i].end > size || t[i].address[0] == 0)
            abort();
        last = t[i].end;
    }
    return 0;
}
