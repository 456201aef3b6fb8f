/* sandbox.h - what a process gives up after its start: user, root directory, new privileges, files, sockets, system
 * calls, capabilities. doc/internals/daemon.md has the table of who keeps what. */
#pragma once
#include "lib/daemon/daemon.h"

/* Applies the daemon's row. The working directory is the queue directory. False with err when something that must hold
 * could not be done. What the kernel lacks is told once, by master (sandbox_lacks). */
bool sandbox_enter(const struct daemon *d, const struct common_params *p, struct buf *err);

/* For a daemon's process that starts processes of users (lib/daemon/userproc): it becomes the mail owner, and keeps of
 * root's rights only that to become users. programs: its children run commands of users. */
bool sandbox_enter_spawner(const struct common_params *p, bool programs, struct buf *err);
/* In its child: becomes the user for good, and, unless it runs programs, gives up all but files and mail. */
struct sandbox_user {
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t n_groups;
    bool programs;
};
bool sandbox_enter_user(const struct sandbox_user *u, struct conf *conf, const struct common_params *p,
                        struct buf *err);

/* Further, from now on this process opens files only beneath these folders (symbolic links do not lead out of them). It
 * has given up new privileges before. False with errno when the kernel cannot do that. */
bool sandbox_files_beneath(const char *const *folders, size_t n);

/* Master keeps root for what its children need, and uses none of it but to end them. */
bool sandbox_enter_master(struct buf *err);
/* Around the reading of its configuration and the opening of sockets. */
void sandbox_master_open(bool begins);
/* What this kernel lacks of the sandbox, one text for each; NULL past the end. */
const char *sandbox_lacks(unsigned i);

/* Tries what this process must not be able to do, and prints a line for each: "sandbox NAME WHAT denied" or "allowed".
 * For `merpati check --sandbox`, which makes files for it below the folder that MERPATI_PROBE names. False when
 * anything was allowed. */
bool sandbox_probe(const struct daemon *d);
bool sandbox_probe_spawner(const char *name, bool programs);
bool sandbox_probe_user(const char *name, bool programs);
bool sandbox_probe_master(void);
