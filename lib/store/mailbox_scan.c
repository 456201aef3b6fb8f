/* Reading a Maildir folder and bringing the UID list up to it. A message whose file was renamed while the folder was
 * read can be missed by readdir, so a message counts as gone only when a second look misses it too. */
#include "lib/base/hash.h"
#include "lib/store/mailbox_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct found {
    char *file; /* "cur/NAME" */
    char *base;
    bool known; /* it is in the UID list */
};
struct scan {
    VEC(struct found) files;
    struct hash *by_base; /* value: index + 1 */
};

static void forget(struct scan *s)
{
    for (size_t i = 0; i < s->files.n; i++) {
        free(s->files.items[i].file);
        free(s->files.items[i].base);
    }
    VEC_FREE(&s->files);
    hash_free(&s->by_base, NULL);
}

static void note_file(struct scan *s, const char *folder, const char *name)
{
    struct maildir_name parsed;
    maildir_name_parse(slice_of(name), &parsed);
    if (name[0] == '.' || parsed.base.n == 0 || strchr(name, '\n'))
        return;
    char *base = mem_strndup(parsed.base.p, parsed.base.n);
    if (hash_get(s->by_base, base)) {
        free(base);
        return;
    }
    struct found f = {.file = mem_printf("%s/%s", folder, name), .base = base};
    VEC_PUSH(&s->files, f);
    hash_put(s->by_base, base, (void *)(uintptr_t)s->files.n);
}

static bool read_folder(struct mailbox *m, struct scan *s, const char *folder)
{
    int fd = openat(m->dir, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    struct dirent *e;
    errno = 0;
    while ((e = readdir(d)))
        note_file(s, folder, e->d_name);
    bool ok = errno == 0;
    int error = errno;
    closedir(d);
    errno = error;
    return ok;
}

static bool read_folders(struct mailbox *m, struct scan *s)
{
    /* new/ first: a message that moves on meanwhile is then seen in cur/. */
    s->by_base = hash_new();
    return read_folder(m, s, "new") && read_folder(m, s, "cur");
}

static struct found *find(struct scan *s, const char *base)
{
    uintptr_t at = (uintptr_t)hash_get(s->by_base, base);
    return at ? &s->files.items[at - 1] : NULL;
}

static bool any_missing(struct mailbox *m, struct scan *s)
{
    for (size_t i = 0; i < m->list.entries.n; i++)
        if (!find(s, m->list.entries.items[i].base))
            return true;
    return false;
}

static bool drop_missing(struct mailbox *m, struct scan *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->list.entries.n; i++) {
        struct uidlist_entry e = m->list.entries.items[i];
        struct found *f = find(s, e.base);
        if (f && !f->known) {
            f->known = true;
            m->list.entries.items[kept++] = e;
        } else {
            free(e.base);
            free(e.fields);
        }
    }
    bool dropped = kept < m->list.entries.n;
    m->list.entries.n = kept;
    return dropped;
}

/* By the time in the name, then by the digits in the rest, as they were delivered. */
static int by_arrival(const void *a, const void *b)
{
    return strverscmp(((const struct found *)a)->base, ((const struct found *)b)->base);
}

static struct result add_new(struct mailbox *m, struct scan *s, bool *added)
{
    VEC(struct found) fresh = {0};
    for (size_t i = 0; i < s->files.n; i++)
        if (!s->files.items[i].known)
            VEC_PUSH(&fresh, s->files.items[i]);
    *added = fresh.n > 0;
    if (fresh.n)
        qsort(fresh.items, fresh.n, sizeof *fresh.items, by_arrival);
    bool ok = true;
    for (size_t i = 0; i < fresh.n && ok; i++)
        ok = uidlist_add(&m->list, slice_of(fresh.items[i].base)) != 0;
    VEC_FREE(&fresh);
    return ok ? result_ok("2.0.0", "added") : result_try_again("4.3.0", "%s: no UIDs left", m->path);
}

/* new/NAME becomes cur/NAME:2, and the message is recent here. */
static bool take_from_new(struct mailbox *m, struct found *f)
{
    if (strncmp(f->file, "new/", 4) != 0)
        return false;
    char *to = mem_printf("cur/%s%s", f->file + 4, strchr(f->file, ':') ? "" : ":2,");
    if (renameat(m->dir, f->file, m->dir, to) < 0) {
        free(to);
        return false;
    }
    free(f->file);
    f->file = to;
    return true;
}

static void fill_messages(struct mailbox *m, struct scan *s, bool take_recent)
{
    struct mailbox old = {.messages = {m->messages.items, m->messages.n, m->messages.cap}};
    m->messages.items = NULL;
    m->messages.n = m->messages.cap = 0;
    for (size_t i = 0; i < m->list.entries.n; i++) {
        const struct uidlist_entry *e = &m->list.entries.items[i];
        struct found *f = find(s, e->base);
        if (!f)
            continue;
        const struct mailbox_message *before = mailbox_find(&old, e->uid);
        bool recent = (take_recent && take_from_new(m, f)) || (before && before->recent);
        struct maildir_name n;
        maildir_name_parse(slice_of(f->file + 4), &n);
        struct mailbox_message message = {e->uid, n.flags, n.keywords, recent, f->file};
        f->file = NULL;
        VEC_PUSH(&m->messages, message);
    }
    mailbox_forget_messages(&old);
}

struct result mailbox_scan(struct mailbox *m, bool take_recent)
{
    struct scan s = {0};
    bool added = false, dropped = false;
    bool ok = read_folders(m, &s);
    if (ok && any_missing(m, &s)) {
        forget(&s);
        ok = read_folders(m, &s);
    }
    struct result r = ok ? result_ok("2.0.0", "read") : mailbox_trouble(m, "read", errno);
    if (ok) {
        dropped = drop_missing(m, &s);
        r = add_new(m, &s, &added);
    }
    if (result_is_ok(&r) && (added || dropped))
        r = mailbox_save_list(m);
    if (result_is_ok(&r))
        fill_messages(m, &s, take_recent);
    else
        m->list_inode = 0; /* what is in memory is not what is on disk: read it again */
    forget(&s);
    return r;
}
