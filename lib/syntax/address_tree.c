/* address_tree.c - see address_tree.h. Tokens are found from left to right; addresses are then gathered from right to
 * left, because only the end of an address tells what it was: "a b <c@d>" has one, "a b c@d" three. */
#include "lib/syntax/address_tree.h"

#include "lib/syntax/address.h"

/* Operators are their own type. */
enum node_type { NODE_EDGE = 0, NODE_ATOM = 256, NODE_QUOTED, NODE_COMMENT, NODE_LITERAL, NODE_ADDRESS, NODE_GROUP };

struct address_node {
    int type;
    const char *text;
    struct address_node *prev, *next;
    struct address_node *inner; /* of an address: its tokens */
};

static const char operators[] = "|%!\"[\\](),.:;<>@";

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_operator(char c)
{
    return c && strchr(operators, c);
}

static struct address_node *node_new(struct arena *a, int type, const char *text)
{
    struct address_node *n = ARENA_NEW(a, struct address_node);
    n->type = type;
    n->text = text;
    return n;
}

static void link_after(struct address_node *left, struct address_node *n)
{
    n->prev = left;
    n->next = left->next;
    if (n->next)
        n->next->prev = n;
    left->next = n;
}

static void unlink_node(struct address_node *n)
{
    n->prev->next = n->next;
    if (n->next)
        n->next->prev = n->prev;
}

/* ---- tokens ---- */

/* Behind "(...)", which is kept with its brackets and backslashes. */
static size_t take_comment(struct arena *a, struct slice in, size_t i, struct address_node **out)
{
    size_t start = i;
    unsigned depth = 0;
    for (; i < in.n; i++) {
        if (in.p[i] == '\\')
            i++;
        else if (in.p[i] == '(')
            depth++;
        else if (in.p[i] == ')' && --depth == 0) {
            i++;
            break;
        }
    }
    i = i < in.n ? i : in.n;
    *out = node_new(a, NODE_COMMENT, arena_strndup(a, in.p + start, i - start));
    return i;
}

/* Text up to the end of a token, without its backslashes; line ends become blanks. */
static size_t take_text(struct arena *a, struct slice in, size_t i, char closing, const char **text)
{
    char *out = arena_alloc(a, in.n - i + 1);
    size_t n = 0;
    for (; i < in.n; i++) {
        char c = in.p[i];
        if (c == '\\') {
            if (++i == in.n)
                break;
        } else if (closing ? c == closing : is_blank(c) || is_operator(c)) {
            break;
        }
        out[n++] = is_blank(in.p[i]) ? ' ' : in.p[i];
    }
    *text = out;
    return i;
}

/* An atom that held escaped characters can only be written as a quoted string. */
static bool needs_quotes(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text <= ' ' || *text == 0x7f || is_operator(*text))
            return true;
    }
    return false;
}

static size_t take_token(struct arena *a, struct slice in, size_t i, struct address_node **out)
{
    char c = in.p[i];
    const char *text;
    if (c == '(')
        return take_comment(a, in, i, out);
    if (c == '"' || c == '[') {
        i = take_text(a, in, i + 1, c == '"' ? '"' : ']', &text);
        *out = node_new(a, c == '"' ? NODE_QUOTED : NODE_LITERAL, text);
        return i < in.n ? i + 1 : i;
    }
    if (c != '\\' && is_operator(c)) {
        *out = node_new(a, (unsigned char)c, NULL);
        return i + 1;
    }
    i = take_text(a, in, i, 0, &text);
    *out = node_new(a, needs_quotes(text) ? NODE_QUOTED : NODE_ATOM, text);
    return i;
}

/* Tokens behind `last`; returns the last one. */
static struct address_node *tokenize(struct arena *a, struct slice in, size_t max, struct address_node *last)
{
    size_t count = 0;
    for (size_t i = 0; i < in.n;) {
        struct address_node *n;
        if (is_blank(in.p[i])) {
            i++;
            continue;
        }
        if (max && ++count > max)
            break;
        i = take_token(a, in, i, &n);
        link_after(last, n);
        last = n;
    }
    return last;
}

/* ---- gathering ---- */

struct gatherer {
    struct arena *arena;
    struct address_node *at, *right; /* what lies between them may become an address */
    bool want_word, want_group;
};

/* Makes one address of what is between `left` and g->right, and a comma before it if asked. */
static void gather(struct gatherer *g, struct address_node *left, bool comma)
{
    struct address_node *first = left->next;
    if (left == g->right || first == g->right)
        return;
    struct address_node *address = node_new(g->arena, NODE_ADDRESS, NULL);
    address->inner = first;
    g->right->prev->next = NULL;
    first->prev = NULL;
    left->next = g->right;
    g->right->prev = left;
    link_after(left, address);
    if (comma)
        link_after(left, node_new(g->arena, ',', NULL));
}

/* Comments do not belong to addresses: this one goes to the right of what is being gathered. */
static void put_aside(struct gatherer *g)
{
    struct address_node *comment = g->at, *right = g->right;
    g->at = comment->prev;
    unlink_node(comment);
    link_after(right->prev, comment);
    g->right = comment;
}

