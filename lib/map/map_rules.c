/* map_rules.c - see map_rules.h. */
#include "lib/map/map_rules.h"
#include "lib/base/log.h"
#include "lib/conf/lines.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum rule_action { RULE_RESULT, RULE_IF, RULE_ENDIF };

struct rule {
    enum rule_action action;
    bool negate;
    void *pattern;
    char *result;
    size_t endif; /* RULE_IF: where it ends */
    bool substitutes;
    char where[24]; /* "line 3" */
};

struct rules {
    const struct rule_kind *kind;
    VEC(struct rule) list;
};

struct reading {
    struct map *map;
    struct rules *rules;
    VEC(size_t) open_ifs;
};

static void rule_fini(const struct rule_kind *kind, struct rule *r)
{
    if (r->pattern)
        kind->free(r->pattern);
    free(r->result);
}

static void rules_free(struct rules *rs)
{
    if (!rs)
        return;
    for (size_t i = 0; i < rs->list.n; i++)
        rule_fini(rs->kind, &rs->list.items[i]);
    VEC_FREE(&rs->list);
    free(rs);
}

static void skip_blanks(char **p)
{
    while (isspace((unsigned char)**p))
        ++*p;
}

static bool take_word(char **p, const char *word)
{
    size_t n = strlen(word);
    if (strncasecmp(*p, word, n) != 0 || isalnum((unsigned char)(*p)[n]))
        return false;
    *p += n;
    return true;
}

/* The number after '$' at p: "1", "{1}", "(1)"; -1 when it is none. *n: its length. */
static int group_number(const char *p, size_t *n)
{
    char close = *p == '{' ? '}' : *p == '(' ? ')' : '\0';
    const char *d = close ? p + 1 : p;
    int v = 0;
    if (!isdigit((unsigned char)*d))
        return -1;
    for (; isdigit((unsigned char)*d) && v < 1000; d++)
        v = v * 10 + (*d - '0');
    if (close && *d++ != close)
        return -1;
    *n = (size_t)(d - p);
    return v;
}

/* Checks the $N of a result when the file is read, so that a slip shows at once. */
static bool check_result(struct rule *r, int groups, struct buf *err)
{
    for (const char *p = r->result; groups >= 0 && (p = strchr(p, '$')); p++) {
        size_t n = 1;
        if (p[1] == '$') {
            r->substitutes = true;
            p++;
            continue;
        }
        int v = group_number(p + 1, &n);
        if (v < 0) {
            buf_puts(err, "a '$' in the result must be $number or $$");
            return false;
        }
        if (v > groups || v >= RULE_GROUPS || r->negate) {
            buf_printf(err, r->negate ? "$%d is of no use with a negated pattern" : "the pattern has no group for $%d",
                       v);
            return false;
        }
        r->substitutes = true;
        p += n - 1;
    }
    return true;
}

static bool parse_match(const struct rule_kind *kind, struct rule *r, char *p, struct buf *err)
{
    int groups = -1;
    for (; *p == '!'; p++)
        r->negate = !r->negate;
    skip_blanks(&p);
    r->pattern = kind->parse(&p, &groups, err);
    if (!r->pattern)
        return false;
    if (*p && !isspace((unsigned char)*p)) {
        buf_printf(err, "unexpected text after the pattern: \"%.40s\"", p);
        return false;
    }
    skip_blanks(&p);
    if (r->action == RULE_IF) {
        if (!*p)
            return true;
        buf_puts(err, "text after the pattern of an \"if\"");
        return false;
    }
    r->result = mem_strdup(p);
    return check_result(r, groups, err);
}

static void close_if(struct reading *in, struct rule *r)
{
    if (in->open_ifs.n == 0) {
        log_warn("%s, %s: endif without an if; ignoring it", in->map->title, r->where);
        return;
    }
    size_t at = in->open_ifs.items[--in->open_ifs.n];
    in->rules->list.items[at].endif = in->rules->list.n;
}

/* An "if" that cannot be read still counts, and never holds: else what it guards would apply to everyone. */
static void add_line(struct reading *in, char *line, int number)
{
    BUF_AUTO err = BUF(500);
    struct rule r = {0};
    char *p = line;
    snprintf(r.where, sizeof r.where, "line %d", number);
    skip_blanks(&p);
    if (take_word(&p, "endif")) {
        close_if(in, &r);
        return;
    }
    if (take_word(&p, "if")) {
        r.action = RULE_IF;
        skip_blanks(&p);
    }
    bool ok = parse_match(in->rules->kind, &r, p, &err);
    if (!ok)
        log_warn("%s map %s, %s: %s; skipping this rule", in->map->type->name, in->map->name, r.where, buf_cstr(&err));
    if (ok && r.action == RULE_RESULT && !*r.result)
        log_warn("%s map %s, %s: no result text: using an empty one", in->map->type->name, in->map->name, r.where);
    if (!ok) {
        rule_fini(in->rules->kind, &r);
        r.pattern = r.result = NULL;
        if (r.action != RULE_IF)
            return;
    }
    if (r.action == RULE_IF)
        VEC_PUSH(&in->open_ifs, in->rules->list.n);
    VEC_PUSH(&in->rules->list, r);
}

