/* cleanup_body.c - the lines of the body, one by one, when body_checks look at them; otherwise the body is not cut into
 * lines at all. */
#include "cleanup/cleanup.h"

struct body_state {
    int64_t seen; /* bytes shown to body_checks */
};

bool cleanup_body_wanted(struct cleanup *m, struct slice header)
{
    if (!(m->begin.flags & CLEANUP_FILTER) || maps_is_empty(cleanup_tables.body_checks))
        return false;
    m->body = ARENA_NEW(m->arena, struct body_state);
    return true;
}

static void take_line(struct cleanup *m, struct slice line)
{
    const char *replacement = NULL;
    struct slice text = line.n && line.p[line.n - 1] == '\n' ? slice_make(line.p, line.n - 1) : line;
    if (m->body->seen < cleanup_params.body_checks_size_limit && (m->begin.flags & CLEANUP_FILTER) && text.n) {
        m->body->seen += (int64_t)line.n;
        struct arena *a = m->arena;
        switch (cleanup_check(m, cleanup_tables.body_checks, "body", arena_slice(a, text), &replacement)) {
        case CHECK_KEEP:
            break;
        case CHECK_DROP:
            return;
        case CHECK_REPLACED:
            cleanup_put(m, slice_of(replacement));
            cleanup_put(m, SLICE("\n"));
            return;
        }
    }
    cleanup_put(m, line);
}

void cleanup_body(struct cleanup *m, struct slice data)
{
    while (data.n) {
        ptrdiff_t lf = slice_find(data, '\n');
        if (lf < 0) {
            buf_append_slice(&m->line, data);
            return;
        }
        struct slice line = slice_make(data.p, (size_t)lf + 1);
        data = slice_make(data.p + line.n, data.n - line.n);
        if (!m->line.len) {
            take_line(m, line);
            continue;
        }
        buf_append_slice(&m->line, line);
        take_line(m, buf_slice(&m->line));
        buf_reset(&m->line);
    }
}

void cleanup_body_end(struct cleanup *m)
{
    if (m->line.len)
        take_line(m, buf_slice(&m->line));
    buf_reset(&m->line);
}
