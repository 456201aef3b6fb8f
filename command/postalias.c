/* postalias.c - compiles and asks alias databases. Under the name newaliases it rebuilds all of $alias_database.
 *
 * DESCRIPTION
 * The postalias(1) command makes a compiled database of an alias file (aliases(5)), or asks, lists and changes one. */
#include "command/postalias_build.h"
#include "command/table_command.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/conf.h"

#include <stdio.h>
#include <unistd.h>

struct options {
    const char *dir, *query, *delete;
    bool list;
    unsigned flags;
    struct alias_options build;
};

static void usage(void)
{
    log_fatal("usage: postalias [-fiNnoprsuvw] [-c config_dir] [-d key] [-q key] [map_type:]file...");
}

static void parse_options(int argc, char **argv, struct options *o)
{
    for (int c; (c = getopt(argc, argv, "c:d:fiNnopq:rsuvw")) != -1;) {
        switch (c) {
        case 'c':
            o->dir = optarg;
            break;
        case 'd':
            o->delete = optarg;
            break;
        case 'f':
            o->flags |= MAP_NO_FOLD;
            o->build.no_fold = true;
            break;
        case 'i':
            o->build.incremental = true;
            break;
        case 'n':
            o->build.omit_nul = true;
            break;
        case 'p':
            o->build.keep_owner = true;
            break;
        case 'q':
            o->query = optarg;
            break;
        case 'r':
            o->build.replace = true;
            break;
        case 's':
            o->list = true;
            break;
        case 'w':
            o->build.no_warn = true;
            break;
        case 'N':
        case 'o':
        case 'u':
        case 'v':
            break; /* what is done anyway */
        default:
            usage();
        }
    }
    if ((o->query != NULL) + (o->delete != NULL) + o->list > 1)
        log_fatal("specify only one of -q -s -d");
}

static void build(const struct table_command *t, const struct options *o, const char *name)
{
    BUF_AUTO err = BUF(2000);
    if (!postalias_build_with(t->conf, name, &o->build, &err))
        log_fatal("%s", buf_cstr(&err));
}

static int rebuild_all(const char *dir)
{
    BUF_AUTO err = BUF(2000);
    struct conf *c = table_command_conf(dir);
    if (!postalias_build_all(c, &err))
        log_fatal("%s", buf_cstr(&err));
    conf_free(&c);
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = {0};
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    bool newaliases = strcmp(name, "newaliases") == 0;
    log_open(newaliases ? "newaliases" : "postalias", LOG_SINK_STDERR, 2);
    parse_options(argc, argv, &o);
    if (newaliases)
        return rebuild_all(o.dir);
    if (optind == argc)
        usage();
    struct table_command t = {.conf = table_command_conf(o.dir), .flags = o.flags, .mark = ":"};
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
