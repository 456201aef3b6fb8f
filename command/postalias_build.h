/* postalias_build.h - building alias databases: what postalias, newaliases and "sendmail -bi" do. */
#pragma once
#include "lib/map/map.h"

struct alias_options {
    bool no_fold, no_warn, replace, omit_nul, keep_owner;
    bool incremental; /* add to what is there; the source is standard input */
};

/* Compiles the alias source behind "hash:/etc/aliases" (without a type: $default_database_type). Lines that cannot be
 * understood are warned about and left out. False with err when there is no new database. */
bool postalias_build(struct conf *conf, const char *type_name, struct buf *err);
bool postalias_build_with(struct conf *conf, const char *type_name, const struct alias_options *o, struct buf *err);
/* All of $alias_database, as newaliases; goes on after a failure and then gives false with the first text. */
bool postalias_build_all(struct conf *conf, struct buf *err);

/* "TYPE:NAME", with $default_database_type in front when there is no type; free() it. */
char *postalias_title(struct conf *conf, const char *type_name);
/* Cuts "name: value, value" (aliases(5)): the name without its quotes, the values with ", " between. NULL when fine,
 * otherwise what is wrong. */
const char *postalias_parse(struct slice line, struct buf *name, struct buf *value);
