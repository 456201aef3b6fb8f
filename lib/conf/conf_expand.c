/* conf_expand.c - $name and its conditional forms (postconf(5)):
 *     $name $(name) ${name}                 the value
 *     ${name?text} ${name?{text}}           text when the value is not empty
 *     ${name:text} ${name:{text}}           text when it is
 *     ${name?{text1}:{text2}}
 *     ${{a} OP {b} ? {c} : {d}}             == != < <= >= >, and the same with "level" at the end
 *     ${domain_to_ascii{text}}              text in lower case (a function of later releases; ASCII names only)
 * White space inside of braces is trimmed. A comparison without "?" gives "1" or nothing. */
#include "lib/conf/conf.h"
#include "lib/conf/conf_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#define EXPANSION_MAX ((size_t)1 << 20)
#define NESTING_MAX 100

struct expansion {
    struct conf *conf;
    const char *(*lookup)(void *ctx, const char *name);
    void *ctx;
    struct buf *err;
    int depth;
};

static bool expand(struct expansion *x, struct slice in, struct buf *out);

static bool fail(struct expansion *x, const char *what, struct slice at)
{
    if (x->err)
        buf_printf(x->err, "%s: \"%.*s\"", what, (int)(at.n < 100 ? at.n : 100), at.p);
    return false;
}

static struct slice drop(struct slice s, size_t n)
{
    return slice_make(s.p + n, s.n - n);
}

static struct slice skip_space(struct slice s)
{
    while (s.n > 0 && isspace((unsigned char)*s.p))
        s = drop(s, 1);
    return s;
}

static struct slice trim(struct slice s)
{
    s = skip_space(s);
    while (s.n > 0 && isspace((unsigned char)s.p[s.n - 1]))
        s.n--;
    return s;
}

/* The length of a bracketed text that begins at s, both brackets included; 0 when it is not closed. */
static size_t balanced(struct slice s, char open, char close)
{
    size_t level = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == open)
            level++;
        else if (s.p[i] == close && --level == 0)
            return i + 1;
    }
    return 0;
}

/* Cuts "{text}" off the front of *in. */
static bool take_braced(struct expansion *x, struct slice *in, struct slice *payload)
{
    size_t n = in->n > 0 && *in->p == '{' ? balanced(*in, '{', '}') : 0;
    if (n == 0)
        return fail(x, "expected a text in { }", *in);
    *payload = trim(slice_make(in->p + 1, n - 2));
    *in = drop(*in, n);
    return true;
}

/* The value of a name: the caller's, then the configuration's. NULL with *failed when its own expansion failed. */
static const char *value_of(struct expansion *x, struct slice name, bool *failed)
{
    MEM_AUTO char *key = mem_strndup(name.p, name.n);
    const char *value = x->lookup ? x->lookup(x->ctx, key) : NULL;
    if (value)
        return value;
    BUF_AUTO err = BUF(1000);
    value = conf_value(x->conf, key, &err);
    if (!value && err.len > 0) {
        *failed = true;
        if (x->err && x->err->len == 0)
            buf_puts(x->err, buf_cstr(&err));
    }
    return value;
}

/* What follows a condition: "?{a}:{b}", "?a", ":b", or nothing. bare: the text without a condition. */
static bool choose(struct expansion *x, struct slice rest, bool truth, const char *bare, struct buf *out)
{
    struct slice yes = {"", 0}, no = {"", 0}, after;
    rest = skip_space(rest);
    if (rest.n == 0) {
        buf_puts(out, bare);
        return true;
    }
    char op = *rest.p;
    if (op != '?' && op != ':')
        return fail(x, "expected '?' or ':'", rest);
    struct slice *pick = op == '?' ? &yes : &no;
    after = drop(rest, 1);
    rest = skip_space(after);
    if (rest.n == 0 || *rest.p != '{') {
        *pick = after; /* the old form: everything up to the closing brace */
    } else {
        if (!take_braced(x, &rest, pick))
            return false;
        rest = skip_space(rest);
        if (rest.n > 0 && op == '?' && *rest.p == ':') {
            rest = skip_space(drop(rest, 1));
            if (rest.n > 0 && *rest.p != '{') {
                no = rest;
                rest.n = 0;
            } else if (!take_braced(x, &rest, &no)) {
                return false;
            }
        }
        if (skip_space(rest).n > 0)
            return fail(x, "unexpected text after }", rest);
    }
    return expand(x, truth ? yes : no, out);
}

