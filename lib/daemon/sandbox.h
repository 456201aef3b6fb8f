/* sandbox.h - what a daemon gives up after its start: user, root directory, new privileges, files, sockets, system
 * calls. */
#pragma once
#include "lib/daemon/daemon.h"

/* Applies the daemon's row. The working directory is the queue directory. What the kernel lacks is logged, not skipped
 * in silence. False with err when something that must hold could not be done. */
bool sandbox_enter(const struct daemon *d, const struct common_params *p, struct buf *err);
/* The system call filter alone, for processes of users; processes: they may start others. */
bool sandbox_filter(unsigned needs, struct buf *err);
/* From now on this process opens files only beneath these folders (symbolic links do not lead out of them). It has
 * given up new privileges before. False with errno when the kernel cannot do that. */
bool sandbox_files_beneath(const char *const *folders, size_t n);
/* Tries what this daemon must not be able to do: opens /etc/passwd for reading and /tmp for writing, starts a process,
 * opens a TCP socket, traces its parent. Prints a line for each that its row forbids: "sandbox NAME WHAT denied" or
 * "allowed". For `merpati check --sandbox`. */
void sandbox_probe(const struct daemon *d);
