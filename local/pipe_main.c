/* pipe - delivers to a command that master.cf names: user=, argv=, flags=, size=, eol=, directory=, null_sender=.
 *
 * argv may hold $sender, $recipient, $extension, $mailbox, $user, $domain, $nexthop, $queue_id, $size,
 * $original_recipient, $client_address, $client_helo, $client_hostname, $client_port, $client_protocol, $sasl_method,
 * $sasl_sender and $sasl_username; an argument with a recipient's macro is repeated for each recipient. No shell is
 * involved. The exit status says what became of the message (sysexits.h), the first output why. */
#include "lib/base/log.h"
#include "lib/base/vec.h"
#include "lib/daemon/daemon.h"
#include "lib/syntax/address.h"
#include "local/delivery.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
    const char *flags, *user, *directory, *eol, *null_sender;
    int64_t size;
    VEC(const char *) argv;
} args = {.flags = "", .user = "", .directory = "", .eol = "\n", .null_sender = "MAILER-DAEMON"};
static uid_t run_uid;
static gid_t run_gid;
static const char *run_name;

static bool has_flag(char f)
{
    return strchr(args.flags, f) != NULL;
}

/* \\a \\b \\f \\n \\r \\t \\v \\NNN (octal) and \\\\. */
static const char *unescape(const char *text)
{
    static const char letters[] = "abfnrtv\\", meant[] = "\a\b\f\n\r\t\v\\";
    char *out = mem_strdup(text), *o = out;
    for (const char *p = text; *p != '\0'; p++) {
        const char *known = *p == '\\' && p[1] != '\0' ? strchr(letters, p[1]) : NULL;
        if (known != NULL) {
            *o++ = meant[known - letters];
            p++;
        } else if (*p == '\\' && strspn(p + 1, "01234567") > 0) {
            int value = 0;
            for (int i = 0; i < 3 && p[1] >= '0' && p[1] <= '7'; i++)
                value = value * 8 + (*++p - '0');
            *o++ = (char)value;
        } else {
            *o++ = *p;
        }
    }
    *o = '\0';
    return out;
}

static bool argument(int argc, char **argv, int *i)
{
    static const struct {
        const char *name;
        const char **value;
    } known[] = {{"flags=", &args.flags},
                 {"user=", &args.user},
                 {"directory=", &args.directory},
                 {"null_sender=", &args.null_sender}};
    const char *word = argv[*i];
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
        if (strncmp(word, known[k].name, strlen(known[k].name)) == 0) {
            *known[k].value = word + strlen(known[k].name);
            return true;
        }
    unsigned long long size;
    if (strncmp(word, "size=", 5) == 0 && slice_to_u64(slice_of(word + 5), INT64_MAX, &size)) {
        args.size = (int64_t)size;
        return true;
    }
    if (strncmp(word, "eol=", 4) == 0) {
        args.eol = unescape(word + 4);
        return true;
    }
    if (strncmp(word, "argv=", 5) != 0)
        return false;
    if (word[5] != '\0')
        VEC_PUSH(&args.argv, word + 5);
    while (++*i < argc)
        VEC_PUSH(&args.argv, argv[*i]);
    return true;
}

/* user=name or name:group; looked up once, before privileges change. */
static bool open_user(struct buf *err)
{
    ARENA_AUTO a = arena_new();
    struct daemon_passwd pw;
    bool error;
    if (args.argv.n == 0 || *args.user == '\0') {
        buf_puts(err, "pipe needs user= and argv= in master.cf");
        return false;
    }
    char *name = arena_strdup(a, args.user), *colon = strchr(name, ':');
    if (colon != NULL)
        *colon = '\0';
    struct group *group = colon != NULL && colon[1] != '\0' ? getgrnam(colon + 1) : NULL;
    if (!daemon_getpwnam(a, name, &pw, &error) || (colon != NULL && group == NULL)) {
        buf_printf(err, "user=%s: unknown user or group", args.user);
        return false;
    }
    struct passwd *mail_owner = getpwnam(daemon_env->common.mail_owner);
    if (daemon_is_root() && mail_owner != NULL && mail_owner->pw_uid == pw.uid) {
        buf_printf(err, "user=%s: commands do not run as the mail system's own user", args.user);
        return false;
    }
    const char *odd = args.flags + strspn(args.flags, "BDFORXhqu.>");
    if (*odd != '\0') {
        buf_printf(err, "unknown flag '%c' in flags=%s", *odd, args.flags);
        return false;
    }
    if (daemon_is_root() && (pw.uid == 0 || (group != NULL ? group->gr_gid : pw.gid) == 0)) {
        buf_printf(err, "user=%s: commands do not run with root's rights", args.user);
        return false;
    }
    run_uid = pw.uid;
    run_gid = group != NULL ? group->gr_gid : pw.gid;
    run_name = mem_strdup(name);
    task_pool_open("pipe", false, 1);
    return true;
}

