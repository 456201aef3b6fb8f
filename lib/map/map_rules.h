/* map_rules.h - tables of ordered rules, "pattern result" with if PATTERN ... endif and ! (cidr_table(5),
 * regexp_table(5), pcre_table(5)). A kind of pattern says how one is read and held against a subject. A bad rule is
 * logged and skipped, as postmasters are used to. */
#pragma once
#include "lib/map/cidr.h"
#include "lib/map/map_private.h"

#define RULE_GROUPS 100

struct rule_subject {
    const char *text;
    size_t n;
    struct cidr_address address; /* for cidr */
    /* What $0.. stand for after a match: begin and end in text; (size_t)-1: not part of the match. */
    size_t group[RULE_GROUPS][2];
    size_t groups;
};

struct rule_kind {
    /* Reads the pattern at the front of *text and moves it to what follows. NULL with err. *groups: how many $N it sets
     * besides $0; -1: none at all, '$' in results is an ordinary character. */
    void *(*parse)(char **text, int *groups, struct buf *err);
    void (*free)(void *pattern);
    bool (*match)(void *pattern, struct rule_subject *s, const char *where);
};

/* The lookup, open and close of such a type. */
bool rules_open(struct map *m, const struct rule_kind *kind, struct buf *err);
enum map_status rules_lookup(struct map *m, const char *key, struct buf *out);
void rules_close(struct map *m);
