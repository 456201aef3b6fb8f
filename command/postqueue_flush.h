/* postqueue_flush.h - asking the queue manager to try deferred mail. */
#pragma once
/* command: see msg_qmgr_command. The working directory is the queue directory. Fatal (69) when the mail system is down
 * or refuses. */
void postqueue_flush(const char *command);
