/* mailbox.c - where the mail of a local user goes: another transport, a command, a mailbox; and what becomes of mail
 * for users that nobody knows. */
#include "lib/base/log.h"
#include "lib/map/map.h"
#include "local/expand.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static struct maps *transport_maps, *fallback_maps, *command_maps;

bool mailbox_open(struct buf *err)
{
    struct conf *c = daemon_env->conf;
    transport_maps = maps_open(c, "mailbox_transport_maps", local_params.mailbox_transport_maps, err);
    fallback_maps =
        transport_maps ? maps_open(c, "fallback_transport_maps", local_params.fallback_transport_maps, err) : NULL;
    command_maps = fallback_maps ? maps_open(c, "mailbox_command_maps", local_params.mailbox_command_maps, err) : NULL;
    return command_maps != NULL;
}

/* The user's value in the table, or the parameter's, or "". False: the table cannot be asked. */
static bool for_user(struct work *w, struct maps *m, const char *parameter, const char *user, const char **value)
{
    BUF_AUTO found = BUF(8000);
    *value = parameter;
    if (maps_is_empty(m))
        return true;
    enum map_status st = maps_lookup(m, user, &found);
    if (st == MAP_FOUND)
        *value = arena_slice(w->a, buf_slice(&found));
    return st != MAP_TRY_AGAIN;
}

static struct verdict table_trouble(void)
{
    return verdict_of(result_try_again("4.3.0", "mail system configuration error"));
}

static struct verdict unknown_user(struct work *w, struct scope s)
{
    const char *transport;
    if (!for_user(w, fallback_maps, local_params.fallback_transport, s.user, &transport))
        return table_trouble();
    if (*transport != '\0')
        return pass_to(w, &s, transport);
    if (*local_params.luser_relay != '\0') {
        if (been_here(w, "luser_relay", s.local))
            return verdict_of(result_never("5.4.6", "mail forwarding loop for %s", s.address));
        s.source = FROM_ALIAS;
        s.runas = NULL;
        return expand_list(w, s, slice_of(expand_names(w, &s, NULL, local_params.luser_relay, NULL)));
    }
    if (str_eq_fold(s.user, "mailer-daemon") || str_eq_fold(s.user, "postmaster")) {
        log_warn("required alias not found: %s", s.user);
        return verdict_of(result_ok("2.0.0", "discarded"));
    }
    return verdict_of(result_never("5.1.1", "unknown user: \"%s\"", s.local));
}

/* In a spool folder that belongs to a group, as /var/mail, mailboxes and locks are made with that group's rights. */
static const struct daemon_passwd *spool_rights(struct work *w, const struct daemon_passwd *pw)
{
    struct stat st;
    if (stat(local_params.mail_spool_directory, &st) != 0 || (st.st_mode & S_IWOTH) || !(st.st_mode & S_IWGRP) ||
        st.st_gid == 0)
        return pw;
    struct daemon_passwd *other = arena_memdup(w->a, pw, sizeof *pw);
    other->gid = st.st_gid;
    return other;
}

static struct verdict store(struct work *w, struct scope *own, const struct daemon_passwd *pw)
{
    const char *below = local_params.home_mailbox, *spool = local_params.mail_spool_directory;
    bool home = *below != '\0';
    const char *path = home ? arena_printf(w->a, "%s/%s", pw->home, below)
                            : arena_printf(w->a, "%s%s%s", spool, spool[strlen(spool) - 1] == '/' ? "" : "/", pw->name);
    const char *last = home ? path + strlen(path) : spool + strlen(spool);
    bool maildir = last[-1] == '/';
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    struct msg_user_delivery t = {.kind = maildir ? "maildir" : "mbox",
                                  .target = arena_strndup(w->a, path, n),
                                  .flags = TASK_IS_MAILBOX,
                                  .size_limit = local_params.mailbox_size_limit};
    if (strstr(local_params.mailbox_delivery_lock, "dotlock") != NULL)
        t.flags |= TASK_DOTLOCK;
    if (!local_params.strict_mailbox_ownership)
        t.flags |= TASK_ANY_OWNER;
    own->runas = home ? pw : spool_rights(w, pw);
    struct verdict v = run_task(w, own, &t);
    if (!maildir && v.result.outcome != OUTCOME_OK) {
        const char *why = arena_strdup(w->a, v.result.text);
        snprintf(v.result.text, sizeof v.result.text, "cannot update mailbox %s for user %s. %s", path, pw->name, why);
    }
    return v;
}

struct verdict to_mailbox(struct work *w, const struct scope *s)
{
    struct scope own = *s;
    struct daemon_passwd *pw = ARENA_NEW(w->a, struct daemon_passwd);
    bool error = false;
    const char *transport, *command;
    if (!for_user(w, transport_maps, local_params.mailbox_transport, s->user, &transport))
        return table_trouble();
    if (*transport != '\0')
        return been_here(w, "mailbox", s->user) ? fine() : pass_to(w, s, transport);
    if (!daemon_getpwnam(w->a, s->user, pw, &error))
        return error ? verdict_of(result_try_again("4.3.0", "user lookup error")) : unknown_user(w, own);
    if (been_here(w, "mailbox", pw->name))
        return fine();
    if (!for_user(w, command_maps, local_params.mailbox_command, s->user, &command))
        return table_trouble();
    own.runas = pw;
    return *command != '\0' ? run_command(w, &own, command) : store(w, &own, pw);
}
