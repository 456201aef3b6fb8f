/* main.c - takes a message from smtpd, pickup, bounce or local, and makes a queue file of it.
 *
 * Cleanup adds the headers that are missing, brings addresses into their canonical form, expands virtual aliases, drops
 * duplicate recipients, looks at headers and bodies as header_checks and its like say, and writes one file. When it
 * answers that the message is there, the file and its name are on stable storage. The queue manager is told, and given
 * the open file. */
#include "cleanup/cleanup.h"

struct cleanup_params cleanup_params;
struct cleanup_tables cleanup_tables;

static const struct param param_table[] = {
/* clang-format off */
#define PARAM_OWNER struct cleanup_params
#include "lib/conf/param_table.h"
#include "cleanup/params.def"
#include "lib/conf/param_end.h"
    /* clang-format on */
};

static bool open_maps(struct maps **maps, const char *name, const char *value, struct buf *err)
{
    *maps = maps_open(daemon_env->conf, name, value, err);
    return *maps != NULL;
}

static unsigned classes(const char *list)
{
    static const char *const names[] = {"envelope_sender", "envelope_recipient", "header_sender", "header_recipient"};
    struct slice rest = slice_of(list), word;
    unsigned bits = 0;
    while (slice_token(&rest, " \t\r\n,", &word))
        for (unsigned i = 0; i < 4; i++)
            if (slice_eq_fold(word, slice_of(names[i])))
                bits |= 1u << i;
    return bits;
}

static bool lists(const char *list, const char *name)
{
    struct slice rest = slice_of(list), word;
    while (slice_token(&rest, " \t\r\n,", &word))
        if (slice_eq_fold(word, slice_of(name)))
            return true;
    return false;
}

/* The characters of a list with C escapes: \0, \ooo, \xhh, \n ... Returns whether there are any. */
static bool characters(const char *list, bool set[256])
{
    static const char names[] = "abfnrtv", values[] = "\a\b\f\n\r\t\v";
    bool any = false;
    for (const char *p = list; *p; any = true) {
        unsigned c = (unsigned char)*p++;
        const char *name;
        if (c == '\\' && *p >= '0' && *p <= '7') {
            c = 0;
            for (unsigned n = 0; n < 3 && *p >= '0' && *p <= '7'; n++)
                c = c * 8 + (unsigned)(*p++ - '0');
        } else if (c == '\\' && *p && (name = strchr(names, *p)) != NULL) {
            c = (unsigned char)values[name - names];
            p++;
        } else if (c == '\\' && *p) {
            c = (unsigned char)*p++;
        }
        set[c & 255] = true;
    }
    return any;
}

static bool before_sandbox(struct buf *err)
{
    struct cleanup_tables *t = &cleanup_tables;
    const struct cleanup_params *p = &cleanup_params;
    queue_set_hashing(p->hash_queue_names, (int)p->hash_queue_depth);
    t->canonical_classes = classes(p->canonical_classes);
    t->sender_canonical_classes = classes(p->sender_canonical_classes);
    t->recipient_canonical_classes = classes(p->recipient_canonical_classes);
    t->masquerade_classes = classes(p->masquerade_classes);
    t->strips = characters(p->message_strip_characters, t->strip);
    t->rejects = characters(p->message_reject_characters, t->reject);
    t->propagate_canonical = lists(p->propagate_unmatched_extensions, "canonical");
    t->propagate_virtual = lists(p->propagate_unmatched_extensions, "virtual");
    char *service = arena_printf(arena_new(), "private/%s", p->rewrite_service_name); /* for the life of the process */
    t->rewrite = rewrite_client_new(service, p->rewrite_cache_time);
    t->mydestination = match_list_open(daemon_env->conf, "mydestination", daemon_env->common.mydestination, false, err);
    t->masquerade_exceptions =
        match_list_open(daemon_env->conf, "masquerade_exceptions", p->masquerade_exceptions, false, err);
    return t->mydestination && t->masquerade_exceptions &&
           open_maps(&t->canonical, "canonical_maps", p->canonical_maps, err) &&
           open_maps(&t->sender_canonical, "sender_canonical_maps", p->sender_canonical_maps, err) &&
           open_maps(&t->recipient_canonical, "recipient_canonical_maps", p->recipient_canonical_maps, err) &&
           open_maps(&t->virtual_alias, "virtual_alias_maps", daemon_env->common.virtual_alias_maps, err) &&
           open_maps(&t->sender_bcc, "sender_bcc_maps", p->sender_bcc_maps, err) &&
           open_maps(&t->recipient_bcc, "recipient_bcc_maps", p->recipient_bcc_maps, err) &&
           open_maps(&t->header_checks, "header_checks", p->header_checks, err) &&
           open_maps(&t->mime_header_checks, "mime_header_checks", p->mime_header_checks, err) &&
           open_maps(&t->nested_header_checks, "nested_header_checks", p->nested_header_checks, err) &&
           open_maps(&t->body_checks, "body_checks", p->body_checks, err);
}

static void start(void)
{
    thread_pool_limit(32); /* commits wait for the disk side by side, so that the file system joins them */
}

static const struct daemon cleanup_daemon = {
    .name = "cleanup",
    .summary = "makes a queue file of a message",
    .params = param_table,
    .n_params = sizeof param_table / sizeof param_table[0],
    .params_struct = &cleanup_params,
    .user = DAEMON_AS_OWNER,
    .needs = NEEDS_QUEUE_WRITE | NEEDS_CONF_READ,
    .before_sandbox = before_sandbox,
    .start = start,
    .request = cleanup_serve,
};

int main(int argc, char **argv)
{
    return daemon_main(argc, argv, &cleanup_daemon);
}
