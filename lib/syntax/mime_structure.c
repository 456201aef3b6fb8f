/* mime_structure.c - see mime_structure.h. */
#include "lib/syntax/mime_structure.h"

#include "lib/syntax/address.h"
#include "lib/syntax/header.h"
#include "lib/syntax/imap_text.h"

enum { DEPTH_MOST = 30, PARTS_MOST = 2000 };

struct parser {
    struct arena *arena;
    int parts;
};

/* ---- header values ---- */

static bool is_token(char c)
{
    return (unsigned char)c > ' ' && c != 127 && !strchr("()<>@,;:\\\"/[]?=", c);
}

static void skip_blanks(struct slice *s)
{
    int depth = 0;
    while (s->n) {
        char c = s->p[0];
        if (c == '(')
            depth++;
        else if (c == ')' && depth)
            depth--;
        else if (!depth && c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return;
        s->p++;
        s->n--;
    }
}

static struct slice take_token(struct slice *s)
{
    size_t n = 0;
    while (n < s->n && is_token(s->p[n]))
        n++;
    struct slice t = slice_make(s->p, n);
    *s = slice_make(s->p + n, s->n - n);
    return t;
}

/* A token or a quoted string. */
static const char *take_value(struct arena *a, struct slice *s)
{
    if (!s->n || s->p[0] != '"')
        return arena_slice(a, take_token(s));
    BUF_AUTO b = BUF(65536);
    size_t i = 1;
    for (; i < s->n && s->p[i] != '"'; i++) {
        if (s->p[i] == '\\' && i + 1 < s->n)
            i++;
        buf_putc(&b, s->p[i]);
    }
    i += i < s->n;
    *s = slice_make(s->p + i, s->n - i);
    return arena_slice(a, buf_slice(&b));
}

static const char *upper(struct arena *a, struct slice s)
{
    char *t = arena_slice(a, s);
    for (char *c = t; *c; c++)
        *c = ascii_upper(*c);
    return t;
}

static struct mime_parameter *take_parameters(struct arena *a, struct slice s)
{
    struct mime_parameter *first = NULL, **end = &first;
    for (;;) {
        skip_blanks(&s);
        if (!s.n || s.p[0] != ';')
            return first;
        s = slice_make(s.p + 1, s.n - 1);
        skip_blanks(&s);
        struct slice name = take_token(&s);
        skip_blanks(&s);
        if (!name.n || !s.n || s.p[0] != '=')
            return first;
        s = slice_make(s.p + 1, s.n - 1);
        skip_blanks(&s);
        struct mime_parameter *p = ARENA_NEW(a, struct mime_parameter);
        p->name = upper(a, name);
        p->value = take_value(a, &s);
        *end = p;
        end = &p->next;
    }
}

static void take_type(struct arena *a, struct mime_part *p, const char *value)
{
    struct slice s = slice_of(value);
    skip_blanks(&s);
    struct slice type = take_token(&s), subtype;
    skip_blanks(&s);
    if (!type.n || !s.n || s.p[0] != '/')
        return;
    s = slice_make(s.p + 1, s.n - 1);
    skip_blanks(&s);
    subtype = take_token(&s);
    if (!subtype.n)
        return;
    p->type = upper(a, type);
    p->subtype = upper(a, subtype);
    p->parameters = take_parameters(a, s);
}

static const char *parameter(const struct mime_parameter *p, const char *name)
{
    for (; p; p = p->next)
        if (strcmp(p->name, name) == 0)
            return p->value;
    return NULL;
}

static void take_field(struct arena *a, struct mime_part *p, const struct header_field *f)
{
    const char *value = header_unfold(a, f->value);
    struct slice s = slice_of(value);
    skip_blanks(&s);
    if (header_is(f, "Content-Type")) {
        take_type(a, p, value);
    } else if (header_is(f, "Content-ID")) {
        p->id = value;
    } else if (header_is(f, "Content-Description")) {
        p->description = value;
    } else if (header_is(f, "Content-Transfer-Encoding")) {
        p->encoding = upper(a, take_token(&s));
    } else if (header_is(f, "Content-MD5")) {
        p->md5 = value;
    } else if (header_is(f, "Content-Language")) {
        p->language = value;
    } else if (header_is(f, "Content-Location")) {
        p->location = value;
    } else if (header_is(f, "Content-Disposition")) {
        p->disposition = upper(a, take_token(&s));
        p->disposition_parameters = take_parameters(a, s);
    }
}

/* ---- parts ---- */

static uint32_t count_lines(struct slice s)
{
    uint32_t n = 0;
    for (const char *p = s.p; (p = memchr(p, '\n', (size_t)(s.p + s.n - p))); p++)
        n++;
    return n;
}

static struct mime_part *parse_part(struct parser *ps, struct slice text, int depth, bool digest);

/* Whether the line is "--boundary" (1) or "--boundary--" (2). */
static int is_boundary(struct slice line, struct slice boundary)
{
    line = slice_trim(line);
    if (line.n < boundary.n + 2 || line.p[0] != '-' || line.p[1] != '-' ||
        memcmp(line.p + 2, boundary.p, boundary.n) != 0)
        return 0;
    struct slice rest = slice_make(line.p + 2 + boundary.n, line.n - 2 - boundary.n);
    return rest.n == 0 ? 1 : slice_eq(rest, SLICE("--")) ? 2 : 0;
}

/* The line end before a boundary belongs to the boundary. */
static struct slice without_line_end(const char *from, const char *to)
{
    if (to > from && to[-1] == '\n')
        to--;
    if (to > from && to[-1] == '\r')
        to--;
    return slice_make(from, (size_t)(to - from));
}

static void parse_multipart(struct parser *ps, struct mime_part *p, struct slice boundary, int depth)
{
    struct mime_part **end = &p->children;
    const char *start = NULL, *stop = p->body.p + p->body.n;
    bool digest = strcmp(p->subtype, "DIGEST") == 0;
    for (const char *line = p->body.p; line < stop;) {
        const char *lf = memchr(line, '\n', (size_t)(stop - line));
        const char *next = lf ? lf + 1 : stop;
        int kind = is_boundary(slice_make(line, (size_t)(next - line)), boundary);
        if (kind && start && ps->parts < PARTS_MOST) {
            *end = parse_part(ps, without_line_end(start, line), depth + 1, digest);
            end = &(*end)->next;
        }
        if (kind == 2)
            return;
        if (kind)
            start = next;
        line = next;
    }
    if (start && start < stop && ps->parts < PARTS_MOST) /* without a closing boundary */
        *end = parse_part(ps, slice_make(start, (size_t)(stop - start)), depth + 1, digest);
}

static struct mime_part *parse_part(struct parser *ps, struct slice text, int depth, bool digest)
{
    struct mime_part *p = ARENA_NEW(ps->arena, struct mime_part);
    struct slice rest = text;
    struct header_field f;
    ps->parts++;
    p->type = digest ? "MESSAGE" : "TEXT";
    p->subtype = digest ? "RFC822" : "PLAIN";
    while (header_next(&rest, &f) == 1)
        take_field(ps->arena, p, &f);
    p->header = slice_make(text.p, text.n - rest.n);
    p->body = rest;
    p->lines = count_lines(rest);
    if (depth >= DEPTH_MOST)
        return p;
    if (strcmp(p->type, "MULTIPART") == 0) {
        const char *boundary = parameter(p->parameters, "BOUNDARY");
        if (boundary && *boundary)
            parse_multipart(ps, p, slice_of(boundary), depth);
    } else if (strcmp(p->type, "MESSAGE") == 0 && strcmp(p->subtype, "RFC822") == 0) {
        p->children = parse_part(ps, p->body, depth + 1, false);
    }
    if (strcmp(p->type, "MULTIPART") == 0 && !p->children) { /* nothing in it that could be told of */
        p->type = "TEXT";
        p->subtype = "PLAIN";
        p->parameters = NULL;
    }
    return p;
}

struct mime_part *mime_parse(struct arena *a, struct slice text)
{
    struct parser ps = {.arena = a};
    return parse_part(&ps, text, 0, false);
}

static bool is_multipart(const struct mime_part *p)
{
    return strcmp(p->type, "MULTIPART") == 0;
}

struct mime_part *mime_find(struct mime_part *p, struct slice numbers)
{
    struct slice word;
    while (p && slice_token(&numbers, ".", &word)) {
        unsigned long long n;
        if (!slice_to_u64(word, PARTS_MOST, &n) || n == 0)
            return NULL;
        /* The parts of an attached message are those of the message in it. */
        if (strcmp(p->type, "MESSAGE") == 0 && p->children)
            p = p->children;
        if (!is_multipart(p)) {
            if (n != 1)
                return NULL;
            continue; /* the only part of a simple message is its body */
        }
        for (p = p->children; p && n > 1; n--)
            p = p->next;
    }
    return p;
}

/* ---- printing ---- */

static void print_string(struct buf *out, const char *s)
{
    imap_print_nstring(out, s ? slice_of(s) : (struct slice){NULL, 0});
}

static void print_parameters(struct buf *out, const struct mime_parameter *p)
{
    if (!p) {
        buf_puts(out, "NIL");
        return;
    }
    for (const char *before = "("; p; p = p->next, before = " ") {
        buf_puts(out, before);
        print_string(out, p->name);
        buf_putc(out, ' ');
        print_string(out, p->value);
    }
    buf_putc(out, ')');
}

static void print_disposition(struct buf *out, const struct mime_part *p)
{
    if (!p->disposition || !*p->disposition) {
        buf_puts(out, " NIL");
        return;
    }
    buf_puts(out, " (");
    print_string(out, p->disposition);
    buf_putc(out, ' ');
    print_parameters(out, p->disposition_parameters);
    buf_putc(out, ')');
}

static void print_extension(struct buf *out, const struct mime_part *p)
{
    print_disposition(out, p);
    buf_putc(out, ' ');
    print_string(out, p->language);
    buf_putc(out, ' ');
    print_string(out, p->location);
}

static void print_multipart(struct buf *out, const struct mime_part *p, bool extended)
{
    buf_putc(out, '(');
    for (const struct mime_part *c = p->children; c; c = c->next)
        mime_print_structure(out, c, extended);
    buf_putc(out, ' ');
    print_string(out, p->subtype);
    if (extended) {
        buf_putc(out, ' ');
        print_parameters(out, p->parameters);
        print_extension(out, p);
    }
    buf_putc(out, ')');
}

void mime_print_structure(struct buf *out, const struct mime_part *p, bool extended)
{
    if (is_multipart(p)) {
        print_multipart(out, p, extended);
        return;
    }
    buf_putc(out, '(');
    print_string(out, p->type);
    buf_putc(out, ' ');
    print_string(out, p->subtype);
    buf_putc(out, ' ');
    if (!p->parameters && strcmp(p->type, "TEXT") == 0)
        buf_puts(out, "(\"CHARSET\" \"US-ASCII\")");
    else
        print_parameters(out, p->parameters);
    buf_putc(out, ' ');
    print_string(out, p->id);
    buf_putc(out, ' ');
    print_string(out, p->description);
    buf_putc(out, ' ');
    print_string(out, p->encoding && *p->encoding ? p->encoding : "7BIT");
    buf_printf(out, " %zu", p->body.n);
    if (strcmp(p->type, "MESSAGE") == 0 && strcmp(p->subtype, "RFC822") == 0 && p->children) {
        struct arena *a = arena_new();
        buf_putc(out, ' ');
        mime_print_envelope(out, a, p->children->header);
        arena_free(&a);
        buf_putc(out, ' ');
        mime_print_structure(out, p->children, extended);
        buf_printf(out, " %u", p->lines);
    } else if (strcmp(p->type, "TEXT") == 0) {
        buf_printf(out, " %u", p->lines);
    }
    if (extended) {
        buf_putc(out, ' ');
        print_string(out, p->md5);
        print_extension(out, p);
    }
    buf_putc(out, ')');
}

/* ---- ENVELOPE ---- */

/* The phrase before an address in angle brackets, unquoted; NULL: none. */
static const char *display_name(struct arena *a, struct slice before)
{
    before = slice_trim(before);
    if (before.n && before.p[before.n - 1] == '<')
        before = slice_trim(slice_make(before.p, before.n - 1));
    while (before.n && (before.p[0] == ',' || before.p[0] == ';' || before.p[0] == '>'))
        before = slice_trim(slice_make(before.p + 1, before.n - 1));
    if (!before.n)
        return NULL;
    if (before.p[0] == '"')
        return take_value(a, &before);
    return arena_slice(a, before);
}

/* "(comment)" after an address without angle brackets is its name in old mail. */
static const char *comment_name(struct arena *a, struct slice after)
{
    after = slice_trim(after);
    if (after.n < 2 || after.p[0] != '(')
        return NULL;
    ptrdiff_t end = slice_find(after, ')');
    return end < 0 ? NULL : arena_strndup(a, after.p + 1, (size_t)end - 1);
}

static void print_address(struct buf *out, struct arena *a, const char *name, const char *address)
{
    ptrdiff_t at = address_at(address);
    buf_putc(out, '(');
    print_string(out, name && *name ? name : NULL);
    buf_puts(out, " NIL ");
    print_string(out, at < 0 ? address : arena_strndup(a, address, (size_t)at));
    buf_putc(out, ' ');
    print_string(out, at < 0 ? NULL : address + at + 1);
    buf_putc(out, ')');
}

/* "name: a, b;" begins with (NIL NIL name NIL) and ends with (NIL NIL NIL NIL). */
static const char *group_name(struct arena *a, struct slice *before)
{
    bool quoted = false;
    for (size_t i = 0; i < before->n; i++) {
        if (before->p[i] == '"')
            quoted = !quoted;
        if (before->p[i] != ':' || quoted)
            continue;
        const char *name = display_name(a, slice_make(before->p, i));
        *before = slice_make(before->p + i + 1, before->n - i - 1);
        return name ? name : "";
    }
    return NULL;
}

static void print_group_start(struct buf *out, const char *name)
{
    buf_puts(out, "(NIL NIL ");
    print_string(out, name);
    buf_puts(out, " NIL)");
}

static void print_addresses(struct buf *out, struct arena *a, const char *value)
{
    struct address_token *tokens;
    struct slice all = slice_of(value ? value : "");
    BUF_AUTO list = BUF(1 << 20);
    size_t n = value ? address_list_parse(a, all, &tokens) : 0, last = 0;
    bool in_group = false;
    for (size_t i = 0; i < n; i++) {
        struct slice before = slice_make(all.p + last, tokens[i].start - last);
        const char *group;
        if (in_group && slice_find(before, ';') >= 0) {
            buf_puts(&list, "(NIL NIL NIL NIL)");
            in_group = false;
        }
        if (!in_group && (group = group_name(a, &before))) {
            print_group_start(&list, group);
            in_group = true;
        }
        size_t stop = i + 1 < n ? tokens[i + 1].start : all.n;
        const char *name = display_name(a, before);
        if (!name)
            name = comment_name(a, slice_make(all.p + tokens[i].end, stop - tokens[i].end));
        if (*tokens[i].address)
            print_address(&list, a, name, tokens[i].address);
        last = tokens[i].end;
        while (last < all.n && (all.p[last] == '>' || all.p[last] == ' '))
            last++;
        if (last < all.n && all.p[last] == '(') {
            ptrdiff_t close = slice_find(slice_make(all.p + last, all.n - last), ')');
            last += close < 0 ? 0 : (size_t)close + 1;
        }
    }
    if (!in_group && n == 0 && value) {
        struct slice before = all;
        const char *group = group_name(a, &before);
        if (group) {
            print_group_start(&list, group);
            in_group = true;
        }
    }
    if (in_group)
        buf_puts(&list, "(NIL NIL NIL NIL)");
    if (!list.len) {
        buf_puts(out, "NIL");
        return;
    }
    buf_putc(out, '(');
    buf_append_slice(out, buf_slice(&list));
    buf_putc(out, ')');
}

void mime_print_envelope(struct buf *out, struct arena *a, struct slice header)
{
    static const char *const lists[] = {"From", "Sender", "Reply-To", "To", "Cc", "Bcc"};
    const char *from = header_find(a, header, "From");
    buf_putc(out, '(');
    print_string(out, header_find(a, header, "Date"));
    buf_putc(out, ' ');
    print_string(out, header_find(a, header, "Subject"));
    for (size_t i = 0; i < 6; i++) {
        const char *value = header_find(a, header, lists[i]);
        buf_putc(out, ' ');
        print_addresses(out, a, (i == 1 || i == 2) && (!value || !*value) ? from : value);
    }
    buf_putc(out, ' ');
    print_string(out, header_find(a, header, "In-Reply-To"));
    buf_putc(out, ' ');
    print_string(out, header_find(a, header, "Message-Id"));
    buf_putc(out, ')');
}
