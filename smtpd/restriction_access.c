/* restriction_access.c - access tables (access(5)): the keys that are asked, in order, and what an entry's action does.
 */
#include "lib/syntax/address.h"
#include "lib/syntax/header.h"
#include "smtpd/smtpd.h"

#include <stdio.h>
#include <stdlib.h>

enum { ACTION_MAX = 8000 };

/* One look-up. True when it settles the matter: found (and not DUNNO as an answer of no opinion), or failed. */
static bool ask(struct check *c, const struct check_step *step, const char *key, const char *subject,
                const char *class_name, enum check_result *result)
{
    BUF_AUTO value = BUF(ACTION_MAX);
    const char *title = step->argument;
    BUF_AUTO folded = BUF(2000);
    buf_puts(&folded, key);
    str_lower(folded.data ? folded.data : (char[1]){0});
    switch (maps_lookup_title(step->maps, buf_cstr(&folded), &value, &title)) {
    case MAP_FOUND:
        *result = check_action(c, title, arena_slice(c->session->call, buf_slice(&value)), subject, class_name);
        return true;
    case MAP_TRY_AGAIN:
        *result = check_table_failure(c, subject);
        return true;
    default:
        return false;
    }
}

/* The name, then its parents: "example.com" or ".example.com" as parent_domain_matches_subdomains says. */
static bool ask_domain(struct check *c, const struct check_step *step, const char *domain, const char *subject,
                       const char *class_name, enum check_result *result)
{
    bool parents = strstr(daemon_env->common.parent_domain_matches_subdomains, "smtpd_access_maps") != NULL;
    if (ask(c, step, domain, subject, class_name, result))
        return true;
    if (*domain == '[')
        return false;
    for (const char *p = strchr(domain, '.'); p && p[1]; p = strchr(p + 1, '.')) {
        if (p != domain && ask(c, step, parents ? p + 1 : p, subject, class_name, result))
            return true;
    }
    return false;
}

/* The address, then the address with octets (hexadecimal groups) taken off from the right. */
static bool ask_address(struct check *c, const struct check_step *step, const char *addr, const char *subject,
                        const char *class_name, enum check_result *result)
{
    char *key = arena_strdup(c->session->call, addr);
    char separator = strchr(key, ':') ? ':' : '.';
    for (char *cut = key; cut; cut = strrchr(key, separator)) {
        if (cut != key)
            *cut = 0;
        if (*key == 0 || ask(c, step, key, subject, class_name, result))
            return *key != 0;
    }
    return false;
}

enum check_result restriction_check_client_access(struct check *c, const struct check_step *step)
{
    struct session *s = c->session;
    enum check_result r = CHECK_DUNNO;
    if (!ask_domain(c, step, s->client_name, s->namaddr, "Client host", &r))
        ask_address(c, step, s->client_addr, s->namaddr, "Client host", &r);
    return r;
}

enum check_result restriction_check_reverse_client_access(struct check *c, const struct check_step *step)
{
    struct session *s = c->session;
    enum check_result r = CHECK_DUNNO;
    if (!ask_domain(c, step, s->reverse_name, s->reverse_name, "Unverified Client host", &r))
        ask_address(c, step, s->client_addr, s->reverse_name, "Unverified Client host", &r);
    return r;
}

enum check_result restriction_check_helo_access(struct check *c, const struct check_step *step)
{
    enum check_result r = CHECK_DUNNO;
    ask_domain(c, step, c->session->helo, c->session->helo, "Helo command", &r);
    return r;
}

enum check_result restriction_check_etrn_access(struct check *c, const struct check_step *step)
{
    enum check_result r = CHECK_DUNNO;
    ask_domain(c, step, c->session->recipient, c->session->recipient, "Etrn command", &r);
    return r;
}

enum check_result restriction_check_sasl_access(struct check *c, const struct check_step *step)
{
    enum check_result r = CHECK_DUNNO;
    if (c->session->sasl_username)
        ask(c, step, c->session->sasl_username, c->session->sasl_username, "SASL login name", &r);
    return r;
}

