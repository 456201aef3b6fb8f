/* restriction.c - parsing and running restriction lists. See restriction.h. */
#include "smtpd/restriction.h"

#include "lib/base/hash.h"
#include "lib/base/vec.h"
#include "smtpd/smtpd.h"

enum { NESTED_LISTS_MAX = 20, DEFER_CODE = 450 };

struct check_classes {
    struct hash *lists; /* name -> struct check_list */
};

bool check_word(struct slice *rest, struct slice *word)
{
    size_t i = 0, depth = 0;
    while (i < rest->n && strchr(" \t\r\n,", rest->p[i]))
        i++;
    size_t start = i;
    for (; i < rest->n && (depth > 0 || !strchr(" \t\r\n,", rest->p[i])); i++) {
        if (rest->p[i] == '{')
            depth++;
        else if (rest->p[i] == '}' && depth > 0)
            depth--;
    }
    *word = slice_make(rest->p + start, i - start);
    *rest = slice_make(rest->p + i, rest->n - i);
    return word->n > 0;
}

static const struct restriction *find(const char *name)
{
    for (const struct restriction *r = restriction_table; r->name; r++) {
        if (str_eq_fold(r->name, name))
            return r;
    }
    return NULL;
}

/* A bare type:table means the stage's own access check. */
static const char *default_access(enum check_stage stage)
{
    static const char *const names[STAGE_COUNT] = {
        [STAGE_CLIENT] = "check_client_access",         [STAGE_HELO] = "check_helo_access",
        [STAGE_SENDER] = "check_sender_access",         [STAGE_RELAY] = "check_recipient_access",
        [STAGE_RECIPIENT] = "check_recipient_access",   [STAGE_DATA] = "check_recipient_access",
        [STAGE_END_OF_DATA] = "check_recipient_access", [STAGE_ETRN] = "check_etrn_access",
    };
    return names[stage];
}

static bool open_table(struct conf *conf, const char *parameter, struct check_step *step, struct buf *err)
{
    if (!conf) /* a list that stands in an access table */
        return true;
    step->maps = maps_open(conf, parameter, step->argument, err);
    return step->maps != NULL;
}

/* One restriction with its argument; false with err. */
static bool parse_step(struct conf *conf, struct arena *a, struct check_classes *classes, const char *parameter,
                       enum check_stage stage, struct slice *rest, struct check_step *step, struct buf *err)
{
    struct slice argument;
    step->list = classes ? hash_get(classes->lists, step->word) : NULL;
    if (step->list)
        return true;
    step->restriction = find(step->word);
    if (!step->restriction && strchr(step->word, ':')) {
        step->restriction = find(default_access(stage));
        step->argument = step->word;
        return open_table(conf, parameter, step, err);
    }
    if (!step->restriction || step->restriction->argument == ARG_NONE)
        return true;
    if (!check_word(rest, &argument)) {
        step->restriction = NULL; /* answered as a server configuration error */
        return true;
    }
    step->argument = arena_slice(a, argument);
    return step->restriction->argument != ARG_TABLE || open_table(conf, parameter, step, err);
}

bool check_list_parse(struct conf *conf, struct arena *a, struct check_classes *classes, const char *parameter,
                      const char *text, enum check_stage stage, struct check_list *out, struct buf *err)
{
    struct slice rest = slice_of(text), word;
    VEC(struct check_step) steps = {0};
    bool warn = false, ok = true;
    while (ok && check_word(&rest, &word)) {
        struct check_step step = {.word = arena_slice(a, word), .warn = warn};
        warn = str_eq_fold(step.word, "warn_if_reject");
        if (warn)
            continue;
        ok = parse_step(conf, a, classes, parameter, stage, &rest, &step, err);
        VEC_PUSH(&steps, step);
    }
    out->n = steps.n;
    out->steps = steps.n ? arena_memdup(a, steps.items, steps.n * sizeof *steps.items) : NULL;
    VEC_FREE(&steps);
    return ok;
}

struct check_classes *check_classes_new(struct conf *conf, struct arena *a, const char *names, struct buf *err)
{
    struct check_classes *c = ARENA_NEW(a, struct check_classes);
    struct slice rest = slice_of(names), word;
    c->lists = hash_new();
    /* Names first, so that a class may refer to any other. */
    while (check_word(&rest, &word))
        hash_put(c->lists, arena_slice(a, word), ARENA_NEW(a, struct check_list));
    rest = slice_of(names);
    while (check_word(&rest, &word)) {
        const char *name = arena_slice(a, word);
        const char *value = conf_value(conf, name, err);
        struct check_list *list = hash_get(c->lists, name);
        if (!check_list_parse(conf, a, c, name, value ? value : "", STAGE_RECIPIENT, list, err))
            return NULL;
    }
    return c;
}

