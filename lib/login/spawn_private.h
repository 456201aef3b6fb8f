/* spawn_private.h - what the two sides of the session part share. */
#pragma once
#include "lib/login/spawn.h"

void spawn_child_setup(const struct spawn_settings *s);
/* In the owner's process: see userproc_config. */
void spawn_child_start(void);
void spawn_child_orphaned(void);
void spawn_serve(struct ipc_conn *c);
/* The login cannot be served: says so to the client, without waiting. */
void spawn_refuse_client(const struct msg_session_start *m);
