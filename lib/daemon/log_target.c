/* log_target.c - see log_target.h. Every daemon appends to the file by itself: whole lines by single writes, and no
 * process between. */
#include "lib/daemon/log_target.h"

#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

void log_target_open(const struct common_params *p, const char *name)
{
    char tag[200];
    snprintf(tag, sizeof tag, "%s/%s", p->syslog_name, name);
    if (!*p->maillog_file) {
        log_open(tag, LOG_SINK_SYSLOG, -1);
        return;
    }
    int fd = strcmp(p->maillog_file, "/dev/stdout") == 0
                 ? fcntl(1, F_DUPFD_CLOEXEC, 50)
                 : open(p->maillog_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        fprintf(stderr, "%s: fatal: cannot open maillog_file = %s: %s\n", tag, p->maillog_file, strerror(errno));
        log_open(tag, LOG_SINK_SYSLOG, -1);
        return;
    }
    log_open(tag, LOG_SINK_FD, fd);
}
