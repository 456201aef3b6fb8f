/* expand.c - what local(8) does with a recipient: alias, .forward, mailbox. Destinations that are not for delivery here
 * are gathered and go on through cleanup at the end, when nothing has to be tried again. A destination that has to be
 * tried again makes the whole recipient wait; one that fails for good is reported when the others are done. */
#include "local/expand.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ipc/rewrite_client.h"
#include "lib/map/map.h"
#include "lib/syntax/address.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEVELS_MOST = 100, STEPS_MOST = 100000 };

static struct maps *aliases;
static struct rewrite_client *rewriter;
static bool propagates[4]; /* by enum source */

bool expand_open(struct buf *err)
{
    static const char *const names[] = {"", "alias", "forward", "include"};
    struct slice rest = slice_of(local_params.propagate_unmatched_extensions), word;
    while (slice_token(&rest, ", \t\r\n", &word))
        for (size_t i = FROM_ALIAS; i <= FROM_INCLUDE; i++)
            propagates[i] |= slice_eq_fold(word, slice_of(names[i]));
    aliases = maps_open(daemon_env->conf, "alias_maps", daemon_env->common.alias_maps, err);
    if (aliases == NULL || !mailbox_open(err))
        return false;
    task_pool_open("local", false, 0);
    return true;
}

void expand_start(void)
{
    MEM_AUTO char *path = mem_printf("private/%s", local_params.rewrite_service_name);
    rewriter = rewrite_client_new(path, 2);
    forward_open(local_params.cleanup_service_name);
}

struct verdict verdict_of(struct result r)
{
    return (struct verdict){.result = r};
}

struct verdict fine(void)
{
    return verdict_of(result_ok("2.0.0", "%s", ""));
}

static struct verdict config_error(void)
{
    return verdict_of(result_never("5.3.5", "mail system configuration error"));
}

static void log_verdict(const struct work *w, const struct verdict *v)
{
    struct agent_result r = {.relay = "local", .result = v->result, .address = v->address};
    if (!v->told && v->result.text[0] != '\0')
        agent_log(w->d, w->place, &r);
}

/* The worse of two; of two good ones the first that says something. The other one is logged. */
static struct verdict join(const struct work *w, struct verdict a, struct verdict b)
{
    static const int weight[] = {[OUTCOME_OK] = 0, [OUTCOME_NEVER] = 1, [OUTCOME_TRY_AGAIN] = 2};
    bool first = weight[a.result.outcome] != weight[b.result.outcome]
                     ? weight[a.result.outcome] > weight[b.result.outcome]
                     : a.result.text[0] != '\0';
    log_verdict(w, first ? &b : &a);
    return first ? a : b;
}

bool been_here(struct work *w, const char *kind, const char *what)
{
    char *key = arena_printf(w->a, "%s %s", kind, what);
    str_lower(key);
    if (hash_get(w->seen, key) != NULL)
        return true;
    if (local_params.duplicate_filter_limit == 0 || (int64_t)hash_count(w->seen) < local_params.duplicate_filter_limit)
        hash_put(w->seen, key, w);
    return false;
}

/* ---- lists ---- */

struct verdict expand_list(struct work *w, struct scope s, struct slice text)
{
    struct token t;
    s.level++;
    while (token_next(w->a, &text, &t)) {
        if (++w->steps > STEPS_MOST)
            return verdict_of(result_never("5.4.6", "possible alias loop for %s", w->rcpt->address));
        struct waiting_item *i = ARENA_NEW(w->a, struct waiting_item);
        i->scope = s;
        i->token = t;
        *w->last = i;
        w->last = &i->next;
    }
    return fine();
}

static bool refuse_include(struct verdict *v, const char *why, const char *path)
{
    log_warn(":include: file %s %s", path, why);
    *v = config_error();
    return false;
}

/* Whose rights an include file gives: its owner's, when it is not one of a user's. False with *v. */
static bool include_rights(struct work *w, struct scope *s, const char *path, struct verdict *v)
{
    struct stat st;
    bool error = false;
    if (s->runas != NULL)
        return true;
    if (stat(path, &st) != 0)
        return refuse_include(v, "cannot be looked up", path);
    if (!S_ISREG(st.st_mode))
        return refuse_include(v, "is not a regular file", path);
    if (st.st_mode & S_IWOTH)
        return refuse_include(v, "is world writable", path);
    struct daemon_passwd *pw = ARENA_NEW(w->a, struct daemon_passwd);
    if (!daemon_getpwuid(w->a, st.st_uid, pw, &error)) {
        if (!error)
            return refuse_include(v, "belongs to no user", path);
        *v = verdict_of(result_try_again("4.3.0", "user lookup error"));
        return false;
    }
    s->runas = pw;
    return true;
}

