/* Reading a Maildir folder and bringing the list of messages up to it: new/ alone, which is small, or cur/ too. A
 * message whose file was renamed while the folder was read can be missed by readdir, so a message counts as gone only
 * when a second look misses it too. */
#include "lib/base/hash.h"
#include "lib/store/mailbox_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

struct found {
    char *file; /* "cur/NAME" */
    char *base;
    bool known; /* it is in the list of messages */
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

static bool read_folders(struct mailbox *m, struct scan *s, bool all)
{
    /* new/ first: a message that moves on meanwhile is then seen in cur/. */
    s->by_base = hash_new();
    return read_folder(m, s, "new") && (!all || read_folder(m, s, "cur"));
}

static bool is_new(const struct mailbox_message *message)
{
    return memcmp(message->file, "new/", 4) == 0;
}

bool mailbox_has_new(const struct mailbox *m)
{
    for (size_t i = m->messages.n; i-- > 0;)
        if (is_new(&m->messages.items[i]))
            return true;
    return false;
}

static struct found *find(struct scan *s, const struct mailbox_message *message)
{
    struct maildir_name name;
    maildir_name_parse(slice_of(message->file + 4), &name);
    char base[NAME_MAX + 1];
    if (name.base.n >= sizeof base)
        return NULL;
    memcpy(base, name.base.p, name.base.n);
    base[name.base.n] = '\0';
    uintptr_t at = (uintptr_t)hash_get(s->by_base, base);
    return at ? &s->files.items[at - 1] : NULL;
}

static bool any_missing(struct mailbox *m, struct scan *s, bool all)
{
    for (size_t i = 0; i < m->messages.n; i++)
        if ((all || is_new(&m->messages.items[i])) && !find(s, &m->messages.items[i]))
            return true;
    return false;
}

static void update(struct mailbox *m, struct mailbox_message *message, struct found *f)
{
    struct maildir_name name;
    f->known = true;
    if (strcmp(message->file, f->file) == 0 && message->modseq != 0)
        return;
    free(message->file);
    message->file = f->file;
    f->file = NULL;
    maildir_name_parse(slice_of(message->file + 4), &name);
    message->flags = name.flags;
    message->keywords = name.keywords;
    if (message->size < 0)
        message->size = name.virtual_size;
    mailbox_note(m, message);
}

static void compare(struct mailbox *m, struct scan *s, bool all)
{
    VEC(uint32_t) missing = {0};
    for (size_t i = 0; i < m->messages.n; i++) {
        struct mailbox_message *message = &m->messages.items[i];
        if (!all && !is_new(message))
            continue;
        struct found *f = find(s, message);
        if (f && !f->known)
            update(m, message, f);
        else
            VEC_PUSH(&missing, message->uid);
    }
    mailbox_drop(m, missing.items, missing.n);
    VEC_FREE(&missing);
}

/* By the time in the name, then by the digits in the rest, as they were delivered. */
static int by_arrival(const void *a, const void *b)
{
    return strverscmp((*(struct found *const *)a)->base, (*(struct found *const *)b)->base);
}

static struct result add_fresh(struct mailbox *m, struct scan *s)
{
    VEC(struct found *) fresh = {0};
    for (size_t i = 0; i < s->files.n; i++)
        if (!s->files.items[i].known)
            VEC_PUSH(&fresh, &s->files.items[i]);
    if (fresh.n)
        qsort(fresh.items, fresh.n, sizeof *fresh.items, by_arrival);
    bool ok = true;
    for (size_t i = 0; i < fresh.n && ok; i++) {
        char *file = fresh.items[i]->file;
        fresh.items[i]->file = NULL;
        ok = mailbox_enter(m, file, false) != 0;
    }
    VEC_FREE(&fresh);
    return ok ? result_ok("2.0.0", "added") : result_try_again("4.3.0", "%s: no UIDs left", m->path);
}

/* new/NAME becomes cur/NAME:2, and the message is recent here. */
void mailbox_take_recent(struct mailbox *m)
{
    for (size_t i = 0; i < m->messages.n; i++) {
        struct mailbox_message *message = &m->messages.items[i];
        if (!is_new(message))
            continue;
        char *to = mem_printf("cur/%s%s", message->file + 4, strchr(message->file, ':') ? "" : ":2,");
        if (renameat(m->dir, message->file, m->dir, to) < 0) {
            free(to);
            continue;
        }
        free(message->file);
        message->file = to;
        message->recent = true;
        mailbox_note(m, message);
        m->touched_cur = m->touched_new = true;
    }
}

struct result mailbox_scan(struct mailbox *m, bool all)
{
    struct scan s = {0};
    bool ok = read_folders(m, &s, all);
    if (ok && any_missing(m, &s, all)) {
        forget(&s);
        ok = read_folders(m, &s, all);
    }
    struct result r = ok ? result_ok("2.0.0", "read") : mailbox_trouble(m, "read", errno);
    if (ok) {
        compare(m, &s, all);
        r = add_fresh(m, &s);
    }
    forget(&s);
    return r;
}