bool check_list_is_safe(const struct check_list *list)
{
    static const char *const safe[] = {"reject",          "reject_unauth_destination", "defer",
                                       "defer_if_permit", "defer_unauth_destination",  "check_relay_domains"};
    for (size_t i = 0; i < list->n; i++) {
        const struct check_step *step = &list->steps[i];
        if (step->warn || !step->restriction)
            continue;
        for (size_t k = 0; k < sizeof safe / sizeof *safe; k++) {
            if (str_eq_fold(step->restriction->name, safe[k]))
                return true;
        }
    }
    return false;
}

static bool applies(const struct session *s, unsigned needs)
{
    return (!(needs & NEEDS_HELO) || s->helo) && (!(needs & NEEDS_SENDER) || s->sender) &&
           (!(needs & NEEDS_NOT_NULL) || (s->sender && *s->sender)) && (!(needs & NEEDS_RECIPIENT) || s->recipient);
}

static enum check_result run_list(struct check *c, const struct check_list *list);

static enum check_result run_step(struct check *c, const struct check_step *step)
{
    if (step->list)
        return run_list(c, step->list);
    if (!step->restriction)
        return check_misconfigured(c, "unknown smtpd restriction", step->word);
    if (!applies(c->session, step->restriction->needs))
        return CHECK_DUNNO;
    return step->restriction->fn(c, step);
}

static enum check_result run_list(struct check *c, const struct check_list *list)
{
    enum check_result r = CHECK_DUNNO;
    bool outer_warn = c->warn;
    const struct check_step *outer = c->step;
    if (++c->depth > NESTED_LISTS_MAX)
        return check_misconfigured(c, "restrictions are nested too deeply", "");
    for (size_t i = 0; i < list->n && r == CHECK_DUNNO && !c->session->effects.discard; i++) {
        c->step = &list->steps[i];
        c->warn = outer_warn || c->step->warn;
        r = run_step(c, c->step);
        if (c->recorder)
            c->recorder->step(c->recorder, c->stage, list->steps[i].word, list->steps[i].argument, r);
    }
    c->depth--;
    c->warn = outer_warn;
    c->step = outer;
    return r;
}

enum check_result check_run_text(struct check *c, const char *text, const char *subject, const char *class_name)
{
    struct check_list list;
    BUF_AUTO err = BUF(500);
    check_list_parse(NULL, c->session->call, smtpd_shared.classes, "", text, c->stage, &list, &err);
    for (size_t i = 0; i < list.n; i++) {
        const struct check_step *step = &list.steps[i];
        if (!step->list && (!step->restriction || step->restriction->argument == ARG_TABLE))
            return check_misconfigured(c, "unknown smtpd restriction", step->word);
    }
    struct check inner = *c;
    inner.subject = subject;
    inner.class_name = class_name;
    enum check_result r = run_list(&inner, &list);
    c->defer_if_reject = inner.defer_if_reject;
    return r;
}

enum check_result check_defer(struct session *s)
{
    BUF_AUTO context = BUF(8000);
    s->verdict = s->defer_if_permit;
    smtpd_log_context(s, &context);
    log_info("%s: reject: %s from %s: %d %s;%s", s->queue_id ? s->queue_id : "NOQUEUE", s->where, s->namaddr,
             s->verdict.code, s->verdict.text, buf_cstr(&context));
    return CHECK_REJECT;
}

enum check_result check_run(struct session *s, enum check_stage stage, const struct check_list *list,
                            struct recorder *recorder)
{
    struct check c = {.session = s, .stage = stage, .recorder = recorder};
    if (stage == STAGE_DATA || stage == STAGE_END_OF_DATA)
        s->defer_if_permit = (struct check_verdict){0};
    enum check_result r = run_list(&c, list);
    if (r == CHECK_REJECT && c.defer_if_reject.code && s->verdict.code / 100 == 5)
        s->verdict = c.defer_if_reject;
    bool last_word = stage == STAGE_DATA || stage == STAGE_END_OF_DATA || stage == STAGE_ETRN;
    return last_word && r != CHECK_REJECT && s->defer_if_permit.code ? check_defer(s) : r;
}

static const char *reply_text(struct session *s, int *code, const char *dsn, const char *fmt, va_list ap)
{
    if (daemon_env->common.soft_bounce && *code / 100 == 5)
        *code -= 100;
    const char *text = arena_vprintf(s->call, fmt, ap);
    return arena_printf(s->call, "%d%s %s", *code / 100, dsn + 1, text);
}

