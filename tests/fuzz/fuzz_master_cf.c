/* fuzz_master_cf.c - master.cf from a stranger: a list of services, or an error text. */
#include "lib/conf/master_cf.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BUF_AUTO err = BUF(1000);
    ARENA_AUTO a = arena_new();
    struct service *list = master_cf_parse(a, "m", slice_make((const char *)data, size), false, &err);
    if (!list && err.len == 0)
        abort();
    for (struct service *s = list; s; s = s->next)
        if (!s->name || !s->command || s->args[s->n_args])
            abort();
    return 0;
}
