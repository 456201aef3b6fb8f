/* deliver.c - what deliveries into Maildirs (deliver_maildir.c) and mboxes (deliver_mbox.c) share. */
#include "lib/store/deliver_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct result deliver_trouble(const char *what, int error)
{
    switch (error) {
    case EDQUOT:
    case EFBIG:
        return result_never("5.2.2", "%s: %s", what, strerror(error));
    case ENOSPC:
        return result_try_again("4.3.1", "%s: %s", what, strerror(error));
    case EAGAIN:
        return result_try_again("4.2.0", "%s: %s", what, strerror(error));
    case ESTALE:
    case EROFS:
    case EIO:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ETIMEDOUT:
    case EINTR:
        return result_try_again("4.3.0", "%s: %s", what, strerror(error));
    default: /* what the owner has to put right: the sender is told at once */
        return result_never("5.2.0", "%s: %s", what, strerror(error));
    }
}

bool deliver_write(int fd, struct iovec *v, int n)
{
    while (n > 0) {
        ssize_t done = writev(fd, v, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        while (n > 0 && (size_t)done >= v->iov_len) {
            done -= (ssize_t)v->iov_len;
            v++;
            n--;
        }
        if (n > 0) {
            v->iov_base = (char *)v->iov_base + done;
            v->iov_len -= (size_t)done;
        }
    }
    return true;
}

ssize_t deliver_block(const struct store_source *m, uint64_t at, char block[DELIVER_BLOCK])
{
    uint64_t left = m->size - at;
    ssize_t n;
    if (left == 0)
        return 0;
    do
        n = pread(m->fd, block, left < DELIVER_BLOCK ? (size_t)left : DELIVER_BLOCK, (off_t)(m->offset + at));
    while (n < 0 && errno == EINTR);
    if (n == 0) {
        errno = EIO;
        return -1;
    }
    return n;
}

/* The prefix goes with the first block. */
bool deliver_copy(int fd, const struct store_source *m)
{
    char block[DELIVER_BLOCK];
    struct iovec v[2] = {{(void *)m->prefix.p, m->prefix.n}, {block, 0}};
    int first = m->prefix.n > 0 ? 0 : 1;
    uint64_t at = 0;
    do {
        ssize_t n = deliver_block(m, at, block);
        if (n < 0)
            return false;
        v[1] = (struct iovec){block, (size_t)n};
        if (!deliver_write(fd, v + first, 2 - first))
            return false;
        first = 1;
        at += (uint64_t)n;
    } while (at < m->size);
    return true;
}

int deliver_sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = -1;
    if (fd >= 0) {
        rc = fsync(fd);
        int error = errno;
        close(fd);
        errno = error;
    }
    return rc;
}
