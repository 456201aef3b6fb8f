/* cleanup_mime.c - where a body's lines are: in the header of a part, in the header of an attached message, or in text.
 * Reads only what that takes: types, boundaries, encodings (RFC 2045, 2046). Also tells what is wrong with them. */
#include "cleanup/cleanup.h"

#include "lib/base/log.h"

enum type { TYPE_TEXT, TYPE_MULTIPART, TYPE_DIGEST, TYPE_MESSAGE, TYPE_OTHER_MESSAGE };
enum encoding { ENCODING_7BIT, ENCODING_8BIT, ENCODING_OTHER };

struct level {
    struct level *outer;
    struct slice boundary;
    bool digest; /* parts are messages unless they say otherwise */
};

struct mime {
    struct cleanup *m;
    struct level *stack;
    unsigned depth;
    enum { IN_BODY, IN_PART_HEADER, IN_MESSAGE_HEADER } state;
    enum type type; /* of the entity whose header or body this is */
    enum encoding encoding;
};

static void refuse(struct mime *mime, const char *why)
{
    struct result r = result_never("5.6.0", "%s", why);
    log_info("%s: reject: mime-error %s from %s; from=<%s>", mime->m->queue_id, why, cleanup_origin(mime->m),
             mime->m->sender);
    cleanup_fail(mime->m, 550, &r);
}

/* ---- reading a field's value ---- */

static void skip_blanks(struct slice *in)
{
    unsigned depth = 0;
    while (in->n && (depth || strchr(" \t\r\n(", *in->p))) {
        if (*in->p == '\\' && in->n > 1)
            *in = slice_make(in->p + 1, in->n - 1);
        else if (*in->p == '(')
            depth++;
        else if (*in->p == ')')
            depth--;
        *in = slice_make(in->p + 1, in->n - 1);
    }
}

/* The next word, quoted or not; "" and the character itself in *special at ';', '/' or '='. */
static bool take_token(struct arena *a, struct slice *in, struct slice *word, char *special)
{
    skip_blanks(in);
    *special = 0;
    *word = slice_make("", 0);
    if (in->n == 0)
        return false;
    if (strchr(";/=", *in->p)) {
        *special = *in->p;
        *in = slice_make(in->p + 1, in->n - 1);
        return true;
    }
    char *out = arena_alloc(a, in->n + 1);
    size_t i = 0, n = 0;
    bool quoted = *in->p == '"';
    for (i = quoted; i < in->n; i++) {
        if (quoted ? in->p[i] == '"' : in->p[i] && strchr(" \t\r\n(;/=", in->p[i]) != NULL)
            break;
        if (quoted && in->p[i] == '\\' && i + 1 < in->n)
            i++;
        if (!quoted || in->p[i] != '\n')
            out[n++] = in->p[i];
    }
    i += quoted && i < in->n;
    *in = slice_make(in->p + i, in->n - i);
    *word = slice_make(out, n);
    return true;
}

static void push(struct mime *mime, struct slice boundary)
{
    struct level *l = ARENA_NEW(mime->m->arena, struct level);
    size_t most = (size_t)cleanup_params.mime_boundary_length_limit;
    if (mime->depth >= cleanup_params.mime_nesting_limit)
        return; /* what is deeper is text */
    mime->depth++;
    l->outer = mime->stack;
    l->boundary = slice_make(boundary.p, boundary.n < most ? boundary.n : most);
    l->digest = mime->type == TYPE_DIGEST;
    mime->stack = l;
}

static void pop(struct mime *mime)
{
    mime->stack = mime->stack->outer;
    mime->depth--;
}

static void take_boundaries(struct mime *mime, struct slice in)
{
    struct arena *a = mime->m->arena;
    struct slice name = {0}, word;
    char special, before = 0;
    while (take_token(a, &in, &word, &special)) {
        if (!special && before == ';')
            name = word;
        else if (!special && before == '=' && slice_eq_fold(name, SLICE("boundary")))
            push(mime, word);
        before = special;
    }
}

static void take_type(struct mime *mime, struct slice in)
{
    struct slice type, slash, subtype;
    char special;
    mime->type = TYPE_TEXT;
    if (!take_token(mime->m->arena, &in, &type, &special) || special)
        return;
    bool message = slice_eq_fold(type, SLICE("message"));
    if (!message && !slice_eq_fold(type, SLICE("multipart")))
        return;
    mime->type = message ? TYPE_OTHER_MESSAGE : TYPE_MULTIPART;
    if (!take_token(mime->m->arena, &in, &slash, &special) || special != '/' ||
        !take_token(mime->m->arena, &in, &subtype, &special) || special)
        subtype = slice_make("", 0);
    if (message && (slice_eq_fold(subtype, SLICE("rfc822")) || slice_eq_fold(subtype, SLICE("global"))))
        mime->type = TYPE_MESSAGE;
    if (!message && slice_eq_fold(subtype, SLICE("digest")))
        mime->type = TYPE_DIGEST;
    if (!message)
        take_boundaries(mime, in);
}