struct names {
    struct agent_delivery *d;
    const struct msg_deliver_recipient *rcpt;
    bool uses_rcpt; /* a macro of the recipient was asked for */
};

static const char *folded(struct arena *a, const char *text, char flag)
{
    char *copy = arena_strdup(a, text);
    if (copy != NULL && has_flag(flag))
        str_lower(copy);
    return copy;
}

static const char *quoted(struct arena *a, const char *address)
{
    return has_flag('q') ? address_external(a, address) : address;
}

static const char *rcpt_value(struct names *n, const char *name)
{
    struct arena *a = n->d->arena;
    ptrdiff_t at = address_at(n->rcpt->address);
    const char *local = folded(a, at < 0 ? n->rcpt->address : arena_strndup(a, n->rcpt->address, (size_t)at), 'u');
    const char *domain = folded(a, at < 0 ? "" : n->rcpt->address + at + 1, 'h');
    const char *user, *extension;
    address_split_extension(a, local, daemon_env->common.recipient_delimiter, &user, &extension);
    if (strcmp(name, "recipient") == 0)
        return quoted(a, at < 0 ? local : arena_printf(a, "%s@%s", local, domain));
    if (strcmp(name, "original_recipient") == 0)
        return quoted(a, n->rcpt->orig_address);
    if (strcmp(name, "mailbox") == 0)
        return local;
    if (strcmp(name, "user") == 0)
        return user;
    if (strcmp(name, "extension") == 0)
        return extension != NULL ? extension : "";
    return strcmp(name, "domain") == 0 ? domain : NULL;
}

static const char *value(void *ctx, const char *name)
{
    struct names *n = ctx;
    const struct msg_deliver_request *q = &n->d->request;
    const char *v = rcpt_value(n, name);
    if (v != NULL) {
        n->uses_rcpt = true;
        return v;
    }
    const char *const known[][2] = {{"sender", *q->sender != '\0' ? quoted(n->d->arena, q->sender) : args.null_sender},
                                    {"nexthop", folded(n->d->arena, q->nexthop, 'h')},
                                    {"queue_id", q->queue_id},
                                    {"size", arena_printf(n->d->arena, "%llu", (unsigned long long)q->content_size)},
                                    {"client_address", q->client_addr},
                                    {"client_helo", q->client_helo},
                                    {"client_hostname", q->client_name},
                                    {"client_port", q->client_port},
                                    {"client_protocol", q->client_proto},
                                    {"sasl_method", q->sasl_method},
                                    {"sasl_sender", q->sasl_sender},
                                    {"sasl_username", q->sasl_username}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i][0]) == 0)
            return known[i][1];
    return NULL;
}

static bool expand_argv(struct agent_delivery *d, struct msg_user_delivery *t)
{
    const struct msg_deliver_request *q = &d->request;
    t->argv = ARENA_ARRAY(d->arena, const char *, args.argv.n *(q->n_recipients + 1));
    for (size_t i = 0; i < args.argv.n; i++)
        for (size_t r = 0; r < q->n_recipients; r++) {
            BUF_AUTO out = BUF(60000), err = BUF(1000);
            struct names n = {d, &q->recipients[r], false};
            if (!conf_expand_with(daemon_env->conf, args.argv.items[i], value, &n, &out, &err)) {
                log_warn("argv= of %s: %s", daemon_env->service, buf_cstr(&err));
                return false;
            }
            t->argv[t->n_argv++] = arena_strdup(d->arena, buf_cstr(&out));
            if (!n.uses_rcpt)
                break;
        }
    return true;
}

