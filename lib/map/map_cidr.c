/* map_cidr.c - cidr tables: "192.0.2.0/24 result" (cidr_table(5)). */
#include "lib/map/map_rules.h"

#include <ctype.h>
#include <stdlib.h>

static void *parse(char **text, int *groups, struct buf *err)
{
    size_t n = 0;
    while ((*text)[n] && !isspace((unsigned char)(*text)[n]))
        n++;
    struct cidr *c = MEM_NEW(struct cidr);
    const char *wrong = cidr_parse(slice_make(*text, n), c);
    if (wrong) {
        buf_printf(err, "%s: \"%.*s\"", wrong, (int)n, *text);
        free(c);
        return NULL;
    }
    *groups = -1;
    *text += n;
    return c;
}

/* What is no address matches no pattern, and for "!" neither: then -1 stays as family 0 and every rule misses. */
static bool match(void *pattern, struct rule_subject *s, const char *where)
{
    if (s->address.family < 0)
        cidr_parse_address(slice_make(s->text, s->n), &s->address);
    return cidr_contains(pattern, &s->address);
}

static const struct rule_kind kind = {.parse = parse, .free = free, .match = match};

static bool cidr_open(struct map *m, struct buf *err)
{
    return rules_open(m, &kind, err);
}

static enum map_status cidr_lookup(struct map *m, const char *key, struct buf *out)
{
    struct cidr_address a;
    return cidr_parse_address(slice_of(key), &a) ? rules_lookup(m, key, out) : MAP_NOT_FOUND;
}

const struct map_type map_type_cidr = {
    .name = "cidr", .pattern = true, .open = cidr_open, .lookup = cidr_lookup, .close = rules_close};
