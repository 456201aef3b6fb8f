/* merpati_check.c - merpati check: what is wrong with the configuration, with file and line, before a client finds out.
 */
#include "command/merpati.h"

#include "lib/base/mem.h"
#include "lib/conf/master_cf.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
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
    argv[n++] = "-n";
    argv[n++] = v->name;
    argv[n++] = "-t";
    argv[n++] = service_type_name(v->type);
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
            ok &= ask_daemon(dir, v, sandbox ? "--sandbox" : "--check");
    arena_free(&a);
    return ok ? 0 : 1;
}
