/* watch.c - see watch.h. Each watched directory has one kernel watch and a list of handles; each handle has an eventfd,
 * so that a session can wait for its client and its mailbox at once. */
#include "lib/store/watch.h"

#include "lib/base/hash.h"
#include "lib/base/list.h"
#include "lib/base/mem.h"
#include "lib/rt/fiber.h"

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { FOLDERS = 2 };
static const char *const folders[FOLDERS] = {"new", "cur"};

struct directory {
    int wd;
    struct list handles; /* struct place */
};

struct place {
    struct list link;
    struct directory *directory;
    struct watch_handle *handle;
};

struct watch_handle {
    int event;
    bool taken; /* the caller closes it */
    struct place places[FOLDERS];
};

static struct {
    int fd;
    pid_t pid;                /* whose descriptor it is: a forked process makes its own */
    struct hash *directories; /* by kernel watch */
} inotify = {.fd = -1};

static struct directory *directory_of(int wd)
{
    char key[20];
    snprintf(key, sizeof key, "%d", wd);
    return hash_get(inotify.directories, key);
}

static void tell(struct directory *d)
{
    LIST_EACH (l, &d->handles)
        eventfd_write(LIST_ENTRY(l, struct place, link)->handle->event, 1);
}

static void read_events(void *arg)
{
    struct io io;
    io_init(&io, inotify.fd);
    for (;;) {
        char events[4096] __attribute__((aligned(8)));
        io_attempt(&io, IO_READ);
        ssize_t n = read(inotify.fd, events, sizeof events);
        if (n < 0 && errno == EAGAIN && io_wait(&io, IO_READ, DEADLINE_NEVER) != WAIT_OK)
            break;
        for (char *p = events; n > 0 && p < events + n;) {
            struct inotify_event *e = (struct inotify_event *)(void *)p;
            struct directory *d = directory_of(e->wd);
            if (d)
                tell(d);
            p += sizeof *e + e->len;
        }
    }
    io_fini(&io);
}

static bool open_inotify(void)
{
    if (inotify.fd >= 0 && inotify.pid == getpid())
        return true;
    inotify.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    inotify.pid = getpid();
    if (inotify.fd < 0)
        return false;
    inotify.directories = hash_new();
    fiber_start("inotify", read_events, NULL);
    return true;
}

static bool add_place(struct watch_handle *w, int i, const char *path)
{
    MEM_AUTO char *name = mem_printf("%s/%s", path, folders[i]);
    int wd = inotify_add_watch(inotify.fd, name, IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO);
    if (wd < 0)
        return false;
    struct directory *d = directory_of(wd);
    if (!d) {
        char key[20];
        d = MEM_NEW(struct directory);
        d->wd = wd;
        list_init(&d->handles);
        snprintf(key, sizeof key, "%d", wd);
        hash_put(inotify.directories, key, d);
    }
    w->places[i].directory = d;
    w->places[i].handle = w;
    list_append(&d->handles, &w->places[i].link);
    return true;
}

struct watch_handle *watch_start(const char *path)
{
    if (!open_inotify())
        return NULL;
    struct watch_handle *w = MEM_NEW(struct watch_handle);
    w->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    for (int i = 0; i < FOLDERS; i++)
        list_init(&w->places[i].link);
    bool ok = w->event >= 0;
    for (int i = 0; i < FOLDERS && ok; i++)
        ok = add_place(w, i, path);
    if (!ok)
        watch_stop(&w);
    return w;
}

int watch_take_fd(struct watch_handle *w)
{
    w->taken = true;
    return w->event;
}

void watch_clear(struct watch_handle *w)
{
    eventfd_t count;
    eventfd_read(w->event, &count);
}

void watch_stop(struct watch_handle **wp)
{
    struct watch_handle *w = *wp;
    if (!w)
        return;
    for (int i = 0; i < FOLDERS; i++) {
        struct directory *d = w->places[i].directory;
        list_remove(&w->places[i].link);
        if (!d || !list_empty(&d->handles))
            continue;
        char key[20];
        inotify_rm_watch(inotify.fd, d->wd);
        snprintf(key, sizeof key, "%d", d->wd);
        hash_remove(inotify.directories, key);
        free(d);
    }
    if (w->event >= 0 && !w->taken)
        close(w->event);
    free(w);
    *wp = NULL;
}
