/* expand.h - local(8): one recipient and what it is expanded to. Destinations wait in a queue, so that lists of lists
 * need no stack. */
#pragma once
#include "lib/base/hash.h"
#include "lib/daemon/daemon.h"
#include "local/delivery.h"
#include "local/tokens.h"

enum source { FROM_ENVELOPE, FROM_ALIAS, FROM_FORWARD, FROM_INCLUDE };

/* What holds at this place of the expansion. */
struct scope {
    int level;
    enum source source;
    const char *expanded_from;         /* the alias whose list this is: its own name in it is the user */
    const char *owner;                 /* the user or owned alias whose list this is; NULL none */
    const char *sender;                /* changed by owner- */
    const struct daemon_passwd *runas; /* whose rights commands and files get; NULL: default_privs */
    const char *unmatched;             /* "+ext" to put to addresses of the list (propagate_unmatched_extensions) */
    const char *delivered_to;
    /* the address that is looked at now */
    const char *address, *local, *user, *extension, *domain;
};

/* What became of a destination. */
struct verdict {
    struct result result;
    const char *address;    /* whom it concerns; NULL: the recipient itself */
    const char *diagnostic; /* "x-unix; text", or NULL */
    bool told;              /* another agent has logged it */
    const struct msg_deliver_result *passed;
};

struct waiting_item {
    struct waiting_item *next;
    struct scope scope;
    struct token token;
};
/* One recipient's delivery. */
struct work {
    struct agent_delivery *d;
    const struct msg_deliver_recipient *rcpt;
    size_t place; /* of the recipient in the request */
    struct arena *a;
    struct hash *seen;
    struct forward *forward;
    struct waiting_item *first, **last;
    const char **delivered_to; /* Delivered-To headers of the message */
    size_t n_delivered_to;
    unsigned steps; /* destinations looked at, so that lists of lists end */
};

struct verdict verdict_of(struct result r);
struct verdict fine(void);
/* The destinations of a list wait for their turn. Returns fine(). */
struct verdict expand_list(struct work *w, struct scope s, struct slice text);
/* True when this destination was met before. */
bool been_here(struct work *w, const char *kind, const char *what);
/* $user, $home, $extension ... in a template; "" when it cannot be expanded. used_extension may be NULL. */
const char *expand_names(struct work *w, const struct scope *s, const struct daemon_passwd *pw, const char *text,
                         bool *used_extension);

/* ---- destinations.c ---- */
struct verdict to_file(struct work *w, const struct scope *s, const char *path);
struct verdict to_command(struct work *w, const struct scope *s, const char *command);
/* The rights at this place. */
const struct daemon_passwd *scope_rights(struct work *w, const struct scope *s);
struct verdict run_task(struct work *w, const struct scope *s, struct msg_user_delivery *t);
struct verdict run_command(struct work *w, const struct scope *s, const char *command);

/* ---- mailbox.c ---- */
bool mailbox_open(struct buf *err);
/* A user's mailbox, in whatever way; users that nobody knows. */
struct verdict to_mailbox(struct work *w, const struct scope *s);

/* ---- pass.c ---- */
/* Gives the recipient to another delivery agent ("transport:nexthop"), which logs the outcome. */
struct verdict pass_to(struct work *w, const struct scope *s, const char *destination);
