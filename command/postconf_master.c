/* postconf_master.c - master.cf: services (-M), their fields (-F), and their -o parameters (-P). */
#include "command/postconf.h"
#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "lib/conf/lines.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const fields[] = {"service", "type",   "private",       "unprivileged",
                                     "chroot",  "wakeup", "process_limit", "command"};
#define FOLD_COLUMN 79
#define N_FIELDS (sizeof fields / sizeof *fields)

/* "name/type/rest" with "*" or nothing for any. */
struct request {
    struct slice name, type, item;
    const char *value; /* after '=', or NULL */
};

static struct slice next_part(struct slice *rest)
{
    ptrdiff_t slash = slice_find(*rest, '/');
    struct slice part = slice_make(rest->p, slash < 0 ? rest->n : (size_t)slash);
    size_t used = part.n + (slash >= 0);
    *rest = slice_make(rest->p + used, rest->n - used);
    return part;
}

static bool is_service_type(struct slice s)
{
    for (int t = SERVICE_INET; t <= SERVICE_UNIX_DGRAM; t++)
        if (slice_eq(s, slice_of(service_type_name(t))))
            return true;
    return slice_eq(s, SLICE("*"));
}

/* A slash in a service name ("public/x") does no harm: the type is the first part that is one. */
static struct request parse_request(const char *arg)
{
    const char *eq = strchr(arg, '=');
    struct slice rest = slice_trim(slice_make(arg, eq ? (size_t)(eq - arg) : strlen(arg)));
    struct request r = {.value = eq ? eq + 1 : NULL};
    r.name = next_part(&rest);
    while (rest.n > 0) {
        struct slice part = next_part(&rest);
        if (is_service_type(part)) {
            r.type = part;
            r.item = rest;
            break;
        }
        r.name.n = (size_t)(part.p + part.n - r.name.p);
    }
    while (r.value && isspace((unsigned char)*r.value))
        r.value++;
    return r;
}

static bool part_matches(struct slice part, const char *text)
{
    return part.n == 0 || slice_eq(part, SLICE("*")) || slice_eq(part, slice_of(text));
}

static bool service_matches(const struct request *r, const struct service *s)
{
    return part_matches(r->name, s->name) && part_matches(r->type, service_type_name(s->type));
}

static void append_argument(const char *arg, struct buf *out)
{
    if (strpbrk(arg, " \t") || !*arg)
        buf_printf(out, "{%s}", arg);
    else
        buf_puts(out, arg);
}

/* Column of the line that is being written. */
static size_t column(const struct buf *out)
{
    ptrdiff_t nl = slice_rfind(buf_slice(out), '\n');
    return out->len - (size_t)(nl + 1);
}

/* Folded: each option in front has a line of its own, the words after them fill lines. */
static void append_command(const struct service *s, bool fold, struct buf *out)
{
    bool options = true, own_line = false;
    buf_puts(out, s->command);
    for (size_t i = 0; i < s->n_args; i++) {
        BUF_AUTO word = BUF((size_t)1 << 20);
        bool after_option = own_line;
        options = options && s->args[i][0] == '-';
        own_line = options && strcmp(s->args[i], "-o") == 0 && i + 1 < s->n_args;
        append_argument(s->args[i], &word);
        if (own_line) {
            buf_putc(&word, ' ');
            append_argument(s->args[++i], &word);
        }
        bool full = column(out) + 1 + word.len > FOLD_COLUMN;
        buf_puts(out, fold && (own_line || after_option || full) ? "\n    " : " ");
        buf_append_slice(out, buf_slice(&word));
    }
}

/* At least one blank, and up to the column where the next field begins. */
static void pad_to(size_t where, struct buf *out)
{
    do
        buf_putc(out, ' ');
    while (column(out) < where);
}

static void append_service(const struct service *s, bool fold, struct buf *out)
{
    static const size_t columns[] = {17, 25, 33, 41, 49};
    buf_puts(out, s->name);
    pad_to(11, out);
    buf_puts(out, service_type_name(s->type));
    for (int i = 0; i < 5; i++) {
        pad_to(columns[i], out);
        buf_puts(out, s->raw[i]);
    }
    pad_to(57, out);
    append_command(s, fold, out);
    buf_putc(out, '\n');
}

static void field_text(const struct service *s, size_t field, struct buf *out)
{
    if (field == 0)
        buf_puts(out, s->name);
    else if (field == 1)
        buf_puts(out, service_type_name(s->type));
    else if (field < N_FIELDS - 1)
        buf_puts(out, s->raw[field - 2]);
    else
        append_command(s, false, out);
}

