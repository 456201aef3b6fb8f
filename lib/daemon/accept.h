/* accept.h - taking connections for a daemon. */
#pragma once
#include "lib/daemon/daemon.h"

/* Starts a fiber for each of n listening descriptors from `first` on. */
void accept_start(int first, int n);
/* No further connection is taken. */
void accept_stop(void);
/* How long this worker has been without a session, in seconds; 0 with one. */
int64_t accept_idle_seconds(void);
/* Waits until no session is left. */
void accept_wait_empty(int64_t deadline);
