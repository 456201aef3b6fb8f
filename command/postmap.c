/* postmap.c - compiles and asks look-up tables.
 *
 * DESCRIPTION
 * The postmap(1) command makes a compiled table of a text file, or asks, lists and changes one. Tables of the types
 * hash, btree and lmdb are stored as FILE.lmdb; the new file takes the place of the old one at once, and daemons notice
 * it by themselves within a second. */
#include "command/postalias_build.h"
#include "command/table_command.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"
#include "lib/conf/lines.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOURCE_MAX ((size_t)1 << 30)

struct options {
    const char *dir, *query, *delete;
    bool incremental, list, replace, no_warn, keep_owner, omit_nul;
    unsigned flags;
};

static void usage(void)
{
    log_fatal("usage: postmap [-fiNnoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file...");
}

static void add(struct map_builder *b, const struct options *o, char *key, const char *value)
{
    BUF_AUTO err = BUF(1000);
    if (!(o->flags & MAP_NO_FOLD))
        str_lower(key);
    int r = map_builder_add(b, key, value, &err);
    if (r == 0 && o->replace)
        r = map_builder_replace(b, key, value, &err) ? 1 : -1;
    if (r < 0)
        log_fatal("%s", buf_cstr(&err));
    if (r == 0 && !o->no_warn)
        log_warn("%s: duplicate entry: \"%s\"", map_builder_file(b), key);
}

static void add_line(struct map_builder *b, const struct options *o, const char *file, int number, const char *line)
{
    MEM_AUTO char *copy = mem_strdup(line);
    char *key, *value;
    if (isspace((unsigned char)*line)) {
        log_warn("%s, line %d: logical line must not start with whitespace", file, number);
        return;
    }
    if (!map_source_line(copy, &key, &value)) {
        log_warn("%s, line %d: expected format: key whitespace value", file, number);
        return;
    }
    if (key[strlen(key) - 1] == ':')
        log_warn("%s, line %d: record is in \"key: value\" format; is this an alias file?", file, number);
    add(b, o, key, value);
}

static void build(const struct table_command *t, const struct options *o, const char *name)
{
    BUF_AUTO err = BUF(2000);
    BUF_AUTO text = BUF(SOURCE_MAX);
    BUF_AUTO line = BUF((size_t)1 << 24);
    MEM_AUTO char *title = postalias_title(t->conf, name);
    const char *file = strchr(title, ':') + 1;
    struct stat st = {.st_mode = 0644};
    struct lines in;
    int number;
    if (stat(file, &st) != 0 && !o->incremental)
        log_fatal("open %s: %s", file, strerror(errno));
    struct map_builder *b = map_builder_new(t->conf, title, st.st_mode & 0666, &err);
    if (!b || (o->incremental && !map_builder_load(b, &err)))
        log_fatal("%s", buf_cstr(&err));
    if (o->omit_nul)
        map_builder_omit_nul(b);
    map_builder_copy_owner(b, !o->keep_owner);
    if (!lines_read_file(o->incremental ? "/dev/stdin" : file, &text, &err))
        log_fatal("%s", buf_cstr(&err));
    lines_init(&in, buf_slice(&text));
    while (lines_next(&in, &line, &number, NULL))
        add_line(b, o, file, number, buf_cstr(&line));
    if (!map_builder_commit(&b, &err))
        log_fatal("%s", buf_cstr(&err));
}

static void parse_options(int argc, char **argv, struct options *o)
{
    for (int c; (c = getopt(argc, argv, "c:d:fiNnopq:rsuUvw")) != -1;) {
        switch (c) {
        case 'c':
            o->dir = optarg;
            break;
        case 'd':
            o->delete = optarg;
            break;
        case 'f':
            o->flags |= MAP_NO_FOLD;
            break;
        case 'i':
            o->incremental = true;
            break;
        case 'n':
            o->omit_nul = true;
            break;
        case 'p':
            o->keep_owner = true;
            break;
        case 'q':
            o->query = optarg;
            break;
        case 'r':
            o->replace = true;
            break;
        case 's':
            o->list = true;
            break;
        case 'w':
            o->no_warn = true;
            break;
        case 'N':
        case 'o':
        case 'u':
        case 'U':
        case 'v':
            break; /* what is done anyway */
        default:
            usage();
        }
    }
    if ((o->query != NULL) + (o->delete != NULL) + o->list > 1)
        log_fatal("specify only one of -q -s -d");
}

int main(int argc, char **argv)
{
    struct options o = {0};
    log_open("postmap", LOG_SINK_STDERR, 2);
    parse_options(argc, argv, &o);
    if (optind == argc)
        usage();
    struct table_command t = {.conf = table_command_conf(o.dir), .flags = o.flags, .mark = ""};
    bool ok = !o.query && !o.delete;
    if (o.query && strcmp(o.query, "-") == 0) {
        ok = table_command_query_stdin(&t, argv + optind, argc - optind);
    } else if (o.delete) {
        for (int i = optind; i < argc; i++)
            ok |= table_command_delete(&t, argv[i], o.delete);
    } else {
        for (int i = optind; i < argc && !(o.query && ok); i++) {
            if (o.query)
                ok = table_command_query(&t, argv[i], o.query);
            else if (o.list)
                table_command_list(&t, argv[i]);
            else
                build(&t, &o, argv[i]);
        }
    }
    conf_free(&t.conf);
    return ok && fflush(stdout) == 0 ? 0 : 1;
}
