/* lines.c - see lines.h. */
#include "lib/conf/lines.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

void lines_init(struct lines *l, struct slice text)
{
    l->rest = text;
    l->line = 0;
}

static struct slice peek_line(const struct lines *l)
{
    ptrdiff_t nl = slice_find(l->rest, '\n');
    return slice_make(l->rest.p, nl < 0 ? l->rest.n : (size_t)nl);
}

static void skip_line(struct lines *l, struct slice line)
{
    size_t n = line.n < l->rest.n ? line.n + 1 : line.n;
    l->rest.p += n;
    l->rest.n -= n;
    l->line++;
}

static bool is_ignored(struct slice line)
{
    for (size_t i = 0; i < line.n; i++)
        if (!is_space(line.p[i]))
            return line.p[i] == '#';
    return true;
}

bool lines_next(struct lines *l, struct buf *out, int *first, int *last)
{
    bool any = false;
    buf_reset(out);
    while (l->rest.n > 0) {
        struct slice line = peek_line(l);
        if (is_ignored(line)) {
            skip_line(l, line);
            continue;
        }
        if (any && !is_space(line.p[0]))
            break;
        skip_line(l, line);
        if (!any && first)
            *first = l->line;
        if (last)
            *last = l->line;
        any = true;
        buf_append_slice(out, line);
    }
    while (out->len > 0 && is_space(out->data[out->len - 1]))
        buf_truncate(out, out->len - 1);
    return any;
}

bool lines_read_file(const char *path, struct buf *out, struct buf *err)
{
    FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        buf_printf(err, "open %s: %s", path, strerror(errno));
        return false;
    }
    for (;;) {
        char chunk[16384];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            buf_printf(err, "read %s: %s", path, strerror(errno));
            return false;
        }
        buf_append(out, chunk, (size_t)n);
    }
    if (out->overflow)
        buf_printf(err, "%s: larger than %zu bytes", path, out->max);
    return !out->overflow;
}
