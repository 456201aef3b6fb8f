/* param_end.h - ends what param_struct.h and param_table.h began. No include guard. */
#undef PARAM_STR
#undef PARAM_RAW
#undef PARAM_INT
#undef PARAM_TIME
#undef PARAM_BOOL
#undef PARAM_OWNER
