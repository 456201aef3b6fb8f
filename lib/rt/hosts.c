/* hosts.c - /etc/hosts for a process that cannot open it: the file is opened at start and read again through its
 * descriptor when it was changed, looked at once a second at most. A file put in its place is seen after a reload. */
#include "lib/rt/hosts.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/vec.h"
#include "lib/rt/addr.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20 };

struct entry {
    char *name;
    struct sockaddr_storage addr;
};

static struct {
    int fd;
    VEC(struct entry) entries;
    int64_t next_look;
    struct timespec changed;
} hosts = {.fd = -1};

void hosts_open(const char *file)
{
    if (hosts.fd >= 0)
        close(hosts.fd);
    hosts.fd = open(file, O_RDONLY | O_CLOEXEC);
    hosts.next_look = 0;
    hosts.changed = (struct timespec){0};
}

static void forget(void)
{
    for (size_t i = 0; i < hosts.entries.n; i++)
        free(hosts.entries.items[i].name);
    hosts.entries.n = 0;
}

static void read_line(struct slice line)
{
    struct sockaddr_storage ss;
    socklen_t len;
    struct slice word;
    char address[ADDR_TEXT_MAX];
    ptrdiff_t comment = slice_find(line, '#');
    if (comment >= 0)
        line.n = (size_t)comment;
    if (!slice_token(&line, " \t\r", &word) || word.n >= sizeof address)
        return;
    memcpy(address, word.p, word.n);
    address[word.n] = '\0';
    if (!addr_parse(address, 0, &ss, &len))
        return;
    while (slice_token(&line, " \t\r", &word)) {
        struct entry e = {.name = mem_strndup(word.p, word.n), .addr = ss};
        VEC_PUSH(&hosts.entries, e);
    }
}

static void refresh(void)
{
    struct stat st;
    int64_t now = clock_mono();
    if (hosts.fd < 0 || now < hosts.next_look)
        return;
    hosts.next_look = now + NSEC_PER_SEC;
    if (fstat(hosts.fd, &st) != 0 || st.st_size > FILE_MAX ||
        (st.st_mtim.tv_sec == hosts.changed.tv_sec && st.st_mtim.tv_nsec == hosts.changed.tv_nsec))
        return;
    hosts.changed = st.st_mtim;
    MEM_AUTO char *text = mem_alloc((size_t)st.st_size + 1);
    ssize_t n = pread(hosts.fd, text, (size_t)st.st_size, 0);
    struct slice rest = slice_make(text, n > 0 ? (size_t)n : 0), line;
    forget();
    while (slice_token(&rest, "\n", &line))
        read_line(line);
}

size_t hosts_find(const char *name, void (*found)(void *ctx, const struct sockaddr *sa), void *ctx)
{
    size_t n = 0;
    refresh();
    for (size_t i = 0; i < hosts.entries.n; i++) {
        if (str_eq_fold(hosts.entries.items[i].name, name)) {
            found(ctx, (const struct sockaddr *)&hosts.entries.items[i].addr);
            n++;
        }
    }
    return n;
}

const char *hosts_name_of(const struct sockaddr *sa)
{
    refresh();
    for (size_t i = 0; i < hosts.entries.n; i++)
        if (addr_equal((const struct sockaddr *)&hosts.entries.items[i].addr, sa))
            return hosts.entries.items[i].name;
    return NULL;
}
