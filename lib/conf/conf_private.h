/* conf_private.h - what the files of lib/conf share. */
#pragma once
#include "lib/base/hash.h"
#include "lib/base/vec.h"
#include "lib/conf/conf.h"

struct conf_entry {
    const char *name;
    const char *raw;
    int line; /* of main.cf; 0: -o */
    struct conf_entry *next;
};

struct conf {
    struct arena *arena;
    const char *dir;
    const char *file;
    struct conf_entry *first, **tail; /* in file order */
    struct hash *by_name;             /* struct conf_entry * */
    struct hash *expanded;            /* name to its value, filled on demand */
    struct hash *computed;            /* built-in values by name, filled on demand */
    VEC(const char *) warnings;
    VEC(const char *) expanding; /* names being expanded now, to see loops */
};

/* The unexpanded default, from the registered tables, then the common one, then known.def; NULL: unknown name. */
const char *conf_preset(const char *name);
/* Its text is not for expansion when read: PARAM_RAW. */
bool conf_is_template(const char *name);
/* merpati_hostname and the like; NULL when name is none of them. */
const char *conf_builtin(struct conf *c, const char *name);
void conf_warn(struct conf *c, const char *text);
/* Compares like <level: "3.6", "2", "3.6.1"; false when one of them is no level. */
bool conf_compare_levels(const char *a, const char *b, int *order);
