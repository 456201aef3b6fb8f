/* sendmail.c - the mail program that everyone calls: takes a message from standard input and gives it to postdrop.
 *
 * sendmail [option ...] [recipient ...]; mailq is sendmail -bp, newaliases is sendmail -bi. Options that matter: -t
 * (recipients from the header), -f and -r (sender), -F (full name), -i and -oi (a lone dot does not end the input), -N,
 * -R, -V (delivery status notices), -B (body type), -bp, -bi, -q, -qIID, -qRSITE, -C (configuration). Others are
 * accepted as sendmail programs always had them. */
#include "command/drop_wire.h"
#include "command/postalias_build.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/vec.h"
#include "lib/conf/common.h"
#include "lib/ipc/messages.h"
#include "lib/syntax/address.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum mode { MODE_DELIVER, MODE_LIST, MODE_ALIASES, MODE_FLUSH, MODE_DAEMON, MODE_STDIN_SMTP };

struct options {
    enum mode mode;
    const char *sender, *fullname, *envid, *body_type, *conf_dir, *alias_db, *flush;
    uint32_t ret, notify;
    uint32_t verbose;
    bool extract, dots, sender_set;
    char **recipients;
    int n_recipients;
};

static void fatal(int status, const char *fmt, const char *what) __attribute__((noreturn));
static void fatal(int status, const char *fmt, const char *what)
{
    log_at(LOG_LEVEL_FATAL, fmt, what);
    exit(status);
}

/* ---- options ---- */

static uint32_t parse_notify(const char *text)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } names[] = {{"never", DSN_NOTIFY_NEVER},
                 {"success", DSN_NOTIFY_SUCCESS},
                 {"failure", DSN_NOTIFY_FAILURE},
                 {"delay", DSN_NOTIFY_DELAY}};
    struct slice rest = slice_of(text), word;
    uint32_t bits = 0;
    while (slice_token(&rest, ", ", &word)) {
        uint32_t bit = 0;
        for (size_t i = 0; i < 4; i++)
            if (slice_eq_fold(word, slice_of(names[i].name)))
                bit = names[i].bit;
        if (!bit)
            fatal(EX_USAGE, "invalid -N option value -- %s", text);
        bits |= bit;
    }
    if (!bits || ((bits & DSN_NOTIFY_NEVER) && bits != DSN_NOTIFY_NEVER))
        fatal(EX_USAGE, "invalid -N option value -- %s", text);
    return bits;
}

static void set_mode(struct options *o, const char *value)
{
    switch (*value) {
    case 'p':
        o->mode = MODE_LIST;
        break;
    case 'i':
        o->mode = MODE_ALIASES;
        break;
    case 'd':
    case 'l':
        o->mode = MODE_DAEMON;
        break;
    case 's':
        o->mode = MODE_STDIN_SMTP;
        break;
    case 'v':
        o->verbose = 1;
        break;
    case 'm':
    case 'h':
    case 'H':
        break;
    default:
        fatal(EX_USAGE, "unsupported: -b%s", value);
    }
}

/* -C FILE names the folder that the file is in. */
static const char *folder_of(const char *name)
{
    struct slice s = slice_of(name);
    if (!slice_ends_fold(s, SLICE(".cf")))
        return name;
    ptrdiff_t slash = slice_rfind(s, '/');
    return slash <= 0 ? "." : mem_strndup(name, (size_t)slash);
}

static void set_sender(struct options *o, const char *value)
{
    BUF_AUTO internal = BUF(1100);
    struct slice s = slice_of(value);
    if (s.n >= 2 && s.p[0] == '<' && s.p[s.n - 1] == '>')
        s = slice_make(s.p + 1, s.n - 2);
    if (s.n && !address_unquote(s, &internal))
        fatal(EX_DATAERR, "bad sender address: %s", value);
    o->sender = mem_strdup(buf_cstr(&internal));
    o->sender_set = true;
}

static void take_option(struct options *o, char letter, const char *value)
{
    switch (letter) {
    case 'b':
        set_mode(o, value);
        break;
    case 'B':
        if (strcmp(value, "7BIT") != 0 && strcmp(value, "8BITMIME") != 0)
            fatal(EX_USAGE, "bad body type: %s", value);
        o->body_type = value;
        break;
    case 'C':
        o->conf_dir = folder_of(value);
        break;
    case 'F':
        o->fullname = value;
        break;
    case 'f':
    case 'r':
        set_sender(o, value);
        break;
    case 'N':
        o->notify = parse_notify(value);
        break;
    case 'R':
        if (!str_eq_fold(value, "full") && !str_eq_fold(value, "hdrs"))
            fatal(EX_USAGE, "invalid -R option value -- %s", value);
        o->ret = str_eq_fold(value, "full") ? DSN_RET_FULL : DSN_RET_HDRS;
        break;
    case 'V':
        o->envid = value;
        break;
    case 'o':
        if (*value == 'i')
            o->dots = true;
        else if (*value == 'A')
            o->alias_db = value + 1;
        break;
    case 'q':
        o->mode = MODE_FLUSH;
        o->flush = value;
        break;
    default:
        break;
    }
}

