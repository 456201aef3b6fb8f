/* address_list.c - address lists of message headers (To:, From:, ...), read as tolerantly as mail in the wild needs:
 * comments nest, groups are opened, missing commas are imagined, what makes no sense is passed over. One pass, no
 * recursion, so that no header can use up the stack. */
#include "lib/base/vec.h"
#include "lib/syntax/address.h"

enum kind { K_END, K_WORD, K_QUOTED, K_LITERAL, K_DOT, K_AT, K_LEFT, K_RIGHT, K_COMMA, K_COLON, K_SEMICOLON };

struct lex {
    struct slice in;
    size_t pos;        /* behind the token */
    size_t start, end; /* the token */
};

struct list_parser {
    struct lex lex;
    struct arena *arena;
    VEC(struct address_token) found;
    struct buf address; /* of the element that is being read */
    size_t start, end;  /* its place */
    bool has_at, want_word, empty;
};

static size_t skip_comment(struct slice in, size_t i)
{
    unsigned depth = 0;
    for (; i < in.n; i++) {
        if (in.p[i] == '\\')
            i++;
        else if (in.p[i] == '(')
            depth++;
        else if (in.p[i] == ')' && --depth == 0)
            return i + 1;
    }
    return in.n;
}

/* Behind the closing character, or the end of the text when there is none. */
static size_t skip_enclosed(struct slice in, size_t i, char closing)
{
    for (i++; i < in.n; i++) {
        if (in.p[i] == '\\')
            i++;
        else if (in.p[i] == closing)
            return i + 1;
    }
    return in.n;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static enum kind lex_next(struct lex *l)
{
    static const char specials[] = ".@<>,:;";
    static const enum kind kinds[] = {K_DOT, K_AT, K_LEFT, K_RIGHT, K_COMMA, K_COLON, K_SEMICOLON};
    size_t i = l->pos;
    while (i < l->in.n && (is_blank(l->in.p[i]) || l->in.p[i] == '('))
        i = l->in.p[i] == '(' ? skip_comment(l->in, i) : i + 1;
    l->start = l->pos = l->end = i;
    if (i >= l->in.n)
        return K_END;
    char c = l->in.p[i];
    enum kind k = K_WORD;
    const char *special = c ? strchr(specials, c) : NULL;
    if (special) {
        k = kinds[special - specials];
        l->pos = i + 1;
    } else if (c == '"' || c == '[') {
        k = c == '"' ? K_QUOTED : K_LITERAL;
        l->pos = skip_enclosed(l->in, i, c == '"' ? '"' : ']');
    } else {
        while (i < l->in.n && !is_blank(l->in.p[i]) && (l->in.p[i] == 0 || !strchr(".@<>,:;(\"[", l->in.p[i])))
            i++;
        l->pos = i;
    }
    l->end = l->pos;
    return k;
}

static void element_reset(struct list_parser *p)
{
    buf_reset(&p->address);
    p->has_at = false;
    p->want_word = true;
    p->empty = true;
}

static void element_emit(struct list_parser *p)
{
    if (!p->empty && p->address.len > 0 && !p->address.overflow) {
        struct address_token t = {p->start, p->end, arena_strdup(p->arena, buf_cstr(&p->address))};
        VEC_PUSH(&p->found, t);
    }
    element_reset(p);
}

/* Appends a token to the element: quotes and backslashes go, control characters too (folds within quoted strings). */
static void element_append(struct list_parser *p, enum kind k)
{
    const struct lex *l = &p->lex;
    if (p->empty)
        p->start = l->start;
    p->empty = false;
    p->end = l->end;
    bool quoted = k == K_QUOTED;
    size_t from = l->start + quoted, to = l->end;
    if (quoted && to > from && l->in.p[to - 1] == '"')
        to--;
    for (size_t i = from; i < to; i++) {
        char c = l->in.p[i];
        if (quoted && c == '\\' && i + 1 < to)
            c = l->in.p[++i];
        if ((unsigned char)c >= ' ' && c != 0x7f)
            buf_putc(&p->address, c);
    }
}

/* The inside of <...>: everything up to '>' is one address; a source route keeps its commas and colon. */
static void read_bracketed(struct list_parser *p)
{
    element_reset(p);
    for (;;) {
        enum kind k = lex_next(&p->lex);
        if (k == K_END || k == K_RIGHT)
            break;
        if (k != K_LEFT)
            element_append(p, k);
    }
    element_emit(p);
}

static void read_word(struct list_parser *p, enum kind k)
{
    if (!p->want_word && k != K_DOT && k != K_AT)
        element_emit(p); /* two words without a dot between: a comma was forgotten, or this is a phrase; see K_LEFT */
    element_append(p, k);
    p->want_word = k == K_DOT || k == K_AT;
    p->has_at = p->has_at || k == K_AT;
}

/* Words before '<' or ':' are a phrase. `mark` is the number of addresses before this element began. */
static void drop_phrase(struct list_parser *p, size_t mark)
{
    while (p->found.n > mark && !strchr(p->found.items[p->found.n - 1].address, '@'))
        p->found.n--;
    element_reset(p);
}

static void read_list(struct list_parser *p)
{
    size_t mark = 0;
    element_reset(p);
    for (;;) {
        enum kind k = lex_next(&p->lex);
        switch (k) {
        case K_END:
            element_emit(p);
            return;
        case K_COMMA:
        case K_SEMICOLON:
        case K_RIGHT:
            element_emit(p);
            mark = p->found.n;
            break;
        case K_COLON:
            drop_phrase(p, mark);
            mark = p->found.n;
            break;
        case K_LEFT:
            p->found.n = mark; /* even user@host <user@host> is a phrase */
            read_bracketed(p);
            mark = p->found.n;
            break;
        default:
            read_word(p, k);
        }
    }
}

size_t address_list_parse(struct arena *a, struct slice header_value, struct address_token **tokens)
{
    struct list_parser p = {.lex = {.in = header_value}, .arena = a};
    buf_init(&p.address, header_value.n + 1);
    read_list(&p);
    size_t n = p.found.n;
    *tokens = n ? arena_memdup(a, p.found.items, n * sizeof **tokens) : NULL;
    VEC_FREE(&p.found);
    buf_fini(&p.address);
    return n;
}
