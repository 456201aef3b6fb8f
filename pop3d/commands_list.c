/* commands_list.c - STAT, LIST, UIDL: what is there, without its text. */
#include "lib/base/mem.h"
#include "pop3d/session.h"

enum verdict pop3_stat(struct session *s, struct slice args)
{
    size_t n = 0;
    int64_t size = 0;
    for (size_t i = 0; i < s->n; i++)
        if (!s->messages[i].deleted) {
            n++;
            size += s->messages[i].size;
        }
    session_say(s, "+OK %zu %lld", n, (long long)size);
    return FINE;
}

/* "1 500" or "1 uid". */
typedef void item_fn(struct session *s, const struct message *m, const char *before);

static void size_item(struct session *s, const struct message *m, const char *before)
{
    session_say(s, "%s%zu %lld", before, session_number_of(s, m), (long long)m->size);
}

static void uid_item(struct session *s, const struct message *m, const char *before)
{
    MEM_AUTO char *former = mailbox_pop3_uidl(s->mailbox, m->uid);
    if (former)
        session_say(s, "%s%zu %.70s", before, session_number_of(s, m), former);
    else
        session_say(s, "%s%zu %08x%08x", before, session_number_of(s, m), m->uid, mailbox_uid_validity(s->mailbox));
}

static enum verdict items(struct session *s, struct slice args, item_fn *item)
{
    if (slice_trim(args).n) {
        const struct message *one = session_message(s, &args);
        if (!one)
            return WRONG;
        item(s, one, "+OK ");
        return FINE;
    }
    session_say(s, "+OK");
    for (size_t i = 0; i < s->n; i++)
        if (!s->messages[i].deleted)
            item(s, &s->messages[i], "");
    session_say(s, ".");
    return FINE;
}

enum verdict pop3_list(struct session *s, struct slice args)
{
    return items(s, args, size_item);
}

enum verdict pop3_uidl(struct session *s, struct slice args)
{
    return items(s, args, uid_item);
}
