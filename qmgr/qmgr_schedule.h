/* qmgr_schedule.h - which delivery comes next: transports, their destinations, and the entries that wait there. A plain
 * data structure without I/O or time of its own; the caller says what o'clock it is.
 *
 * A destination has a window of parallel deliveries, which grows by successes and shrinks by failures (reference:
 * SCHEDULER_README's rules). Destinations of a transport take turns. */
#pragma once
#include "lib/base/hash.h"
#include "lib/base/list.h"

#include <stdint.h>

struct schedule_settings {
    unsigned maxproc;         /* parallel deliveries of the transport; 0 no limit */
    unsigned initial, limit;  /* window: at first, most (0 no limit) */
    unsigned recipient_limit; /* of one entry; 0 no limit */
    double cohort_limit;      /* 0 never dead */
    struct feedback {
        double value;
        enum { FEEDBACK_FIXED, FEEDBACK_BY_WINDOW, FEEDBACK_BY_SQRT } kind;
    } positive, negative;
    int64_t rate_delay; /* seconds */
};
/* "1", "1/concurrency", "0.5 / sqrt_concurrency"; false when it is none of these, or out of 0..1. */
bool schedule_parse_feedback(const char *text, struct feedback *f);

struct transport {
    char *name;
    struct schedule_settings settings;
    unsigned busy; /* deliveries now */
    struct hash *destinations;
    struct list ready;  /* destinations with entries and room in their window */
    int64_t dead_until; /* the agent cannot be reached; monotonic, 0 not dead */
    void *owner_data;   /* the caller's */
    unsigned fibers;    /* the caller's: deliveries that it runs */
};

struct destination {
    struct transport *transport;
    char *nexthop;       /* the key; with a recipient limit of one it is the recipient, and */
    char *route;         /* this the nexthop; NULL otherwise */
    struct list entries; /* struct entry */
    struct list ready_link;
    bool is_ready;
    unsigned busy;
    int window;
    double success_credit, failure_credit, failed_cohorts;
    int64_t dead_until;
    char *dead_dsn, *dead_text; /* why */
};

/* One delivery request: some recipients of one message. */
struct entry {
    struct list link;         /* of the destination */
    struct list message_link; /* the caller's */
    struct destination *destination;
    void *message;
    uint32_t *recipients; /* indexes; owned */
    unsigned n_recipients;
};

struct transport *transport_new(const char *name, const struct schedule_settings *s);
void transport_free(struct transport **t);
/* Makes it if need be. */
struct destination *transport_destination(struct transport *t, const char *nexthop);
/* The entry becomes the scheduler's until schedule_next gives it out. */
void schedule_add(struct destination *d, struct entry *e);
/* The next entry to be delivered, counted as busy; NULL when there is none or the limits are reached. */
struct entry *schedule_next(struct transport *t);
/* The delivery is over; the entry is the caller's to free. The window is adjusted: ok: the site answered. Returns
 * whether the destination is dead from now on (site trouble and past the cohort limit). */
bool schedule_done(struct entry *e, bool ok);
/* Marks as dead; its entries are given to the caller one by one by schedule_take_waiting. */
void schedule_kill(struct destination *d, int64_t until, const char *dsn, const char *text);
struct entry *schedule_take_waiting(struct destination *d);
/* Dead no more (time has come, or flush). */
void schedule_revive(struct destination *d);
bool schedule_is_dead(struct destination *d, int64_t now);
/* A destination without entries or deliveries, and not dead, is forgotten. */
void schedule_forget_idle(struct destination *d);
/* Takes a waiting entry out (the message is being withdrawn). */
void schedule_remove(struct entry *e);