static void take_encoding(struct mime *mime, struct slice in)
{
    struct slice word, whole = slice_trim(in);
    char special;
    if (slice_eq_fold(whole, SLICE("8bit")) || slice_eq_fold(whole, SLICE("binary")))
        mime->m->is_8bit = true;
    mime->encoding = ENCODING_OTHER;
    if (!take_token(mime->m->arena, &in, &word, &special) || special)
        return;
    if (slice_eq_fold(word, SLICE("7bit")))
        mime->encoding = ENCODING_7BIT;
    else if (slice_eq_fold(word, SLICE("8bit")) || slice_eq_fold(word, SLICE("binary")))
        mime->encoding = ENCODING_8BIT;
}

static bool has_8bit(struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] >= 0x80)
            return true;
    return false;
}

void cleanup_mime_field(struct mime *mime, const struct header_field *f)
{
    bool strict = cleanup_params.strict_7bit_headers || cleanup_params.strict_8bitmime;
    if (strict && has_8bit(f->raw) && !(mime->m->begin.flags & CLEANUP_SMTPUTF8))
        refuse(mime, "improper use of 8-bit data in message header");
    if (cleanup_params.disable_mime_input_processing)
        return;
    if (header_is(f, "Content-Type"))
        take_type(mime, f->value);
    else if (header_is(f, "Content-Transfer-Encoding"))
        take_encoding(mime, f->value);
}

/* ---- lines ---- */

enum header_place cleanup_mime_place(const struct mime *mime)
{
    return mime->state == IN_PART_HEADER ? HEADER_PART : HEADER_ATTACHED;
}

static void enter_part(struct mime *mime, bool digest)
{
    mime->state = IN_PART_HEADER;
    mime->type = digest ? TYPE_MESSAGE : TYPE_TEXT;
    mime->encoding = ENCODING_7BIT;
}

/* The header is over: the body of a part, or another header when the part is a message. */
static void leave_header(struct mime *mime)
{
    bool composite = mime->type != TYPE_TEXT;
    if (cleanup_params.strict_mime_encoding_domain && composite && mime->encoding == ENCODING_OTHER)
        refuse(mime, "invalid message/* or multipart/* encoding domain");
    mime->state = IN_BODY;
    if (mime->type == TYPE_MESSAGE) {
        mime->state = IN_MESSAGE_HEADER;
        mime->type = TYPE_TEXT;
        mime->encoding = ENCODING_7BIT;
    }
}

/* "--boundary" of any level ends the levels within; "--boundary--" that level too. */
static bool take_boundary(struct mime *mime, struct slice line)
{
    if (line.n < 2 || line.p[0] != '-' || line.p[1] != '-')
        return false;
    line = slice_make(line.p + 2, line.n - 2);
    for (const struct level *l = mime->stack; l; l = l->outer) {
        if (line.n < l->boundary.n || memcmp(line.p, l->boundary.p, l->boundary.n) != 0)
            continue;
        while (mime->stack != l)
            pop(mime);
        if (line.n >= l->boundary.n + 2 && memcmp(line.p + l->boundary.n, "--", 2) == 0) {
            pop(mime);
            mime->state = IN_BODY;
            mime->type = TYPE_TEXT;
            mime->encoding = ENCODING_7BIT;
        } else {
            enter_part(mime, l->digest);
        }
        return true;
    }
    return false;
}

static bool is_header(struct slice line)
{
    struct header_field f;
    return header_next(&line, &f) == 1;
}

enum mime_line cleanup_mime_line(struct mime *mime, struct slice line)
{
    enum mime_line kind = MIME_BODY;
    /* A line that ends a header may be the first one of the next: of a message that is attached. */
    while (mime->state != IN_BODY) {
        if (is_header(line))
            return MIME_HEADER;
        leave_header(mime);
        kind = MIME_HEADER_END;
        if (line.n == 0)
            return kind;
    }
    bool boundary = mime->stack && take_boundary(mime, line);
    bool strict = cleanup_params.strict_8bitmime_body || cleanup_params.strict_8bitmime;
    if (!boundary && strict && mime->encoding == ENCODING_7BIT && has_8bit(line))
        refuse(mime, "improper use of 8-bit data in message body");
    return boundary ? MIME_HEADER_END : kind;
}

struct mime *cleanup_mime_new(struct cleanup *m, struct slice header)
{
    struct mime *mime = ARENA_NEW(m->arena, struct mime);
    struct header_field f;
    mime->m = m;
    while (header_next(&header, &f) == 1)
        cleanup_mime_field(mime, &f);
    leave_header(mime);
    bool strict = cleanup_params.strict_8bitmime_body || cleanup_params.strict_8bitmime;
    return mime->stack || mime->state == IN_MESSAGE_HEADER || strict ? mime : NULL;
}
