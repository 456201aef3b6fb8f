/* fuzz_ipc.c - every message type's decoder: whatever decodes must encode again to the same bytes. */
#include "lib/base/log.h"
#include "lib/ipc/messages.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t n = 0;
    while (ipc_all_types[n])
        n++;
    const struct ipc_type *t = ipc_all_types[data[0] % n];
    struct slice body = slice_make((const char *)data + 1, size - 1);
    struct arena *a = arena_new();
    void *msg = arena_alloc(a, t->size);
    if (ipc_decode(t, body, a, msg)) {
        struct buf again = BUF(BUF_MAX_DEFAULT), text = BUF(10000);
        if (!ipc_encode(t, msg, &again) || !slice_eq(buf_slice(&again), body))
            abort();
        ipc_describe(t, msg, &text);
        buf_fini(&again);
        buf_fini(&text);
    }
    arena_free(&a);
    return 0;
}