static struct verdict include_file(struct work *w, struct scope s, const char *path)
{
    struct slice text;
    struct verdict v;
    if (*path != '/')
        return config_error();
    if (been_here(w, "include", path))
        return fine();
    if (!include_rights(w, &s, path, &v))
        return v;
    int rc = task_read_as(s.runas->uid, s.runas->gid, s.runas->name, "include", path, w->a, &text);
    if (rc < 0)
        return verdict_of(result_try_again("4.3.0", "cannot read include file %s", path));
    if (rc == 0) {
        refuse_include(&v, "cannot be opened", path);
        return v;
    }
    if (s.runas->uid == 0)
        s.runas = NULL;
    s.source = FROM_INCLUDE;
    if (!propagates[FROM_INCLUDE])
        s.unmatched = NULL;
    return expand_list(w, s, text);
}

static const char *with_extension(struct arena *a, const char *address, const char *extension)
{
    ptrdiff_t at = address_at(address);
    size_t n = at < 0 ? strlen(address) : (size_t)at;
    return extension == NULL ? address : arena_printf(a, "%.*s%s%s", (int)n, address, extension, address + n);
}

static struct verdict expand_address(struct work *w, struct scope s, const char *address, bool no_expand);

/* An address of a list: put into canonical form; here or elsewhere. */
static struct verdict list_address(struct work *w, struct scope s, const struct token *t)
{
    const char *canonical;
    struct msg_resolved where;
    if (!rewrite_addresses(rewriter, w->a, "local", &t->text, 1, &canonical))
        return verdict_of(result_try_again("4.3.0", "address resolver failure"));
    canonical = with_extension(w->a, canonical, s.unmatched);
    if (!resolve_addresses(rewriter, w->a, s.sender, &canonical, 1, &where) || (where.flags & RESOLVE_TRY_AGAIN))
        return verdict_of(result_try_again("4.3.0", "address resolver failure"));
    if (where.flags & RESOLVE_ERROR)
        return verdict_of(result_never("5.1.3", "bad address syntax: \"%s\"", t->text));
    if (strcmp(where.transport, daemon_env->service) == 0)
        return expand_address(w, s, where.recipient, t->no_expand);
    forward_add(w->forward, s.sender, where.recipient);
    return fine();
}

/* "~/file" in a user's .forward. */
static struct verdict to_home_file(struct work *w, const struct scope *s, const char *text)
{
    if (text[1] == '/' && s->runas != NULL && *s->runas->home == '/')
        return to_file(w, s, arena_printf(w->a, "%s%s", s->runas->home, text + 1));
    log_warn("bad home directory syntax for: %s", text);
    return config_error();
}

static struct verdict deliver_to(struct work *w, const struct waiting_item *i)
{
    switch (i->token.kind) {
    case TOKEN_COMMAND:
        return to_command(w, &i->scope, i->token.text);
    case TOKEN_FILE:
        return to_file(w, &i->scope, i->token.text);
    case TOKEN_INCLUDE:
        return include_file(w, i->scope, i->token.text);
    case TOKEN_ADDRESS:
        return *i->token.text == '~' ? to_home_file(w, &i->scope, i->token.text) : list_address(w, i->scope, &i->token);
    }
    return fine();
}

static struct verdict one_destination(struct work *w, const struct waiting_item *i)
{
    struct verdict v = deliver_to(w, i);
    if (v.address == NULL)
        v.address = i->scope.address;
    return v;
}

/* ---- aliases ---- */

/* The envelope sender of a list that has an owner: the owner- alias, or what it stands for. MAP_NOT_FOUND: none. */
static enum map_status find_owner(struct work *w, const char *name, const char **owner)
{
    BUF_AUTO value = BUF(100000);
    struct token t;
    const char *text = arena_printf(w->a, "owner-%s", name), *canonical;
    if (!local_params.owner_request_special || slice_starts_fold(slice_of(name), SLICE("owner-")))
        return MAP_NOT_FOUND;
    enum map_status st = maps_lookup(aliases, text, &value);
    struct slice list = buf_slice(&value);
    if (st != MAP_FOUND)
        return st;
    if (local_params.expand_owner_alias && token_next(w->a, &list, &t) && t.kind == TOKEN_ADDRESS)
        text = t.text;
    if (!rewrite_addresses(rewriter, w->a, "local", &text, 1, &canonical))
        return MAP_TRY_AGAIN;
    *owner = canonical;
    return MAP_FOUND;
}

/* Commands and files in an alias get the rights of its table's owner, unless that is root. */
static const struct daemon_passwd *table_owner(struct work *w, const char *title)
{
    struct stat st;
    bool error;
    const char *path = strchr(title, ':');
    if (path == NULL || path[1] != '/' || !daemon_is_root())
        return NULL;
    if (stat(arena_printf(w->a, "%s.lmdb", path + 1), &st) != 0 && stat(path + 1, &st) != 0)
        return NULL;
    struct daemon_passwd *pw = ARENA_NEW(w->a, struct daemon_passwd);
    return st.st_uid != 0 && daemon_getpwuid(w->a, st.st_uid, pw, &error) ? pw : NULL;
}

