/* Keywords: `dovecot-keywords` names the letters of file names, one "0 name" a line. */
#include "lib/store/mailbox_private.h"

static const char file_name[] = "dovecot-keywords";
enum { FILE_MAX = 100000, NAME_MAX_LENGTH = 100 };

void mailbox_load_keywords(struct mailbox *m)
{
    BUF_AUTO text = BUF(FILE_MAX);
    struct index_stamp now = mailbox_stamp(m, file_name);
    if (mailbox_stamp_equal(&now, &m->keywords_stamp) || now.inode == 0 ||
        !mailbox_read_file(m, file_name, FILE_MAX, &text))
        return;
    m->keywords_stamp = now;
    for (unsigned i = 0; i < MAILBOX_KEYWORDS; i++) {
        free(m->keywords[i]);
        m->keywords[i] = NULL;
    }
    struct slice rest = buf_slice(&text), line, number;
    while (slice_token(&rest, "\r\n", &line)) {
        unsigned long long bit;
        if (!slice_token(&line, " ", &number) || !slice_to_u64(number, MAILBOX_KEYWORDS - 1, &bit))
            continue;
        line = slice_trim(line);
        if (line.n && line.n <= NAME_MAX_LENGTH && !m->keywords[bit])
            m->keywords[bit] = mem_strndup(line.p, line.n);
    }
}

const char *mailbox_keyword(const struct mailbox *m, unsigned bit)
{
    return bit < MAILBOX_KEYWORDS ? m->keywords[bit] : NULL;
}

struct new_keyword {
    const char *name;
    int bit;
};

static int find(const struct mailbox *m, const char *name)
{
    for (int i = 0; i < MAILBOX_KEYWORDS; i++)
        if (m->keywords[i] && str_eq_fold(m->keywords[i], name))
            return i;
    return -1;
}

static struct result add_job(struct mailbox *m, void *arg)
{
    struct new_keyword *k = arg;
    BUF_AUTO text = BUF(FILE_MAX);
    k->bit = find(m, k->name);
    for (int i = 0; i < MAILBOX_KEYWORDS && k->bit < 0; i++)
        if (!m->keywords[i])
            m->keywords[k->bit = i] = mem_strdup(k->name);
    for (int i = 0; i < MAILBOX_KEYWORDS; i++)
        if (m->keywords[i])
            buf_printf(&text, "%d %s\n", i, m->keywords[i]);
    if (k->bit >= 0 && !mailbox_replace_file(m, file_name, buf_slice(&text)))
        k->bit = -1;
    return result_ok("2.0.0", "added");
}

int mailbox_keyword_bit(struct mailbox *m, const char *name)
{
    int bit = find(m, name);
    if (bit >= 0 || !*name || strlen(name) > NAME_MAX_LENGTH || strpbrk(name, " \r\n\t"))
        return bit;
    struct new_keyword k = {name, -1};
    struct result r = mailbox_run(m, add_job, &k);
    return result_is_ok(&r) ? k.bit : -1;
}
