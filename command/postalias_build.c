/* postalias_build.c - see postalias_build.h. */
#include "command/postalias_build.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/conf/lines.h"

#include <ctype.h>
#include <errno.h>
#include <sys/stat.h>
#include <time.h>

#define SOURCE_MAX ((size_t)256 << 20)

/* The length of what stands before the first `stop` outside of quotes, brackets and comments. */
static size_t span(struct slice s, char stop)
{
    bool quoted = false;
    int comment = 0, bracket = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\\')
            i++;
        else if (c == '"' && comment == 0)
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (c == '(')
            comment++;
        else if (c == ')' && comment > 0)
            comment--;
        else if (c == '<')
            bracket++;
        else if (c == '>' && bracket > 0)
            bracket--;
        else if (c == stop && comment == 0 && bracket == 0)
            return i;
    }
    return s.n;
}

static void unquote(struct slice s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            continue;
        if (s.p[i] == '\\' && i + 1 < s.n)
            i++;
        buf_putc(out, s.p[i]);
    }
}

const char *postalias_parse(struct slice line, struct buf *name, struct buf *value)
{
    size_t n = span(line, ':');
    if (n == line.n)
        return "need name:value pair";
    unquote(slice_trim(slice_make(line.p, n)), name);
    if (name->len == 0)
        return "need name:value pair";
    if (slice_find(buf_slice(name), '@') >= 0)
        return "name must be local";
    for (struct slice rest = slice_make(line.p + n + 1, line.n - n - 1); rest.n > 0;) {
        n = span(rest, ',');
        struct slice item = slice_trim(slice_make(rest.p, n));
        if (item.n > 0)
            buf_printf(value, "%s%.*s", value->len ? ", " : "", SLICE_ARG(item));
        rest = n < rest.n ? slice_make(rest.p + n + 1, rest.n - n - 1) : slice_make("", 0);
    }
    return value->len > 0 ? NULL : "need name:value pair";
}

static bool put(struct map_builder *b, const struct alias_options *o, const char *key, const char *value,
                struct buf *err)
{
    if (o->replace)
        return map_builder_replace(b, key, value, err);
    int r = map_builder_add(b, key, value, err);
    if (r == 0 && !o->no_warn)
        log_warn("%s: duplicate entry: \"%s\"", map_builder_file(b), key);
    return r >= 0;
}

static bool add_line(struct map_builder *b, const struct alias_options *o, const char *file, int number,
                     struct slice line, struct buf *err)
{
    BUF_AUTO name = BUF(1 << 16);
    BUF_AUTO value = BUF((size_t)1 << 24);
    const char *wrong = isspace((unsigned char)*line.p) ? "logical line must not start with whitespace"
                                                        : postalias_parse(line, &name, &value);
    if (wrong) {
        log_warn("%s, line %d: %s", file, number, wrong);
        return true;
    }
    if (!o->no_fold)
        str_lower(name.data);
    return put(b, o, buf_cstr(&name), buf_cstr(&value), err);
}

static bool add_source(struct map_builder *b, const struct alias_options *o, const char *file, struct buf *err)
{
    BUF_AUTO text = BUF(SOURCE_MAX);
    BUF_AUTO line = BUF((size_t)1 << 24);
    struct lines in;
    int number;
    if (!lines_read_file(o->incremental ? "/dev/stdin" : file, &text, err))
        return false;
    lines_init(&in, buf_slice(&text));
    while (lines_next(&in, &line, &number, NULL))
        if (!add_line(b, o, file, number, buf_slice(&line), err))
            return false;
    return true;
}

/* What NIS clients of old looked for; other programs still do. */
static bool add_stamps(struct map_builder *b, struct conf *conf, struct buf *err)
{
    MEM_AUTO char *now = mem_printf("%010ld", (long)time(NULL));
    const char *host = conf_value(conf, "myhostname", NULL);
    return map_builder_replace(b, "YP_LAST_MODIFIED", now, err) &&
           map_builder_replace(b, "YP_MASTER_NAME", host ? host : "localhost", err) &&
           map_builder_replace(b, "@", "@", err);
}

char *postalias_title(struct conf *conf, const char *type_name)
{
    const char *type = conf_value(conf, "default_database_type", NULL);
    return strchr(type_name, ':') ? mem_strdup(type_name) : mem_printf("%s:%s", type ? type : "lmdb", type_name);
}

bool postalias_build_with(struct conf *conf, const char *type_name, const struct alias_options *o, struct buf *err)
{
    MEM_AUTO char *title = postalias_title(conf, type_name);
    const char *file = strchr(title, ':') + 1;
    struct stat st = {.st_mode = 0644};
    if (stat(file, &st) != 0 && !o->incremental) {
        buf_printf(err, "open %s: %s", file, strerror(errno));
        return false;
    }
    struct map_builder *b = map_builder_new(conf, title, st.st_mode & 0666, err);
    if (!b)
        return false;
    if (o->omit_nul)
        map_builder_omit_nul(b);
    map_builder_copy_owner(b, !o->keep_owner);
    if ((o->incremental && !map_builder_load(b, err)) || !add_source(b, o, file, err) || !add_stamps(b, conf, err)) {
        map_builder_abort(&b);
        return false;
    }
    return map_builder_commit(&b, err);
}

bool postalias_build(struct conf *conf, const char *type_name, struct buf *err)
{
    struct alias_options o = {0};
    return postalias_build_with(conf, type_name, &o, err);
}

bool postalias_build_all(struct conf *conf, struct buf *err)
{
    const char *list = conf_value(conf, "alias_database", err);
    struct slice rest = slice_of(list ? list : ""), item;
    bool ok = list != NULL;
    while (slice_token(&rest, " \t\r\n,", &item)) {
        BUF_AUTO why = BUF(1000);
        MEM_AUTO char *title = mem_strndup(item.p, item.n);
        if (postalias_build(conf, title, &why))
            continue;
        if (!ok)
            log_warn("%s", buf_cstr(&why));
        else
            buf_puts(err, buf_cstr(&why));
        ok = false;
    }
    return ok;
}