static void print_pair(const struct postconf *p, const struct service *s, const char *item, const char *value)
{
    BUF_AUTO out = BUF(BUF_MAX_DEFAULT);
    if (!p->no_names || p->no_values)
        buf_printf(&out, "%s/%s/%s", s->name, service_type_name(s->type), item);
    if (!p->no_names && !p->no_values)
        buf_printf(&out, " =%s", *value ? " " : "");
    if (!p->no_values)
        postconf_fold(p, value, out.len, &out);
    puts(buf_cstr(&out));
}

static bool print_fields(struct postconf *p, const struct request *r, const struct service *s)
{
    bool any = false;
    for (size_t i = 0; i < N_FIELDS; i++) {
        BUF_AUTO value = BUF((size_t)1 << 20);
        if (!part_matches(r->item, fields[i]))
            continue;
        field_text(s, i, &value);
        print_pair(p, s, fields[i], buf_cstr(&value));
        any = true;
    }
    return any;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *postconf_master_override(const struct service *s, size_t *it)
{
    for (; *it + 1 < s->n_args && s->args[*it][0] == '-'; ++*it)
        if (strcmp(s->args[*it], "-o") == 0) {
            *it += 2;
            return s->args[*it - 1];
        }
    return NULL;
}

void postconf_master_warn(struct postconf *p)
{
    const char *assignment;
    for (const struct service *s = p->services; s; s = s->next)
        for (size_t it = 0; (assignment = postconf_master_override(s, &it));) {
            char *name = arena_strndup(p->arena, assignment, strcspn(assignment, "="));
            if (!conf_is_known(name) && !conf_raw(p->conf, name))
                log_warn("%s: unused parameter: %s", p->master_cf, assignment);
        }
}

static bool print_parameters(struct postconf *p, const struct request *r, const struct service *s)
{
    const char **list = ARENA_ARRAY(p->arena, const char *, s->n_args + 2);
    size_t n = 0;
    for (size_t it = 0; (list[n] = postconf_master_override(s, &it));)
        n++;
    qsort(list, n, sizeof *list, compare);
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        const char *eq = strchr(list[i], '=');
        char *name = arena_strndup(p->arena, list[i], (size_t)(eq - list[i]));
        if (!part_matches(r->item, name))
            continue;
        print_pair(p, s, name, eq + 1);
        any = true;
    }
    return any || r->item.n == 0;
}

static bool print_service(struct postconf *p, char mode, const struct request *r, const struct service *s)
{
    BUF_AUTO out = BUF(BUF_MAX_DEFAULT);
    if (mode == 'F')
        return print_fields(p, r, s);
    if (mode == 'P')
        return print_parameters(p, r, s);
    append_service(s, p->fold, &out);
    fputs(buf_cstr(&out), stdout);
    return true;
}

void postconf_master_print(struct postconf *p, char mode, char **args, int n)
{
    static char *everything[] = {""};
    if (!p->services)
        log_fatal("%s", p->services_error);
    if (n == 0) {
        args = everything;
        n = 1;
    }
    for (int i = 0; i < n; i++) {
        struct request r = parse_request(args[i]);
        bool any = false;
        for (const struct service *s = p->services; s; s = s->next)
            if (service_matches(&r, s))
                any |= print_service(p, mode, &r, s);
        if (!any)
            log_warn("unmatched request: \"%s\"", args[i]);
    }
}

/* The service with the change made, as new text; NULL: it goes away. */
static struct service *reparse(struct postconf *p, const char *text)
{
    BUF_AUTO err = BUF(1000);
    struct service *s = master_cf_parse(p->arena, p->master_cf, slice_of(text), false, &err);
    if (!s)
        log_fatal("%s", buf_cstr(&err));
    return s;
}

static void change_field(struct postconf *p, const struct request *r, struct service *s)
{
    BUF_AUTO line = BUF((size_t)1 << 20);
    bool known = false;
    for (size_t i = 0; i < N_FIELDS; i++) {
        bool hit = slice_eq(r->item, slice_of(fields[i]));
        known |= hit;
        if (hit)
            buf_puts(&line, r->value);
        else
            field_text(s, i, &line);
        buf_putc(&line, ' ');
    }
    if (!known)
        log_fatal("bad field name: \"%.*s\"", SLICE_ARG(r->item));
    struct service *next = s->next;
    *s = *reparse(p, buf_cstr(&line));
    s->next = next;
}

