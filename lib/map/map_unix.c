/* map_unix.c - unix:passwd.byname and unix:group.byname. What the system answers is kept for a few seconds: every
 * recipient of local mail is asked for here. A daemon in a chroot cannot ask the system; it reads /etc/passwd or
 * /etc/group through the folder that was opened before. */
#include "lib/map/map_private.h"
#include "lib/rt/fiber.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KEEP_SECONDS 5
#define KEEP_MAX 4096

struct unix_table {
    bool group;
    struct map_file file; /* for a chroot */
    struct hash *seen;    /* name to its line; "" for none */
    int64_t forget_at;
};

struct question {
    bool group;
    struct map_file *file;
    const char *key;
    struct buf answer;
    int error;
};

static void answer_passwd(struct question *q, const struct passwd *pw)
{
    buf_printf(&q->answer, "%s:%s:%ld:%ld:%s:%s:%s", pw->pw_name, pw->pw_passwd, (long)pw->pw_uid, (long)pw->pw_gid,
               pw->pw_gecos, pw->pw_dir, pw->pw_shell);
}

static void answer_group(struct question *q, const struct group *gr)
{
    buf_printf(&q->answer, "%s:%s:%ld:", gr->gr_name, gr->gr_passwd, (long)gr->gr_gid);
    for (char **m = gr->gr_mem; *m; m++)
        buf_printf(&q->answer, "%s%s", m == gr->gr_mem ? "" : ",", *m);
}

static void read_users(struct question *q, FILE *f, char *space, size_t size)
{
    struct passwd pw, *at;
    while ((q->error = fgetpwent_r(f, &pw, space, size, &at)) == 0)
        if (strcmp(pw.pw_name, q->key) == 0) {
            answer_passwd(q, &pw);
            return;
        }
}

static void read_groups(struct question *q, FILE *f, char *space, size_t size)
{
    struct group gr, *at;
    while ((q->error = fgetgrent_r(f, &gr, space, size, &at)) == 0)
        if (strcmp(gr.gr_name, q->key) == 0) {
            answer_group(q, &gr);
            return;
        }
}

static void ask_file(struct question *q)
{
    int fd = map_file_open(q->file);
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!f) {
        q->error = errno == ENOENT ? EIO : errno;
        if (fd >= 0)
            close(fd);
        return;
    }
    enum { LINE_MOST = 1 << 20 };
    MEM_AUTO char *space = mem_alloc(LINE_MOST);
    q->group ? read_groups(q, f, space, LINE_MOST) : read_users(q, f, space, LINE_MOST);
    fclose(f);
}

static void ask_system(void *arg)
{
    struct question *q = arg;
    if (access(q->file->path, F_OK) != 0) {
        ask_file(q);
        return;
    }
    for (size_t size = 4096; size <= (size_t)1 << 22; size *= 4) {
        MEM_AUTO char *space = mem_alloc(size);
        struct passwd pw, *found_pw = NULL;
        struct group gr, *found_gr = NULL;
        q->error = q->group ? getgrnam_r(q->key, &gr, space, size, &found_gr)
                            : getpwnam_r(q->key, &pw, space, size, &found_pw);
        if (q->error == ERANGE)
            continue;
        if (found_pw)
            answer_passwd(q, found_pw);
        if (found_gr)
            answer_group(q, found_gr);
        return;
    }
}

static bool unix_open(struct map *m, struct buf *err)
{
    struct unix_table *t = MEM_NEW(struct unix_table);
    m->state = t;
    t->seen = hash_new();
    t->group = strcmp(m->name, "group.byname") == 0;
    map_file_init(&t->file, t->group ? "/etc/group" : "/etc/passwd");
    if (t->group || strcmp(m->name, "passwd.byname") == 0)
        return true;
    buf_printf(err, "%s: expected unix:passwd.byname or unix:group.byname", m->title);
    return false;
}

static void forget_all(struct unix_table *t)
{
    hash_free(&t->seen, free);
    t->seen = hash_new();
    t->forget_at = clock_mono() + KEEP_SECONDS * NSEC_PER_SEC;
}

static enum map_status tell(const char *line, struct buf *out)
{
    if (!*line)
        return MAP_NOT_FOUND;
    buf_puts(out, line);
    return MAP_FOUND;
}

/* getpwnam's ways of saying "no such user". */
static bool means_none(int error)
{
    return error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
}

static enum map_status unix_lookup(struct map *m, const char *key, struct buf *out)
{
    struct unix_table *t = m->state;
    if (clock_mono() >= t->forget_at || hash_count(t->seen) >= KEEP_MAX)
        forget_all(t);
    const char *line = hash_get(t->seen, key);
    if (line)
        return tell(line, out);
    MEM_AUTO char *copy = mem_strdup(key);
    struct question q = {.group = t->group, .file = &t->file, .key = copy, .answer = BUF((size_t)1 << 20)};
    thread_run(ask_system, &q);
    if (!means_none(q.error)) {
        buf_fini(&q.answer);
        return map_fail(m, out, "look-up failed: %s", strerror(q.error));
    }
    enum map_status s = tell(buf_cstr(&q.answer), out);
    free(hash_put(t->seen, key, buf_steal(&q.answer)));
    return s;
}

static void unix_close(struct map *m)
{
    struct unix_table *t = m->state;
    hash_free(&t->seen, free);
    map_file_fini(&t->file);
    free(t);
}

const struct map_type map_type_unix = {
    .name = "unix", .folds = true, .open = unix_open, .lookup = unix_lookup, .close = unix_close};
