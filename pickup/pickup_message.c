/* pickup_message.c - one message from maildrop to cleanup. */
#include "pickup/pickup.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ipc/cleanup_client.h"
#include "lib/queue/queue.h"
#include "lib/syntax/date.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 32768, CLEANUP_SECONDS = 300 };

static bool has_option(const char *name)
{
    struct slice rest = slice_of(pickup_params.receive_override_options), word;
    while (slice_token(&rest, " \t\r\n,", &word))
        if (slice_eq(word, slice_of(name)))
            return true;
    return false;
}

static uint32_t flags_of(const struct queue_envelope *e)
{
    uint32_t f = e->cleanup_flags;
    if (has_option("no_header_body_checks"))
        f &= ~(uint32_t)CLEANUP_FILTER;
    if (has_option("no_address_mappings"))
        f &= ~(uint32_t)(CLEANUP_MAP | CLEANUP_BCC);
    if (has_option("no_milters"))
        f &= ~(uint32_t)CLEANUP_MILTER;
    return f;
}

static const char *received(struct arena *a, uid_t uid)
{
    BUF_AUTO date = BUF(100);
    date_rfc5322(&date, (time_t)(clock_wall_usec() / 1000000));
    return arena_printf(a, "by %s (%s, from userid %u)\n\tid %%Q; %s", daemon_env->common.myhostname,
                        daemon_env->common.mail_name, (unsigned)uid, buf_cstr(&date));
}

static bool copy_content(struct cleanup_client *c, int fd, const struct queue_envelope *e)
{
    char block[BLOCK];
    for (uint64_t done = 0; done < e->content_size;) {
        size_t want = e->content_size - done < BLOCK ? e->content_size - done : BLOCK;
        ssize_t n = pread(fd, block, want, (off_t)(e->content_offset + done));
        if (n <= 0 || !cleanup_content(c, block, (size_t)n))
            return false;
        done += (uint64_t)n;
    }
    return true;
}

static void give(struct ipc_pool *cleanup, const char *id, int fd, uid_t uid, const struct queue_message *m,
                 struct arena *a)
{
    const struct queue_envelope *e = &m->envelope;
    bool requeued = strcmp(e->origin, "pickup") != 0;
    struct result r;
    struct msg_cleanup_done done = {0};
    struct msg_cleanup_begin b = {
        .origin = "pickup",
        .sender = e->sender,
        .sender_fullname = e->sender_fullname,
        .dsn_envid = e->dsn_envid,
        .dsn_ret = e->dsn_ret,
        .body_type = e->body_type,
        .context = "local",
        .flags = flags_of(e),
        .received = received(a, uid),
        .content_filter = pickup_params.content_filter,
        .arrival_usec = e->arrival_usec,
        .verbose_dsn = e->verbose_dsn,
        .hop = e->hop,
        .orig_queue_id = requeued ? id : "",
    };
    struct cleanup_client *c = cleanup_open(cleanup, &b, &r, deadline_in(CLEANUP_SECONDS));
    if (!c) {
        log_warn("maildrop/%s: %s; it is tried again later", id, r.text);
        return;
    }
    const char *queue_id = arena_strdup(a, cleanup_queue_id(c));
    if (requeued)
        log_info("%s: uid=%u from=<%s> orig_id=%s", queue_id, (unsigned)uid, e->sender, id);
    else
        log_info("%s: uid=%u from=<%s>", queue_id, (unsigned)uid, e->sender);
    for (size_t i = 0; i < m->n_recipients; i++) {
        const struct queue_recipient *to = &m->recipients[i];
        if (to->state == RCPT_TODO)
            cleanup_recipient(c, &(struct msg_cleanup_recipient){.address = to->address,
                                                                 .orig_address = requeued ? to->orig_address : "",
                                                                 .dsn_orcpt = to->dsn_orcpt,
                                                                 .dsn_notify = to->dsn_notify});
    }
    if (!copy_content(c, fd, e)) {
        log_warn("maildrop/%s: its content cannot be read or passed on; it is tried again later", id);
        cleanup_abort(&c);
        return;
    }
    cleanup_finish(&c, a, &done, deadline_in(CLEANUP_SECONDS));
    if (done.outcome == OUTCOME_TRY_AGAIN) {
        log_warn("maildrop/%s: %s; it is tried again later", id, done.text);
        return;
    }
    if (done.outcome == OUTCOME_NEVER) {
        log_warn("%s: from=<%s>: refused: %s; the message is kept in corrupt as %s", queue_id, e->sender, done.text,
                 id);
        if (!queue_move(id, "maildrop", "corrupt"))
            log_error("maildrop/%s: cannot move it to corrupt: %s", id, strerror(errno));
        return;
    }
    if (!queue_remove(id, "maildrop"))
        log_error("maildrop/%s: cannot remove it: %s; it will be sent again", id, strerror(errno));
}

void pickup_message(struct ipc_pool *cleanup, const char *id)
{
    ARENA_AUTO a = arena_new();
    BUF_AUTO why = BUF(300);
    struct queue_message m;
    struct stat st;
    FD_AUTO fd = queue_open(id, "maildrop", false);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (errno != ENOENT)
            log_warn("maildrop/%s: %s", id, strerror(errno));
        return;
    }
    switch (queue_read(fd, a, &m, &why)) {
    case QUEUE_READ_OK:
        give(cleanup, id, fd, st.st_uid, &m, a);
        break;
    case QUEUE_READ_DAMAGED:
    case QUEUE_READ_INCOMPLETE:
        log_warn("maildrop/%s: the file is damaged (%s) -- moved to the corrupt queue", id, buf_cstr(&why));
        if (!queue_move(id, "maildrop", "corrupt"))
            log_error("maildrop/%s: cannot move it to corrupt: %s", id, strerror(errno));
        break;
    case QUEUE_READ_ERROR:
        log_warn("maildrop/%s: %s", id, buf_cstr(&why));
        break;
    }
}
