/* common.h - parameters that several daemons read (lib/conf/common.def). */
#pragma once
#include "lib/conf/conf.h"

struct common_params {
#include "lib/conf/common.def"
#include "lib/conf/param_end.h"
#include "lib/conf/param_struct.h"
};
extern const struct param common_param_table[];
extern const size_t common_param_count;
