/* sandbox_private.h - the pieces of the sandbox: files (Landlock), system calls (seccomp), capabilities. */
#pragma once
#include "lib/base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- sandbox_files.c ---- */
enum { FILES_READ = 1, FILES_WRITE = 2 };
/* A ruleset that allows nothing yet; network: TCP too is left alone. -1: this kernel has no Landlock. */
int files_ruleset(bool network);
/* A path that does not exist is no error. */
void files_allow(int ruleset, const char *path, unsigned how);
/* The folders that are open: those of the tables, which lib/map reads again when they were replaced. */
void files_allow_open_folders(int ruleset);
/* Everything below dir but the hidden paths (absolute, without symbolic links). A folder of the user's own that holds a
 * hidden path is allowed whole. */
void files_allow_around(int ruleset, const char *dir, const char *const *hidden, size_t n, uid_t user);
/* Needs no_new_privs or CAP_SYS_ADMIN. */
bool files_restrict(int ruleset, struct buf *err);
int files_abi(void); /* 0: none */

/* ---- sandbox_calls.c ---- */
enum {
    CALLS_FORK = 1,
    CALLS_EXEC = 2, /* and what programs may do that are not ours */
    CALLS_INET = 4,
    CALLS_USERS = 8, /* becoming other users, chroot */
};
/* What none of us needs is refused in any case. Needs no_new_privs or CAP_SYS_ADMIN. Where the kernel has no filters,
 * that is logged by master, and true. */
bool calls_filter(unsigned allowed, struct buf *err);
bool calls_filter_exists(void);

/* ---- sandbox_caps.c ---- */
#define CAP_BIT(c) (UINT64_C(1) << (c))
/* Permitted and effective become what is left of them within the mask; nothing is inheritable. */
bool caps_keep(uint64_t mask, struct buf *err);
/* Of the permitted ones those in the mask are effective. */
bool caps_raise(uint64_t mask);
/* What programs started from here on can ever get. */
void caps_bound(uint64_t mask);
uint64_t caps_permitted(void);
