/* param_table.h - turns params.def rows into a table of struct param. Use:
 *     const struct param smtpd_param_table[] = {
 *     #define PARAM_OWNER struct smtpd_params
 *     #include "lib/conf/param_table.h"
 *     #include "smtpd/params.def"
 *     #include "lib/conf/param_end.h"
 *     };
 * No include guard. */
#define PARAM_STR(name, preset, min, max, unit, doc) \
    {#name, PARAM_T_STR, offsetof(PARAM_OWNER, name), preset, min, max, unit, doc},
#define PARAM_RAW(name, preset, min, max, unit, doc) \
    {#name, PARAM_T_RAW, offsetof(PARAM_OWNER, name), preset, min, max, unit, doc},
#define PARAM_INT(name, preset, min, max, unit, doc) \
    {#name, PARAM_T_INT, offsetof(PARAM_OWNER, name), preset, min, max, unit, doc},
#define PARAM_TIME(name, preset, min, max, unit, doc) \
    {#name, PARAM_T_TIME, offsetof(PARAM_OWNER, name), preset, min, max, unit, doc},
#define PARAM_BOOL(name, preset, min, max, unit, doc) \
    {#name, PARAM_T_BOOL, offsetof(PARAM_OWNER, name), preset, min, max, unit, doc},
