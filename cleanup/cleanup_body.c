/* cleanup_body.c - the body, when somebody looks at its lines: the headers of its parts, and body_checks. Otherwise it
 * is not cut into lines at all. */
#include "cleanup/cleanup.h"

struct body_state {
    int64_t seen;      /* bytes of this part's text that were shown to body_checks */
    struct mime *mime; /* NULL: no parts */
    struct buf *field; /* a header field of a part whose end has not come yet */
};

static bool checks_body(const struct cleanup *m)
{
    return (m->begin.flags & CLEANUP_FILTER) && !maps_is_empty(cleanup_tables.body_checks);
}

bool cleanup_body_wanted(struct cleanup *m, struct slice header)
{
    struct mime *mime = cleanup_mime_new(m, header);
    if (!mime && !checks_body(m))
        return false;
    m->body = ARENA_NEW(m->arena, struct body_state);
    m->body->mime = mime;
    m->body->field = &m->header;
    return true;
}

/* A piece of text; line_end: what ends it, or nothing where the line goes on. */
static void put_text(struct cleanup *m, struct slice text, struct slice line_end)
{
    const char *replacement = NULL;
    struct body_state *b = m->body;
    bool check = checks_body(m) && b->seen < cleanup_params.body_checks_size_limit && text.n;
    b->seen += (int64_t)(text.n + line_end.n);
    if (check) {
        switch (cleanup_check(m, cleanup_tables.body_checks, "body", arena_slice(m->arena, text), &replacement)) {
        case CHECK_KEEP:
            break;
        case CHECK_DROP:
            return;
        case CHECK_REPLACED:
            text = slice_of(replacement);
            break;
        }
    }
    cleanup_put(m, text);
    cleanup_put(m, line_end);
}

/* The field is whole. */
static void put_field(struct cleanup *m)
{
    struct body_state *b = m->body;
    struct slice rest = buf_slice(b->field);
    struct header_field f;
    if (b->field->len == 0)
        return;
    if (header_next(&rest, &f) == 1) {
        cleanup_mime_field(b->mime, &f);
        cleanup_put_field(m, cleanup_mime_place(b->mime), cleanup_field_text(m, &f));
    }
    buf_reset(b->field);
}

/* True when the line is of a header. */
static bool take_header_line(struct cleanup *m, struct slice line)
{
    struct body_state *b = m->body;
    if (b->field->len && line.n && (*line.p == ' ' || *line.p == '\t')) {
        buf_append_slice(b->field, line);
        buf_putc(b->field, '\n');
        return true;
    }
    put_field(m);
    switch (cleanup_mime_line(b->mime, line)) {
    case MIME_HEADER:
        buf_append_slice(b->field, line);
        buf_putc(b->field, '\n');
        return true;
    case MIME_HEADER_END:
        b->seen = 0;
        return false;
    default:
        return false;
    }
}

static void take_line(struct cleanup *m, struct slice line)
{
    size_t most = (size_t)daemon_env->common.line_length_limit;
    bool whole = line.n && line.p[line.n - 1] == '\n';
    struct slice text = slice_make(line.p, line.n - whole);
    if (m->body->mime && take_header_line(m, text))
        return;
    for (; text.n > most; text = slice_make(text.p + most, text.n - most))
        put_text(m, slice_make(text.p, most), SLICE(""));
    put_text(m, text, whole ? SLICE("\n") : SLICE(""));
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
    if (m->body->mime)
        put_field(m);
}
