/* backend_passwd_file.c - a passwd-file (lib/sasl/passwd_file.h), kept in memory and read again when it changes, which
 * is looked for at most once a second. */
#include "auth/auth.h"
#include "lib/base/clock.h"
#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/rt/fiber.h"
#include "lib/sasl/passwd_file.h"
#include "lib/sasl/password.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)256 << 20)

struct table {
    char *text; /* NULL: never read */
    size_t size;
    struct hash *users; /* user to struct slice * within text */
    struct slice *lines;
    struct stat st;
    int64_t looked;
    bool broken;
};

static void forget(struct table *t)
{
    hash_free(&t->users, NULL);
    free(t->lines);
    t->lines = NULL;
    if (t->text != NULL)
        explicit_bzero(t->text, t->size);
    free(t->text);
    t->text = NULL;
}

static bool read_text(int fd, size_t size, char *text)
{
    size_t got = 0;
    ssize_t n;
    while (got < size && ((n = pread(fd, text + got, size - got, (off_t)got)) > 0 || (n < 0 && errno == EINTR)))
        got += n > 0 ? (size_t)n : 0;
    return got == size;
}

static void index_lines(struct table *t)
{
    struct slice rest = {t->text, t->size}, line;
    size_t count = 0;
    while (passwd_next_line(&rest, &line))
        count++;
    t->lines = mem_alloc((count + 1) * sizeof *t->lines);
    t->users = hash_new();
    rest = (struct slice){t->text, t->size};
    for (size_t i = 0; passwd_next_line(&rest, &line); i++) {
        struct slice user = passwd_line_user(line);
        if (user.n == 0 || memchr(user.p, '\0', user.n) != NULL)
            continue;
        MEM_AUTO char *name = mem_strndup(user.p, user.n);
        str_lower(name);
        t->lines[i] = line;
        if (hash_get(t->users, name) == NULL) /* the first one counts */
            hash_put(t->users, name, &t->lines[i]);
    }
}

/* Makes the table fresh; false (logged once) when it cannot be read. */
static bool refresh(struct backend *b)
{
    struct table *t = b->data;
    int64_t now = clock_mono();
    if (t->looked != 0 && now - t->looked < NSEC_PER_SEC)
        return !t->broken;
    t->looked = now;
    FD_AUTO fd = open(b->argument, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size > FILE_MAX) {
        if (!t->broken)
            log_error("passwd-file %s: %s", b->argument, fd < 0 ? strerror(errno) : "not a file that can be used");
        t->broken = true;
        return false;
    }
    bool same = t->text != NULL && st.st_ino == t->st.st_ino && st.st_size == t->st.st_size &&
                memcmp(&st.st_mtim, &t->st.st_mtim, sizeof st.st_mtim) == 0;
    if (same && !t->broken)
        return true;
    forget(t);
    t->text = mem_alloc((size_t)st.st_size + 1);
    t->size = (size_t)st.st_size;
    t->st = st;
    t->broken = !read_text(fd, t->size, t->text);
    index_lines(t);
    return !t->broken;
}

static bool open_table(struct backend *b, const char *argument, struct buf *err)
{
    if (*argument != '/') {
        buf_puts(err, "passwd-file needs an absolute path");
        return false;
    }
    b->data = MEM_NEW(struct table);
    refresh(b);
    return true; /* it may appear later */
}

static enum backend_status entry_of(struct backend *b, struct arena *a, const char *user, struct passwd_entry *e)
{
    if (!refresh(b))
        return BACKEND_TRY_AGAIN;
    struct slice *line = hash_get(((struct table *)b->data)->users, user);
    return line != NULL && passwd_line_parse(a, *line, e) ? BACKEND_OK : BACKEND_UNKNOWN;
}

struct check {
    const char *stored, *password;
    enum password_status status;
};
static void run_check(void *arg)
{
    struct check *c = arg;
    c->status = password_check(c->stored, c->password);
}

static enum backend_status check(struct backend *b, const char *user, const char *password, const char *client)
{
    ARENA_AUTO a = arena_new();
    struct passwd_entry e;
    enum backend_status st = entry_of(b, a, user, &e);
    if (st != BACKEND_OK)
        return st;
    struct check c = {.stored = e.password, .password = password};
    if (e.nopassword)
        c.status = PASSWORD_MATCH;
    else if (password_in_clear(e.password) != NULL)
        run_check(&c);
    else
        thread_run(run_check, &c);
    if (c.status == PASSWORD_UNSUPPORTED)
        log_error("passwd-file %s: the password of user %s has an unknown or broken form", b->argument, e.user);
    explicit_bzero((char *)e.password, strlen(e.password));
    if (c.status == PASSWORD_MATCH && e.nologin)
        return BACKEND_REFUSED;
    return c.status == PASSWORD_MATCH ? BACKEND_OK : BACKEND_MISMATCH;
}

static enum backend_status find(struct backend *b, struct arena *a, const char *user, struct backend_user *out)
{
    struct passwd_entry e;
    enum backend_status st = entry_of(b, a, user, &e);
    if (st == BACKEND_OK) {
        *out = (struct backend_user){.home = e.home, .mail = e.mail, .uid = e.uid, .gid = e.gid};
        explicit_bzero((char *)e.password, strlen(e.password));
    }
    return st;
}

const struct backend_kind backend_passwd_file = {"passwd-file", open_table, check, find};