/* Options bundle; those with a value take the rest of the word or the next one. */
static void parse(struct options *o, int argc, char **argv)
{
    static const char with_value[] = "bBCFfrNRVoOAhLXepd", optional[] = "q", alone[] = "tivGnmUcxDIEO";
    int i = 1;
    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        for (char *c = argv[i] + 1; *c; c++) {
            if (*c == 't')
                o->extract = true;
            else if (*c == 'i')
                o->dots = true;
            else if (*c == 'v')
                o->verbose = o->verbose ? o->verbose : 2;
            else if (strchr(optional, *c) || (strchr(with_value, *c) && c[1])) {
                take_option(o, *c, c + 1);
                break;
            } else if (strchr(with_value, *c)) {
                if (i + 1 >= argc)
                    fatal(EX_USAGE, "usage: sendmail [options]: a value is missing after -%s", c);
                take_option(o, *c, argv[++i]);
                break;
            } else if (!strchr(alone, *c)) {
                fatal(EX_USAGE, "unsupported option: %s", argv[i]);
            }
        }
    }
    o->recipients = argv + i;
    o->n_recipients = argc - i;
}

/* ---- the message ---- */

/* Lines from standard input: CRLF becomes LF as the first line has it, a lone dot ends, a leading "From " line is no
 * part of it. */
static bool copy_message(const struct options *o, FILE *to)
{
    char *line = NULL;
    size_t cap = 0;
    bool first = true, crlf = false;
    for (ssize_t n; (n = getline(&line, &cap, stdin)) > 0; first = false) {
        if (first && n >= 2 && line[n - 2] == '\r')
            crlf = true;
        if (first && strncmp(line, "From ", 5) == 0)
            continue;
        if (crlf && n >= 2 && line[n - 2] == '\r' && line[n - 1] == '\n') {
            line[n - 2] = '\n';
            n--;
        }
        if (!o->dots && n == 2 && line[0] == '.' && line[1] == '\n')
            break;
        if (fwrite(line, 1, (size_t)n, to) != (size_t)n)
            break;
    }
    free(line);
    return !ferror(stdin) && !ferror(to);
}

static const char *command_path(struct conf *c, const char *name)
{
    BUF_AUTO err = BUF(300);
    const char *dir = conf_value(c, "merpati_command_directory", &err);
    return mem_printf("%s/%s", dir ? dir : ".", name);
}

static int give_to_postdrop(const struct options *o, struct conf *c, const struct drop *d)
{
    BUF_AUTO head = BUF(BUF_MAX_DEFAULT);
    int pipes[2], status = 0;
    drop_encode(d, &head);
    if (pipe(pipes) != 0)
        fatal(EX_OSERR, "pipe: %s", strerror(errno));
    const char *program = command_path(c, "postdrop");
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipes[0], 0);
        close(pipes[0]);
        close(pipes[1]);
        if (o->conf_dir)
            execl(program, "postdrop", "-c", o->conf_dir, (char *)NULL);
        else
            execl(program, "postdrop", (char *)NULL);
        fprintf(stderr, "sendmail: fatal: %s: %s\n", program, strerror(errno));
        _exit(EX_UNAVAILABLE);
    }
    close(pipes[0]);
    FILE *to = pid > 0 ? fdopen(pipes[1], "w") : NULL;
    bool read_all = to && fwrite(head.data, 1, head.len, to) == head.len && copy_message(o, to);
    if (to && !read_all && ferror(stdin)) { /* half a message must not be sent: the dropper sees no end that counts */
        kill(pid, SIGKILL);
        fatal(EX_DATAERR, "error reading input: %s", strerror(errno));
    }
    bool written = to && fclose(to) == 0 && read_all;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        fatal(EX_UNAVAILABLE, "%s did not end well", program);
    if (WEXITSTATUS(status) == 0 && !written)
        return EX_TEMPFAIL;
    return WEXITSTATUS(status);
}

