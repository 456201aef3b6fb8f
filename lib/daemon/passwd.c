/* passwd.c - the password file, asked on a thread of the pool because the name service may wait for the network. */
#include "lib/daemon/daemon.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

enum { PASSWD_SPACE = 16384 };

struct query {
    const char *name; /* NULL: by uid */
    uid_t uid;
    struct passwd pw, *found;
    int error;
    char *space;
};

static void ask(void *arg)
{
    struct query *q = arg;
    q->error = q->name ? getpwnam_r(q->name, &q->pw, q->space, PASSWD_SPACE, &q->found)
                       : getpwuid_r(q->uid, &q->pw, q->space, PASSWD_SPACE, &q->found);
}

static bool look_up(struct arena *a, struct query *q, struct daemon_passwd *pw, bool *error)
{
    q->space = arena_alloc(a, PASSWD_SPACE);
    thread_run(ask, q);
    *error = !q->found && q->error && q->error != ENOENT && q->error != ESRCH;
    if (!q->found)
        return false;
    *pw =
        (struct daemon_passwd){q->pw.pw_uid, q->pw.pw_gid, q->pw.pw_name, q->pw.pw_dir, q->pw.pw_shell, q->pw.pw_gecos};
    return true;
}

bool daemon_getpwnam(struct arena *a, const char *name, struct daemon_passwd *pw, bool *error)
{
    struct query q = {.name = name};
    return look_up(a, &q, pw, error);
}

bool daemon_getpwuid(struct arena *a, uid_t uid, struct daemon_passwd *pw, bool *error)
{
    struct query q = {.uid = uid};
    return look_up(a, &q, pw, error);
}

bool daemon_is_root(void)
{
    static int root = -1; /* as it was at first, before privileges went */
    if (root < 0)
        root = geteuid() == 0;
    return root;
}
