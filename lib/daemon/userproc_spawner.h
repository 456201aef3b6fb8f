/* userproc_spawner.h - the process that makes processes of users: forked before the daemon gives up its rights, it
 * keeps of them only that to become users, has one thread, and reads nothing but requests of its daemon. So the daemon
 * itself, which reads addresses, tables and messages, needs no right at all. */
#pragma once
#include "lib/daemon/userproc.h"

enum { SPAWNER_GROUPS_MAX = 1024 };

/* Returns the socket to it, or -1 with errno. run: in the child, as the user, with its control socket. */
int spawner_start(const struct userproc_config *c, void (*run)(const struct userproc_config *c, int control));
/* A process of this user, which gets the control socket; false with errno. Whether it comes to life is seen by that
 * socket's other end. */
bool spawner_request(int spawner, uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups, int control);
