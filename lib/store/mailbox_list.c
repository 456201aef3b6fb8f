/* The UID list of a folder on disk: dovecot-uidlist, the truth about UIDs. New messages are appended; lines of messages
 * that are gone stay until there are many of them. */
#include "lib/store/mailbox_private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const char list_name[] = "dovecot-uidlist";
enum { LIST_MAX = 256 << 20 };

struct index_stamp mailbox_list_stamp(struct mailbox *m)
{
    return mailbox_stamp(m, list_name);
}

static struct result save(struct mailbox *m, const struct uidlist *l)
{
    BUF_AUTO text = BUF(LIST_MAX);
    uidlist_print(l, &text);
    if (text.overflow)
        return mailbox_trouble(m, list_name, EFBIG);
    if (!mailbox_replace_file(m, list_name, buf_slice(&text)))
        return mailbox_trouble(m, list_name, errno);
    return result_ok("2.0.0", "saved");
}

/* A lost or broken list means new UIDs, which clients must be able to tell: UIDVALIDITY only rises. */
static struct result start_list(struct mailbox *m, uint32_t old_validity)
{
    uint32_t now = (uint32_t)time(NULL);
    struct uidlist l = {.validity = now > old_validity ? now : old_validity + 1, .next = 1};
    m->validity = l.validity;
    m->next_uid = 1;
    return save(m, &l);
}

static int64_t size_field(const char *fields)
{
    struct slice rest = slice_of(fields), token;
    unsigned long long size;
    while (slice_token(&rest, " ", &token))
        if (token.p[0] == 'W' && slice_to_u64(slice_make(token.p + 1, token.n - 1), INT64_MAX, &size))
            return (int64_t)size;
    return -1;
}

static struct result read_list(struct mailbox *m, struct uidlist *l, bool *usable)
{
    BUF_AUTO text = BUF(LIST_MAX);
    *usable = false;
    errno = 0;
    if (!mailbox_read_file(m, list_name, LIST_MAX, &text) && errno != ENOENT)
        return mailbox_trouble(m, list_name, text.overflow ? EFBIG : errno);
    *usable = text.len > 0 && uidlist_parse(l, buf_slice(&text));
    if (*usable && text.data[text.len - 1] != '\n') /* nothing may be appended to half a line */
        return save(m, l);
    return result_ok("2.0.0", "read");
}

struct result mailbox_list_load(struct mailbox *m, uint32_t old_validity)
{
    struct uidlist l = {.next = 0};
    bool usable;
    struct result r = read_list(m, &l, &usable);
    mailbox_forget_messages(m);
    if (result_is_ok(&r) && !usable)
        return start_list(m, old_validity);
    m->validity = l.validity;
    m->next_uid = l.next;
    for (size_t i = 0; i < l.entries.n; i++) {
        const struct uidlist_entry *e = &l.entries.items[i];
        struct mailbox_message message = {.uid = e->uid,
                                          .size = size_field(e->fields),
                                          .file = mem_printf("cur/%s", e->base),
                                          .uidl = uidlist_pop3_uidl(e)};
        VEC_PUSH(&m->messages, message);
    }
    uidlist_fini(&l);
    return r;
}

struct result mailbox_list_append(struct mailbox *m)
{
    BUF_AUTO text = BUF(LIST_MAX);
    if (m->fresh_uids.n == 0)
        return result_ok("2.0.0", "nothing new");
    for (size_t i = 0; i < m->fresh_uids.n; i++) {
        const struct mailbox_message *message = mailbox_find(m, m->fresh_uids.items[i]);
        struct maildir_name name;
        if (!message)
            continue;
        maildir_name_parse(slice_of(message->file + 4), &name);
        buf_printf(&text, "%u :%.*s\n", message->uid, SLICE_ARG(name.base));
    }
    FD_AUTO fd = openat(m->dir, list_name, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0 || text.overflow || !mailbox_write_all(fd, buf_slice(&text)) || fdatasync(fd) < 0)
        return mailbox_trouble(m, list_name, errno);
    return result_ok("2.0.0", "added");
}

struct result mailbox_list_tidy(struct mailbox *m)
{
    struct uidlist l = {.next = 0};
    bool usable;
    size_t kept = 0;
    struct result r = read_list(m, &l, &usable);
    for (size_t i = 0; i < l.entries.n; i++) {
        struct uidlist_entry *e = &l.entries.items[i];
        if (mailbox_find(m, e->uid)) {
            l.entries.items[kept++] = *e;
        } else {
            free(e->base);
            free(e->fields);
        }
    }
    l.entries.n = kept;
    if (result_is_ok(&r) && usable)
        r = save(m, &l);
    uidlist_fini(&l);
    return r;
}