/* Sets (value) or removes (NULL) an -o parameter. */
static void change_parameter(struct postconf *p, const struct request *r, struct service *s, bool set)
{
    const char **args = ARENA_ARRAY(p->arena, const char *, s->n_args + 3);
    size_t n = 0;
    bool done = !set;
    const char *wanted = set ? arena_printf(p->arena, "%.*s=%s", SLICE_ARG(r->item), r->value) : NULL;
    for (size_t i = 0; i < s->n_args; i++) {
        bool option = strcmp(s->args[i], "-o") == 0 && i + 1 < s->n_args;
        bool hit = option && strncmp(s->args[i + 1], r->item.p, r->item.n) == 0 && s->args[i + 1][r->item.n] == '=';
        if (!hit) {
            args[n++] = s->args[i];
            if (option)
                args[n++] = s->args[++i];
            continue;
        }
        i++;
        if (done)
            continue;
        args[n++] = "-o";
        args[n++] = wanted;
        done = true;
    }
    if (!done) {
        args[n++] = "-o";
        args[n++] = wanted;
    }
    args[n] = NULL;
    s->args = args;
    s->n_args = n;
}

/* What becomes of one service: its new text in `out`. False: this request does not name it. */
static bool apply(struct postconf *p, char mode, const struct request *r, struct service *s, struct buf *out)
{
    if (!service_matches(r, s))
        return false;
    if (mode == 'M' && p->edit == EDIT_SET)
        s = reparse(p, r->value);
    else if (mode == 'F' && p->edit == EDIT_SET)
        change_field(p, r, s);
    else if (mode == 'P' && p->edit != EDIT_COMMENT)
        change_parameter(p, r, s, p->edit == EDIT_SET);
    else if (mode != 'M')
        log_fatal("-%c cannot be combined with this way of editing", mode);
    if (mode != 'M' || p->edit == EDIT_SET)
        append_service(s, true, out);
    return true;
}

static bool is_text(struct slice line)
{
    struct slice t = slice_trim(line);
    return t.n > 0 && *t.p != '#';
}

static void check_request(struct postconf *p, const struct request *r, char mode, const char *arg)
{
    if (r->name.n == 0 || r->type.n == 0 || (mode != 'M' && r->item.n == 0))
        log_fatal("-%c: need service/type%s: \"%s\"", mode, mode == 'M' ? "" : "/name", arg);
    if ((p->edit == EDIT_SET) != (r->value != NULL))
        log_fatal("-%c: %s: \"%s\"", mode, r->value ? "unexpected value" : "need a value", arg);
    if (mode == 'P' && r->value && strpbrk(r->value, " \t"))
        log_fatal("-Pe does not accept whitespace in parameter value");
}

/* Copies master.cf, the lines of matching services changed; comments stay where they are. */
static void edit_text(struct postconf *p, char mode, const struct request *r, struct slice rest, struct service *s,
                      struct buf *out)
{
    bool hit = false, any = false;
    for (int number = 1; rest.n > 0; number++) {
        ptrdiff_t nl = slice_find(rest, '\n');
        struct slice line = slice_make(rest.p, nl < 0 ? rest.n : (size_t)nl);
        bool starts = s && number == s->line;
        if (starts) {
            struct service *now = s;
            s = s->next;
            hit = apply(p, mode, r, now, out);
            any |= hit;
        }
        if (!hit || !is_text(line))
            buf_printf(out, "%.*s\n", SLICE_ARG(line));
        else if (p->edit == EDIT_COMMENT)
            buf_printf(out, "#%.*s\n", SLICE_ARG(line));
        size_t used = line.n + (nl >= 0);
        rest = slice_make(rest.p + used, rest.n - used);
    }
    if (any)
        return;
    if (mode != 'M' || p->edit != EDIT_SET)
        log_warn("unmatched request: \"%.*s/%.*s\"", SLICE_ARG(r->name), SLICE_ARG(r->type));
    else
        append_service(reparse(p, r->value), true, out);
}

void postconf_master_edit(struct postconf *p, char mode, char **args, int n)
{
    BUF_AUTO text = BUF((size_t)16 << 20);
    BUF_AUTO err = BUF(1000);
    if (n == 0)
        log_fatal("-e, -X, or -# requires an argument");
    if (!lines_read_file(p->master_cf, &text, &err))
        log_fatal("%s", buf_cstr(&err));
    for (int i = 0; i < n; i++) {
        BUF_AUTO out = BUF((size_t)32 << 20);
        struct request r = parse_request(args[i]);
        check_request(p, &r, mode, args[i]);
        struct service *s = master_cf_parse(p->arena, p->master_cf, buf_slice(&text), false, &err);
        if (!s && text.len > 0 && mode != 'M')
            log_fatal("%s", buf_cstr(&err));
        edit_text(p, mode, &r, buf_slice(&text), s, &out);
        buf_reset(&text);
        buf_append_slice(&text, buf_slice(&out));
    }
    postconf_publish(p->master_cf, &text);
}
