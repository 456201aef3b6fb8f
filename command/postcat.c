/* postcat.c - shows queue files in readable form.
 *
 * postcat [-c DIR] [-ebhoqv] FILE ...; with -q the arguments are queue ids, looked for in all queues. -e envelope only,
 * -h header only, -b body only; without any of them everything is shown. */
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/conf/common.h"
#include "lib/queue/queue.h"
#include "lib/syntax/date.h"
#include "lib/syntax/header.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { SHOW_ENVELOPE = 1, SHOW_HEADER = 2, SHOW_BODY = 4 };

static void show_date(const char *name, int64_t usec)
{
    BUF_AUTO b = BUF(100);
    date_rfc5322(&b, (time_t)(usec / 1000000));
    printf("%s: %s\n", name, buf_cstr(&b));
}

static void show_named(const char *name, const char *value)
{
    if (value && *value)
        printf("named_attribute: %s=%s\n", name, value);
}

static void show_envelope(const struct queue_message *m, const char *title)
{
    const struct queue_envelope *e = &m->envelope;
    static const char *const states[] = {"recipient", "done_recipient", "failed_recipient"};
    printf("*** ENVELOPE RECORDS %s ***\n", title);
    printf("message_size: %15llu %15llu %15u %15u\n", (unsigned long long)e->content_size,
           (unsigned long long)e->content_offset, e->n_recipients, e->flags);
    show_date("message_arrival_time", e->arrival_usec);
    show_date("create_time", e->create_usec);
    show_named("rewrite_context", e->context);
    show_named("sasl_method", e->sasl_method);
    show_named("sasl_username", e->sasl_username);
    show_named("client_name", e->client_name);
    show_named("client_address", e->client_addr);
    show_named("client_port", e->client_port);
    show_named("helo_name", e->client_helo);
    show_named("protocol_name", e->client_proto);
    show_named("encoding", e->body_type);
    show_named("envelope_id", e->dsn_envid);
    if (*e->content_filter)
        printf("content_filter: %s\n", e->content_filter);
    printf("sender: %s\n", e->sender);
    for (size_t i = 0; i < m->n_recipients; i++) {
        const struct queue_recipient *r = &m->recipients[i];
        printf("original_recipient: %s\n%s: %s\n", r->orig_address, states[r->state], r->address);
        if (*r->last_text)
            printf("last_attempt: %s (%s)\n", r->last_dsn, r->last_text);
    }
}

static bool read_content(int fd, const struct queue_envelope *e, struct buf *text)
{
    char *room = buf_room(text, e->content_size);
    uint64_t done = 0;
    while (room && done < e->content_size) {
        ssize_t n = pread(fd, room + done, e->content_size - done, (off_t)(e->content_offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (uint64_t)n;
    }
    if (room)
        buf_added(text, done);
    return room != NULL;
}

static bool show_content(int fd, const struct queue_message *m, const char *title, unsigned what)
{
    BUF_AUTO text = BUF(SIZE_MAX / 2);
    struct header_field f;
    if (!read_content(fd, &m->envelope, &text))
        return false;
    struct slice all = buf_slice(&text), rest = all;
    while (header_next(&rest, &f) == 1)
        ;
    size_t header = all.n - rest.n;
    if (what & SHOW_ENVELOPE)
        printf("*** MESSAGE CONTENTS %s ***\n", title);
    if (what & SHOW_HEADER)
        fwrite(all.p, 1, header, stdout);
    if (what & SHOW_BODY)
        fwrite(rest.p, 1, rest.n, stdout);
    return true;
}

static bool show(int fd, const char *title, unsigned what)
{
    ARENA_AUTO a = arena_new();
    BUF_AUTO why = BUF(300);
    struct queue_message m;
    if (fd < 0) {
        log_at(LOG_LEVEL_FATAL, "open queue file %s: %s", title, strerror(errno));
        return false;
    }
    if (queue_read(fd, a, &m, &why) != QUEUE_READ_OK) {
        log_at(LOG_LEVEL_FATAL, "%s: %s", title, buf_cstr(&why));
        return false;
    }
    if (what & SHOW_ENVELOPE)
        show_envelope(&m, title);
    bool ok = !(what & (SHOW_HEADER | SHOW_BODY)) || show_content(fd, &m, title, what);
    if (what & SHOW_ENVELOPE)
        printf("*** HEADER EXTRACTED %s ***\n*** MESSAGE FILE END %s ***\n", title, title);
    return ok;
}

int main(int argc, char **argv)
{
    static const char *const queues[] = {"maildrop", "hold", "incoming", "active", "deferred", "corrupt", NULL};
    BUF_AUTO err = BUF(1000);
    struct common_params p;
    unsigned what = 0;
    bool by_id = false, ok = true;
    const char *dir = NULL;
    int option;
    log_open("postcat", LOG_SINK_STDERR, 2);
    while ((option = getopt(argc, argv, "bc:dehnoqrs:v")) != -1) {
        if (option == 'c')
            dir = optarg;
        what |= option == 'e' ? SHOW_ENVELOPE : option == 'h' ? SHOW_HEADER : option == 'b' ? SHOW_BODY : 0u;
        by_id |= option == 'q';
        if (option == '?') {
            fprintf(stderr, "usage: postcat [-b (body text)] [-c config_dir] [-e (envelope records)] [-h (header "
                            "text)] [-q (access queue)] [-v] [file(s)...]\n");
            return 1;
        }
    }
    struct conf *c = conf_load(dir, &err);
    conf_register(common_param_table, common_param_count);
    if (!c || !conf_bind(c, common_param_table, common_param_count, &p, &err))
        log_fatal("%s", buf_cstr(&err));
    if (by_id && chdir(p.queue_directory) != 0)
        log_fatal("queue_directory = %s: %s", p.queue_directory, strerror(errno));
    for (int i = optind; i < argc && ok; i++) {
        const char *queue = by_id && queue_id_valid(argv[i]) ? queue_find(argv[i], queues) : NULL;
        errno = ENOENT;
        FD_AUTO fd = by_id ? (queue ? queue_open(argv[i], queue, false) : -1) : open(argv[i], O_RDONLY | O_CLOEXEC);
        char title[300];
        snprintf(title, sizeof title, "%s%s%s", queue ? queue : "", queue ? "/" : "", argv[i]);
        ok = show(fd, title, what ? what : SHOW_ENVELOPE | SHOW_HEADER | SHOW_BODY);
    }
    conf_free(&c);
    return ok ? 0 : 1;
}
