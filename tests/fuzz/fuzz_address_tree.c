/* fuzz_address_tree.c - address lists: what is printed again has no more addresses than a reading of it finds. */
#include "lib/syntax/address_tree.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ARENA_AUTO a = arena_new();
    BUF_AUTO out = BUF(BUF_MAX_DEFAULT);
    struct address_tree t = address_tree_parse(a, slice_make((const char *)data, size), 1000);
    for (struct address_node *n = address_tree_next(&t, NULL); n; n = address_tree_next(&t, n)) {
        address_tree_internal(&t, n);
        const char *external = address_tree_external(&t, n);
        address_tree_replace(&t, n, external);
        if (strcmp(external, address_tree_external(&t, n)) != 0 && !strpbrk(external, "\\\"([|"))
            abort();
    }
    address_tree_print(&t, &out);
    return 0;
}
