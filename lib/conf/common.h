/* common.h - parameters that several daemons read (lib/conf/common.def). */
#pragma once
#include "lib/conf/conf.h"

/* The order of these includes is the point. */
/* clang-format off */
struct common_params {
#include "lib/conf/param_struct.h"
#include "lib/conf/common.def"
#include "lib/conf/param_end.h"
};
/* clang-format on */
extern const struct param common_param_table[];
extern const size_t common_param_count;
