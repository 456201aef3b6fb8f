/* expand.c - what local(8) does with a recipient: alias, .forward, mailbox. Destinations that are not for delivery here
 * are gathered and go on through cleanup at the end, when nothing has to be tried again. A destination that has to be
 * tried again makes the whole recipient wait; one that fails for good is reported when the others are done. */
#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/daemon/daemon.h"
#include "lib/ipc/rewrite_client.h"
#include "lib/map/map.h"
#include "lib/syntax/address.h"
#include "local/delivery.h"
#include "local/tokens.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LEVELS_MOST = 100, STEPS_MOST = 100000 };
enum source { FROM_ENVELOPE, FROM_ALIAS, FROM_FORWARD, FROM_INCLUDE };
static const char *const source_names[] = {"", "alias", "forward", "include"};

/* One recipient's delivery. */
struct work {
    struct agent_delivery *d;
    const struct msg_deliver_recipient *rcpt;
    struct arena *a;
    struct hash *seen;
    struct forward *forward;
    unsigned steps; /* destinations looked at, so that lists of lists end */
};
/* What holds at this level of the expansion. */
struct scope {
    int level;
    enum source source;
    const char *expanded_from;         /* the alias whose list this is: its own name in it is the user */
    const char *owner;                 /* the user or owned alias whose list this is; NULL none */
    const char *sender;                /* changed by owner- */
    const struct daemon_passwd *runas; /* whose rights commands and files get; NULL: default_privs */
    const char *local, *user, *extension, *domain;
};

static struct maps *aliases;
static struct rewrite_client *rewriter;

static struct result expand_address(struct work *w, struct scope s, const char *address, bool no_expand);

bool expand_open(struct buf *err)
{
    aliases = maps_open(daemon_env->conf, "alias_maps", daemon_env->common.alias_maps, err);
    if (aliases != NULL)
        task_pool_open("local", false, 0);
    return aliases != NULL;
}

void expand_start(void)
{
    MEM_AUTO char *path = mem_printf("private/%s", local_params.rewrite_service_name);
    rewriter = rewrite_client_new(path, 2);
    forward_open(local_params.cleanup_service_name);
}

static struct result fine(void)
{
    return result_ok("2.0.0", "%s", "");
}

static struct result config_error(void)
{
    return result_never("5.3.5", "mail system configuration error");
}

/* The worse of two; of two good ones the first that says something. */
static struct result join(struct result a, struct result b)
{
    static const int weight[] = {[OUTCOME_OK] = 0, [OUTCOME_NEVER] = 1, [OUTCOME_TRY_AGAIN] = 2};
    if (weight[a.outcome] != weight[b.outcome])
        return weight[a.outcome] > weight[b.outcome] ? a : b;
    return a.text[0] != '\0' ? a : b;
}

/* True when this destination was met before. */
static bool been_here(struct work *w, const char *kind, const char *what)
{
    char *key = arena_printf(w->a, "%s %s", kind, what);
    str_lower(key);
    if (hash_get(w->seen, key) != NULL)
        return true;
    if ((int64_t)hash_count(w->seen) < local_params.duplicate_filter_limit)
        hash_put(w->seen, key, w);
    return false;
}

