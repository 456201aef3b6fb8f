/* log_target.h - opens the log that main.cf names. */
#pragma once
#include "lib/conf/common.h"

/* tag: "$syslog_name/NAME". maillog_file (a file, /dev/stdout) or syslog. A file that cannot be opened is told on
 * standard error and syslog serves. With owner, a new file belongs to that user. */
void log_target_open(const struct common_params *p, const char *name);
