/* postqueue.c - shows and flushes the mail queue.
 *
 * DESCRIPTION
 * The postqueue(1) command lists the queue (-p as people know it from mailq, -j as one JSON object in each line) and
 * asks for deferred mail to be tried now: all of it (-f), one message (-i), or all for a site (-s). It is installed
 * set-gid to $setgid_group, so that users can reach the services in public/. */
#include "command/postqueue_flush.h"
#include "command/postqueue_list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/common.h"
#include "lib/map/match_list.h"
#include "lib/queue/queue.h"
#include "lib/queue/queue_report.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

struct options {
    const char *dir;
    char mode; /* the option letter */
    const char *argument;
};

static void die(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
static void die(int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    log_vat(LOG_LEVEL_FATAL, fmt, ap);
    va_end(ap);
    log_flush();
    exit(status);
}

static void usage(void)
{
    die(EX_USAGE, "usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site");
}

static struct options parse_options(int argc, char **argv)
{
    struct options o = {0};
    for (int c; (c = getopt(argc, argv, "c:fi:jps:v")) != -1;) {
        switch (c) {
        case 'c':
            o.dir = optarg;
            break;
        case 'v':
            log_set_verbose(1);
            break;
        case 'f':
        case 'i':
        case 'j':
        case 'p':
        case 's':
            if (o.mode)
                usage();
            o.mode = (char)c;
            o.argument = optarg;
            break;
        default:
            usage();
        }
    }
    if (!o.mode || optind < argc)
        usage();
    return o;
}

/* authorized_mailq_users, authorized_flush_users: the superuser may always. */
static void authorize(struct conf *conf, const char *parameter, const char *list, const char *what)
{
    uid_t uid = getuid();
    if (uid == 0)
        return;
    BUF_AUTO err = BUF(2000);
    struct match_list *l = match_list_open(conf, parameter, list, false, &err);
    if (!l)
        die(EX_TEMPFAIL, "%s", buf_cstr(&err));
    struct passwd *pw = getpwuid(uid);
    const char *name = pw ? pw->pw_name : "unknown";
    enum map_status s = match_list_string(l, name);
    if (s == MAP_TRY_AGAIN)
        die(EX_TEMPFAIL, "%s: table lookup problem", parameter);
    if (s != MAP_FOUND)
        die(EX_NOPERM, "User %s(%ld) is not allowed to %s the mail queue", name, (long)uid, what);
    match_list_close(&l);
}

/* ---- listing ---- */
static int connect_showq(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "public/showq"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    int e = errno;
    close(fd);
    errno = e;
    return -1;
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

/* What showq would do, in a child process; returns the end of a pipe to read its list from. */
static int list_directly(const struct common_params *p)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        die(EX_OSERR, "pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        die(EX_OSERR, "fork: %s", strerror(errno));
    if (pid > 0) {
        close(ends[1]);
        return ends[0];
    }
    struct queue_report *r = queue_report_new(p->empty_address_recipient);
    struct buf out = BUF(BUF_MAX_DEFAULT);
    bool more;
    do {
        buf_reset(&out);
        more = queue_report_fill(r, &out, 65536);
    } while (write_all(ends[1], out.data, out.len) && more);
    _exit(0);
}

/* The superuser, or whoever runs an instance of his own. */
static bool owns_queue(void)
{
    struct stat st;
    return getuid() == 0 || (stat("active", &st) == 0 && st.st_uid == getuid());
}

static FILE *open_list(const struct common_params *p)
{
    int fd = connect_showq();
    if (fd < 0) {
        int e = errno;
        if (!owns_queue())
            die(EX_UNAVAILABLE, "Queue report unavailable - mail system is down (Connect to the %s showq service: %s)",
                p->mail_name, strerror(e));
        log_warn("Mail system is down -- accessing queue directly (Connect to the %s showq service: %s)", p->mail_name,
                 strerror(e));
        fd = list_directly(p);
    }
    FILE *in = fdopen(fd, "r");
    if (!in)
        die(EX_OSERR, "fdopen: %s", strerror(errno));
    return in;
}

static void show(const struct common_params *p, bool json)
{
    FILE *in = open_list(p);
    bool ok = json ? postqueue_list_json(in, stdout, p->smtputf8_enable)
                   : postqueue_list_text(in, stdout, p->enable_long_queue_ids);
    fclose(in);
    if (fflush(stdout) != 0 || ferror(stdout))
        die(EX_IOERR, "output write error: %s", strerror(errno));
    if (!ok)
        die(EX_SOFTWARE, "malformed showq server response");
}

/* ---- flushing ---- */
static void flush_id(const char *id)
{
    if (!queue_id_valid(id))
        die(EX_USAGE, "Cannot flush queue ID - invalid name: \"%.100s%s\"", id, strlen(id) > 100 ? "..." : "");
    MEM_AUTO char *command = mem_printf("flush-id %s", id);
    postqueue_flush(command);
}

static bool site_valid(const char *site)
{
    size_t n = strlen(site);
    if (n == 0 || n > 255 || site[0] == '.' || site[0] == '-')
        return false;
    if (site[0] == '[')
        return n > 2 && site[n - 1] == ']' &&
               strspn(site + 1, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:-_") == n - 2;
    for (const char *p = site; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 127 || strchr("@<>()[]\"\\,;:/", *p) || (p[0] == '.' && p[1] == '.'))
            return false;
    return true;
}

static void flush_site(const char *site)
{
    if (!site_valid(site))
        die(EX_USAGE, "Cannot flush mail queue - invalid destination: \"%.100s%s\"", site,
            strlen(site) > 100 ? "..." : "");
    MEM_AUTO char *command = mem_printf("flush-site %s", site);
    postqueue_flush(command);
}

/* ---- */
static struct conf *load(const char *dir, struct common_params *p)
{
    BUF_AUTO err = BUF(2000);
    struct conf *c = conf_load(dir, &err);
    if (!c || !conf_bind(c, common_param_table, common_param_count, p, &err))
        die(EX_CONFIG, "%s", buf_cstr(&err));
    const char *names = conf_value(c, "hash_queue_names", &err), *depth = conf_value(c, "hash_queue_depth", &err);
    queue_set_hashing(names ? names : "deferred, defer", depth ? (int)strtol(depth, NULL, 10) : 1);
    if (chdir(p->queue_directory) != 0)
        die(EX_UNAVAILABLE, "chdir %s: %s", p->queue_directory, strerror(errno));
    return c;
}

int main(int argc, char **argv)
{
    log_open("postqueue", LOG_SINK_STDERR, 2);
    struct options o = parse_options(argc, argv);
    struct common_params p = {0};
    struct conf *c = load(o.dir, &p);
    bool list = o.mode == 'p' || o.mode == 'j';
    if (list)
        authorize(c, "authorized_mailq_users", p.authorized_mailq_users, "view");
    else
        authorize(c, "authorized_flush_users", p.authorized_flush_users, "flush");
    if (list)
        show(&p, o.mode == 'j');
    else if (o.mode == 'f')
        postqueue_flush("flush");
    else if (o.mode == 'i')
        flush_id(o.argument);
    else
        flush_site(o.argument);
    conf_free(&c);
    return 0;
}