enum check_result check_reject(struct check *c, int code, const char *dsn, const char *fmt, ...)
{
    struct session *s = c->session;
    va_list ap;
    va_start(ap, fmt);
    const char *text = reply_text(s, &code, dsn, fmt, ap);
    va_end(ap);
    BUF_AUTO context = BUF(8000);
    smtpd_log_context(s, &context);
    log_info("%s: %s: %s from %s: %d %s;%s", s->queue_id ? s->queue_id : "NOQUEUE",
             c->warn ? "reject_warning" : "reject", s->where, s->namaddr, code, text, buf_cstr(&context));
    if (c->warn)
        return CHECK_DUNNO;
    s->verdict = (struct check_verdict){code, text};
    return CHECK_REJECT;
}

void check_defer_if_permit(struct check *c, int code, const char *dsn, const char *fmt, ...)
{
    struct session *s = c->session;
    if (c->warn || s->defer_if_permit.code)
        return;
    va_list ap;
    va_start(ap, fmt);
    const char *text = reply_text(s, &code, dsn, fmt, ap);
    va_end(ap);
    s->defer_if_permit = (struct check_verdict){code, arena_strdup(s->arena, text)};
}

const char *check_subject(struct check *c, const char **class_name)
{
    struct session *s = c->session;
    static const char *const names[STAGE_COUNT] = {
        [STAGE_CLIENT] = "Client host",      [STAGE_HELO] = "Helo command",           [STAGE_SENDER] = "Sender address",
        [STAGE_RELAY] = "Recipient address", [STAGE_RECIPIENT] = "Recipient address", [STAGE_DATA] = "Data command",
        [STAGE_END_OF_DATA] = "End-of-data", [STAGE_ETRN] = "Etrn command",
    };
    *class_name = c->class_name ? c->class_name : names[c->stage];
    if (c->subject)
        return c->subject;
    switch (c->stage) {
    case STAGE_CLIENT:
        return s->namaddr;
    case STAGE_HELO:
        return s->helo ? s->helo : "";
    case STAGE_SENDER:
        return s->sender ? s->sender : "";
    case STAGE_RELAY:
    case STAGE_RECIPIENT:
    case STAGE_ETRN:
        return s->recipient ? s->recipient : "";
    case STAGE_DATA:
        return "DATA";
    default:
        return s->where;
    }
}

enum check_result check_misconfigured(struct check *c, const char *what, const char *word)
{
    log_warn("%s: \"%s\"", what, word);
    return check_reject(c, 451, "4.3.5", "Server configuration error");
}

enum check_result check_table_failure(struct check *c, const char *subject)
{
    return check_reject(c, 451, "4.3.0", "<%s>: Temporary lookup failure", subject);
}

bool check_resolve(struct session *s, const char *address, struct msg_resolved *out)
{
    const char *canonical;
    if (!rewrite_addresses(smtpd_shared.rewrite, s->call, "local", &address, 1, &canonical))
        return false;
    return resolve_addresses(smtpd_shared.rewrite, s->call, s->sender ? s->sender : "", &canonical, 1, out) &&
           !(out->flags & RESOLVE_TRY_AGAIN);
}