/* False when the name is no alias, or stands in its own list. unmatched: the extension that is not of the name. */
static bool expand_alias(struct work *w, struct scope s, const char *name, const char *unmatched, struct verdict *v)
{
    BUF_AUTO value = BUF(1000000);
    const char *owner = NULL, *title = "";
    if (s.expanded_from != NULL && str_eq_fold(s.expanded_from, name))
        return false;
    enum map_status st = maps_lookup_title(aliases, name, &value, &title), owned = MAP_NOT_FOUND;
    if (st == MAP_NOT_FOUND)
        return false;
    if (st == MAP_FOUND)
        owned = find_owner(w, name, &owner);
    if (st == MAP_TRY_AGAIN || owned == MAP_TRY_AGAIN) {
        *v = verdict_of(result_try_again("4.3.0", "alias database unavailable"));
    } else if (s.level > LEVELS_MOST) {
        log_warn("alias database loop for %s", name);
        *v = verdict_of(result_never("5.4.6", "alias database loop for %s", name));
    } else {
        s.source = FROM_ALIAS;
        s.runas = table_owner(w, title);
        s.expanded_from = arena_strdup(w->a, name);
        s.unmatched = propagates[FROM_ALIAS] ? unmatched : NULL;
        if (owned == MAP_FOUND) {
            s.owner = s.expanded_from;
            if (*s.sender != '\0')
                s.sender = owner;
        } else if (local_params.reset_owner_alias) {
            s.owner = NULL;
        }
        *v = expand_list(w, s, slice_make(arena_slice(w->a, buf_slice(&value)), value.len));
    }
    return true;
}

/* ---- .forward ---- */

struct names {
    const struct scope *scope;
    const struct daemon_passwd *pw;
    const char *delimiter;
    const char *allowed; /* characters of values */
    struct arena *a;
    bool used_extension;
};

static const char *name_value(void *ctx, const char *name)
{
    struct names *n = ctx;
    const char *const known[][2] = {{"user", n->scope->user},           {"local", n->scope->local},
                                    {"extension", n->scope->extension}, {"domain", n->scope->domain},
                                    {"recipient", n->scope->address},   {"recipient_delimiter", n->delimiter},
                                    {"home", n->pw ? n->pw->home : ""}, {"shell", n->pw ? n->pw->shell : ""}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i][0]) != 0)
            continue;
        n->used_extension |= (i == 1 || i == 2) && known[i][1] != NULL;
        char *value = arena_strdup(n->a, known[i][1] != NULL ? known[i][1] : "");
        for (char *p = value; n->allowed != NULL && *(p += strspn(p, n->allowed)) != '\0';)
            *p = '_';
        return value;
    }
    return NULL;
}

const char *expand_names(struct work *w, const struct scope *s, const struct daemon_passwd *pw, const char *text,
                         bool *used_extension)
{
    BUF_AUTO out = BUF(10000), err = BUF(1000);
    size_t n = strlen(s->user);
    const char *delimiter = s->extension != NULL ? arena_strndup(w->a, s->local + n, 1) : "";
    struct names names = {s, pw, delimiter, NULL, w->a, false};
    if (text == local_params.forward_path)
        names.allowed = local_params.forward_expansion_filter;
    else if (text == local_params.command_execution_directory)
        names.allowed = local_params.execution_directory_expansion_filter;
    if (!conf_expand_with(daemon_env->conf, text, name_value, &names, &out, &err)) {
        log_warn("cannot expand \"%s\": %s", text, buf_cstr(&err));
        return "";
    }
    if (used_extension != NULL)
        *used_extension = names.used_extension;
    return arena_strdup(w->a, buf_cstr(&out));
}

/* False when there is no .forward to be used: mailbox delivery follows. */
static bool expand_forward(struct work *w, struct scope s, const struct daemon_passwd *pw, struct verdict *v)
{
    struct slice paths = slice_of(expand_names(w, &s, pw, local_params.forward_path, NULL)), path, text;
    if (*pw->home == '\0' || (s.extension != NULL && strchr(s.extension, '/') != NULL))
        return false;
    while (slice_token(&paths, ", \t\r\n", &path)) {
        const char *name = arena_slice(w->a, path);
        int rc = task_read_as(pw->uid, pw->gid, pw->name, "forward", name, w->a, &text);
        if (rc < 0) {
            *v = verdict_of(result_try_again("4.3.0", "cannot read %s", name));
            return true;
        }
        struct token t;
        struct slice probe = text;
        if (rc == 0 || !token_next(w->a, &probe, &t))
            continue;
        if (been_here(w, "forward", name)) /* the list names its owner: a copy stays here */
            return false;
        bool matched = s.extension == NULL || slice_ends_fold(path, slice_of(s.extension));
        s.unmatched = propagates[FROM_FORWARD] && !matched ? s.local + strlen(s.user) : NULL;
        s.source = FROM_FORWARD;
        s.runas = pw;
        s.owner = s.user;
        s.expanded_from = s.user;
        *v = expand_list(w, s, text);
        return true;
    }
    return false;
}

