/* postconf.c - shows and changes main.cf and master.cf.
 *
 * DESCRIPTION
 * The postconf(1) command shows parameters as they are set, their defaults, or the services of master.cf, and changes
 * them in place. The output is that of Postfix 3.7, so that scripts and configuration management tools work unchanged.
 */
#include "command/postconf.h"
#include "command/all_params.h"
#include "lib/base/log.h"
#include "lib/map/map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void usage(void)
{
    log_fatal("usage: postconf [-a (server SASL types)] [-c config_dir] [-C param_class] [-d (parameter defaults)] "
              "[-e (edit configuration)] [-f (fold lines)] [-F (master.cf fields)] [-h (no names)] [-H (no values)] "
              "[-l (lock types)] [-m (map types)] [-M (master.cf)] [-n (non-default parameters)] [-o name=value "
              "(override parameter value)] [-p (main.cf, default)] [-P (master.cf parameters)] [-q (no warnings)] [-v "
              "(verbose)] [-x (expand parameter values)] [-X (exclude)] [-# (comment-out)] [name...]");
}

void postconf_fold(const struct postconf *p, const char *text, size_t used, struct buf *out)
{
    struct slice rest = slice_of(text), word;
    bool first = true; /* a blank stands in front of it already */
    while (slice_token(&rest, " \t\r\n", &word)) {
        if (p->fold && used + !first + word.n > 80) {
            if (first && out->len > 0)
                buf_truncate(out, out->len - 1);
            buf_puts(out, "\n    ");
            used = 4;
        } else if (!first) {
            buf_putc(out, ' ');
            used++;
        }
        buf_append_slice(out, word);
        used += word.n;
        first = false;
    }
}

void postconf_publish(const char *path, struct buf *text)
{
    char temporary[4200];
    struct stat st;
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if (stat(path, &st) != 0)
        log_fatal("open %s: %s", path, strerror(errno));
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok = fd >= 0 && write(fd, buf_cstr(text), text->len) == (ssize_t)text->len;
    ok = ok && (geteuid() != 0 || fchown(fd, st.st_uid, st.st_gid) == 0) && fchmod(fd, st.st_mode & 07777) == 0;
    ok = ok && fsync(fd) == 0 && rename(temporary, path) == 0;
    if (!ok) {
        int saved = errno;
        unlink(temporary);
        log_fatal("write %s: %s", temporary, strerror(saved));
    }
    close(fd);
}

static unsigned parse_classes(const char *text)
{
    static const struct {
        const char *name;
        unsigned bits;
    } known[] = {{"builtin", CLASS_BUILTIN}, {"service", CLASS_SERVICE}, {"user", CLASS_USER}, {"all", CLASS_ALL}};
    struct slice rest = slice_of(text), word;
    unsigned bits = 0;
    while (slice_token(&rest, " ,", &word)) {
        unsigned found = 0;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (slice_eq_fold(word, slice_of(known[i].name)))
                found = known[i].bits;
        if (!found)
            log_fatal("unknown -C option value \"%.*s\" in \"%s\"", SLICE_ARG(word), text);
        bits |= found;
    }
    return bits;
}

static void load(struct postconf *p, char mode)
{
    BUF_AUTO err = BUF(2000);
    bool named = p->dir || getenv("MAIL_CONFIG");
    p->dir = p->dir ? p->dir : conf_default_dir();
    snprintf(p->main_cf, sizeof p->main_cf, "%s/main.cf", p->dir);
    snprintf(p->master_cf, sizeof p->master_cf, "%s/master.cf", p->dir);
    p->arena = arena_new();
    p->conf = p->defaults ? conf_parse(MERPATI_CONFIG_DIR, SLICE(""), &err) : conf_load(p->dir, &err);
    if (!p->conf)
        log_fatal("%s", buf_cstr(&err));
    if (named && !p->defaults && strcmp(p->dir, MERPATI_CONFIG_DIR) != 0)
        conf_override(p->conf, arena_printf(p->arena, "config_directory=%s", p->dir), &err);
    buf_reset(&err);
    p->services = master_cf_read(p->arena, p->master_cf, false, &err);
    p->services_error = arena_strdup(p->arena, buf_cstr(&err));
    for (size_t i = 0; (mode == 'p' || p->services) && !p->quiet && conf_warning(p->conf, i); i++)
        log_warn("%s", conf_warning(p->conf, i));
}

