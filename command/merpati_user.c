/* merpati_user.c - merpati user add|passwd|del|list: the accounts of the first passwd-file in auth_passdb. The file is
 * changed under a lock, by a new file that is made durable and renamed over it. Passwords come from the terminal, asked
 * twice, or from standard input's first line; never from the command line. */
#include "command/merpati_user.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/lines.h"
#include "lib/sasl/passwd_file.h"
#include "lib/sasl/password.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define FILE_MAX ((size_t)256 << 20)
#define PASSWORD_MAX 1024

struct change {
    const char *user;
    const char *stored; /* new password; NULL: remove the user */
    const char *tail;   /* fields of a new user after the password */
    bool must_exist, must_be_new;
};

static int usage(void)
{
    fputs("usage: merpati user add NAME [uid=N] [gid=N] [home=DIR] [scheme=NAME]\n"
          "       merpati user passwd NAME [scheme=NAME]\n"
          "       merpati user del NAME\n"
          "       merpati user list\n",
          stderr);
    return 64;
}

/* The path of the passwd-file in the arena; NULL (told) when there is none. */
static const char *file_of(struct arena *a, struct conf *conf)
{
    BUF_AUTO err = BUF(1000);
    const char *value = conf_value(conf, "auth_passdb", &err);
    struct slice rest = slice_of(value ? value : ""), word;
    while (slice_token(&rest, ", \t\r\n", &word))
        if (slice_starts_fold(word, SLICE("passwd-file:")))
            return arena_strndup(a, word.p + 12, word.n - 12);
    log_error("%s: auth_passdb names no passwd-file:/path", conf_file(conf));
    return NULL;
}

static bool name_valid(const char *user)
{
    if (*user != '\0' && *user != '#' && *user != '-' && *user != '.' && strlen(user) < 320 &&
        strpbrk(user, ": \t\r\n/") == NULL && strstr(user, "..") == NULL)
        return true;
    log_error("not a user name: \"%s\"", user);
    return false;
}

static bool read_line(const char *prompt, char *line, size_t size)
{
    struct termios old, quiet;
    bool terminal = isatty(0) && tcgetattr(0, &old) == 0;
    if (terminal) {
        fputs(prompt, stderr);
        quiet = old;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(0, TCSAFLUSH, &quiet);
    }
    bool ok = fgets(line, (int)size, stdin) != NULL;
    if (terminal) {
        tcsetattr(0, TCSAFLUSH, &old);
        fputc('\n', stderr);
    }
    line[ok ? strcspn(line, "\r\n") : 0] = '\0';
    if (!ok || *line == '\0')
        log_error("no password given");
    return ok && *line != '\0';
}

static bool ask_password(char password[PASSWORD_MAX])
{
    char again[PASSWORD_MAX];
    if (!read_line("New password: ", password, PASSWORD_MAX))
        return false;
    if (!isatty(0))
        return true;
    bool same = read_line("Once more: ", again, PASSWORD_MAX) && strcmp(password, again) == 0;
    explicit_bzero(again, sizeof again);
    if (!same)
        log_error("the two passwords differ");
    return same;
}

/* Value of "name=..." among the arguments, or preset. */
static const char *option(int argc, char **argv, const char *name, const char *preset)
{
    size_t n = strlen(name);
    for (int i = 2; i < argc; i++)
        if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=')
            return argv[i] + n + 1;
    return preset;
}

static bool options_known(int argc, char **argv)
{
    for (int i = 2; i < argc; i++)
        if (strpbrk(argv[i], ":\n") != NULL ||
            (strncmp(argv[i], "uid=", 4) != 0 && strncmp(argv[i], "gid=", 4) != 0 &&
             strncmp(argv[i], "home=", 5) != 0 && strncmp(argv[i], "scheme=", 7) != 0))
            return false;
    return true;
}

/* The text with the change made. False (told) when the user is there or missing against the wish. */
static bool apply(struct slice text, const struct change *c, struct buf *out)
{
    struct slice line;
    bool found = false;
    while (passwd_next_line(&text, &line)) {
        struct slice rest = line;
        if (found || !slice_eq_fold(passwd_line_user(line), slice_of(c->user))) {
            buf_append_slice(out, line);
            buf_putc(out, '\n');
            continue;
        }
        found = true;
        if (c->stored == NULL)
            continue;
        for (int i = 0; i < 2; i++) { /* past user and password */
            ptrdiff_t colon = slice_find(rest, ':');
            size_t n = colon < 0 ? rest.n : (size_t)colon + 1;
            rest = slice_make(rest.p + n, rest.n - n);
        }
        buf_printf(out, "%s:%s:%.*s\n", c->user, c->stored, SLICE_ARG(rest));
    }
    if (!found && c->must_exist)
        log_error("no such user: %s", c->user);
    else if (found && c->must_be_new)
        log_error("user %s exists", c->user);
    else if (!found)
        buf_printf(out, "%s:%s:%s\n", c->user, c->stored, c->tail);
    return !(found ? c->must_be_new : c->must_exist) && !out->overflow;
}