static struct result run(struct agent_delivery *d, const char **diagnostic)
{
    const struct msg_deliver_request *q = &d->request;
    BUF_AUTO prefix = BUF(60000), lines = BUF(120000);
    const char *sender = *q->sender != '\0' ? q->sender : args.null_sender;
    if (args.size > 0 && q->content_size > (uint64_t)args.size)
        return result_never("5.2.3", "message too large");
    if (has_flag('D') && q->n_recipients > 1)
        return result_try_again("4.3.5", "mail system configuration error: flag D needs one recipient at a time");
    if (has_flag('D') && delivery_seen_before(d, q->recipients[0].address))
        return result_never("5.4.6", "mail forwarding loop for %s", q->recipients[0].address);
    struct msg_user_delivery t = {.kind = "command",
                                  .queue_id = q->queue_id,
                                  .target = "",
                                  .chdir_to =
                                      *args.directory != '\0' ? args.directory : daemon_env->common.queue_directory,
                                  .eol = args.eol,
                                  .sender = q->sender,
                                  .content_offset = q->content_offset,
                                  .content_size = q->content_size,
                                  .file = q->file};
    if (!expand_argv(d, &t))
        return result_try_again("4.3.5", "mail system configuration error");
    t.flags = (has_flag('>') ? TASK_QUOTE_FROM : 0U) | (has_flag('B') ? TASK_EXTRA_LINE : 0U) |
              (has_flag('.') ? TASK_DOT : 0U);
    if (has_flag('F')) {
        char stamp[40];
        time_t now = time(NULL);
        struct tm tm;
        localtime_r(&now, &tm);
        strftime(stamp, sizeof stamp, "%a %b %e %H:%M:%S %Y", &tm);
        buf_printf(&prefix, "From %s  %s\n", sender, stamp);
    }
    delivery_prefix(&prefix, sender, &q->recipients[0], q->recipients[0].address,
                    (has_flag('R') ? PREFIX_RETURN_PATH : 0U) | (has_flag('O') ? PREFIX_ORIGINAL_TO : 0U) |
                        (has_flag('D') ? PREFIX_DELIVERED_TO : 0U));
    for (size_t i = 0; i < prefix.len; i++)
        prefix.data[i] == '\n' ? buf_puts(&lines, args.eol) : buf_putc(&lines, prefix.data[i]);
    t.prefix = buf_slice(&lines);
    t.environment = command_environment(d->arena, local_params.export_environment, &t.n_environment);
    int64_t limit =
        conf_transport_time(daemon_env->conf, daemon_env->service, "_time_limit", local_params.command_time_limit);
    t.time_limit = (uint32_t)limit;
    struct result r = task_run_as(run_uid, run_gid, run_name, &t, d->arena, diagnostic, deadline_in(limit + 60));
    if (!result_is_ok(&r))
        return r;
    const char *said = *diagnostic != NULL ? *diagnostic + strlen(TASK_DIAGNOSTIC) : NULL;
    *diagnostic = NULL;
    return said != NULL ? result_ok("2.0.0", "delivered via %s service (%s)", daemon_env->service, said)
                        : result_ok("2.0.0", "delivered via %s service", daemon_env->service);
}

static void deliver(struct agent_delivery *d)
{
    struct agent_result r = {.relay = daemon_env->service, .action = has_flag('X') ? NULL : "relayed"};
    r.result = d->request.flags & DELIVER_PROBE ? result_ok("2.0.0", "delivers to command: %s", args.argv.items[0])
                                                : run(d, &r.diagnostic);
    agent_report_rest(d, &r);
}

static void request(struct ipc_conn *c)
{
    agent_serve(c, deliver);
}

int main(int argc, char **argv)
{
    const struct daemon pipe_daemon = {
        .name = "pipe",
        .summary = "delivery to external commands",
        .params = local_param_table,
        .n_params = local_param_count,
        .params_struct = &local_params,
        .user = DAEMON_AS_OWNER,
        .needs = NEEDS_NAMES,
        .argument = argument,
        .before_sandbox = open_user,
        .request = request,
    };
    return daemon_main(argc, argv, &pipe_daemon);
}