static int deliver(struct options *o, struct conf *c, struct arena *a)
{
    struct passwd *pw = getpwuid(getuid());
    struct drop d = {.sender = o->sender_set ? o->sender
                               : pw          ? pw->pw_name
                                             : "nobody",
                     .envid = o->envid,
                     .body_type = o->body_type,
                     .ret = o->ret,
                     .notify = o->notify,
                     .verbose = o->verbose};
    VEC(const char *) recipients = {0};
    d.flags = o->extract ? CLEANUP_EXTRACT : 0;
    const char *name = getenv("NAME");
    d.fullname = o->fullname            ? o->fullname
                 : name                 ? name
                 : pw && !o->sender_set ? arena_strndup(a, pw->pw_gecos, strcspn(pw->pw_gecos, ","))
                                        : "";
    for (int i = 0; i < o->n_recipients; i++) {
        struct address_token *tokens;
        size_t n = address_list_parse(a, slice_of(o->recipients[i]), &tokens);
        for (size_t k = 0; k < n; k++)
            if (*tokens[k].address)
                VEC_PUSH(&recipients, tokens[k].address);
    }
    if (!recipients.n && !o->extract)
        fatal(EX_USAGE, "%s", "Recipient addresses must be specified on the command line or via the -t option");
    d.recipients = recipients.items;
    d.n_recipients = recipients.n;
    int rc = give_to_postdrop(o, c, &d);
    VEC_FREE(&recipients);
    return rc;
}

/* ---- other modes ---- */

static int run_postqueue(const struct options *o, struct conf *c, const char *option, const char *value)
{
    const char *program = command_path(c, "postqueue");
    const char *argv[8] = {"postqueue"};
    int n = 1;
    if (o->conf_dir) {
        argv[n++] = "-c";
        argv[n++] = o->conf_dir;
    }
    argv[n++] = option;
    if (value)
        argv[n++] = value;
    argv[n] = NULL;
    execv(program, (char *const *)(uintptr_t)argv);
    fatal(EX_UNAVAILABLE, "cannot run postqueue: %s", strerror(errno));
}

static int flush(const struct options *o, struct conf *c)
{
    if (*o->flush == 'I')
        return run_postqueue(o, c, "-i", o->flush + 1);
    if (*o->flush == 'R' || *o->flush == 'S')
        return run_postqueue(o, c, "-s", o->flush + 1);
    return *o->flush ? 0 : run_postqueue(o, c, "-f", NULL); /* -q30m: the queue is looked through anyway */
}

static int build_aliases(const struct options *o, struct conf *c)
{
    BUF_AUTO err = BUF(2000);
    if (o->alias_db ? postalias_build(c, o->alias_db, &err) : postalias_build_all(c, &err))
        return EX_OK;
    fatal(EX_UNAVAILABLE, "%s", buf_cstr(&err));
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    struct options o = {.mode = strcmp(name, "mailq") == 0        ? MODE_LIST
                                : strcmp(name, "newaliases") == 0 ? MODE_ALIASES
                                                                  : MODE_DELIVER,
                        .sender = "",
                        .envid = "",
                        .body_type = ""};
    BUF_AUTO err = BUF(1000);
    log_open("sendmail", LOG_SINK_STDERR, 2);
    signal(SIGPIPE, SIG_IGN);
    parse(&o, argc, argv);
    if (o.conf_dir)
        setenv("MAIL_CONFIG", o.conf_dir, 1);
    struct conf *c = conf_load(o.conf_dir, &err);
    if (!c)
        fatal(EX_UNAVAILABLE, "%s", buf_cstr(&err));
    conf_register(common_param_table, common_param_count);
    if (o.mode == MODE_DELIVER && o.extract && o.n_recipients == 0 && isatty(0))
        log_debug("reading the message from a terminal");
    struct arena *a = arena_new();
    int rc = EX_USAGE;
    switch (o.mode) {
    case MODE_DELIVER:
        rc = deliver(&o, c, a);
        break;
    case MODE_LIST:
        rc = run_postqueue(&o, c, "-p", NULL);
        break;
    case MODE_ALIASES:
        rc = build_aliases(&o, c);
        break;
    case MODE_FLUSH:
        rc = flush(&o, c);
        break;
    case MODE_DAEMON:
        execl(command_path(c, "merpati"), "postfix", "start", (char *)NULL);
        fatal(EX_UNAVAILABLE, "cannot run merpati: %s", strerror(errno));
    case MODE_STDIN_SMTP:
        fatal(EX_USAGE, "%s", "-bs: SMTP on standard input is not served; connect to port 25 or 587");
    }
    arena_free(&a);
    conf_free(&c);
    return rc;
}