bool conf_compare_levels(const char *a, const char *b, int *order)
{
    for (int i = 0; i < 3; i++) {
        char *ea, *eb;
        if ((*a && !isdigit((unsigned char)*a)) || (*b && !isdigit((unsigned char)*b)))
            return false;
        unsigned long va = strtoul(a, &ea, 10), vb = strtoul(b, &eb, 10);
        if (va != vb) {
            *order = va < vb ? -1 : 1;
            return true;
        }
        a = *ea == '.' ? ea + 1 : ea;
        b = *eb == '.' ? eb + 1 : eb;
    }
    *order = 0;
    return *a == '\0' && *b == '\0';
}

static bool all_digits(const char *s)
{
    if (!*s)
        return false;
    return s[strspn(s, "0123456789")] == '\0';
}

static int compare_texts(const char *a, const char *b)
{
    if (!all_digits(a) || !all_digits(b))
        return strcmp(a, b);
    a += strspn(a, "0");
    b += strspn(b, "0");
    size_t na = strlen(a), nb = strlen(b);
    return na != nb ? (na < nb ? -1 : 1) : strcmp(a, b);
}

static bool holds(const char *op, size_t n, int order)
{
    if (n == 1)
        return *op == '<' ? order < 0 : order > 0;
    switch (*op) {
    case '=':
        return order == 0;
    case '!':
        return order != 0;
    case '<':
        return order <= 0;
    default:
        return order >= 0;
    }
}

/* The length of the operator at the front of s (without "level"), or 0. */
static size_t operator_length(struct slice s)
{
    if (s.n >= 2 && s.p[1] == '=' && strchr("=!<>", s.p[0]))
        return 2;
    return s.n >= 1 && (*s.p == '<' || *s.p == '>') ? 1 : 0;
}

static bool expand_comparison(struct expansion *x, struct slice body, struct buf *out)
{
    struct slice left, right, whole = body;
    if (!take_braced(x, &body, &left))
        return false;
    body = skip_space(body);
    const char *op = body.p;
    size_t n = operator_length(body);
    if (n == 0)
        return fail(x, "expected one of == != < <= >= >", body);
    body = drop(body, n);
    bool level = body.n >= 5 && memcmp(body.p, "level", 5) == 0;
    body = skip_space(level ? drop(body, 5) : body);
    if (!take_braced(x, &body, &right))
        return false;
    BUF_AUTO a = BUF(EXPANSION_MAX);
    BUF_AUTO b = BUF(EXPANSION_MAX);
    if (!expand(x, left, &a) || !expand(x, right, &b))
        return false;
    int order;
    if (!level)
        order = compare_texts(buf_cstr(&a), buf_cstr(&b));
    else if (!conf_compare_levels(buf_cstr(&a), buf_cstr(&b), &order))
        return fail(x, "a compatibility level is up to three numbers with dots between", whole);
    bool truth = holds(op, n, order);
    return choose(x, body, truth, truth ? "1" : "", out);
}

static size_t name_length(struct slice s)
{
    size_t n = 0;
    while (n < s.n && (isalnum((unsigned char)s.p[n]) || s.p[n] == '_'))
        n++;
    return n;
}

static bool expand_name(struct expansion *x, struct slice name, struct slice rest, struct buf *out)
{
    bool failed = false;
    const char *value = value_of(x, name, &failed);
    if (failed)
        return false;
    if (!value)
        value = "";
    return choose(x, rest, *value != '\0', value, out);
}

static bool expand_function(struct expansion *x, struct slice argument, struct buf *out)
{
    struct slice text;
    size_t from = out->len;
    if (!take_braced(x, &argument, &text) || !expand(x, text, out))
        return false;
    for (size_t i = from; i < out->len; i++)
        out->data[i] = ascii_lower(out->data[i]);
    return true;
}