static void print_lines(const char *const *lines)
{
    for (; *lines; lines++)
        puts(*lines);
}

static bool any_assignment(char **args, int n)
{
    for (int i = 0; i < n; i++)
        if (strchr(args[i], '='))
            return true;
    return false;
}

static void work(struct postconf *p, char mode, char **args, int n)
{
    static const char *const locks[] = {"flock", "fcntl", "dotlock", NULL};
    static const char *const sasl[] = {"dovecot", NULL};
    if (mode == 'm')
        print_lines(map_types());
    else if (mode == 'l')
        print_lines(locks);
    else if (mode == 'a')
        print_lines(sasl);
    else if (p->edit && mode == 'p')
        postconf_main_edit(p, args, n);
    else if (p->edit)
        postconf_master_edit(p, mode, args, n);
    else if (mode == 'p')
        postconf_main_print(p, args, n);
    else
        postconf_master_print(p, mode, args, n);
}

/* -o is for after the file was read. */
struct overrides {
    VEC(char *) list;
};

static char parse_options(int argc, char **argv, struct postconf *p, struct overrides *o)
{
    char mode = 'p';
    for (int c; (c = getopt(argc, argv, "ac:C:deEfFhHlmMno:pPqvxX#")) != -1;) {
        switch (c) {
        case 'a':
        case 'F':
        case 'l':
        case 'm':
        case 'M':
        case 'p':
        case 'P':
            mode = (char)c;
            break;
        case 'c':
            p->dir = optarg;
            break;
        case 'C':
            p->classes = parse_classes(optarg);
            break;
        case 'd':
            p->defaults = true;
            break;
        case 'e':
        case 'E':
            p->edit = EDIT_SET;
            break;
        case 'f':
            p->fold = true;
            break;
        case 'h':
            p->no_names = true;
            break;
        case 'H':
            p->no_values = true;
            break;
        case 'n':
            p->only_set = true;
            break;
        case 'o':
            VEC_PUSH(&o->list, optarg);
            break;
        case 'q':
            p->quiet = true;
            break;
        case 'v':
            break;
        case 'x':
            p->expand = true;
            break;
        case 'X':
            p->edit = EDIT_REMOVE;
            break;
        case '#':
            p->edit = EDIT_COMMENT;
            break;
        default:
            usage();
        }
    }
    return mode;
}

int main(int argc, char **argv)
{
    struct postconf p = {.classes = CLASS_ALL};
    struct overrides o = {0};
    BUF_AUTO err = BUF(1000);
    log_open("postconf", LOG_SINK_STDERR, 2);
    all_params_register();
    char mode = parse_options(argc, argv, &p, &o);
    if (p.defaults && (p.edit || p.only_set || strchr("MFP", mode)))
        log_fatal("-d cannot be combined with -e -X -# -n -M -F -P");
    if (mode == 'M' && p.no_names)
        log_fatal("with option -M, do not specify -h");
    if (!p.edit && !p.defaults && strchr("pMFP", mode) && any_assignment(argv + optind, argc - optind))
        p.edit = EDIT_SET;
    if (!p.edit && strchr("pMFP", mode))
        load(&p, mode);
    if (p.edit) {
        p.dir = p.dir ? p.dir : conf_default_dir();
        snprintf(p.main_cf, sizeof p.main_cf, "%s/main.cf", p.dir);
        snprintf(p.master_cf, sizeof p.master_cf, "%s/master.cf", p.dir);
        p.arena = arena_new();
    }
    for (size_t i = 0; p.conf && i < o.list.n; i++)
        if (!conf_override(p.conf, o.list.items[i], &err))
            log_fatal("%s", buf_cstr(&err));
    work(&p, mode, argv + optind, argc - optind);
    fflush(stdout);
    if (!p.edit && p.conf && !p.defaults && !p.quiet) {
        postconf_warn_undefined(&p);
        if (mode == 'p')
            postconf_main_warn(&p);
        else
            postconf_master_warn(&p);
    }
    VEC_FREE(&o.list);
    conf_free(&p.conf);
    arena_free(&p.arena);
    return ferror(stdout) ? 1 : 0;
}
