/* queue_internal.h - between the files of lib/queue. */
#pragma once
#include "lib/queue/queue.h"

void queue_make_id(char id[QUEUE_ID_MAX + 1], int64_t usec, uint64_t inode, bool long_id);
/* The primary group of a user; the caller's when there is no such user. */
gid_t queue_group_of(uid_t uid);
