/* Queue files that were cut, or that something else wrote into: a message that is read has an end within the file. */
#include "lib/queue/queue.h"
#include "lib/queue/queue_record.h"
#include <stdint.h>

#include <sys/mman.h>
#include <unistd.h>

static void records(struct slice rest)
{
    enum record_type type;
    struct slice payload;
    struct record_header h;
    record_header_read(rest, &h);
    while (record_next(&rest, &type, &payload))
        if (payload.n > RECORD_PAYLOAD_MAX)
            __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("queue-file", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        return 0;
    ARENA_AUTO a = arena_new();
    BUF_AUTO why = BUF(1000);
    struct queue_message m;
    if (queue_read(fd, a, &m, &why) == QUEUE_READ_OK && (m.file_size > size))
        __builtin_trap();
    records(slice_make((const char *)data, size));
    return 0;
}
