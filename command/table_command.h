/* table_command.h - what postmap and postalias share: queries, deletion, listing. */
#pragma once
#include "lib/map/map.h"

struct table_command {
    struct conf *conf;
    unsigned flags;   /* of map_open_flags */
    const char *mark; /* printed after a key: "" for postmap, ":" for postalias */
};

/* -q KEY: the value on standard output; true when found. A failed look-up is fatal. */
bool table_command_query(const struct table_command *t, const char *title, const char *key);
/* -q -: keys from standard input, "key<TAB>value" for each found, in the first table that has it. */
bool table_command_query_stdin(const struct table_command *t, char *const *titles, int n);
/* -d KEY or -d -: true when at least one went. */
bool table_command_delete(const struct table_command *t, const char *title, const char *key);
/* -s */
void table_command_list(const struct table_command *t, const char *title);
/* The configuration named by -c (NULL: the usual one); fatal when it cannot be read. */
struct conf *table_command_conf(const char *dir);
