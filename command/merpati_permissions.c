/* merpati_permissions.c - merpati set-permissions: the users and groups that the daemons run as, and who owns what. */
#include "command/merpati.h"

#include "lib/base/mem.h"
#include "lib/queue/queue.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bool run(const char *const argv[])
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        fprintf(stderr, "merpati: %s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool need_group(const char *name)
{
    if (getgrnam(name))
        return true;
    printf("making group %s\n", name);
    return run((const char *const[]){"groupadd", "--system", name, NULL});
}

/* The network user's group is the mail owner's: private/ lets that group in, and each socket says whom it serves. */
static bool need_user(const char *name, const char *group)
{
    if (getpwnam(name))
        return true;
    printf("making user %s\n", name);
    return run((const char *const[]){"useradd", "--system", "--gid", group, "--home-dir", "/nonexistent",
                                     "--no-create-home", "--shell", "/usr/sbin/nologin", name, NULL});
}

static bool need_users(struct merpati *m)
{
    const char *owner = m->common.mail_owner;
    return need_group(owner) && need_group(m->common.setgid_group) && need_user(owner, owner) &&
           need_user(m->common.net_owner, owner);
}

bool merpati_make_directories(struct merpati *m, struct buf *err)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    bool root = uid == 0;
    struct passwd *pw = root ? getpwnam(m->common.mail_owner) : NULL;
    struct group *gr = root ? getgrnam(m->common.setgid_group) : NULL;
    if (root && (!pw || !gr)) {
        buf_printf(err, "%s %s does not exist (%s); `merpati set-permissions` makes it", pw ? "group" : "user",
                   pw ? m->common.setgid_group : m->common.mail_owner, pw ? "setgid_group" : "mail_owner");
        return false;
    }
    if (root)
        uid = pw->pw_uid, gid = gr->gr_gid;
    if ((mkdir(m->common.data_directory, 0700) == 0 && root && chown(m->common.data_directory, uid, (gid_t)-1) != 0) ||
        (mkdir(m->common.queue_directory, 0755) != 0 && errno != EEXIST) || chdir(m->common.queue_directory) != 0) {
        buf_printf(err, "queue_directory = %s: %s", m->common.queue_directory, strerror(errno));
        return false;
    }
    struct result r = queue_make_directories(uid, gid, root);
    if (result_is_ok(&r))
        return true;
    buf_printf(err, "%s", r.text);
    return false;
}

/* The commands that anyone may call and that put mail into, or ask, what only the group may reach. */
static bool set_group_id(struct merpati *m)
{
    static const char *const names[] = {"postdrop", "postqueue"};
    BUF_AUTO err = BUF(300);
    struct group *gr = getgrnam(m->common.setgid_group);
    const char *dir = conf_value(m->conf, "merpati_command_directory", &err);
    for (size_t i = 0; gr && dir && i < sizeof names / sizeof names[0]; i++) {
        MEM_AUTO char *path = mem_printf("%s/%s", dir, names[i]);
        if (chown(path, 0, gr->gr_gid) != 0 || chmod(path, 02755) != 0) {
            fprintf(stderr, "merpati: %s: %s\n", path, strerror(errno));
            return false;
        }
    }
    return true;
}

int merpati_set_permissions(struct merpati *m)
{
    BUF_AUTO err = BUF(1000);
    bool users_only = m->argc > 0 && strcmp(m->argv[0], "--users-only") == 0;
    if (geteuid() != 0) {
        fprintf(stderr, "merpati: fatal: set-permissions is for root\n");
        return 1;
    }
    if (!need_users(m) || !set_group_id(m))
        return 1;
    if (users_only || merpati_make_directories(m, &err))
        return 0;
    fprintf(stderr, "merpati: fatal: %s\n", buf_cstr(&err));
    return 1;
}
