/* cleanup_content.c - the content as it comes in pieces: header first, then the body. */
#include "cleanup/cleanup.h"

#include "lib/base/log.h"

/* A "header" without an end is text: past this it is taken as it is. */
#define HEADER_MOST ((size_t)1 << 20)

bool cleanup_put(struct cleanup *m, struct slice text)
{
    if (cleanup_failed(m) || text.n == 0)
        return !cleanup_failed(m);
    m->last_byte = text.p[text.n - 1];
    if (queue_writer_content(m->writer, text.p, text.n))
        return true;
    /* Too big, or the disk: the commit knows which, but there is no use in taking more. */
    return false;
}

/* Where the header ends in the buffer: behind the empty line, or before a line that is no header. 0: not yet. */
static size_t header_end(const struct buf *b)
{
    struct slice rest = buf_slice(b);
    if (rest.n && rest.p[0] == '\n')
        return 1;
    const char *end = memmem(rest.p, rest.n, "\n\n", 2);
    if (end)
        return (size_t)(end - rest.p) + 2;
    return rest.n > HEADER_MOST ? rest.n : 0;
}

static void take_body(struct cleanup *m, struct slice data)
{
    if (m->body)
        cleanup_body(m, data);
    else
        cleanup_put(m, data);
}

/* The header is whole, and so is what came of the body with it. */
static void leave_header(struct cleanup *m, size_t end)
{
    struct slice all = buf_slice(&m->header), rest = slice_make(all.p, end);
    struct header_field f;
    int kind;
    while ((kind = header_next(&rest, &f)) == 1)
        ;
    /* A line that is no header belongs to the body, after an empty line that was forgotten. */
    size_t header = end - rest.n;
    struct slice own = slice_make(all.p, header);
    m->state = CONTENT_BODY;
    cleanup_header(m, own);
    bool separated =
        kind == 0 && header > 0 && (header == 1 || (all.p[header - 1] == '\n' && all.p[header - 2] == '\n'));
    struct slice body = slice_make(all.p + header, all.n - header);
    if (!cleanup_body_wanted(m, own))
        m->body = NULL;
    if (separated || body.n)
        cleanup_put(m, SLICE("\n"));
    struct buf held = m->header; /* parts of the body have headers, too */
    m->header = BUF(BUF_MAX_DEFAULT);
    take_body(m, body);
    buf_fini(&held);
}

/* A carriage return inside the content would be half a line end to some other host (outbound SMTP smuggling). */
static struct slice without_stray_cr(struct slice data, struct buf *space)
{
    if (!cleanup_params.cleanup_replace_stray_cr_lf || !data.n || !memchr(data.p, '\r', data.n))
        return data;
    buf_append_slice(space, data);
    for (size_t i = 0; i < space->len; i++)
        if (space->data[i] == '\r')
            space->data[i] = ' ';
    return buf_slice(space);
}

/* message_reject_characters and message_strip_characters. */
static struct slice without_unwanted(struct cleanup *m, struct slice data, struct buf *space)
{
    const struct cleanup_tables *t = &cleanup_tables;
    if (!t->strips && !t->rejects)
        return data;
    for (size_t i = 0; i < data.n; i++) {
        unsigned char c = (unsigned char)data.p[i];
        if (t->reject[c]) {
            struct result r = result_never("5.7.1", "disallowed character");
            cleanup_fail(m, 550, &r);
        }
        if (!t->strip[c])
            buf_putc(space, (char)c);
    }
    return buf_slice(space);
}

void cleanup_take_content(struct cleanup *m, struct slice data)
{
    BUF_AUTO space = BUF(BUF_MAX_DEFAULT);
    BUF_AUTO wanted = BUF(BUF_MAX_DEFAULT);
    data = without_unwanted(m, data, &wanted);
    data = without_stray_cr(data, &space);
    if (m->state == CONTENT_BODY) {
        take_body(m, data);
        return;
    }
    buf_append_slice(&m->header, data);
    size_t end = header_end(&m->header);
    if (end)
        leave_header(m, end);
}

void cleanup_end_content(struct cleanup *m)
{
    if (m->state == CONTENT_HEADER) {
        if (m->header.len && m->header.data[m->header.len - 1] != '\n')
            buf_putc(&m->header, '\n');
        leave_header(m, m->header.len);
    }
    if (m->body)
        cleanup_body_end(m);
    if (m->last_byte != '\n' && queue_writer_content_size(m->writer))
        cleanup_put(m, SLICE("\n"));
}
