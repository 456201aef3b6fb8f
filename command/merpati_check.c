/* merpati_check.c - merpati check: what is wrong with the configuration, with file and line, before a client finds out.
 */
#include "command/merpati.h"

#include "lib/base/mem.h"
#include "lib/conf/master_cf.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void report_name(void *ctx, const char *name, const char *text)
{
    fprintf(stderr, "merpati: warning: %s\n", text);
}

/* Lets the daemon itself read its configuration and open its tables: it knows best. */
static bool ask_daemon(const char *dir, const struct service *v, const char *what)
{
    MEM_AUTO char *program = mem_printf("%s/%s", dir, v->command);
    if (access(program, X_OK) != 0)
        return true; /* master says so, if it matters */
    const char **argv = mem_alloc((v->n_args + 8) * sizeof *argv);
    size_t n = 0;
    argv[n++] = v->command;
    if (strcmp(v->command, "master") != 0) {
        argv[n++] = "-n";
        argv[n++] = v->name;
        argv[n++] = "-t";
        argv[n++] = service_type_name(v->type);
    }
    argv[n++] = what;
    for (size_t i = 0; i < v->n_args; i++)
        argv[n++] = v->args[i];
    int status = -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        execv(program, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    bool ok = pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
    free(argv);
    return ok;
}

/* Files that no daemon has business with: one for everyone, one of root's, one of a user's. */
static bool make_probe_files(char *dir)
{
    static const struct {
        const char *name;
        mode_t mode;
        uid_t owner;
    } files[] = {{"any", 0644, 0}, {"root", 0600, 0}, {"user", 0600, 65532}};
    if (!mkdtemp(dir) || chmod(dir, 0755) != 0)
        return false;
    setenv("MERPATI_PROBE", dir, 1);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        MEM_AUTO char *path = mem_printf("%s/%s", dir, files[i].name);
        FD_AUTO fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 || fchmod(fd, files[i].mode) != 0 || (geteuid() == 0 && fchown(fd, files[i].owner, (gid_t)-1) != 0))
            return false;
    }
    return true;
}

static void remove_probe_files(const char *dir)
{
    static const char *const names[] = {"any", "root", "user"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        MEM_AUTO char *path = mem_printf("%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

/* Each process of each kind tries what it must not be able to do. */
static bool check_sandbox(const char *dir, struct service *services)
{
    char files[] = "/tmp/merpati-probe.XXXXXX";
    struct service master = {.name = "master", .command = "master"};
    if (!make_probe_files(files)) {
        fprintf(stderr, "merpati: error: %s: %s\n", files, strerror(errno));
        return false;
    }
    bool ok = ask_daemon(dir, &master, "--sandbox");
    for (struct service *v = services; v; v = v->next)
        if (strcmp(v->command, "master") != 0)
            ok &= ask_daemon(dir, v, "--sandbox");
    remove_probe_files(files);
    return ok;
}

int merpati_check(struct merpati *m)
{
    BUF_AUTO err = BUF(4000);
    bool sandbox = m->argc > 0 && strcmp(m->argv[0], "--sandbox") == 0, ok = true;
    struct arena *a = arena_new();
    MEM_AUTO char *file = mem_printf("%s/master.cf", conf_dir(m->conf));
    struct service *services = master_cf_read(a, file, false, &err);
    const char *dir = conf_daemon_directory(m->conf, &err);
    if (err.len) {
        fprintf(stderr, "merpati: %s: %s\n", services ? "warning" : "error", buf_cstr(&err));
        ok = services != NULL;
    }
    for (size_t i = 0; conf_warning(m->conf, i); i++)
        fprintf(stderr, "merpati: warning: %s\n", conf_warning(m->conf, i));
    conf_check_names(m->conf, services, report_name, NULL);
    buf_reset(&err);
    if (!merpati_make_directories(m, &err)) {
        fprintf(stderr, "merpati: error: %s\n", buf_cstr(&err));
        ok = false;
    }
    setenv("MAIL_CONFIG", conf_dir(m->conf), 1);
    for (struct service *v = services; v && ok; v = v->next)
        if (strcmp(v->command, "master") != 0)
            ok &= ask_daemon(dir, v, "--check");
    if (ok && sandbox)
        ok = check_sandbox(dir, services);
    arena_free(&a);
    return ok ? 0 : 1;
}
