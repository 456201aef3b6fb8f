/* auth.h - the daemon's parameters, its backends, and what a login goes through. */
#pragma once
#include "lib/base/arena.h"
#include "lib/conf/conf.h"
#include "lib/rt/stream.h"

/* clang-format off */
struct auth_params {
#include "lib/conf/param_struct.h"
#include "auth/params.def"
#include "lib/conf/param_end.h"
};
/* clang-format on */
extern struct auth_params auth_params;
extern const struct param auth_param_table[];
extern const size_t auth_param_count;

/* ---- backends ---- */
enum backend_status { BACKEND_OK, BACKEND_UNKNOWN, BACKEND_MISMATCH, BACKEND_TRY_AGAIN, BACKEND_REFUSED };
struct backend_user {
    const char *home, *mail; /* "" when not known */
    int64_t uid, gid;        /* -1 when not known */
};
struct backend;
struct backend_kind {
    const char *name; /* in parameters and log lines */
    /* False with err. argument: after the colon, "" when there is none. */
    bool (*open)(struct backend *b, const char *argument, struct buf *err);
    /* Both may run long and wait (thread_run). NULL: not that kind of database. */
    enum backend_status (*check)(struct backend *b, const char *user, const char *password, const char *client);
    enum backend_status (*find)(struct backend *b, struct arena *a, const char *user, struct backend_user *out);
};
struct backend {
    const struct backend_kind *kind;
    const char *argument;
    void *data;
    struct backend *next;
};
extern const struct backend_kind backend_passwd_file, backend_shadow, backend_passwd, backend_pam;
/* Opens both lists; names of domains that mean "no domain" (own host and domain names). */
bool backends_open(const char *const own_domains[3], struct buf *err);
/* Checks a password; logs failures. *user is replaced by the name under which it was found. */
enum backend_status backends_check(struct arena *a, const char **user, const char *password, const char *client);

/* ---- userdb.c ---- */
struct account {
    const char *user, *home, *mail;
    uint32_t uid, gid;
};
/* BACKEND_OK, UNKNOWN or TRY_AGAIN (logged). */
enum backend_status userdb_find(struct arena *a, const char *user, struct account *out);
enum backend_status backends_find(struct arena *a, const char **user, struct backend_user *out);
/* A name that may stand in paths and log lines. */
bool user_name_valid(const char *user);

/* ---- claim.c ---- */
void claim_add(unsigned pid, const char *id, const char *cookie, const char *user);
/* The user, once; NULL when there is no such login or it is too old. */
char *claim_take(unsigned pid, const char *id, const char *cookie);

/* ---- penalty.c: fairness between client addresses ---- */
/* Waits for a place among the checks of this address. False: cancelled. */
bool penalty_enter(const char *client);
/* Returns how many seconds the answer is to be held back. */
int64_t penalty_leave(const char *client, bool failed);

/* ---- session.c ---- */
void session_start(uid_t owner);
void session_serve(struct stream *s, const struct sockaddr *peer, const struct sockaddr *local);
void session_drain(void);
