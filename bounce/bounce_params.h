/* bounce_params.h - parameters of bounce(8). */
#pragma once
#include "lib/conf/conf.h"

struct bounce_params {
/* clang-format off */
#include "lib/conf/param_struct.h"
#include "bounce/params.def"
#include "lib/conf/param_end.h"
    /* clang-format on */
    const char *two_bounce_notice_recipient; /* 2bounce_notice_recipient, which C could not name */
};
extern struct bounce_params bounce_params;
