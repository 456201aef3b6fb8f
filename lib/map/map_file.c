/* map_file.c - watching and reading the file behind a table. */
#include "lib/map/map_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define TABLE_TEXT_MAX ((size_t)256 << 20)

static void (*denied)(void);

void map_on_denied(void (*fn)(void))
{
    denied = fn;
}

void map_file_denied(int error)
{
    if ((error == EACCES || error == EPERM) && denied)
        denied();
}

bool map_file_init(struct map_file *f, const char *path)
{
    f->path = mem_strdup(path);
    char *slash = strrchr(f->path, '/');
    f->base = slash ? slash + 1 : f->path;
    if (!slash) {
        f->dirfd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    } else {
        MEM_AUTO char *dir = mem_strndup(path, slash == f->path ? 1 : (size_t)(slash - f->path));
        f->dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    f->next_look = clock_mono() + NSEC_PER_SEC;
    return f->dirfd >= 0 && fstatat(f->dirfd, f->base, &f->seen, 0) == 0;
}

void map_file_fini(struct map_file *f)
{
    free(f->path);
    f->path = NULL;
    if (f->dirfd >= 0)
        close(f->dirfd);
    f->dirfd = -1;
}

bool map_file_changed(struct map_file *f)
{
    int64_t now = clock_mono();
    struct stat st;
    if (now < f->next_look)
        return false;
    f->next_look = now + NSEC_PER_SEC;
    if (f->dirfd < 0 || fstatat(f->dirfd, f->base, &st, 0) != 0)
        return false; /* gone for the moment: what was read stays good */
    bool same = st.st_ino == f->seen.st_ino && st.st_dev == f->seen.st_dev && st.st_size == f->seen.st_size &&
                st.st_mtim.tv_sec == f->seen.st_mtim.tv_sec && st.st_mtim.tv_nsec == f->seen.st_mtim.tv_nsec;
    f->seen = st;
    return !same;
}

int map_file_open(struct map_file *f)
{
    return f->dirfd < 0 ? open(f->path, O_RDONLY | O_CLOEXEC) : openat(f->dirfd, f->base, O_RDONLY | O_CLOEXEC);
}

bool map_file_read(struct map_file *f, struct buf *out, struct buf *err)
{
    FD_AUTO fd = map_file_open(f);
    if (fd < 0) {
        int error = errno;
        map_file_denied(error);
        errno = error;
    }
    out->max = TABLE_TEXT_MAX;
    ssize_t n = -1;
    while (fd >= 0 && !out->overflow) {
        char chunk[65536];
        n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        buf_append(out, chunk, (size_t)n);
    }
    if (n == 0)
        return true;
    buf_printf(err, "%s %s: %s", fd < 0 ? "open" : "read", f->path, out->overflow ? "file too large" : strerror(errno));
    return false;
}
