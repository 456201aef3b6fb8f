/* queue_history.c - what became of each recipient, appended behind the END record by qmgr. */
#include "lib/queue/queue_record.h"

#include "lib/base/mem.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

bool queue_history_append(int fd, const struct queue_history *h, size_t n)
{
    BUF_AUTO out = BUF(BUF_MAX_DEFAULT);
    struct stat st;
    for (size_t i = 0; i < n; i++) {
        struct msg_queue_event m = {.event = h[i].event,
                                    .recipient = h[i].recipient,
                                    .time = h[i].time,
                                    .dsn = h[i].dsn,
                                    .text = h[i].text,
                                    .relay = h[i].relay,
                                    .diagnostic = h[i].diagnostic,
                                    .remote_mta = h[i].remote_mta};
        BUF_AUTO payload = BUF(RECORD_PAYLOAD_MAX);
        if (!ipc_encode(&ipc_type_queue_event, &m, &payload)) {
            errno = EMSGSIZE;
            return false;
        }
        record_append(&out, RECORD_HISTORY, buf_slice(&payload));
    }
    if (out.overflow || fstat(fd, &st) != 0)
        return false;
    /* Records begin at multiples of 8: a torn one before leaves its rest behind, which the reader stops at; so it is
     * cut off first. */
    for (size_t done = 0; done < out.len;) {
        ssize_t w = pwrite(fd, out.data + done, out.len - done, st.st_size + (off_t)done);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0) {
            int error = errno;
            if (ftruncate(fd, st.st_size) != 0)
                errno = error;
            return false;
        }
        done += (size_t)w;
    }
    return true;
}

bool queue_history_sync(int fd)
{
    return fdatasync(fd) == 0;
}