/* ---- addresses ---- */

static bool seen_before(const struct work *w, const char *address)
{
    for (size_t i = 0; i < w->n_delivered_to; i++)
        if (str_eq_fold(w->delivered_to[i], address))
            return true;
    return false;
}

/* The local part and its pieces into the scope. */
static void split(struct work *w, struct scope *s, const char *address)
{
    ptrdiff_t at = address_at(address);
    char *local = at < 0 ? arena_strdup(w->a, address) : arena_strndup(w->a, address, (size_t)at);
    str_lower(local);
    s->address = address;
    s->local = local;
    s->domain = at < 0 ? daemon_env->common.myorigin : arena_strdup(w->a, address + at + 1);
    address_split_extension(w->a, local, daemon_env->common.recipient_delimiter, &s->user, &s->extension);
}

static struct verdict to_user(struct work *w, const struct scope *s)
{
    struct daemon_passwd *pw = ARENA_NEW(w->a, struct daemon_passwd);
    struct verdict v;
    bool error = false;
    if (daemon_getpwnam(w->a, s->user, pw, &error)) {
        struct stat st;
        if (local_params.require_home_directory && stat(pw->home, &st) != 0)
            return verdict_of(
                result_try_again("4.3.0", "cannot access home directory %s: %s", pw->home, strerror(errno)));
        if (expand_forward(w, *s, pw, &v))
            return v;
    } else if (error) {
        return verdict_of(result_try_again("4.3.0", "user lookup error"));
    }
    return to_mailbox(w, s);
}

static struct verdict look_at(struct work *w, struct scope s, const char *address, bool no_expand)
{
    struct verdict v;
    char kind[32];
    snprintf(kind, sizeof kind, "recipient %d", s.level);
    if (been_here(w, kind, address))
        return fine();
    if (s.level > LEVELS_MOST + 1)
        return verdict_of(result_never("5.4.6", "possible alias loop for %s", address));
    if (seen_before(w, address))
        return verdict_of(result_never("5.4.6", "mail forwarding loop for %s", address));
    split(w, &s, address);
    if (!local_params.frozen_delivered_to)
        s.delivered_to = s.address;
    if (no_expand)
        return to_mailbox(w, &s);
    if (expand_alias(w, s, s.local, NULL, &v) ||
        (s.extension != NULL && expand_alias(w, s, s.user, s.local + strlen(s.user), &v)))
        return v;
    /* Members of a list with an owner, of a user's .forward and of files become recipients of a message of their
     * own, with a delivery status each. */
    if ((s.owner != NULL && !str_eq_fold(s.owner, s.user)) || s.source == FROM_INCLUDE) {
        forward_add(w->forward, s.sender, address);
        return fine();
    }
    return to_user(w, &s);
}

static struct verdict expand_address(struct work *w, struct scope s, const char *address, bool no_expand)
{
    struct verdict v = look_at(w, s, address, no_expand);
    if (v.address == NULL)
        v.address = address;
    return v;
}

void expand_recipient(struct agent_delivery *d, size_t place)
{
    const struct msg_deliver_recipient *rcpt = &d->request.recipients[place];
    struct work w = {
        .d = d, .rcpt = rcpt, .place = place, .a = d->arena, .seen = hash_new(), .forward = forward_new(d->arena)};
    struct scope s = {.sender = d->request.sender, .delivered_to = rcpt->address, .address = rcpt->address};
    w.last = &w.first;
    w.delivered_to = delivery_seen(d, &w.n_delivered_to);
    struct verdict v = expand_address(&w, s, rcpt->address, false);
    for (; w.first != NULL; w.first = w.first->next)
        v = join(&w, v, one_destination(&w, w.first));
    if (v.result.outcome != OUTCOME_TRY_AGAIN) /* otherwise they would go out again at the next try */
        v = join(&w, v, verdict_of(forward_send(w.forward, d, rcpt)));
    hash_free(&w.seen, NULL);
    if (result_is_ok(&v.result) && v.result.text[0] == '\0') {
        log_warn("%s stands for nobody", rcpt->address);
        v = config_error();
    }
    if (v.told && v.passed != NULL) {
        agent_adopt(d, place, v.passed);
        return;
    }
    struct agent_result r = {.relay = "local", .result = v.result, .diagnostic = v.diagnostic, .address = v.address};
    agent_report(d, place, &r);
}
