/* params.c - the parameter table of local, virtual and pipe. */
#include "local/delivery.h"

struct local_params local_params;
/* clang-format off */
const struct param local_param_table[] = {
#define PARAM_OWNER struct local_params
#include "lib/conf/param_table.h"
#include "local/params.def"
#include "lib/conf/param_end.h"
};
/* clang-format on */
const size_t local_param_count = sizeof local_param_table / sizeof *local_param_table;
