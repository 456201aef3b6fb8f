/* pickup.h - mail that local users have dropped. */
#pragma once
#include "lib/daemon/daemon.h"

struct pickup_params {
/* clang-format off */
#include "lib/conf/param_struct.h"
#include "pickup/params.def"
#include "lib/conf/param_end.h"
    /* clang-format on */
};
extern struct pickup_params pickup_params;

/* Gives one maildrop file to cleanup; the file is removed only when cleanup has it. */
void pickup_message(struct ipc_pool *cleanup, const char *id);
