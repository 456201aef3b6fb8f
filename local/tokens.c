/* tokens.c - see tokens.h. */
#include "local/tokens.h"

#include "lib/base/buf.h"

static void skip_separators(struct slice *r, bool *line_start)
{
    while (r->n > 0) {
        char c = *r->p;
        if (c == '#' && *line_start) {
            while (r->n > 0 && *r->p != '\n')
                r->p++, r->n--;
            continue;
        }
        if (c != ',' && c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return;
        *line_start = c == '\n' || (*line_start && c != ',');
        r->p++, r->n--;
    }
}

/* Copies up to the closing quote, without backslashes. */
static void take_quoted(struct slice *r, struct buf *out)
{
    r->p++, r->n--;
    while (r->n > 0 && *r->p != '"') {
        if (*r->p == '\\' && r->n > 1)
            r->p++, r->n--;
        buf_putc(out, *r->p);
        r->p++, r->n--;
    }
    if (r->n > 0)
        r->p++, r->n--;
}

static void skip_comment(struct slice *r)
{
    int depth = 0;
    do {
        depth += *r->p == '(' ? 1 : *r->p == ')' ? -1 : 0;
        r->p++, r->n--;
    } while (r->n > 0 && depth > 0);
}

static void take_word(struct slice *r, struct buf *out)
{
    bool rest_of_line = *r->p == '|';
    struct slice after = slice_make(r->p + 1, r->n - 1);
    while (rest_of_line && after.n && (*after.p == ' ' || *after.p == '\t'))
        after.p++, after.n--;
    if (rest_of_line && after.n && *after.p == '"') { /* |"command with blanks", as .forward files have it */
        buf_putc(out, '|');
        *r = after;
        take_quoted(r, out);
        return;
    }
    while (r->n > 0 && *r->p != ',' && *r->p != '\n') {
        if (*r->p == '"' && !rest_of_line) {
            take_quoted(r, out);
            continue;
        }
        if (*r->p == '(' && !rest_of_line) {
            skip_comment(r);
            continue;
        }
        if (!rest_of_line && (*r->p == ' ' || *r->p == '\t' || *r->p == '\r'))
            return;
        buf_putc(out, *r->p);
        r->p++, r->n--;
    }
}

bool token_next(struct arena *a, struct slice *rest, struct token *t)
{
    bool line_start = true;
    for (;;) {
        skip_separators(rest, &line_start);
        if (rest->n == 0)
            return false;
        BUF_AUTO b = BUF(65536);
        bool quoted = *rest->p == '"'; /* angle brackets inside of quotes are the address's */
        take_word(rest, &b);
        char *text = arena_strdup(a, buf_cstr(&b));
        size_t n = strlen(text);
        *t = (struct token){.kind = TOKEN_ADDRESS, .text = text};
        line_start = false;
        if (!quoted && n > 1 && text[0] == '<' && text[n - 1] == '>')
            text[n - 1] = '\0', t->text++;
        else if (!quoted && *text == '<')
            t->text++;
        if (*t->text == '\0')
            continue;
        if (*text == '|') {
            t->kind = TOKEN_COMMAND;
            t->text = text + 1 + strspn(text + 1, " \t");
        } else if (*text == '/') {
            t->kind = TOKEN_FILE;
        } else if (slice_starts_fold(slice_of(text), SLICE(":include:"))) {
            t->kind = TOKEN_INCLUDE;
            t->text = text + 9;
        } else if (*t->text == '\\') {
            t->no_expand = true;
            t->text++;
        }
        return true;
    }
}
