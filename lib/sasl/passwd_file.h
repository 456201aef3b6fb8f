/* passwd_file.h - lines of a passwd-file as Dovecot has them: user:{SCHEME}password:uid:gid:gecos:home:shell:extra.
 * Later fields may be missing; passwd(5) and shadow(5) lines fit too. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/slice.h"

#include <stdint.h>

struct passwd_entry {
    const char *user, *password, *home; /* "" when missing */
    int64_t uid, gid;                   /* -1 when missing */
    const char *mail;                   /* userdb_mail= of the extra fields; "" none */
    bool nologin;                       /* extra field: the password is right, the login refused */
    bool nopassword;
};

/* False for comments, empty lines and lines without a user. Strings live in the arena. */
bool passwd_line_parse(struct arena *a, struct slice line, struct passwd_entry *out);
/* Cuts the next line off *rest, without its LF. False at the end. */
bool passwd_next_line(struct slice *rest, struct slice *line);
/* User of a line without parsing the rest; empty for comments. */
struct slice passwd_line_user(struct slice line);