/* user+ext@domain, user@domain, domain and parents, user+ext@, user@. */
static enum check_result mail_access(struct check *c, const struct check_step *step, const char *address,
                                     const char *class_name)
{
    struct arena *a = c->session->call;
    enum check_result r = CHECK_DUNNO;
    ptrdiff_t at = address_at(address);
    if (ask(c, step, address, address, class_name, &r))
        return r;
    const char *local = at < 0 ? address : arena_strndup(a, address, (size_t)at);
    const char *domain = at < 0 ? daemon_env->common.myorigin : address + at + 1;
    const char *user, *extension;
    address_split_extension(a, local, daemon_env->common.recipient_delimiter, &user, &extension);
    if (extension && at >= 0 && ask(c, step, arena_printf(a, "%s@%s", user, domain), address, class_name, &r))
        return r;
    if (ask_domain(c, step, domain, address, class_name, &r))
        return r;
    if (ask(c, step, arena_printf(a, "%s@", local), address, class_name, &r))
        return r;
    if (extension)
        ask(c, step, arena_printf(a, "%s@", user), address, class_name, &r);
    return r;
}

enum check_result restriction_check_sender_access(struct check *c, const struct check_step *step)
{
    const char *sender = c->session->sender;
    enum check_result r = CHECK_DUNNO;
    if (*sender)
        return mail_access(c, step, sender, "Sender address");
    if (*smtpd_params.smtpd_null_access_lookup_key)
        ask(c, step, smtpd_params.smtpd_null_access_lookup_key, "", "Sender address", &r);
    return r;
}

enum check_result restriction_check_recipient_access(struct check *c, const struct check_step *step)
{
    return mail_access(c, step, c->session->recipient, "Recipient address");
}

/* ---- actions ---- */

static bool is_dsn(const char *text, char class, char dsn[16])
{
    size_t n = strspn(text, "0123456789.");
    unsigned dots = 0;
    for (size_t i = 0; i < n; i++)
        dots += text[i] == '.';
    if (n < 5 || n > 11 || dots != 2 || text[1] != '.' || text[n - 1] == '.' || (text[n] && text[n] != ' '))
        return false;
    memcpy(dsn, text, n);
    dsn[n] = 0;
    dsn[0] = class;
    return true;
}

void check_fit_dsn(char dsn[16], const char *class_name)
{
    bool sender = strcmp(class_name, "Sender address") == 0, recipient = strcmp(class_name, "Recipient address") == 0;
    if (dsn[2] != '1' || dsn[3] != '.' || dsn[5] != 0)
        return;
    if (!sender && !recipient) {
        memcpy(dsn + 2, "0.0", 3);
        return;
    }
    const char *const as = sender ? "0787707780" : "0123456320";
    if (dsn[4] >= '0' && dsn[4] <= '9')
        dsn[4] = as[dsn[4] - '0'];
}

