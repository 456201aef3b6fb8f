/* smtpd_bdat.c - BDAT: content in counted chunks (RFC 3030). A chunk is always read whole, wanted or not, so that its
 * bytes are never taken for commands. */
#include "smtpd/smtpd.h"

static bool parse(struct slice args, unsigned long long *size, bool *last)
{
    struct slice count, word;
    *last = false;
    if (!slice_token(&args, " \t", &count) || !slice_to_u64(count, INT64_MAX, size))
        return false;
    if (slice_token(&args, " \t", &word)) {
        if (!slice_eq_fold(word, SLICE("LAST")))
            return false;
        *last = true;
    }
    return slice_trim(args).n == 0;
}

/* Reads the chunk, into the message or away. False when the client went away. */
static bool read_chunk(struct session *s, uint64_t left, bool wanted)
{
    while (left > 0) {
        struct slice have = stream_peek(s->stream);
        if (have.n == 0) {
            enum stream_status st = stream_flush(s->stream, smtpd_deadline());
            if (st == STREAM_OK)
                st = stream_fill(s->stream, smtpd_deadline());
            if (st != STREAM_OK) {
                smtpd_lost(s, st);
                return false;
            }
            continue;
        }
        size_t n = have.n < left ? have.n : (size_t)left;
        if (wanted)
            smtp_data_feed(s->data, slice_make(have.p, n), smtpd_message_emit, s);
        stream_consume(s->stream, n);
        left -= n;
    }
    return true;
}

/* Whether the chunk is wanted; if not, the reply that is due after it. */
static const char *objection(struct session *s, unsigned long long size, bool last)
{
    if (size == 0 && !last)
        return "551 5.7.1 Null BDAT request";
    if (s->bdat_failed)
        return arena_printf(s->call, "551 5.0.0 Discarded %llu bytes after earlier error", size);
    if (s->rcpt_count == 0)
        return s->sender ? "554 5.5.1 Error: no valid recipients" : "503 5.5.1 Error: need RCPT command";
    int64_t limit = daemon_env->common.message_size_limit;
    if (limit && size + (s->bdat ? s->data->size : 0) > (uint64_t)limit)
        return "552 5.3.4 Chunk exceeds message size limit";
    if (!s->bdat && check_run(s, STAGE_DATA, &smtpd_shared.lists[STAGE_DATA], NULL) == CHECK_REJECT)
        return arena_printf(s->call, "%d %s", s->verdict.code, s->verdict.text);
    return NULL;
}

int smtpd_bdat(struct session *s, struct slice args)
{
    unsigned long long size;
    bool last;
    if (!parse(args, &size, &last)) { /* what follows cannot be told from commands */
        smtpd_reply(s, "521 5.5.4 Syntax: BDAT count [LAST]");
        return -1;
    }
    const char *no = objection(s, size, last);
    if (!no && !s->bdat) {
        s->bdat = true;
        s->data = ARENA_NEW(s->mail, struct smtp_data);
        smtp_data_init(s->data, SMTP_DATA_NO_EOD, s->forbid_bare);
    }
    if (!read_chunk(s, size, !no))
        return -1;
    if (no) {
        smtpd_reply(s, "%s", no);
        if (last)
            smtpd_mail_reset(s);
        s->bdat_failed = !last;
        return -1;
    }
    if (!last) {
        smtpd_reply(s, "250 2.0.0 Ok: %llu bytes", size);
        return 0;
    }
    smtp_data_finish(s->data, smtpd_message_emit, s);
    return smtpd_message_finish(s);
}
