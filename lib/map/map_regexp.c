/* map_regexp.c - regexp tables: POSIX extended regular expressions (regexp_table(5)). */
#include "lib/map/map_rules.h"
#include "lib/map/rule_text.h"

#include <regex.h>
#include <stdlib.h>

static void toggle(int *flags, int bit)
{
    *flags ^= bit;
}

static bool parse_flags(const char *letters, int *flags, struct buf *err)
{
    *flags = REG_EXTENDED | REG_ICASE;
    for (; *letters; letters++) {
        switch (*letters) {
        case 'i':
            toggle(flags, REG_ICASE);
            break;
        case 'm':
            toggle(flags, REG_NEWLINE);
            break;
        case 'x':
            toggle(flags, REG_EXTENDED);
            break;
        default:
            buf_printf(err, "unknown flag '%c' after the pattern", *letters);
            return false;
        }
    }
    return true;
}

static void *parse(char **text, int *groups, struct buf *err)
{
    char *pattern, letters[RULE_FLAGS_MAX];
    int flags;
    if (!rule_text_cut(text, &pattern, letters, err) || !parse_flags(letters, &flags, err))
        return NULL;
    regex_t *re = MEM_NEW(regex_t);
    int rc = regcomp(re, pattern, flags);
    if (rc != 0) {
        char why[200];
        regerror(rc, re, why, sizeof why);
        buf_printf(err, "error in regular expression: %s", why);
        free(re);
        return NULL;
    }
    *groups = (int)re->re_nsub;
    return re;
}

static void release(void *pattern)
{
    regfree(pattern);
    free(pattern);
}

static bool match(void *pattern, struct rule_subject *s, const char *where)
{
    regmatch_t at[RULE_GROUPS];
    regex_t *re = pattern;
    size_t n = re->re_nsub + 1 < RULE_GROUPS ? re->re_nsub + 1 : RULE_GROUPS;
    if (regexec(re, s->text, n, at, 0) != 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        s->group[i][0] = (size_t)at[i].rm_so;
        s->group[i][1] = (size_t)at[i].rm_eo;
    }
    s->groups = n;
    return true;
}

static const struct rule_kind kind = {.parse = parse, .free = release, .match = match};

static bool regexp_open(struct map *m, struct buf *err)
{
    return rules_open(m, &kind, err);
}

const struct map_type map_type_regexp = {
    .name = "regexp", .pattern = true, .open = regexp_open, .lookup = rules_lookup, .close = rules_close};
