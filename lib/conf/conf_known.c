/* conf_known.c - which names exist: the tables of the programs that are linked in, the common one, and the list of all
 * Postfix names (known.def). An unknown name in main.cf is never a failure: it may belong to a newer release. */
#include "lib/conf/common.h"
#include "lib/conf/conf.h"
#include "lib/conf/conf_private.h"

#include <stdlib.h>

struct known {
    const char *name;
    enum param_type type;
    const char *preset;
};

#define KIND_STR PARAM_T_STR
#define KIND_RAW PARAM_T_RAW
#define KIND_INT PARAM_T_INT
#define KIND_TIME PARAM_T_TIME
#define KIND_BOOL PARAM_T_BOOL

static const struct known known[] = {
#define KNOWN(name, kind, preset) {name, KIND_##kind, preset},
#include "lib/conf/known.def"
#undef KNOWN
};
static const struct known known_transport[] = {
#define KNOWN_TRANSPORT(suffix, kind, preset) {suffix, KIND_##kind, preset},
#include "lib/conf/known.def"
#undef KNOWN_TRANSPORT
};
#define COUNT(table) (sizeof(table) / sizeof *(table))

/* Filled while the program starts, read-only after. */
#define TABLES_MAX 64
static struct {
    const struct param *table;
    size_t n;
} tables[TABLES_MAX];
static size_t n_tables;

void conf_register(const struct param *table, size_t n)
{
    for (size_t i = 0; i < n_tables; i++)
        if (tables[i].table == table)
            return;
    if (n_tables == TABLES_MAX)
        return;
    tables[n_tables].table = table;
    tables[n_tables++].n = n;
}

static const struct param *find_param(const struct param *table, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

const struct param *conf_param(const char *name)
{
    const struct param *p = NULL;
    for (size_t i = 0; i < n_tables && !p; i++)
        p = find_param(tables[i].table, tables[i].n, name);
    return p ? p : find_param(common_param_table, common_param_count, name);
}

static int compare_known(const void *key, const void *item)
{
    return strcmp(key, ((const struct known *)item)->name);
}

static const struct known *find_known(const char *name)
{
    return bsearch(name, known, COUNT(known), sizeof *known, compare_known);
}

const char *conf_preset(const char *name)
{
    const struct param *p = conf_param(name);
    if (p)
        return p->preset;
    const struct known *k = find_known(name);
    return k ? k->preset : NULL;
}

bool conf_is_template(const char *name)
{
    const struct param *p = conf_param(name);
    const struct known *k = p ? NULL : find_known(name);
    return p ? p->type == PARAM_T_RAW : k && k->type == PARAM_T_RAW;
}

const char *conf_default(const char *name)
{
    return conf_preset(name);
}

bool conf_is_known(const char *name)
{
    return conf_preset(name) != NULL;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

size_t conf_known_names(struct arena *a, const char ***names)
{
    size_t cap = COUNT(known) + common_param_count, n = 0, unique = 0;
    for (size_t i = 0; i < n_tables; i++)
        cap += tables[i].n;
    const char **all = ARENA_ARRAY(a, const char *, cap + 1);
    for (size_t i = 0; i < COUNT(known); i++)
        all[n++] = known[i].name;
    for (size_t i = 0; i < common_param_count; i++)
        all[n++] = common_param_table[i].name;
    for (size_t t = 0; t < n_tables; t++)
        for (size_t i = 0; i < tables[t].n; i++)
            all[n++] = tables[t].table[i].name;
    qsort(all, n, sizeof *all, compare_names);
    for (size_t i = 0; i < n; i++)
        if (unique == 0 || strcmp(all[unique - 1], all[i]) != 0)
            all[unique++] = all[i];
    all[unique] = NULL;
    *names = all;
    return unique;
}

const char *conf_transport_suffix(size_t i, const char **preset)
{
    if (i >= COUNT(known_transport))
        return NULL;
    if (preset)
        *preset = known_transport[i].preset;
    return known_transport[i].name;
}

/* Levenshtein distance, given up at `limit`. Names are short. */
static unsigned distance(const char *a, const char *b, unsigned limit)
{
    unsigned row[128], i = 0;
    size_t nb = strlen(b), na = strlen(a);
    if (nb >= COUNT(row) || na >= COUNT(row) || na > nb + limit || nb > na + limit)
        return limit;
    for (unsigned j = 0; j <= nb; j++)
        row[j] = j;
    for (i = 1; i <= na; i++) {
        unsigned diagonal = row[0], best = i;
        row[0] = i;
        for (unsigned j = 1; j <= nb; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            unsigned step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < step ? change : step;
            best = row[j] < best ? row[j] : best;
        }
        if (best >= limit)
            return limit;
    }
    return row[nb] < limit ? row[nb] : limit;
}

static void nearer(const char *name, const char *candidate, const char **best, unsigned *limit)
{
    unsigned d = distance(name, candidate, *limit);
    if (d < *limit) {
        *limit = d;
        *best = candidate;
    }
}

const char *conf_nearest_name(const char *name)
{
    const char *best = NULL;
    unsigned limit = strlen(name) < 8 ? 3 : 4;
    for (size_t t = 0; t < n_tables; t++)
        for (size_t i = 0; i < tables[t].n; i++)
            nearer(name, tables[t].table[i].name, &best, &limit);
    for (size_t i = 0; i < common_param_count; i++)
        nearer(name, common_param_table[i].name, &best, &limit);
    for (size_t i = 0; i < COUNT(known); i++)
        nearer(name, known[i].name, &best, &limit);
    return best;
}
