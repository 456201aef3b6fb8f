/* postconf.h - what the files of postconf share. */
#pragma once
#include "lib/base/vec.h"
#include "lib/conf/conf.h"
#include "lib/conf/master_cf.h"

enum postconf_class { CLASS_BUILTIN = 1, CLASS_SERVICE = 2, CLASS_USER = 4, CLASS_ALL = 7 };
enum postconf_edit { EDIT_NONE, EDIT_SET, EDIT_REMOVE, EDIT_COMMENT };

struct postconf {
    const char *dir;
    char main_cf[4096], master_cf[4096];
    struct conf *conf;
    struct arena *arena;
    struct service *services; /* NULL: master.cf cannot be read */
    const char *services_error;
    bool defaults, only_set, no_names, no_values, expand, fold, quiet;
    unsigned classes;
    enum postconf_edit edit;
};

/* main.cf: prints the named parameters, or all. */
void postconf_main_print(struct postconf *p, char **names, int n);
/* Changes main.cf: "name=value" for EDIT_SET, otherwise names. */
void postconf_main_edit(struct postconf *p, char **args, int n);
/* Warns of what nothing reads. */
void postconf_main_warn(struct postconf *p);
/* Warns of every $name that has no value. */
void postconf_warn_undefined(struct postconf *p);

void postconf_master_warn(struct postconf *p);
/* The next "name=value" of the -o options in front of the service's other arguments; NULL after the last. */
const char *postconf_master_override(const struct service *s, size_t *it);

/* master.cf: -M, -F, -P. */
void postconf_master_print(struct postconf *p, char mode, char **args, int n);
void postconf_master_edit(struct postconf *p, char mode, char **args, int n);

/* Prints text after `used` columns, its words with one blank between; when folding, lines are broken before column 80.
 */
void postconf_fold(const struct postconf *p, const char *text, size_t used, struct buf *out);
/* The new text takes the file's place, with its mode and owner. Fatal on failure. */
void postconf_publish(const char *path, struct buf *text);
