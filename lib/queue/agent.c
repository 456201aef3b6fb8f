/* agent.c - see agent.h. */
#include "lib/queue/agent.h"

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/queue/delay_text.h"
#include "lib/syntax/address.h"

#include <errno.h>
#include <unistd.h>

enum { BLOCK = 65536 };

static const struct common_params *common; /* agent_configure */

void agent_configure(const struct common_params *c)
{
    common = c;
}

/* ---- the log line ---- */

static void append_delays(struct buf *b, const struct agent_delivery *d)
{
    int digits = (int)common->delay_logging_resolution_limit;
    const struct msg_deliver_request *q = &d->request;
    int64_t now = clock_wall_usec(), connected = d->connected_usec ? d->connected_usec : d->start_usec;
    int64_t parts[] = {q->active_usec - q->arrival_usec, d->start_usec - q->active_usec, connected - d->start_usec,
                       now - connected};
    buf_puts(b, ", delay=");
    delay_text_append(b, now - q->arrival_usec, digits);
    for (int i = 0; i < 4; i++) {
        buf_puts(b, i ? "/" : ", delays=");
        delay_text_append(b, parts[i], digits);
    }
}

static const char *status_of(const struct agent_delivery *d, const struct agent_result *r, bool softened)
{
    enum outcome o = r->result.outcome;
    if (r->status)
        return r->status;
    if (d->request.flags & DELIVER_PROBE)
        return o == OUTCOME_OK ? "deliverable" : o == OUTCOME_NEVER ? "undeliverable" : "deferred";
    if (softened)
        return "SOFTBOUNCE";
    return o == OUTCOME_OK ? "sent" : o == OUTCOME_NEVER ? "bounced" : "deferred";
}

static void log_result(const struct agent_delivery *d, size_t place, const struct agent_result *r, bool softened)
{
    const struct msg_deliver_recipient *rcpt = &d->request.recipients[place];
    BUF_AUTO b = BUF(8000);
    const char *address = r->address ? r->address : rcpt->address;
    buf_printf(&b, "%s: to=<", d->request.queue_id);
    address_quote(&b, address);
    if (*rcpt->orig_address && !str_eq_fold(rcpt->orig_address, address)) {
        buf_puts(&b, ">, orig_to=<");
        address_quote(&b, rcpt->orig_address);
    }
    buf_printf(&b, ">, relay=%s", r->relay && *r->relay ? r->relay : "none");
    if (d->conn_use > 1)
        buf_printf(&b, ", conn_use=%u", d->conn_use);
    append_delays(&b, d);
    buf_printf(&b, ", dsn=%s, status=%s (%s)", r->result.dsn, status_of(d, r, softened), r->result.text);
    log_info("%s", buf_cstr(&b));
}

/* ---- results ---- */

static const char *keep(struct agent_delivery *d, const char *text)
{
    return text ? arena_strdup(d->arena, text) : "";
}

void agent_report(struct agent_delivery *d, size_t place, const struct agent_result *given)
{
    if (place >= d->request.n_recipients || d->reported[place])
        return;
    struct agent_result r = *given;
    bool softened = r.result.outcome == OUTCOME_NEVER && common->soft_bounce;
    if (softened) {
        r.result.outcome = OUTCOME_TRY_AGAIN;
        r.result.dsn[0] = '4';
    }
    d->reported[place] = true;
    log_result(d, place, &r, softened);
    d->reply.results[d->reply.n_results++] = (struct msg_deliver_result){
        .index = d->request.recipients[place].index,
        .outcome = r.result.outcome,
        .dsn = keep(d, r.result.dsn),
        .text = keep(d, r.result.text),
        .relay = keep(d, r.relay),
        .remote_mta = keep(d, r.remote_mta),
        .diagnostic = keep(d, r.diagnostic),
        .action = keep(d, r.action),
        .address = keep(d, r.address),
    };
}

void agent_log(const struct agent_delivery *d, size_t place, const struct agent_result *given)
{
    struct agent_result r = *given;
    bool softened = r.result.outcome == OUTCOME_NEVER && common->soft_bounce;
    if (softened)
        r.result.dsn[0] = '4';
    if (place < d->request.n_recipients)
        log_result(d, place, &r, softened);
}

