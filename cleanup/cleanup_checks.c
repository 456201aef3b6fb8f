/* cleanup_checks.c - what header_checks(5) and its like say of a line. */
#include "cleanup/cleanup.h"

#include "lib/base/log.h"
#include "lib/syntax/address.h"

#include <stdio.h>

enum { LOGGED_MOST = 200 };

const char *cleanup_origin(const struct cleanup *m)
{
    if (!*m->begin.client_addr)
        return "local";
    return arena_printf(m->arena, "%s[%s]", m->begin.client_name, m->begin.client_addr);
}

static void log_action(struct cleanup *m, const char *action, const char *kind, const char *text, const char *why)
{
    char quoted[LOGGED_MOST + 1];
    BUF_AUTO line = BUF(4000);
    log_quote(quoted, sizeof quoted, text, strlen(text) < LOGGED_MOST ? strlen(text) : LOGGED_MOST);
    buf_printf(&line, "%s: %s: %s %s from %s; from=<%s>", m->queue_id, action, kind, quoted, cleanup_origin(m),
               m->sender);
    if (m->recipients.n)
        buf_printf(&line, " to=<%s>", m->recipients.items[0].address);
    if (*m->begin.client_proto)
        buf_printf(&line, " proto=%s", m->begin.client_proto);
    if (*m->begin.client_helo)
        buf_printf(&line, " helo=<%s>", m->begin.client_helo);
    if (*why)
        buf_printf(&line, ": %s", why);
    log_info("%s", buf_cstr(&line));
}

/* "5.7.1 text": the code is taken off the text. */
static void refuse(struct cleanup *m, const char *text, bool temporary)
{
    char dsn[16] = "";
    int used = 0;
    unsigned a, b, c;
    /* NOLINTNEXTLINE(cert-err34-c): so few digits cannot overflow */
    if (sscanf(text, "%1u.%3u.%3u%n", &a, &b, &c, &used) == 3 && (text[used] == ' ' || !text[used]) &&
        (a == 4 || a == 5))
        snprintf(dsn, sizeof dsn, "%u.%u.%u", a, b, c);
    if (*dsn)
        text += text[used] ? used + 1 : used;
    temporary = temporary || *dsn == '4';
    const char *said = *text ? text : "message content rejected";
    struct result r =
        temporary ? result_try_again(*dsn ? dsn : "4.7.1", "%s", said) : result_never(*dsn ? dsn : "5.7.1", "%s", said);
    cleanup_fail(m, temporary ? 451 : 550, &r);
}

struct step {
    struct cleanup *m;
    const char *kind, *text, *argument;
    const char **replacement;
};

static enum check_verdict act_reject(struct step *s)
{
    log_action(s->m, "reject", s->kind, s->text, *s->argument ? s->argument : "5.7.1 message content rejected");
    refuse(s->m, s->argument, false);
    return CHECK_KEEP;
}
static enum check_verdict act_defer(struct step *s)
{
    log_action(s->m, "reject", s->kind, s->text, s->argument);
    refuse(s->m, s->argument, true);
    return CHECK_KEEP;
}
static enum check_verdict act_warn(struct step *s)
{
    log_action(s->m, "warning", s->kind, s->text, s->argument);
    return CHECK_KEEP;
}
static enum check_verdict act_info(struct step *s)
{
    log_action(s->m, "info", s->kind, s->text, s->argument);
    return CHECK_KEEP;
}
static enum check_verdict act_pass(struct step *s)
{
    log_action(s->m, "pass", s->kind, s->text, s->argument);
    s->m->begin.flags &= ~(uint32_t)CLEANUP_FILTER;
    return CHECK_KEEP;
}
static enum check_verdict act_discard(struct step *s)
{
    log_action(s->m, "discard", s->kind, s->text, s->argument);
    s->m->discard = true;
    s->m->begin.flags &= ~(uint32_t)CLEANUP_FILTER;
    return CHECK_KEEP;
}
static enum check_verdict act_hold(struct step *s)
{
    if (!s->m->hold)
        log_action(s->m, "hold", s->kind, s->text, s->argument);
    s->m->hold = true;
    return CHECK_KEEP;
}
static enum check_verdict act_ignore(struct step *s)
{
    return CHECK_DROP;
}
static enum check_verdict act_strip(struct step *s)
{
    log_action(s->m, "strip", s->kind, s->text, s->argument);
    return CHECK_DROP;
}
/* In a header only a header can stand. */
static bool fits(struct step *s, const char *action)
{
    struct header_field f;
    struct slice text = slice_of(s->argument);
    if (strcmp(s->kind, "header") != 0 || header_next(&text, &f) == 1)
        return true;
    log_warn("%s: bad %s header text \"%s\" in header_checks: need \"headername: headervalue\"", s->m->queue_id, action,
             s->argument);
    return false;
}