/* in begins after the '$'; what was understood is cut off. */
static bool expand_dollar(struct expansion *x, struct slice *in, struct buf *out)
{
    struct slice whole = *in;
    if (in->n > 0 && *in->p == '$') {
        *in = drop(*in, 1);
        buf_putc(out, '$');
        return true;
    }
    if (in->n > 0 && (*in->p == '{' || *in->p == '(')) {
        size_t n = *in->p == '{' ? balanced(*in, '{', '}') : balanced(*in, '(', ')');
        if (n == 0)
            return fail(x, "a bracket is not closed", whole);
        struct slice body = trim(slice_make(in->p + 1, n - 2));
        *in = drop(*in, n);
        if (body.n > 0 && *body.p == '{')
            return expand_comparison(x, body, out);
        size_t name = name_length(body);
        if (name == 0)
            return fail(x, "a name is missing after $", whole);
        if (name < body.n && body.p[name] == '{' && slice_eq(slice_make(body.p, name), SLICE("domain_to_ascii")))
            return expand_function(x, drop(body, name), out);
        return expand_name(x, slice_make(body.p, name), drop(body, name), out);
    }
    size_t n = name_length(*in);
    if (n == 0)
        return fail(x, "a name is missing after $ (write $$ for a dollar sign)", whole);
    *in = drop(*in, n);
    return expand_name(x, slice_make(whole.p, n), slice_make("", 0), out);
}

static bool expand(struct expansion *x, struct slice in, struct buf *out)
{
    if (x->depth >= NESTING_MAX)
        return fail(x, "nested too deeply", in);
    x->depth++;
    bool ok = true;
    while (ok && in.n > 0) {
        ptrdiff_t at = slice_find(in, '$');
        buf_append(out, in.p, at < 0 ? in.n : (size_t)at);
        if (at < 0)
            break;
        in = drop(in, (size_t)at + 1);
        ok = expand_dollar(x, &in, out);
    }
    x->depth--;
    if (ok && out->overflow)
        return fail(x, "the value grows too large", in);
    return ok;
}

bool conf_expand_with(struct conf *c, const char *text, const char *(*lookup)(void *ctx, const char *name), void *ctx,
                      struct buf *out, struct buf *err)
{
    struct expansion x = {.conf = c, .lookup = lookup, .ctx = ctx, .err = err};
    return expand(&x, slice_of(text), out);
}

bool conf_expand(struct conf *c, const char *text, struct buf *out, struct buf *err)
{
    return conf_expand_with(c, text, NULL, NULL, out, err);
}

static bool is_being_expanded(const struct conf *c, const char *name)
{
    for (size_t i = 0; i < c->expanding.n; i++)
        if (strcmp(c->expanding.items[i], name) == 0)
            return true;
    return c->expanding.n >= NESTING_MAX;
}

static void explain_failure(struct conf *c, const char *name, const char *why, struct buf *err)
{
    const char *origin = conf_origin(c, name);
    if (err && err->len == 0)
        buf_printf(err, "%s%s%s: %s", origin ? origin : "", origin ? ": " : "", name, why);
}

const char *conf_value(struct conf *c, const char *name, struct buf *err)
{
    const char *known = hash_get(c->expanded, name);
    if (known)
        return known;
    const char *raw = conf_raw(c, name);
    if (!raw)
        raw = conf_builtin(c, name);
    if (!raw)
        raw = conf_preset(name);
    if (!raw)
        return NULL;
    if (conf_is_template(name))
        return raw;
    if (is_being_expanded(c, name)) {
        explain_failure(c, name, "the value refers to itself", err);
        return NULL;
    }
    BUF_AUTO why = BUF(1000);
    BUF_AUTO out = BUF(EXPANSION_MAX);
    VEC_PUSH(&c->expanding, name);
    bool ok = conf_expand(c, raw, &out, &why);
    c->expanding.n--;
    if (!ok) {
        explain_failure(c, name, buf_cstr(&why), err);
        return NULL;
    }
    char *value = arena_slice(c->arena, trim(buf_slice(&out)));
    hash_put(c->expanded, name, value);
    return value;
}
