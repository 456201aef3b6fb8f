/* common.c - the table of common.def. The order of the includes is the point. */
#include "lib/conf/common.h"

/* clang-format off */
const struct param common_param_table[] = {
#define PARAM_OWNER struct common_params
#include "lib/conf/param_table.h"
#include "lib/conf/common.def"
#include "lib/conf/param_end.h"
};
/* clang-format on */
const size_t common_param_count = sizeof common_param_table / sizeof *common_param_table;