/* ---- deliveries ---- */
static const char **environment(struct work *w, const struct scope *s, size_t *n)
{
    const struct msg_deliver_request *q = &w->d->request;
    const char **env = command_environment(w->a, local_params.export_environment, n);
    const char *values[][2] = {{"SENDER", s->sender},
                               {"RECIPIENT", w->rcpt->address},
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

/* The rights at this level: the user's, or default_privs. */
static const struct daemon_passwd *rights(struct work *w, const struct scope *s)
{
    if (s->runas != NULL)
        return s->runas;
    struct daemon_passwd *pw = ARENA_NEW(w->a, struct daemon_passwd);
    bool error;
    return daemon_getpwnam(w->a, daemon_env->common.default_privs, pw, &error) ? pw : NULL;
}

static struct result run_task(struct work *w, const struct scope *s, struct msg_user_delivery *t)
{
    const struct daemon_passwd *pw = rights(w, s);
    if (pw == NULL)
        return result_try_again("4.3.5", "mail system configuration error: no user default_privs");
    BUF_AUTO prefix = BUF(60000);
    if (strcmp(t->kind, "command") == 0) { /* the other kinds write the line themselves */
        time_t now = time(NULL);
        struct tm tm;
        char stamp[40];
        localtime_r(&now, &tm);
        strftime(stamp, sizeof stamp, "%a %b %e %H:%M:%S %Y", &tm);
        buf_printf(&prefix, "From %s  %s\n", *s->sender != '\0' ? s->sender : "MAILER-DAEMON", stamp);
    }
    bool mailbox = strcmp(t->kind, "maildir") == 0 || strcmp(t->kind, "mbox") == 0;
    const char *kind = strcmp(t->kind, "command") == 0 ? "command" : "file";
    bool delivered_to = mailbox || strstr(local_params.prepend_delivered_header, kind) != NULL;
    delivery_prefix(&prefix, s->sender, w->rcpt, w->rcpt->address,
                    PREFIX_RETURN_PATH | (daemon_env->common.enable_original_recipient ? PREFIX_ORIGINAL_TO : 0U) |
                        (delivered_to ? PREFIX_DELIVERED_TO : 0U));
    t->prefix = buf_slice(&prefix);
    t->queue_id = w->d->request.queue_id;
    t->sender = s->sender;
    t->content_offset = w->d->request.content_offset;
    t->content_size = w->d->request.content_size;
    t->file = w->d->request.file;
    return task_run_as(pw->uid, pw->gid, pw->name, t, w->a,
                       deadline_in(t->time_limit > 0 ? t->time_limit + 60 : daemon_env->common.ipc_timeout));
}

static struct result run_command(struct work *w, const struct scope *s, const char *command)
{
    struct msg_user_delivery t = {.kind = "command", .target = command};
    t.environment = environment(w, s, &t.n_environment);
    t.chdir_to = s->runas != NULL ? s->runas->home : daemon_env->common.queue_directory;
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

static struct result to_file(struct work *w, const struct scope *s, const char *path)
{
    size_t n = strlen(path);
    bool maildir = n > 1 && path[n - 1] == '/';
    if (!is_allowed(local_params.allow_mail_to_files, s->source))
        return result_never("5.7.1", "mail to file is restricted");
    if (been_here(w, "file", path))
        return fine();
    struct msg_user_delivery t = {.kind = maildir ? "maildir" : "file",
                                  .target = maildir ? arena_strndup(w->a, path, n - 1) : path,
                                  .size_limit = local_params.mailbox_size_limit};
    return run_task(w, s, &t);
}

static struct result to_command(struct work *w, const struct scope *s, const char *command)
{
    if (!is_allowed(local_params.allow_mail_to_commands, s->source))
        return result_never("5.7.1", "mail to command is restricted");
    if (been_here(w, "command", command))
        return fine();
    return run_command(w, s, command);
}

static struct result to_mailbox(struct work *w, const struct scope *s, const struct daemon_passwd *pw)
{
    struct scope own = *s;
    own.runas = pw;
    if (been_here(w, "mailbox", pw->name))
        return fine();
    if (*local_params.mailbox_command != '\0')
        return run_command(w, &own, local_params.mailbox_command);
    const char *below = local_params.home_mailbox;
    const char *path = *below != '\0' ? arena_printf(w->a, "%s/%s", pw->home, below)
                                      : arena_printf(w->a, "%s/%s", local_params.mail_spool_directory, pw->name);
    size_t n = strlen(path);
    bool maildir = path[n - 1] == '/';
    struct msg_user_delivery t = {.kind = maildir ? "maildir" : "mbox",
                                  .target = maildir ? arena_strndup(w->a, path, n - 1) : path,
                                  .size_limit = local_params.mailbox_size_limit};
    if (strstr(local_params.mailbox_delivery_lock, "dotlock") != NULL)
        t.flags |= TASK_DOTLOCK;
    return run_task(w, &own, &t);
}

/* ---- expansion ---- */
static struct result expand_list(struct work *w, struct scope s, struct slice text);

static struct result include_file(struct work *w, struct scope s, const char *path)
{
    struct slice text;
    const struct daemon_passwd *pw = rights(w, &s);
    if (*path != '/' || pw == NULL)
        return config_error();
    if (been_here(w, "include", path))
        return fine();
    int rc = task_read_as(pw->uid, pw->gid, pw->name, "include", path, w->a, &text);
    if (rc < 0)
        return result_try_again("4.3.0", "cannot read include file %s", path);
    if (rc == 0) {
        log_warn("include file %s cannot be used", path);
        return config_error();
    }
    s.source = FROM_INCLUDE;
    return expand_list(w, s, text);
}

/* An address of a list: put into canonical form; here or elsewhere. */
static struct result list_address(struct work *w, struct scope s, const struct token *t)
{
    const char *canonical;
    struct msg_resolved where;
    if (!rewrite_addresses(rewriter, w->a, "local", &t->text, 1, &canonical) ||
        !resolve_addresses(rewriter, w->a, s.sender, &canonical, 1, &where) || (where.flags & RESOLVE_TRY_AGAIN))
        return result_try_again("4.3.0", "address resolver failure");
    if (where.flags & RESOLVE_ERROR)
        return result_never("5.1.3", "bad address syntax: \"%s\"", t->text);
    if (strcmp(where.transport, daemon_env->service) == 0)
        return expand_address(w, s, where.recipient, t->no_expand);
    forward_add(w->forward, s.sender, where.recipient);
    return fine();
}

static struct result expand_list(struct work *w, struct scope s, struct slice text)
{
    struct result r = fine();
    struct token t;
    s.level++;
    while (token_next(w->a, &text, &t)) {
        if (t.kind == TOKEN_COMMAND)
            r = join(r, to_command(w, &s, t.text));
        else if (t.kind == TOKEN_FILE)
            r = join(r, to_file(w, &s, t.text));
        else if (t.kind == TOKEN_INCLUDE)
            r = join(r, include_file(w, s, t.text));
        else
            r = join(r, list_address(w, s, &t));
    }
    return r;
}

/* False when the name is no alias, or stands in its own list. */
static bool expand_alias(struct work *w, struct scope s, const char *name, struct result *r)
{
    BUF_AUTO value = BUF(1000000), owner = BUF(1000);
    if (s.expanded_from != NULL && str_eq_fold(s.expanded_from, name))
        return false;
    enum map_status st = maps_lookup(aliases, name, &value), owned = MAP_NOT_FOUND;
    if (st == MAP_NOT_FOUND)
        return false;
    char *owner_name = arena_printf(w->a, "owner-%s", name);
    if (st == MAP_FOUND)
        owned = maps_lookup(aliases, owner_name, &owner);
    if (st == MAP_TRY_AGAIN || owned == MAP_TRY_AGAIN) {
        *r = result_try_again("4.3.0", "alias database unavailable");
    } else if (s.level > LEVELS_MOST) {
        log_warn("alias database loop for %s", name);
        *r = result_never("5.4.6", "alias database loop for %s", name);
    } else {
        s.source = FROM_ALIAS;
        s.runas = NULL;
        s.expanded_from = arena_strdup(w->a, name);
        if (owned == MAP_FOUND) {
            s.owner = s.expanded_from;
            if (*s.sender != '\0')
                s.sender = arena_printf(w->a, "%s@%s", owner_name, s.domain);
        }
        *r = expand_list(w, s, slice_make(arena_slice(w->a, buf_slice(&value)), value.len));
    }
    return true;
}

struct names {
    const struct scope *scope;
    const struct daemon_passwd *pw;
    const char *delimiter, *recipient;
};
static const char *name_value(void *ctx, const char *name)
{
    const struct names *n = ctx;
    const char *const known[][2] = {{"user", n->scope->user},           {"local", n->scope->local},
                                    {"extension", n->scope->extension}, {"domain", n->scope->domain},
                                    {"recipient", n->recipient},        {"recipient_delimiter", n->delimiter},
                                    {"home", n->pw ? n->pw->home : ""}, {"shell", n->pw ? n->pw->shell : ""}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i][0]) == 0)
            return known[i][1] != NULL ? known[i][1] : "";
    return NULL;
}

static const char *expand_names(struct work *w, const struct scope *s, const struct daemon_passwd *pw, const char *text)
{
    BUF_AUTO out = BUF(10000), err = BUF(1000);
    size_t n = strlen(s->user);
    const char *delimiter = s->extension != NULL ? arena_strndup(w->a, s->local + n, 1) : "";
    struct names names = {s, pw, delimiter, w->rcpt->address};
    if (!conf_expand_with(daemon_env->conf, text, name_value, &names, &out, &err)) {
        log_warn("cannot expand \"%s\": %s", text, buf_cstr(&err));
        return "";
    }
    return arena_strdup(w->a, buf_cstr(&out));
}

/* False when there is no .forward to be used: mailbox delivery follows. */
static bool expand_forward(struct work *w, struct scope s, const struct daemon_passwd *pw, struct result *r)
{
    struct slice paths = slice_of(expand_names(w, &s, pw, local_params.forward_path)), path, text;
    if (*pw->home == '\0' || (s.extension != NULL && strchr(s.extension, '/') != NULL))
        return false;
    while (slice_token(&paths, ", \t\r\n", &path)) {
        const char *name = arena_slice(w->a, path);
        int rc = task_read_as(pw->uid, pw->gid, pw->name, "forward", name, w->a, &text);
        if (rc < 0) {
            *r = result_try_again("4.3.0", "cannot read %s", name);
            return true;
        }
        struct token t;
        struct slice probe = text;
        if (rc == 0 || !token_next(w->a, &probe, &t))
            continue;
        if (been_here(w, "forward", name)) /* the list names its owner: a copy stays here */
            return false;
        s.source = FROM_FORWARD;
        s.runas = pw;
        s.owner = s.user;
        s.expanded_from = s.user;
        *r = expand_list(w, s, text);
        return true;
    }
    return false;
}

static struct result unknown_user(struct work *w, struct scope s)
{
    if (*local_params.luser_relay == '\0')
        return result_never("5.1.1", "unknown user: \"%s\"", s.local);
    if (been_here(w, "luser_relay", s.local))
        return result_never("5.4.6", "mail forwarding loop for %s", w->rcpt->address);
    s.source = FROM_ALIAS;
    return expand_list(w, s, slice_of(expand_names(w, &s, NULL, local_params.luser_relay)));
}

/* The local part and its pieces into the scope. */
static void split(struct work *w, struct scope *s, const char *address)
{
    ptrdiff_t at = address_at(address);
    char *local = at < 0 ? arena_strdup(w->a, address) : arena_strndup(w->a, address, (size_t)at);
    str_lower(local);
    s->local = local;
    s->domain = at < 0 ? daemon_env->common.myorigin : arena_strdup(w->a, address + at + 1);
    address_split_extension(w->a, local, daemon_env->common.recipient_delimiter, &s->user, &s->extension);
}

static struct result expand_address(struct work *w, struct scope s, const char *address, bool no_expand)
{
    struct result r;
    struct daemon_passwd pw;
    bool error = false;
    char kind[32];
    snprintf(kind, sizeof kind, "recipient %d", s.level);
    if (been_here(w, kind, address))
        return fine();
    if (++w->steps > STEPS_MOST || s.level > LEVELS_MOST + 1)
        return result_never("5.4.6", "possible alias loop for %s", address);
    if (delivery_seen_before(w->d, address))
        return result_never("5.4.6", "mail forwarding loop for %s", address);
    split(w, &s, address);
    if (!no_expand) {
        if (expand_alias(w, s, s.local, &r) || (s.extension != NULL && expand_alias(w, s, s.user, &r)))
            return r;
        /* Members of a list with an owner, of a user's .forward and of files become recipients of a message of their
         * own, with a delivery status each. */
        if ((s.owner != NULL && !str_eq_fold(s.owner, s.user)) || s.source == FROM_INCLUDE) {
            forward_add(w->forward, s.sender, address);
            return fine();
        }
    }
    if (!daemon_getpwnam(w->a, s.user, &pw, &error))
        return error ? result_try_again("4.3.0", "user lookup error") : unknown_user(w, s);
    if (!no_expand && expand_forward(w, s, &pw, &r))
        return r;
    return to_mailbox(w, &s, &pw);
}

struct result expand_recipient(struct agent_delivery *d, const struct msg_deliver_recipient *rcpt)
{
    struct work w = {.d = d, .rcpt = rcpt, .a = d->arena, .seen = hash_new(), .forward = forward_new(d->arena)};
    struct scope s = {.sender = d->request.sender};
    struct result r = expand_address(&w, s, rcpt->address, false);
    if (r.outcome != OUTCOME_TRY_AGAIN) /* otherwise they would go out again at the next try */
        r = join(r, forward_send(w.forward, d, rcpt));
    hash_free(&w.seen, NULL);
    return r;
}