/* A durable new file with mode and owner of the old one, in its place. */
static bool replace_file(const char *path, const struct stat *old, const struct buf *text)
{
    BUF_AUTO temp = BUF(5000);
    buf_printf(&temp, "%s.new", path);
    FD_AUTO fd = open(buf_cstr(&temp), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && (geteuid() != 0 || fchown(fd, old->st_uid, old->st_gid) == 0) &&
              fchmod(fd, old->st_mode & 0777) == 0;
    for (size_t done = 0; ok && done < text->len;) {
        ssize_t n = write(fd, text->data + done, text->len - done);
        ok = n > 0;
        done += ok ? (size_t)n : 0;
    }
    if (ok && fsync(fd) == 0 && rename(buf_cstr(&temp), path) == 0) {
        char *slash = strrchr(temp.data, '/');
        *slash = '\0';
        FD_AUTO folder = open(slash == temp.data ? "/" : temp.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return folder >= 0 && fsync(folder) == 0;
    }
    log_error("%s: %s", buf_cstr(&temp), strerror(errno));
    unlink(buf_cstr(&temp));
    return false;
}

/* The lock is the file's own: whoever gets it looks whether the file is still the one of that name. */
static int open_locked(const char *path, struct stat *st)
{
    for (;;) {
        struct stat now;
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
        if (fd < 0 || flock(fd, LOCK_EX) != 0 || fstat(fd, st) != 0) {
            log_error("%s: %s", path, strerror(errno));
            if (fd >= 0)
                close(fd);
            return -1;
        }
        if (stat(path, &now) == 0 && now.st_ino == st->st_ino && now.st_dev == st->st_dev)
            return fd;
        close(fd);
    }
}

static int change_file(const char *path, const struct change *c)
{
    struct stat st;
    BUF_AUTO old = BUF(FILE_MAX), text = BUF(FILE_MAX), err = BUF(1000);
    FD_AUTO lock = open_locked(path, &st);
    if (lock < 0)
        return 1;
    if (!lines_read_file(path, &old, &err)) {
        log_error("%s", buf_cstr(&err));
        return 1;
    }
    bool ok = apply(buf_slice(&old), c, &text) && replace_file(path, &st, &text);
    if (old.data != NULL)
        explicit_bzero(old.data, old.len);
    if (text.data != NULL)
        explicit_bzero(text.data, text.len);
    return ok ? 0 : 1;
}

static int set_password(const char *path, int argc, char **argv, bool add)
{
    char password[PASSWORD_MAX];
    BUF_AUTO stored = BUF(1000), tail = BUF(5000);
    if (!options_known(argc, argv))
        return usage();
    if (!name_valid(argv[1]) || !ask_password(password))
        return 1;
    bool made = password_make(option(argc, argv, "scheme", ""), password, &stored);
    explicit_bzero(password, sizeof password);
    if (!made) {
        log_error("unknown password scheme: %s", option(argc, argv, "scheme", ""));
        return 1;
    }
    buf_printf(&tail, "%s:%s::%s::", option(argc, argv, "uid", ""), option(argc, argv, "gid", ""),
               option(argc, argv, "home", ""));
    struct change c = {
        .user = argv[1], .stored = buf_cstr(&stored), .tail = buf_cstr(&tail), .must_be_new = add, .must_exist = !add};
    return change_file(path, &c);
}

static int list_users(const char *path)
{
    BUF_AUTO text = BUF(FILE_MAX), err = BUF(1000);
    if (!lines_read_file(path, &text, &err)) {
        log_error("%s", buf_cstr(&err));
        return 1;
    }
    struct slice rest = buf_slice(&text), line;
    while (passwd_next_line(&rest, &line)) {
        struct slice user = passwd_line_user(line);
        if (user.n > 0)
            printf("%.*s\n", SLICE_ARG(user));
    }
    explicit_bzero(text.data, text.len);
    return 0;
}

int merpati_user(struct conf *conf, int argc, char **argv)
{
    ARENA_AUTO a = arena_new();
    const char *verb = argc > 0 ? argv[0] : "";
    bool list = strcmp(verb, "list") == 0;
    if (argc < (list ? 1 : 2))
        return usage();
    const char *path = file_of(a, conf);
    if (path == NULL)
        return 1;
    if (list)
        return list_users(path);
    if (strcmp(verb, "add") == 0 || strcmp(verb, "passwd") == 0)
        return set_password(path, argc, argv, *verb == 'a');
    if (strcmp(verb, "del") != 0)
        return usage();
    struct change c = {.user = argv[1], .must_exist = true};
    return change_file(path, &c);
}