static void read_text(struct reading *in, struct slice text)
{
    BUF_AUTO line = BUF((size_t)1 << 20);
    struct lines l;
    int number;
    lines_init(&l, text);
    while (lines_next(&l, &line, &number, NULL)) {
        if (line.overflow)
            log_warn("%s, line %d: line too long; skipping it", in->map->title, number);
        else
            add_line(in, line.data, number);
    }
}

/* "{ {rule}, {rule} }" in place of a file name. */
static void read_inline(struct reading *in, struct slice text)
{
    struct slice item;
    for (int number = 1; map_next_item(&text, &item); number++) {
        map_strip_braces(&item);
        MEM_AUTO char *line = mem_strndup(item.p, item.n);
        add_line(in, line, number);
    }
}

static struct rules *read_rules(struct map *m, const struct rule_kind *kind, struct buf *err)
{
    struct reading in = {.map = m, .rules = MEM_NEW(struct rules)};
    struct slice text = slice_of(m->name);
    BUF_AUTO content = BUF(0);
    in.rules->kind = kind;
    if (map_strip_braces(&text)) {
        read_inline(&in, text);
    } else if (map_file_read(&m->file, &content, err)) {
        read_text(&in, buf_slice(&content));
    } else {
        rules_free(in.rules);
        return NULL;
    }
    for (size_t i = 0; i < in.open_ifs.n; i++) {
        struct rule *r = &in.rules->list.items[in.open_ifs.items[i]];
        log_warn("%s, %s: if without an endif", m->title, r->where);
        r->endif = in.rules->list.n;
    }
    VEC_FREE(&in.open_ifs);
    return in.rules;
}

bool rules_open(struct map *m, const struct rule_kind *kind, struct buf *err)
{
    struct slice text = slice_of(m->name);
    if (*m->name != '{') {
        map_file_init(&m->file, m->name);
    } else if (!map_strip_braces(&text)) {
        buf_printf(err, "%s: no closing brace at the end", m->title);
        return false;
    }
    m->state = read_rules(m, kind, err);
    return m->state != NULL;
}

void rules_close(struct map *m)
{
    rules_free(m->state);
}

static void append_result(const struct rule *r, const struct rule_subject *s, struct buf *out)
{
    const char *p = r->result, *dollar;
    while (r->substitutes && (dollar = strchr(p, '$'))) {
        size_t n = 1;
        buf_append(out, p, (size_t)(dollar - p));
        int v = dollar[1] == '$' ? -1 : group_number(dollar + 1, &n);
        if (v < 0)
            buf_putc(out, '$');
        else if ((size_t)v < s->groups && s->group[v][0] != (size_t)-1)
            buf_append(out, s->text + s->group[v][0], s->group[v][1] - s->group[v][0]);
        p = dollar + 1 + n;
    }
    buf_puts(out, p);
}

static void reload(struct map *m)
{
    BUF_AUTO err = BUF(1000);
    struct rules *old = m->state, *fresh = read_rules(m, old->kind, &err);
    if (!fresh) {
        log_warn("%s: %s; keeping the old content", m->title, buf_cstr(&err));
        return;
    }
    rules_free(old);
    m->state = fresh;
}

enum map_status rules_lookup(struct map *m, const char *key, struct buf *out)
{
    if (m->file.path && map_file_changed(&m->file))
        reload(m);
    struct rules *rs = m->state;
    struct rule_subject s;
    s.text = key;
    s.n = strlen(key);
    s.groups = 0;
    s.address.family = -1; /* not looked at yet */
    for (size_t i = 0; i < rs->list.n; i++) {
        struct rule *r = &rs->list.items[i];
        bool hit = r->pattern && rs->kind->match(r->pattern, &s, m->title) != r->negate;
        if (r->action == RULE_IF) {
            if (!hit)
                i = r->endif - 1;
        } else if (hit) {
            append_result(r, &s, out);
            return MAP_FOUND;
        }
    }
    return MAP_NOT_FOUND;
}
