/* daemon.h - the one skeleton of every daemon: reads the configuration, opens what needs privileges, gives them up,
 * takes connections, drains, ends. A daemon's main.c declares a struct daemon and hands over.
 *
 * How master starts a worker: argv = { "smtpd", "-n", SERVICE_NAME, "-t", "inet"|"unix"|"pass"|"fifo", "-s", N number
 * of listening sockets, inherited as descriptors 6, 7, ..., "-m", MAXPROC share of this worker, args of master.cf (-o
 * name=value, -v; -u and -c are taken and mean nothing) }; MERPATI_WORKER in the environment; descriptor 5 is one end
 * of a socket pair: a byte from master is a wake-up, 'D' to master says that this worker takes no clients any more, and
 * the end of file that master is gone: end within seconds. MAIL_CONFIG names the configuration folder. */
#pragma once
#include "lib/conf/common.h"
#include "lib/ipc/ipc.h"
#include "lib/rt/fiber.h"
#include "lib/rt/stream.h"

/* What a daemon may do after its start (design.md section 7). */
enum daemon_user {
    DAEMON_AS_OWNER,
    DAEMON_AS_NET /* merpati-net */,
    DAEMON_AS_ROOT /* with few capabilities: auth */,
    DAEMON_AS_KEY,
    DAEMON_AS_JAIL
};
enum daemon_needs {
    NEEDS_QUEUE_WRITE = 1, /* files below queue_directory */
    NEEDS_INET = 2,        /* TCP and UDP sockets of its own */
    NEEDS_PAM = 4,         /* modules that are programs of others, as root */
    NEEDS_CONF_READ = 16,  /* the configuration folder, and those of the tables that main.cf and master.cf name */
    NEEDS_DATA_WRITE = 32, /* data_directory */
    NEEDS_NAMES = 64,      /* passwd and group, by the name service */
};

struct daemon;

struct userproc_pool;

/* The running daemon's surroundings. Read-only after start. */
struct daemon_env {
    const struct daemon *daemon;
    const char *service; /* "smtp", "submission": -n */
    const char *type;
    struct conf *conf;
    struct common_params common;
    unsigned needs;    /* enum daemon_needs: of struct daemon, and what before_sandbox added */
    bool probe;        /* `merpati check --sandbox` */
    int64_t maxproc;   /* this worker's share of the service's clients at a time; 0 no limit */
    unsigned sessions; /* running now */
    bool draining;
    struct userproc_pool *processes; /* of userproc_pool_new; NULL: it has none */
};
extern struct daemon_env *const daemon_env;

struct daemon {
    const char *name;           /* "smtpd" */
    const char *summary;        /* one line for --help and the manual */
    const struct param *params; /* its own table and the struct that it fills */
    size_t n_params;
    void *params_struct;
    enum daemon_user user;
    unsigned needs; /* enum daemon_needs */
    bool single;    /* one worker only (qmgr, pickup, anvil) */
    /* Before privileges go: open maps, tables, certificates. False with err: the daemon exits, master throttles. */
    bool (*before_sandbox)(struct buf *err);
    /* In the first fiber, sandboxed. May start further fibers; must return. */
    void (*start)(void);
    /* A stream connection (inet, pass, or unix services that speak text), in a fiber of its own. The callee closes the
     * stream. */
    void (*session)(struct stream *s, const struct sockaddr *peer, const struct sockaddr *local);
    /* A connection of another daemon (lib/ipc), in a fiber of its own. The callee frees it. Either this or session. */
    void (*request)(struct ipc_conn *c);
    /* A wake-up of master (master.cf wakeup column) or of postkick: a byte on the service's socket or fifo. */
    void (*wakeup)(char request);
    /* An option of the daemon's own (pipe's flags= user= argv=): takes what it knows at argv[*i], moving *i to its last
     * argument; false when it knows it not. Called before the configuration is read. May be NULL. */
    bool (*argument)(int argc, char **argv, int *i);
    /* Draining began: finish soon. Sessions of text protocols say 421 at their next command (see daemon_env->draining).
     */
    void (*drain)(void);
};

/* Work that is no session, but must be finished before the daemon ends. */
void daemon_hold(void);
void daemon_release(void);

/* main of every daemon. */
int daemon_main(int argc, char **argv, const struct daemon *d);
/* User of a login name: false when there is none; *error set when it could not be asked. On a pool thread. */
struct daemon_passwd {
    uid_t uid;
    gid_t gid;
    const char *name, *home, *shell, *gecos;
};
bool daemon_getpwnam(struct arena *a, const char *name, struct daemon_passwd *pw, bool *error);
bool daemon_getpwuid(struct arena *a, uid_t uid, struct daemon_passwd *pw, bool *error);
/* Whether the mail system was started by root; if not, everything runs as the caller. */
bool daemon_is_root(void);
