/* all_params.c - the tables of all daemons in one, so that commands know every name that one of them reads. The list of
 * the tables is made by command/all_params.cmake: a new params.def is in it by itself. */
#include "command/all_params.h"

#include "lib/conf/conf.h"

#define ROW(name, type, preset, min, max, unit, doc) {#name, type, 0, preset, min, max, unit, doc},
#define PARAM_STR(name, ...) ROW(name, PARAM_T_STR, __VA_ARGS__)
#define PARAM_RAW(name, ...) ROW(name, PARAM_T_RAW, __VA_ARGS__)
#define PARAM_INT(name, ...) ROW(name, PARAM_T_INT, __VA_ARGS__)
#define PARAM_TIME(name, ...) ROW(name, PARAM_T_TIME, __VA_ARGS__)
#define PARAM_BOOL(name, ...) ROW(name, PARAM_T_BOOL, __VA_ARGS__)

static const struct param all[] = {
#include "generated/all_params.inc"
};

void all_params_register(void)
{
    conf_register(all, sizeof all / sizeof *all);
}