static enum check_verdict act_replace(struct step *s)
{
    if (!fits(s, "REPLACE"))
        return CHECK_KEEP;
    if (!*s->argument) {
        log_warn("REPLACE action without text in %s_checks", s->kind);
        return CHECK_KEEP;
    }
    log_action(s->m, "replace", s->kind, s->text, s->argument);
    *s->replacement = arena_strdup(s->m->arena, s->argument);
    return CHECK_REPLACED;
}
static enum check_verdict act_prepend(struct step *s)
{
    if (!*s->argument || !fits(s, "PREPEND"))
        return CHECK_KEEP;
    log_action(s->m, "prepend", s->kind, s->text, s->argument);
    cleanup_put(s->m, slice_of(arena_printf(s->m->arena, "%s\n", s->argument)));
    return CHECK_KEEP;
}
static enum check_verdict act_filter(struct step *s)
{
    log_action(s->m, "filter", s->kind, s->text, s->argument);
    if (strchr(s->argument, ':'))
        s->m->filter = arena_strdup(s->m->arena, s->argument);
    else
        log_warn("FILTER action needs transport:nexthop: %s", s->argument);
    return CHECK_KEEP;
}
static enum check_verdict act_redirect(struct step *s)
{
    log_action(s->m, "redirect", s->kind, s->text, s->argument);
    if (address_at(s->argument) >= 0)
        s->m->redirect = arena_strdup(s->m->arena, s->argument);
    else
        log_warn("REDIRECT action needs an address with a domain: %s", s->argument);
    return CHECK_KEEP;
}
static enum check_verdict act_bcc(struct step *s)
{
    log_action(s->m, "bcc", s->kind, s->text, s->argument);
    VEC_PUSH(&s->m->copies, arena_strdup(s->m->arena, s->argument));
    return CHECK_KEEP;
}
static enum check_verdict act_nothing(struct step *s)
{
    return CHECK_KEEP;
}

static const struct action {
    const char *name;
    enum check_verdict (*run)(struct step *s);
} actions[] = {
    {"REJECT", act_reject},     {"DEFER", act_defer},     {"WARN", act_warn},       {"INFO", act_info},
    {"PASS", act_pass},         {"DISCARD", act_discard}, {"HOLD", act_hold},       {"IGNORE", act_ignore},
    {"STRIP", act_strip},       {"REPLACE", act_replace}, {"PREPEND", act_prepend}, {"FILTER", act_filter},
    {"REDIRECT", act_redirect}, {"BCC", act_bcc},         {"DUNNO", act_nothing},   {"OK", act_nothing},
};

enum check_verdict cleanup_check(struct cleanup *m, struct maps *maps, const char *kind, const char *text,
                                 const char **replacement)
{
    BUF_AUTO found = BUF(IPC_TEXT);
    enum map_status st = maps_lookup(maps, text, &found);
    if (st == MAP_TRY_AGAIN) {
        struct result r = result_try_again("4.3.0", "Error: queue file write error");
        cleanup_fail(m, 451, &r);
    }
    if (st != MAP_FOUND)
        return CHECK_KEEP;
    struct slice rest = slice_trim(buf_slice(&found)), word;
    if (!slice_token(&rest, " \t", &word))
        return CHECK_KEEP;
    struct step s = {m, kind, text, arena_slice(m->arena, slice_trim(rest)), replacement};
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (slice_eq_fold(word, slice_of(actions[i].name)))
            return actions[i].run(&s);
    log_warn("unknown action in %s_checks: \"%s\"", kind, buf_cstr(&found));
    return CHECK_KEEP;
}
