/* qmgr.h - the queue manager: every message that is being worked on, and what becomes of its recipients. Only qmgr
 * changes the queue's state. */
#pragma once
#include "lib/base/vec.h"
#include "lib/daemon/daemon.h"
#include "lib/ipc/rewrite_client.h"
#include "lib/map/match_list.h"
#include "lib/queue/queue.h"
#include "qmgr/qmgr_schedule.h"

struct qmgr_params {
/* clang-format off */
#include "lib/conf/param_struct.h"
#include "qmgr/params.def"
#include "lib/conf/param_end.h"
    /* clang-format on */
};
extern struct qmgr_params qmgr_params;

/* What an attempt brought for one recipient, until the round is over. */
struct outcome_note {
    enum { NOTE_NONE, NOTE_DELIVERED, NOTE_DEFERRED, NOTE_FAILED } kind;
    const char *dsn, *text, *relay, *diagnostic, *remote_mta, *action;
    const char *address; /* whom it concerns, when the agent expanded the recipient; else NULL or "" */
};

/* A message in the active queue. */
struct message {
    char id[QUEUE_ID_MAX + 1];
    struct arena *arena;
    struct queue_message m;
    struct outcome_note *notes; /* by recipient */
    int fd;                     /* read-only */
    int64_t active_usec;        /* wall clock */
    struct list entries;        /* waiting or being delivered: struct entry.message_link */
    unsigned pending;           /* entries */
    bool forgotten;             /* somebody else takes the file over: nothing more is done with it */
    bool finishing;             /* the round is being written down */
    bool last_chance;           /* older than the queue lifetime: what is deferred now fails */
};

struct qmgr {
    struct hash *active;     /* id to struct message */
    struct hash *transports; /* name to struct transport */
    struct hash *maxproc;    /* name to a number, of master.cf */
    struct rewrite_client *rewrite;
    size_t recipients;  /* in memory */
    bool more_incoming; /* some mail was left in incoming for want of room */
    bool scanning;
    struct waitq scan_wanted;
    bool scan_incoming, scan_deferred, flush;
    bool rescan_incoming; /* a scan met files whose writers still held them: look again soon, should one die untold */
    struct waitq message_gone;
};
extern struct qmgr qmgr;

/* qmgr_message.c */
/* Takes a message of incoming or deferred into the active queue. fd may be -1; it is qmgr's afterwards. May wait. */
void message_activate(const char *id, const char *queue, int fd);
bool qmgr_has_room(void);
void message_free(struct message **m);

/* qmgr_finish.c: the round is over: each recipient has its note. */
void message_finish(struct message *m);

/* qmgr_deliver.c */
/* Puts the recipients into the scheduler; done: the transport's deliveries begin. nexthop must not be "". */
void deliver_enqueue(struct message *m, const char *transport, const char *nexthop, const uint32_t *recipients,
                     unsigned n);
/* Through the retry (or error) agent, which logs: "4.4.1 text". */
void deliver_by_retry(struct message *m, const uint32_t *recipients, unsigned n, const char *dsn, const char *text);
void deliver_by_error(struct message *m, const uint32_t *recipients, unsigned n, const char *dsn, const char *text);
/* All that is dead is tried again. */
void deliver_revive_all(void);
/* Takes the message's waiting entries out; those being delivered end by themselves. */
void deliver_withdraw(struct message *m);

/* qmgr_bounce.c: asks the bounce service for a notice; true when it is on stable storage, or not wanted. kind:
 * "failure", "delay", "success". */
bool bounce_notice(struct message *m, const char *kind);

/* qmgr_scan.c */
void scan_start(void);
void scan_request(bool incoming, bool deferred, bool flush);
void qmgr_serve(struct ipc_conn *c);
