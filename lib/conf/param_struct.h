/* param_struct.h - turns params.def rows into struct members. Use:
 *     struct smtpd_params {
 *     #include "lib/conf/param_struct.h"
 *     #include "smtpd/params.def"
 *     #include "lib/conf/param_end.h"
 *     };
 * No include guard: it is included once for each struct. */
#define PARAM_STR(name, preset, min, max, unit, doc) const char *name;
#define PARAM_RAW(name, preset, min, max, unit, doc) const char *name;
#define PARAM_INT(name, preset, min, max, unit, doc) int64_t name;
#define PARAM_TIME(name, preset, min, max, unit, doc) int64_t name;
#define PARAM_BOOL(name, preset, min, max, unit, doc) bool name;