/* clang-format off */
const struct restriction restriction_table[] = {
    {"permit", restriction_permit, ARG_NONE, 0},
    {"reject", restriction_reject, ARG_NONE, 0},
    {"defer", restriction_defer, ARG_NONE, 0},
    {"defer_if_permit", restriction_defer_if_permit, ARG_NONE, 0},
    {"defer_if_reject", restriction_defer_if_reject, ARG_NONE, 0},
    {"sleep", restriction_sleep, ARG_WORD, 0},
    {"reject_plaintext_session", restriction_reject_plaintext_session, ARG_NONE, 0},
    {"reject_unauth_pipelining", restriction_reject_unauth_pipelining, ARG_NONE, 0},
    {"permit_mynetworks", restriction_permit_mynetworks, ARG_NONE, 0},
    {"permit_inet_interfaces", restriction_permit_inet_interfaces, ARG_NONE, 0},
    {"permit_sasl_authenticated", restriction_permit_sasl_authenticated, ARG_NONE, 0},
    {"reject_unknown_client_hostname", restriction_reject_unknown_client, ARG_NONE, 0},
    {"reject_unknown_client", restriction_reject_unknown_client, ARG_NONE, 0},
    {"reject_unknown_reverse_client_hostname", restriction_reject_unknown_reverse_client, ARG_NONE, 0},
    {"reject_non_fqdn_helo_hostname", restriction_reject_non_fqdn_helo, ARG_NONE, NEEDS_HELO},
    {"reject_non_fqdn_hostname", restriction_reject_non_fqdn_helo, ARG_NONE, NEEDS_HELO},
    {"reject_invalid_helo_hostname", restriction_reject_invalid_helo, ARG_NONE, NEEDS_HELO},
    {"reject_invalid_hostname", restriction_reject_invalid_helo, ARG_NONE, NEEDS_HELO},
    {"reject_unknown_helo_hostname", restriction_reject_unknown_helo, ARG_NONE, NEEDS_HELO},
    {"reject_unknown_hostname", restriction_reject_unknown_helo, ARG_NONE, NEEDS_HELO},
    {"reject_non_fqdn_sender", restriction_reject_non_fqdn_sender, ARG_NONE, NEEDS_NOT_NULL},
    {"reject_non_fqdn_recipient", restriction_reject_non_fqdn_recipient, ARG_NONE, NEEDS_RECIPIENT},
    {"reject_unknown_sender_domain", restriction_reject_unknown_sender_domain, ARG_NONE, NEEDS_NOT_NULL},
    {"reject_unknown_address", restriction_reject_unknown_sender_domain, ARG_NONE, NEEDS_NOT_NULL},
    {"reject_unknown_recipient_domain", restriction_reject_unknown_recipient_domain, ARG_NONE, NEEDS_RECIPIENT},
    {"reject_unlisted_sender", restriction_reject_unlisted_sender, ARG_NONE, NEEDS_NOT_NULL},
    {"reject_unlisted_recipient", restriction_reject_unlisted_recipient, ARG_NONE, NEEDS_RECIPIENT},
    {"check_recipient_maps", restriction_reject_unlisted_recipient, ARG_NONE, NEEDS_RECIPIENT},
    {"permit_auth_destination", restriction_permit_auth_destination, ARG_NONE, NEEDS_RECIPIENT},
    {"reject_unauth_destination", restriction_reject_unauth_destination, ARG_NONE, NEEDS_RECIPIENT},
    {"check_relay_domains", restriction_reject_unauth_destination, ARG_NONE, NEEDS_RECIPIENT},
    {"defer_unauth_destination", restriction_defer_unauth_destination, ARG_NONE, NEEDS_RECIPIENT},
    {"reject_multi_recipient_bounce", restriction_reject_multi_recipient_bounce, ARG_NONE, NEEDS_SENDER},
    {"reject_sender_login_mismatch", restriction_reject_sender_login_mismatch, ARG_NONE, NEEDS_NOT_NULL},
    {"reject_authenticated_sender_login_mismatch", restriction_reject_authenticated_mismatch, ARG_NONE, NEEDS_NOT_NULL},
    {"reject_unauthenticated_sender_login_mismatch", restriction_reject_unauthenticated_mismatch, ARG_NONE, NEEDS_NOT_NULL},
    {"reject_known_sender_login_mismatch", restriction_reject_known_mismatch, ARG_NONE, NEEDS_NOT_NULL},
    {"check_client_access", restriction_check_client_access, ARG_TABLE, 0},
    {"check_reverse_client_hostname_access", restriction_check_reverse_client_access, ARG_TABLE, 0},
    {"check_helo_access", restriction_check_helo_access, ARG_TABLE, NEEDS_HELO},
    {"check_sender_access", restriction_check_sender_access, ARG_TABLE, NEEDS_SENDER},
    {"check_recipient_access", restriction_check_recipient_access, ARG_TABLE, NEEDS_RECIPIENT},
    {"check_sasl_access", restriction_check_sasl_access, ARG_TABLE, 0},
    {"check_etrn_access", restriction_check_etrn_access, ARG_TABLE, NEEDS_RECIPIENT},
    {"reject_rbl_client", restriction_reject_rbl_client, ARG_WORD, 0},
    {"reject_rhsbl_client", restriction_reject_rhsbl_client, ARG_WORD, 0},
    {"reject_rhsbl_reverse_client", restriction_reject_rhsbl_reverse_client, ARG_WORD, 0},
    {"reject_rhsbl_helo", restriction_reject_rhsbl_helo, ARG_WORD, NEEDS_HELO},
    {"reject_rhsbl_sender", restriction_reject_rhsbl_sender, ARG_WORD, NEEDS_NOT_NULL},
    {"reject_rhsbl_recipient", restriction_reject_rhsbl_recipient, ARG_WORD, NEEDS_RECIPIENT},
    {0},
};
/* clang-format on */
