/* master.h - the supervisor's view of the services. */
#pragma once
#include "lib/base/list.h"
#include "lib/conf/common.h"
#include "lib/conf/master_cf.h"

struct master_params {
/* clang-format off */
#include "lib/conf/param_struct.h"
#include "master/params.def"
#include "lib/conf/param_end.h"
    /* clang-format on */
};

struct master {
    struct conf *conf;
    struct common_params common;
    struct master_params params;
    const char *daemon_dir;
    struct list services; /* struct supervised */
    bool stopping;
    bool reloading;
};
extern struct master master;

enum { LISTENERS_MOST = 32, MASTER_STATUS_FD = 5, MASTER_FIRST_LISTENER = 6 };

/* One line of master.cf and its processes. */
struct supervised {
    struct list link;
    struct arena *arena;
    struct service service; /* strings in the arena */
    const char *program;    /* path */
    unsigned workers_wanted;
    bool lazy; /* started by the first client */
    int fds[LISTENERS_MOST];
    char *paths[LISTENERS_MOST]; /* of UNIX sockets and fifos, to be removed */
    int n_fds;
    struct list workers;   /* struct worker */
    struct fiber *watcher; /* waits for the first client, or for the throttle's end */
    struct fiber *waker;   /* the wakeup column */
    int64_t throttled_until;
    bool removed; /* by a reload */
};

struct worker {
    struct list link;
    struct supervised *owner;
    pid_t pid;
    int status;             /* our end of the status socket */
    struct fiber *listener; /* reads it */
    int64_t started;
    bool draining; /* takes no clients any more */
};

/* service.c */
/* Reads master.cf and opens what it names. At a reload, services that stayed the same keep their sockets. False with
 * err; nothing is left half done at start. */
bool services_load(struct buf *err);
void services_start(void);
/* Workers finish what they have and end; new ones serve the next clients. */
void services_drain(void);
void services_close(void);

/* listener.c */
bool listener_open(struct supervised *s, struct buf *err);
void listener_close(struct supervised *s, bool remove_paths);

/* worker.c */
void worker_start_all(struct supervised *s);
/* Sends a wake-up byte to each worker, starting one if there is none. */
void worker_wake(struct supervised *s, char request);
void worker_reap(void);
unsigned worker_count(void);
/* Those of a service that take clients. */
unsigned worker_serving(const struct supervised *s);
void worker_signal_all(int signo);
