/* deliver_private.h - what deliveries into Maildirs and into mboxes share. */
#pragma once
#include "lib/store/deliver.h"

#include <stdbool.h>
#include <sys/uio.h>

enum { DELIVER_BLOCK = 65536 };

/* What an errno of a mailbox means is decided here, once. */
struct result deliver_trouble(const char *what, int error);
/* All of it; false with errno. The vector is used up. */
bool deliver_write(int fd, struct iovec *v, int n);
/* The next block of the source; 0 at its end, -1 with errno (EIO when the file is shorter than it should be). */
ssize_t deliver_block(const struct store_source *m, uint64_t at, char block[DELIVER_BLOCK]);
/* Prefix and content as they are. */
bool deliver_copy(int fd, const struct store_source *m);
/* 0, or -1 with errno. */
int deliver_sync_directory(const char *path);