/* At '>': the address up to '<', then the phrase before it, which stays as it is. */
static void take_bracketed(struct gatherer *g)
{
    gather(g, g->at, true);
    g->right = g->at;
    while (g->at->type != NODE_EDGE && g->at->type != '<') {
        if (g->at->type == NODE_COMMENT)
            put_aside(g);
        else
            g->at = g->at->prev;
    }
    gather(g, g->at, false);
    while (g->at->type != NODE_EDGE && (g->at->type > 255 || !strchr(">;,:", g->at->type)))
        g->at = g->at->prev;
    g->right = g->at;
    g->want_word = true;
}

static void take_group_name(struct gatherer *g)
{
    g->at->type = NODE_GROUP;
    gather(g, g->at, false);
    while (g->at->type != NODE_EDGE && g->at->type != ',')
        g->at = g->at->prev;
    g->right = g->at;
}

/* One token; true when g->at was moved to the next one. */
static bool take_node(struct gatherer *g)
{
    switch (g->at->type) {
    case ';':
        gather(g, g->at, true);
        g->right = g->at;
        g->want_group = g->want_word = true;
        return false;
    case ':':
        if (g->want_group) {
            take_group_name(g);
            return true;
        }
        g->want_word = true;
        return false;
    case '>':
        take_bracketed(g);
        return true;
    case NODE_COMMENT:
        put_aside(g);
        return true;
    case NODE_ATOM:
    case NODE_QUOTED:
    case NODE_LITERAL:
        if (!g->want_word) {
            gather(g, g->at, true);
            g->right = g->at->next;
        }
        g->want_word = false;
        return false;
    case ',':
        gather(g, g->at, false);
        g->right = g->at;
        g->want_word = true;
        return false;
    default:
        g->want_word = true;
        return false;
    }
}

struct address_tree address_tree_parse(struct arena *a, struct slice text, size_t max_tokens)
{
    struct address_node *left = node_new(a, NODE_EDGE, NULL), *right = node_new(a, NODE_EDGE, NULL);
    struct gatherer g = {.arena = a, .right = right, .want_word = true};
    g.at = tokenize(a, text, max_tokens, left);
    link_after(g.at, right);
    while (g.at->type != NODE_EDGE) {
        if (!take_node(&g))
            g.at = g.at->prev;
    }
    gather(&g, left, false);
    right->prev->next = NULL;
    if (left->next)
        left->next->prev = NULL;
    return (struct address_tree){a, left->next};
}

/* ---- looking, printing ---- */

struct address_node *address_tree_next(const struct address_tree *t, const struct address_node *after)
{
    struct address_node *n = after ? after->next : t->first;
    while (n && n->type != NODE_ADDRESS)
        n = n->next;
    return n;
}

bool address_tree_has_more(const struct address_tree *t)
{
    for (const struct address_node *n = t->first; n; n = n->next) {
        if (n->type != NODE_ADDRESS && n->type != '<' && n->type != '>')
            return true;
    }
    return false;
}

static void print_quoted(struct buf *out, const char *text)
{
    buf_putc(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_putc(out, '\\');
        buf_putc(out, *text);
    }
    buf_putc(out, '"');
}

static void print_token(struct buf *out, const struct address_node *n, bool external)
{
    switch (n->type) {
    case NODE_ATOM:
    case NODE_COMMENT:
        buf_puts(out, n->text);
        break;
    case NODE_QUOTED:
        if (external)
            print_quoted(out, n->text);
        else
            buf_puts(out, n->text);
        break;
    case NODE_LITERAL:
        buf_printf(out, "[%s]", n->text);
        break;
    case NODE_GROUP:
        buf_putc(out, ':');
        break;
    default:
        buf_putc(out, (char)n->type);
    }
}

static void print_address(struct buf *out, const struct address_node *address, bool external)
{
    for (const struct address_node *n = address->inner; n; n = n->next)
        print_token(out, n, external);
}

/* Between words, and after what parts them. */
static bool blank_follows(const struct address_node *n)
{
    const struct address_node *next = n->next;
    if (!next)
        return false;
    return n->type == ',' || n->type == NODE_GROUP || next->type == '<' ||
           (n->type > 255 && next->type > 255 && next->type != NODE_GROUP);
}

static const char *address_text(const struct address_tree *t, const struct address_node *address, bool external)
{
    BUF_AUTO b = BUF(BUF_MAX_DEFAULT);
    print_address(&b, address, external);
    return arena_strdup(t->arena, buf_cstr(&b));
}

const char *address_tree_internal(const struct address_tree *t, const struct address_node *address)
{
    return address_text(t, address, false);
}

const char *address_tree_external(const struct address_tree *t, const struct address_node *address)
{
    return address_text(t, address, true);
}

void address_tree_replace(const struct address_tree *t, struct address_node *address, const char *external)
{
    struct address_node edge = {0};
    tokenize(t->arena, slice_of(external), 0, &edge);
    address->inner = edge.next;
    if (edge.next)
        edge.next->prev = NULL;
}

void address_tree_print(const struct address_tree *t, struct buf *out)
{
    for (const struct address_node *n = t->first; n; n = n->next) {
        if (n->type == NODE_ADDRESS) {
            const char *text = address_tree_internal(t, n);
            address_quote(out, text);
        } else {
            print_token(out, n, true);
        }
        if (n->type == ',' && n->next)
            buf_putc(out, '\n');
        else if (blank_follows(n))
            buf_putc(out, ' ');
    }
}