/* "[4.7.1] text" of an entry, with its defaults. */
static enum check_result refuse(struct check *c, int code, const char *text, const char *preset, const char *subject,
                                const char *class_name)
{
    char dsn[16] = "5.7.1";
    char class = (char)('0' + code / 100);
    dsn[0] = class;
    if (is_dsn(text, class, dsn)) {
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
    check_fit_dsn(dsn, class_name);
    return check_reject(c, code, dsn, "<%s>: %s rejected: %s", subject, class_name, *text ? text : preset);
}

static void log_action(struct check *c, const char *action, const char *text, const char *subject,
                       const char *class_name)
{
    struct session *s = c->session;
    BUF_AUTO context = BUF(8000);
    smtpd_log_context(s, &context);
    log_info("%s: %s: %s from %s: <%s>: %s %s;%s", s->queue_id ? s->queue_id : "NOQUEUE", action, s->where, s->namaddr,
             subject, class_name, *text ? text : "triggers this action", buf_cstr(&context));
}

static const char **push(struct arena *a, const char **list, size_t *n, const char *item)
{
    const char **grown = ARENA_ARRAY(a, const char *, *n + 1);
    if (*n)
        memcpy(grown, list, *n * sizeof *list);
    grown[(*n)++] = arena_strdup(a, item);
    return grown;
}

static bool misused(const char *title, const char *action, const char *needs)
{
    log_warn("access table %s: action %s requires %s", title, action, needs);
    return true;
}

/* Actions on the whole message; they last as long as the transaction (those of client and HELO tables, evaluated at
 * RCPT, too). False when it is none of them. */
static bool effect(struct check *c, const char *title, const char *action, const char *text, const char *subject,
                   const char *class_name)
{
    struct session *s = c->session;
    struct check_effects *e = &s->effects;
    if (str_eq_fold(action, "HOLD"))
        e->hold = true;
    else if (str_eq_fold(action, "DISCARD"))
        e->discard = true;
    else if (str_eq_fold(action, "FILTER")) {
        if (!strchr(text, ':'))
            return misused(title, action, "transport:destination");
        e->filter = arena_strdup(s->mail, text);
    } else if (str_eq_fold(action, "REDIRECT")) {
        if (!strchr(text, '@'))
            return misused(title, action, "user@domain target");
        e->redirect = arena_strdup(s->mail, text);
    } else if (str_eq_fold(action, "BCC")) {
        if (!strchr(text, '@'))
            return misused(title, action, "user@domain target");
        e->bcc = push(s->mail, e->bcc, &e->n_bcc, text);
    } else if (str_eq_fold(action, "PREPEND")) {
        struct slice field = slice_of(text);
        struct header_field f;
        if (header_next(&field, &f) != 1)
            return misused(title, action, "header text");
        if (!s->queue_id)
            e->prepend = push(s->mail, e->prepend, &e->n_prepend, text);
        return true;
    } else
        return false;
    char lower[16];
    snprintf(lower, sizeof lower, "%.15s", action);
    str_lower(lower);
    log_action(c, lower, text, subject, class_name);
    return true;
}

static bool all_digits(const char *text)
{
    size_t n = strspn(text, "0123456789");
    return n > 0 && text[n] == 0;
}

static enum check_result defer_if(struct check *c, bool permit, const char *text, const char *subject,
                                  const char *class_name)
{
    char dsn[16] = "4.7.1";
    if (is_dsn(text, '4', dsn)) {
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
    check_fit_dsn(dsn, class_name);
    const char *why = *text ? text : "Service unavailable";
    if (permit)
        check_defer_if_permit(c, 450, dsn, "<%s>: %s rejected: %s", subject, class_name, why);
    else if (!c->warn && !c->defer_if_reject.code)
        c->defer_if_reject = (struct check_verdict){
            450, arena_printf(c->session->call, "%s <%s>: %s rejected: %s", dsn, subject, class_name, why)};
    return CHECK_DUNNO;
}

enum check_result check_action(struct check *c, const char *title, const char *value, const char *subject,
                               const char *class_name)
{
    struct session *s = c->session;
    struct slice rest = slice_trim(slice_of(value)), word;
    if (!slice_token(&rest, " \t", &word))
        return check_misconfigured(c, "access table entry without action", title);
    const char *action = arena_slice(s->call, word), *text = arena_slice(s->call, slice_trim(rest));
    if (str_eq_fold(action, "DUNNO"))
        return CHECK_DUNNO;
    if (str_eq_fold(action, "OK"))
        return CHECK_OK;
    if (str_eq_fold(action, "REJECT"))
        return refuse(c, (int)smtpd_params.access_map_reject_code, text, "Access denied", subject, class_name);
    if (str_eq_fold(action, "DEFER"))
        return refuse(c, (int)smtpd_params.access_map_defer_code, text, "Access denied", subject, class_name);
    if (str_eq_fold(action, "DEFER_IF_PERMIT") || str_eq_fold(action, "DEFER_IF_REJECT"))
        return defer_if(c, str_eq_fold(action, "DEFER_IF_PERMIT"), text, subject, class_name);
    if (str_eq_fold(action, "WARN") || str_eq_fold(action, "INFO")) {
        log_action(c, str_eq_fold(action, "WARN") ? "warn" : "info", text, subject, class_name);
        return CHECK_DUNNO;
    }
    if (str_eq_fold(action, "HANGUP")) {
        log_action(c, "hangup", text, subject, class_name);
        s->closing = s->lost = true;
        s->verdict = (struct check_verdict){421, "4.7.0 closing"};
        return CHECK_REJECT;
    }
    if (strlen(action) == 3 && all_digits(action) && (*action == '4' || *action == '5') && *text)
        return refuse(c, (int)strtol(action, NULL, 10), text, "Access denied", subject, class_name);
    if (all_digits(action) && !*text)
        return CHECK_OK;
    if (effect(c, title, action, text, subject, class_name))
        return CHECK_DUNNO;
    return check_run_text(c, value, subject, class_name);
}
