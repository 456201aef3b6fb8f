/* map_pcre.c - pcre tables: Perl compatible regular expressions (pcre_table(5)). Matching has a limit, so that a bad
 * pattern and a stranger's text cannot hold up a daemon. */
#include "lib/base/log.h"
#include "lib/map/map_rules.h"
#include "lib/map/rule_text.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#define MATCH_LIMIT 1000000
#define HEAP_LIMIT_KIB 20000

struct pcre_pattern {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

static bool parse_flags(const char *letters, uint32_t *flags, struct buf *err)
{
    static const struct {
        char letter;
        uint32_t bit;
    } known[] = {{'i', PCRE2_CASELESS}, {'m', PCRE2_MULTILINE},      {'s', PCRE2_DOTALL},   {'x', PCRE2_EXTENDED},
                 {'A', PCRE2_ANCHORED}, {'E', PCRE2_DOLLAR_ENDONLY}, {'U', PCRE2_UNGREEDY}, {'X', 0}};
    *flags = PCRE2_CASELESS | PCRE2_DOTALL;
    for (; *letters; letters++) {
        size_t i = 0, n = sizeof known / sizeof *known;
        while (i < n && known[i].letter != *letters)
            i++;
        if (i == n) {
            buf_printf(err, "unknown flag '%c' after the pattern", *letters);
            return false;
        }
        *flags ^= known[i].bit;
    }
    return true;
}

static void release(void *pattern)
{
    struct pcre_pattern *p = pattern;
    pcre2_match_context_free(p->limits);
    pcre2_match_data_free(p->data);
    pcre2_code_free(p->code);
    free(p);
}

static void *parse(char **text, int *groups, struct buf *err)
{
    char *pattern, letters[RULE_FLAGS_MAX];
    uint32_t flags, count = 0;
    PCRE2_SIZE offset;
    int error;
    if (!rule_text_cut(text, &pattern, letters, err) || !parse_flags(letters, &flags, err))
        return NULL;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, flags, &error, &offset, NULL);
    if (!code) {
        char why[200];
        pcre2_get_error_message(error, (PCRE2_UCHAR *)why, sizeof why);
        buf_printf(err, "error in pattern at offset %zu: %s", offset, why);
        return NULL;
    }
    struct pcre_pattern *p = MEM_NEW(struct pcre_pattern);
    p->code = code;
    p->data = pcre2_match_data_create_from_pattern(code, NULL);
    p->limits = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(p->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(p->limits, HEAP_LIMIT_KIB);
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without it the interpreter does the same work */
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &count);
    *groups = (int)count;
    return p;
}

static bool match(void *pattern, struct rule_subject *s, const char *where)
{
    struct pcre_pattern *p = pattern;
    int rc = pcre2_match(p->code, (PCRE2_SPTR)s->text, s->n, 0, 0, p->data, p->limits);
    if (rc < 0) {
        if (rc != PCRE2_ERROR_NOMATCH)
            log_warn("%s: matching given up (error %d); the pattern is too complex for this text", where, rc);
        return false;
    }
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(p->data);
    s->groups = rc < RULE_GROUPS ? (size_t)rc : RULE_GROUPS;
    for (size_t i = 0; i < s->groups; i++) {
        s->group[i][0] = at[2 * i];
        s->group[i][1] = at[2 * i + 1] < at[2 * i] ? at[2 * i] : at[2 * i + 1];
    }
    return true;
}

static const struct rule_kind kind = {.parse = parse, .free = release, .match = match};

static bool pcre_open(struct map *m, struct buf *err)
{
    return rules_open(m, &kind, err);
}

const struct map_type map_type_pcre = {
    .name = "pcre", .pattern = true, .open = pcre_open, .lookup = rules_lookup, .close = rules_close};
