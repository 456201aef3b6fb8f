/* conf.h - main.cf: reading, $name expansion, typed parameters (postconf(5) syntax).
 *
 * Each daemon declares its parameters in a table, DAEMON/params.def, one row each:
 *
 *     PARAM_INT(smtpd_recipient_limit, "1000", 1, INT_MAX, "recipients", "Most recipients of one message.")
 *     PARAM_TIME(smtpd_timeout, "300s", 1, 0, "s", "...")
 *
 * and includes it through conf/param_struct.h and conf/param_table.h (see there) to get the struct and the table. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"

#include <stdint.h>

enum param_type {
    PARAM_T_STR,  /* const char *, $name expanded */
    PARAM_T_RAW,  /* const char *, not expanded (reply templates) */
    PARAM_T_INT,  /* int64_t */
    PARAM_T_TIME, /* int64_t seconds; s m h d w suffixes, default unit in `unit` */
    PARAM_T_BOOL, /* bool; yes no */
};

struct param {
    const char *name;
    enum param_type type;
    size_t offset;      /* in the daemon's struct */
    const char *preset; /* default, as in main.cf; may hold $name */
    int64_t min, max;   /* max 0: none */
    const char *unit;
    const char *doc;
};

struct conf;

/* The configuration folder when -c names none: $MAIL_CONFIG (not in set-gid programs), otherwise the built-in one. */
const char *conf_default_dir(void);
/* Reads DIR/main.cf; NULL means conf_default_dir(). On failure NULL with "FILE, line N: what" in err. */
struct conf *conf_load(const char *dir, struct buf *err);
/* The same from a text; dir is only for names. */
struct conf *conf_parse(const char *dir, struct slice text, struct buf *err);
void conf_free(struct conf **c);
const char *conf_dir(const struct conf *c);
/* "DIR/main.cf" */
const char *conf_file(const struct conf *c);
/* What looked wrong while reading, but did no harm (a name set twice); NULL past the end. */
const char *conf_warning(const struct conf *c, size_t i);
/* "name=value" or "name = value", as after -o. False with a text in err. */
bool conf_override(struct conf *c, const char *assignment, struct buf *err);
/* Raw text as set in main.cf or by -o; NULL when not set there. */
const char *conf_raw(const struct conf *c, const char *name);
/* Where it was set: "FILE, line N", "-o", or NULL. */
const char *conf_origin(const struct conf *c, const char *name);
/* The expanded value of any parameter, known ones with their default; NULL when it is neither set nor known. In the
 * conf's own memory. Templates (PARAM_RAW) come as they are written. A parameter that refers to itself gives NULL with
 * err set. */
const char *conf_value(struct conf *c, const char *name, struct buf *err);
/* Expands $name, ${name}, ${name?text}, ${name:text}, ${name?{a}:{b}}, ${a == b ? {c} : {d}}; false with err. */
bool conf_expand(struct conf *c, const char *text, struct buf *out, struct buf *err);
/* Same with the caller's own names first (NULL: not known); used for templates such as $mailbox. */
bool conf_expand_with(struct conf *c, const char *text, const char *(*lookup)(void *ctx, const char *name), void *ctx,
                      struct buf *out, struct buf *err);
/* Fills the struct that the table describes. False with err naming parameter, value, and file and line. */
bool conf_bind(struct conf *c, const struct param *table, size_t n, void *dest, struct buf *err);
/* Per-transport parameter: TRANSPORT_name if set, otherwise the fallback (itself a value). */
int64_t conf_transport_int(struct conf *c, const char *transport, const char *suffix, int64_t fallback);
const char *conf_transport_str(struct conf *c, const char *transport, const char *suffix, const char *fallback);
int64_t conf_transport_time(struct conf *c, const char *transport, const char *suffix, int64_t fallback);
/* "5d", "30" with default unit "s"; false when it is none. */
bool conf_parse_time(const char *text, char default_unit, int64_t *seconds);

/* What main.cf sets, in file order: for postconf -n. */
bool conf_next(const struct conf *c, size_t *it, const char **name, const char **raw);
/* The tables of all daemons and of lib (registered at link time by postconf; daemons know their own and the common
 * ones). Defaults for names outside these tables come from lib/conf/known.def, the list of all Postfix names. */
void conf_register(const struct param *table, size_t n);
const struct param *conf_param(const char *name);
bool conf_is_known(const char *name);
/* Its default as it would stand in main.cf; NULL: unknown name. */
const char *conf_default(const char *name);
/* All known names, sorted, in the arena, NULL after the last. */
size_t conf_known_names(struct arena *a, const char ***names);
/* "_destination_concurrency_limit" and the like with their default; NULL past the end. */
const char *conf_transport_suffix(size_t i, const char **preset);
/* The known name that differs least; NULL when none is near. */
const char *conf_nearest_name(const char *name);

/* What main.cf sets that nothing reads: not a known name, nor TRANSPORT_suffix of a service in master.cf, nor one of
 * smtpd_restriction_classes, nor part of a legacy database definition, nor named by another value as $name. `services`
 * may be NULL. Each is reported once, with a text such as "FILE, line N: unused parameter: x=y (did you mean z?)". */
struct service;
void conf_check_names(struct conf *c, const struct service *services,
                      void (*report)(void *ctx, const char *name, const char *text), void *ctx);
/* Each $name, in a value of main.cf or an -o of master.cf, that is neither known nor set and so stands for nothing. */
void conf_check_references(struct conf *c, const struct service *services, const char *master_cf,
                           void (*report)(void *ctx, const char *file, const char *name), void *ctx);

/* The folder of the daemon programs: $daemon_directory when it holds Merpati's (the file .merpati marks it), otherwise
 * the one beside this program, with a text in `warning`. */
const char *conf_daemon_directory(struct conf *c, struct buf *warning);
