/* trivial_rewrite.h - the daemon's parameters and its tables. */
#pragma once
#include "lib/conf/conf.h"
#include "trivial-rewrite/resolve.h"

/* clang-format off */
struct trivial_rewrite_params {
#include "lib/conf/param_struct.h"
#include "trivial-rewrite/params.def"
#include "lib/conf/param_end.h"
};
/* clang-format on */
extern struct trivial_rewrite_params trivial_rewrite_params;
extern const struct param trivial_rewrite_param_table[];
extern const size_t trivial_rewrite_param_count;

/* Opens lists and tables and fills rules and look-ups. False with err. */
bool tables_open(struct buf *err);
const struct resolve_rules *tables_rules(void);
const struct resolve_lookups *tables_lookups(void);
/* For "local" and "remote". */
const struct rewrite_rules *tables_rewrite_rules(const char *context);
