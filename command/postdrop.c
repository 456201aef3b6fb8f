/* postdrop.c - puts a message into the maildrop queue, for sendmail(1). Installed set-gid, so that everyone may post
 * mail, even while the mail system is down.
 *
 * postdrop [-c DIR] reads the envelope and the message from standard input, in the form that sendmail writes. When it
 * ends with status 0, the message and its name are on stable storage. */
#include "command/drop_wire.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/common.h"
#include "lib/ipc/messages.h"
#include "lib/queue/queue.h"
#include "lib/rt/addr.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define HEAD_MOST ((size_t)16 << 20)

static bool fill(struct buf *b)
{
    char block[65536];
    ssize_t n;
    do
        n = read(0, block, sizeof block);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        buf_append(b, block, (size_t)n);
    return n > 0 && !b->overflow;
}

/* Only what a user may ask for: the rest of cleanup's flags are the mail system's. */
static uint32_t allowed_flags(uint32_t flags)
{
    return (flags & (CLEANUP_EXTRACT | CLEANUP_SMTPUTF8)) | CLEANUP_FILTER | CLEANUP_MAP | CLEANUP_BCC |
           CLEANUP_ADD_MISSING | CLEANUP_MILTER;
}

static void wake_pickup(void)
{
    struct sockaddr_storage to;
    socklen_t len;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && addr_unix("public/pickup", &to, &len) && connect(fd, (struct sockaddr *)&to, len) == 0 &&
        send(fd, "W", 1, MSG_NOSIGNAL) < 0)
        log_debug("pickup was not told"); /* it looks by itself now and then */
    if (fd >= 0)
        close(fd);
}

static int fail(const struct result *r)
{
    log_at(LOG_LEVEL_FATAL, "%s", r->text);
    return strcmp(r->dsn, "4.3.1") == 0 || r->outcome == OUTCOME_TRY_AGAIN ? EX_TEMPFAIL : EX_UNAVAILABLE;
}

static int drop(const struct common_params *p)
{
    BUF_AUTO in = BUF(HEAD_MOST);
    ARENA_AUTO a = arena_new();
    struct drop d;
    size_t used;
    struct result r;
    while (!drop_decode(buf_slice(&in), a, &d, &used))
        if (!fill(&in)) {
            log_at(LOG_LEVEL_FATAL, "malformed input");
            return EX_DATAERR;
        }
    struct queue_writer *w = queue_writer_new("maildrop", p->enable_long_queue_ids, &r);
    if (!w)
        return fail(&r);
    queue_writer_size_limit(w, p->message_size_limit ? (uint64_t)p->message_size_limit : 0);
    buf_consume(&in, used);
    bool fits = true;
    do {
        fits = queue_writer_content(w, in.data ? in.data : "", in.len);
        buf_reset(&in);
    } while (fits && fill(&in));
    for (size_t i = 0; i < d.n_recipients; i++)
        queue_writer_recipient(w, &(struct queue_recipient){.address = d.recipients[i],
                                                            .orig_address = d.recipients[i],
                                                            .dsn_orcpt = "",
                                                            .dsn_notify = d.notify});
    struct queue_envelope e = {.sender = d.sender,
                               .sender_fullname = d.fullname,
                               .dsn_envid = d.envid,
                               .dsn_ret = d.ret,
                               .body_type = d.body_type,
                               .context = "local",
                               .origin = "pickup",
                               .cleanup_flags = allowed_flags(d.flags),
                               .verbose_dsn = d.verbose,
                               .arrival_usec = clock_wall_usec()};
    e.create_usec = e.arrival_usec;
    r = queue_writer_commit(w, "maildrop", &e);
    queue_writer_free(&w);
    if (!result_is_ok(&r))
        return fail(&r);
    wake_pickup();
    return EX_OK;
}

int main(int argc, char **argv)
{
    BUF_AUTO err = BUF(1000);
    struct common_params p;
    const char *dir = NULL;
    log_open("postdrop", LOG_SINK_STDERR, 2);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
            dir = argv[++i];
        else if (strcmp(argv[i], "-r") != 0 && strcmp(argv[i], "-v") != 0) {
            fprintf(stderr, "usage: postdrop [-c config_dir] [-v]\n");
            return EX_USAGE;
        }
    }
    /* A stranger's configuration would lead the set-gid group anywhere. */
    if (getegid() != getgid() && getuid() != 0 && dir && strcmp(dir, MERPATI_CONFIG_DIR) != 0) {
        log_at(LOG_LEVEL_FATAL, "-c %s: not the configuration folder of this set-gid program", dir);
        return EX_NOPERM;
    }
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    struct conf *c = conf_load(dir, &err);
    conf_register(common_param_table, common_param_count);
    if (!c || !conf_bind(c, common_param_table, common_param_count, &p, &err) || chdir(p.queue_directory) != 0) {
        log_at(LOG_LEVEL_FATAL, "%s", err.len ? buf_cstr(&err) : "queue_directory: cannot go there");
        return EX_UNAVAILABLE;
    }
    int rc = drop(&p);
    conf_free(&c);
    return rc;
}
