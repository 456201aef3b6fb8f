/* bounce_send.c - who gets a notice, and handing it to cleanup. */
#include "bounce/bounce.h"
#include "bounce/bounce_params.h"
#include "lib/base/log.h"
#include "lib/daemon/daemon.h"
#include "lib/ipc/cleanup_client.h"
#include "lib/syntax/date.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static bool lists(const char *classes, const char *name)
{
    struct slice rest = slice_of(classes), word;
    while (slice_token(&rest, " \t\r\n,", &word))
        if (slice_eq_fold(word, slice_of(name)))
            return true;
    return false;
}

static bool notify_class(const char *name)
{
    return lists(bounce_params.notify_classes, name);
}

/* ---- content ---- */
struct reading {
    const struct msg_bounce_request *q;
    char *p;
    size_t want, got;
    int error;
};

static void read_content(void *arg)
{
    struct reading *r = arg;
    while (r->got < r->want) {
        ssize_t n = pread(r->q->file, r->p + r->got, r->want - r->got, (off_t)(r->q->content_offset + r->got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            r->error = n < 0 ? errno : EIO;
            return;
        }
        r->got += (size_t)n;
    }
}

/* The content, or the beginning of it when it is longer than a notice may hold. */
static bool load_content(const struct msg_bounce_request *q, struct arena *a, struct slice *content)
{
    enum { HEADERS_MAX = 1024 * 1024 };
    size_t most = (size_t)bounce_params.bounce_size_limit;
    most = most < HEADERS_MAX ? HEADERS_MAX : most;
    struct reading r = {.q = q, .want = q->content_size < most ? (size_t)q->content_size : most};
    r.p = arena_alloc(a, r.want + 1);
    thread_run(read_content, &r);
    if (r.error)
        log_warn("%s: read message file: %s", q->queue_id, strerror(r.error));
    *content = (struct slice){r.p, r.got};
    return r.error == 0;
}

/* ---- one notice ---- */
static const char *make_boundary(const struct msg_bounce_request *q, struct arena *a, struct slice content)
{
    /* Whatever the message holds, the boundary does not occur in it. */
    for (unsigned n = 0;; n++) {
        char *b = arena_printf(a, "%s.%lld/%s", q->queue_id, (long long)clock_wall_usec() / 1000000 + n,
                               daemon_env->common.myhostname);
        if (!memmem(content.p, content.n, b, strlen(b)))
            return b;
    }
}

static struct ipc_pool *cleanup_pool(void)
{
    static struct ipc_pool *pool;
    if (!pool) {
        char service[300];
        snprintf(service, sizeof service, "private/%s", bounce_params.cleanup_service_name);
        pool = ipc_pool_new(service, 8);
    }
    return pool;
}

static unsigned cleanup_flags_of(const struct notice *n)
{
    unsigned flags = CLEANUP_MAP | CLEANUP_ADD_MISSING;
    if (n->request->flags & DELIVER_SMTPUTF8)
        flags |= CLEANUP_SMTPUTF8;
    if (lists(bounce_params.internal_mail_filter_classes, n->postmaster ? "notify" : "bounce"))
        flags |= CLEANUP_FILTER | CLEANUP_MILTER;
    return flags;
}

/* OK: the notice is on stable storage; *id is its queue id. */
static enum outcome submit(const struct notice *n, const char *sender, struct arena *a, const char **id)
{
    const struct msg_bounce_request *q = n->request;
    const struct common_params *p = &daemon_env->common;
    int64_t deadline = deadline_in(p->ipc_timeout);
    BUF_AUTO text = BUF(BUF_MAX_DEFAULT), received = BUF(2000), date = BUF(100);
    struct result r;
    struct msg_cleanup_done done = {0};
    date_rfc5322(&date, (time_t)(clock_wall_usec() / 1000000));
    buf_printf(&text, "Date: %s\n", buf_cstr(&date));
    notice_write(n, &text);
    buf_printf(&received, "by %s (%s)\n\tid %%Q; %s", p->myhostname, p->mail_name, buf_cstr(&date));
    struct msg_cleanup_begin begin = {
        .origin = "bounce",
        .syslog_name = p->syslog_name,
        .flags = cleanup_flags_of(n),
        .sender = sender,
        .body_type = n->eight_bit ? "8BITMIME" : "7BIT",
        .context = "local",
        .received = buf_cstr(&received),
        .size_hint = text.len,
    };
    struct cleanup_client *c = cleanup_open(cleanup_pool(), &begin, &r, deadline);
    if (!c) {
        log_warn("%s: cannot queue a notice: %s", q->queue_id, r.text);
        return OUTCOME_TRY_AGAIN;
    }
    *id = arena_strdup(a, cleanup_queue_id(c));
    struct msg_cleanup_recipient rcpt = {.address = n->to};
    cleanup_recipient(c, &rcpt);
    cleanup_content(c, text.data, text.len);
    cleanup_finish(&c, a, &done, deadline);
    if (done.outcome != OUTCOME_OK)
        log_warn("%s: cannot queue a notice: %s", q->queue_id, done.text);
    return done.outcome;
}

static const char *word_of(enum notice_kind kind)
{
    return kind == NOTICE_FAILURE ? "non-delivery" : kind == NOTICE_DELAY ? "delay" : "delivery status";
}

static bool send_notice(struct notice n, const char *to, bool postmaster, struct arena *a)
{
    const char *id = "";
    const struct common_params *p = &daemon_env->common;
    n.to = to;
    n.postmaster = postmaster;
    const char *sender = postmaster ? arena_printf(a, "%s@%s", p->double_bounce_sender, p->myhostname) : "";
    enum outcome o = submit(&n, sender, a, &id);
    if (o == OUTCOME_NEVER) { /* most likely too big: the headers alone may pass */
        n.size_limit = 0;
        o = submit(&n, sender, a, &id);
    }
    if (o != OUTCOME_OK)
        return false;
    log_info("%s: %s %s notification: %s", n.request->queue_id, postmaster ? "postmaster" : "sender", word_of(n.kind),
             id);
    return true;
}

/* ---- who gets one ---- */
static bool is_double_bounce(const char *sender)
{
    const char *name = daemon_env->common.double_bounce_sender;
    size_t n = strlen(name);
    return slice_starts_fold(slice_of(sender), slice_of(name)) &&
           (sender[n] == '\0' || (sender[n] == '@' && str_eq_fold(sender + n + 1, daemon_env->common.myhostname)));
}

/* A notice could not be delivered: its sender is nobody. */
static bool notify_of_bounce(const struct notice *n, struct arena *a)
{
    if (n->kind != NOTICE_FAILURE || !notify_class("2bounce"))
        return true;
    return send_notice(*n, bounce_params.two_bounce_notice_recipient, true, a);
}

/* The sender's notice counts; a copy for the postmaster that fails is a line in the log, or else the sender would be
 * told again and again. */
static bool notify_sender(const struct notice *n, struct arena *a)
{
    const char *sender = n->request->sender;
    if (!send_notice(*n, sender, false, a))
        return false;
    const char *postmaster = NULL;
    if (n->kind == NOTICE_FAILURE && notify_class("bounce"))
        postmaster = bounce_params.bounce_notice_recipient;
    else if (n->kind == NOTICE_DELAY && notify_class("delay"))
        postmaster = bounce_params.delay_notice_recipient;
    if (postmaster && !send_notice(*n, postmaster, true, a))
        log_warn("%s: postmaster notice failed while %s %s", n->request->queue_id,
                 n->kind == NOTICE_FAILURE ? "bouncing to" : "warning", sender);
    return true;
}

enum outcome bounce_send_notices(const struct msg_bounce_request *q, struct arena *a)
{
    const struct common_params *p = &daemon_env->common;
    struct notice n = {
        .request = q,
        .eight_bit = strcmp(q->body_type, "7BIT") != 0 || (q->flags & DELIVER_SMTPUTF8),
        .threaded = bounce_params.enable_threaded_bounces,
        .myhostname = p->myhostname,
        .mail_name = p->mail_name,
        .delay_warning_time = bounce_params.delay_warning_time,
        .maximal_queue_lifetime = bounce_params.maximal_queue_lifetime,
        .size_limit = bounce_params.bounce_size_limit,
    };
    if (!notice_kind_parse(q->kind, &n.kind)) {
        log_warn("%s: unknown kind of notice: %s", q->queue_id, q->kind);
        return OUTCOME_NEVER;
    }
    if (q->n_recipients == 0)
        return OUTCOME_OK;
    if (is_double_bounce(q->sender)) {
        if (n.kind == NOTICE_FAILURE)
            log_warn("%s: undeliverable postmaster notification discarded", q->queue_id);
        return OUTCOME_OK;
    }
    if (!load_content(q, a, &n.content))
        return OUTCOME_TRY_AGAIN;
    n.boundary = make_boundary(q, a, n.content);
    bool ok = *q->sender ? notify_sender(&n, a) : notify_of_bounce(&n, a);
    return ok ? OUTCOME_OK : OUTCOME_TRY_AGAIN;
}
