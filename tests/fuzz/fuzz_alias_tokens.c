/* Destination lists of aliases(5), .forward and :include: files: every list ends, and what a token is made of stays
 * within the text. */
#include "local/tokens.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct slice rest = slice_make((const char *)data, size);
    struct token t;
    for (size_t n = 0; token_next(a, &rest, &t); n++)
        if (n > size || strlen(t.text) > size || t.kind > TOKEN_INCLUDE)
            __builtin_trap();
    arena_free(&a);
    return 0;
}
