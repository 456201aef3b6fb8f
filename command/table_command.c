/* table_command.c - see table_command.h. */
#include "command/table_command.h"
#include "command/postalias_build.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"

#include <stdio.h>
#include <sys/stat.h>

struct conf *table_command_conf(const char *dir)
{
    BUF_AUTO err = BUF(2000);
    struct conf *c = conf_load(dir, &err);
    if (!c)
        log_fatal("%s", buf_cstr(&err));
    return c;
}

static struct map *open_table(const struct table_command *t, const char *name)
{
    BUF_AUTO err = BUF(2000);
    MEM_AUTO char *title = postalias_title(t->conf, name);
    struct map *m = map_open_flags(t->conf, title, t->flags, &err);
    if (!m)
        log_fatal("%s", buf_cstr(&err));
    return m;
}

static bool ask(struct map *m, const char *key, struct buf *value)
{
    enum map_status s = map_lookup(m, key, value);
    if (s == MAP_TRY_AGAIN)
        log_fatal("table %s: query error: %s", map_title(m), buf_cstr(value));
    if (s == MAP_FOUND && value->len == 0)
        log_warn("table %s: key %s: empty string result is not allowed", map_title(m), key);
    return s == MAP_FOUND;
}

bool table_command_query(const struct table_command *t, const char *title, const char *key)
{
    BUF_AUTO value = BUF(BUF_MAX_DEFAULT);
    struct map *m = open_table(t, title);
    bool found = ask(m, key, &value);
    if (found)
        puts(buf_cstr(&value));
    map_close(&m);
    return found;
}

static bool read_key(struct buf *key)
{
    int c;
    buf_reset(key);
    while ((c = getchar()) != EOF && c != '\n')
        buf_putc(key, (char)c);
    return c != EOF || key->len > 0;
}

bool table_command_query_stdin(const struct table_command *t, char *const *titles, int n)
{
    BUF_AUTO key = BUF(1 << 20);
    struct map **maps = mem_alloc((size_t)(n + 1) * sizeof *maps);
    bool any = false;
    for (int i = 0; i < n; i++)
        maps[i] = open_table(t, titles[i]);
    while (read_key(&key))
        for (int i = 0; i < n; i++) {
            BUF_AUTO value = BUF(BUF_MAX_DEFAULT);
            if (!ask(maps[i], buf_cstr(&key), &value))
                continue;
            printf("%s%s\t%s\n", buf_cstr(&key), t->mark, buf_cstr(&value));
            any = true;
            break;
        }
    for (int i = 0; i < n; i++)
        map_close(&maps[i]);
    free(maps);
    return any;
}

static size_t remove_keys(const struct table_command *t, struct map_builder *b, const char *key)
{
    BUF_AUTO line = BUF(1 << 20);
    size_t n = 0;
    bool all = strcmp(key, "-") == 0;
    if (!all)
        buf_puts(&line, key);
    while (all ? read_key(&line) : n == 0) {
        if (!(t->flags & MAP_NO_FOLD) && line.len > 0)
            str_lower(line.data);
        n += map_builder_remove(b, buf_cstr(&line));
        if (!all)
            break;
    }
    return n;
}

bool table_command_delete(const struct table_command *t, const char *name, const char *key)
{
    BUF_AUTO err = BUF(2000);
    MEM_AUTO char *title = postalias_title(t->conf, name);
    struct stat st = {.st_mode = 0644};
    struct map *present = open_table(t, name); /* it has to be there */
    map_close(&present);
    struct map_builder *b = map_builder_new(t->conf, title, 0644, &err);
    if (!b)
        log_fatal("%s", buf_cstr(&err));
    if (stat(map_builder_file(b), &st) == 0) {
        map_builder_abort(&b);
        b = map_builder_new(t->conf, title, st.st_mode & 0666, &err);
    }
    if (!b || !map_builder_load(b, &err))
        log_fatal("%s", buf_cstr(&err));
    size_t n = remove_keys(t, b, key);
    if (n == 0)
        map_builder_abort(&b);
    else if (!map_builder_commit(&b, &err))
        log_fatal("%s", buf_cstr(&err));
    return n > 0;
}

/* As it would stand in a table's source. */
static void print_key(const char *key)
{
    if (!strpbrk(key, " \t\"")) {
        fputs(key, stdout);
        return;
    }
    putchar('"');
    for (; *key; key++)
        printf(*key == '"' || *key == '\\' ? "\\%c" : "%c", *key);
    putchar('"');
}

static bool print_entry(void *ctx, const char *key, const char *value)
{
    const struct table_command *t = ctx;
    if (*t->mark)
        fputs(key, stdout);
    else
        print_key(key);
    return printf("%s\t%s\n", t->mark, value) > 0;
}

void table_command_list(const struct table_command *t, const char *title)
{
    BUF_AUTO err = BUF(2000);
    struct map *m = open_table(t, title);
    if (!map_each(m, print_entry, (void *)t, &err))
        log_fatal("%s", buf_cstr(&err));
    map_close(&m);
}
