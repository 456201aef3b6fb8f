/* destinations.c - deliveries as a user: |command and /file/name of aliases, .forward and :include: files. */
#include "lib/base/log.h"
#include "local/expand.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const source_names[] = {"", "alias", "forward", "include"};

static const char **environment(struct work *w, const struct scope *s, size_t *n)
{
    const struct msg_deliver_request *q = &w->d->request;
    const char **env = command_environment(w->a, local_params.export_environment, n);
    const char *values[][2] = {{"SENDER", s->sender},
                               {"RECIPIENT", s->delivered_to},
                               {"ORIGINAL_RECIPIENT", w->rcpt->orig_address},
                               {"USER", s->user},
                               {"LOGNAME", s->user},
                               {"LOCAL", s->local},
                               {"DOMAIN", s->domain},
                               {"EXTENSION", s->extension},
                               {"HOME", s->runas ? s->runas->home : NULL},
                               {"SHELL", s->runas ? s->runas->shell : NULL},
                               {"CLIENT_HOSTNAME", q->client_name},
                               {"CLIENT_ADDRESS", q->client_addr},
                               {"CLIENT_HELO", q->client_helo},
                               {"CLIENT_PROTOCOL", q->client_proto},
                               {"SASL_METHOD", q->sasl_method},
                               {"SASL_SENDER", q->sasl_sender},
                               {"SASL_USERNAME", q->sasl_username}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (values[i][1] != NULL && (*values[i][1] != '\0' || i == 0))
            env[(*n)++] = arena_printf(w->a, "%s=%s", values[i][0], values[i][1]);
    return env;
}

static const struct daemon_passwd *default_rights(struct work *w)
{
    struct daemon_passwd *pw = ARENA_NEW(w->a, struct daemon_passwd);
    bool error;
    return daemon_getpwnam(w->a, daemon_env->common.default_privs, pw, &error) ? pw : NULL;
}

const struct daemon_passwd *scope_rights(struct work *w, const struct scope *s)
{
    return s->runas != NULL ? s->runas : default_rights(w);
}

static void from_line(struct buf *out, const char *sender)
{
    time_t now = time(NULL);
    struct tm tm;
    char stamp[40];
    localtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%a %b %e %H:%M:%S %Y", &tm);
    buf_printf(out, "From %s  %s\n", *sender != '\0' ? sender : "MAILER-DAEMON", stamp);
}

struct verdict run_task(struct work *w, const struct scope *s, struct msg_user_delivery *t)
{
    const struct daemon_passwd *pw = scope_rights(w, s);
    bool command = strcmp(t->kind, "command") == 0, mailbox = (t->flags & TASK_IS_MAILBOX) != 0;
    if (pw != NULL && pw->uid == 0 && !mailbox) /* nothing that a file names runs or is written with root's rights */
        pw = default_rights(w);
    if (pw == NULL)
        return verdict_of(
            result_try_again("4.3.5", "mail system configuration error: no user %s", daemon_env->common.default_privs));
    BUF_AUTO prefix = BUF(60000);
    if (command) /* the other kinds write the line themselves */
        from_line(&prefix, s->sender);
    bool delivered_to = mailbox || strstr(local_params.prepend_delivered_header, command ? "command" : "file") != NULL;
    delivery_prefix(&prefix, s->sender, w->rcpt, s->delivered_to,
                    PREFIX_RETURN_PATH | (daemon_env->common.enable_original_recipient ? PREFIX_ORIGINAL_TO : 0U) |
                        (delivered_to ? PREFIX_DELIVERED_TO : 0U));
    t->prefix = buf_slice(&prefix);
    t->queue_id = w->d->request.queue_id;
    t->sender = s->sender;
    t->content_offset = w->d->request.content_offset;
    t->content_size = w->d->request.content_size;
    t->file = w->d->request.file;
    struct verdict v = fine();
    v.result = task_run_as(pw->uid, pw->gid, pw->name, t, w->a, &v.diagnostic,
                           deadline_in(t->time_limit > 0 ? t->time_limit + 60 : daemon_env->common.ipc_timeout));
    if (result_is_ok(&v.result))
        v.diagnostic = NULL; /* what a command says on success is of no interest */
    return v;
}

/* argv of local_command_shell and the command; NULL without. */
static const char **shell_argv(struct work *w, const char *command, size_t *n)
{
    struct slice rest = slice_of(local_params.local_command_shell), word;
    const char **argv = ARENA_ARRAY(w->a, const char *, 102);
    while (*n < 100 && slice_token(&rest, " \t\r\n", &word))
        argv[(*n)++] = arena_slice(w->a, word);
    if (*n == 0)
        return NULL;
    argv[(*n)++] = command;
    return argv;
}

struct verdict run_command(struct work *w, const struct scope *s, const char *command)
{
    struct msg_user_delivery t = {.kind = "command", .target = command, .eol = "\n"};
    t.environment = environment(w, s, &t.n_environment);
    t.argv = shell_argv(w, command, &t.n_argv);
    const char *folder = expand_names(w, s, s->runas, local_params.command_execution_directory, NULL);
    t.chdir_to = *folder != '\0' ? folder : daemon_env->common.queue_directory;
    t.time_limit = (uint32_t)local_params.command_time_limit;
    return run_task(w, s, &t);
}

static bool is_allowed(const char *list, enum source source)
{
    struct slice rest = slice_of(list), word;
    while (slice_token(&rest, ", \t\r\n", &word))
        if (slice_eq_fold(word, slice_of(source_names[source])))
            return true;
    return false;
}

struct verdict to_file(struct work *w, const struct scope *s, const char *path)
{
    size_t n = strlen(path);
    bool maildir = n > 1 && path[n - 1] == '/';
    if (!is_allowed(local_params.allow_mail_to_files, s->source))
        return verdict_of(result_never("5.7.1", "mail to file is restricted"));
    if (been_here(w, "file", path))
        return fine();
    struct msg_user_delivery t = {.kind = maildir ? "maildir" : "file",
                                  .target = maildir ? arena_strndup(w->a, path, n - 1) : path,
                                  .flags = strstr(local_params.mailbox_delivery_lock, "dotlock") ? TASK_DOTLOCK : 0U,
                                  .size_limit = local_params.mailbox_size_limit};
    struct verdict v = run_task(w, s, &t);
    if (!maildir && v.result.outcome != OUTCOME_OK) {
        const char *why = arena_strdup(w->a, v.result.text);
        snprintf(v.result.text, sizeof v.result.text, "cannot append message to file %s: %s", path, why);
    }
    return v;
}

struct verdict to_command(struct work *w, const struct scope *s, const char *command)
{
    if (!is_allowed(local_params.allow_mail_to_commands, s->source))
        return verdict_of(result_never("5.7.1", "mail to command is restricted"));
    if (been_here(w, "command", command))
        return fine();
    return run_command(w, s, command);
}