void agent_adopt(struct agent_delivery *d, size_t place, const struct msg_deliver_result *r)
{
    if (place >= d->request.n_recipients || d->reported[place])
        return;
    d->reported[place] = true;
    d->reply.results[d->reply.n_results] = *r;
    d->reply.results[d->reply.n_results++].index = d->request.recipients[place].index;
}

void agent_report_rest(struct agent_delivery *d, const struct agent_result *r)
{
    for (size_t i = 0; i < d->request.n_recipients; i++)
        agent_report(d, i, r);
}

void agent_site_dead(struct agent_delivery *d, const struct result *why)
{
    d->reply.site_dead = true;
    d->reply.site_dsn = keep(d, why->dsn);
    d->reply.site_text = keep(d, why->text);
}

/* ---- content ---- */

static ssize_t read_block(int fd, char *p, size_t n, uint64_t offset)
{
    ssize_t got;
    do
        got = pread(fd, p, n, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got;
}

bool agent_content(const struct agent_delivery *d, bool (*fn)(void *ctx, const char *p, size_t n), void *ctx)
{
    uint64_t offset = d->request.content_offset, left = d->request.content_size;
    size_t cap = left < BLOCK ? (size_t)left + 1 : BLOCK, held = 0;
    MEM_AUTO char *block = malloc(cap);
    if (!block)
        return false;
    while (left > 0) {
        size_t room = cap - held;
        ssize_t got = read_block(d->request.file, block + held, room < left ? room : (size_t)left, offset);
        if (got <= 0)
            return false; /* shorter than its header says: not a message to send on */
        offset += (uint64_t)got;
        left -= (uint64_t)got;
        held += (size_t)got;
        const char *lf = left > 0 ? memrchr(block, '\n', held) : NULL;
        size_t whole = lf ? (size_t)(lf - block) + 1 : left > 0 && held < cap ? 0 : held;
        if (whole > 0 && !fn(ctx, block, whole))
            return false;
        memmove(block, block + whole, held - whole);
        held -= whole;
    }
    return true;
}

/* ---- requests ---- */

static enum ipc_status serve_one(struct ipc_conn *c, struct arena *a, void (*deliver)(struct agent_delivery *d))
{
    struct agent_delivery d = {.arena = a};
    int64_t deadline = deadline_in(common->ipc_timeout);
    enum ipc_status st = ipc_recv(c, &ipc_type_deliver_request, a, &d.request, deadline);
    if (st != IPC_OK)
        return st;
    FD_AUTO file = d.request.file;
    d.start_usec = clock_wall_usec();
    d.reported = ARENA_ARRAY(a, bool, d.request.n_recipients + 1);
    d.reply =
        (struct msg_deliver_reply){.results = ARENA_ARRAY(a, struct msg_deliver_result, d.request.n_recipients + 1),
                                   .site_dsn = "",
                                   .site_text = ""};
    if (file >= 0)
        deliver(&d);
    struct agent_result rest = {.result = result_try_again("4.3.0", "delivery agent gave no result")};
    agent_report_rest(&d, &rest);
    return ipc_send(c, &ipc_type_deliver_reply, &d.reply, deadline_in(common->ipc_timeout));
}

void agent_serve(struct ipc_conn *c, void (*deliver)(struct agent_delivery *d))
{
    struct arena *a = arena_new();
    enum ipc_status st = IPC_OK;
    const struct ipc_type *t;
    ipc_conn_lockstep(c);
    while (st == IPC_OK && ipc_await_request(c) && (t = ipc_next_type(c, &st, DEADLINE_NEVER)) != NULL) {
        st = t == &ipc_type_deliver_request ? serve_one(c, a, deliver) : IPC_BROKEN;
        arena_reset(a);
    }
    if (st == IPC_BROKEN)
        log_warn("delivery request: %s", ipc_strerror(st));
    arena_free(&a);
    ipc_conn_free(&c);
}
