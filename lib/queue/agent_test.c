/* agent_test.c - a delivery agent's answers and the pieces of content that it sees. */
#include "lib/queue/agent.h"

#include "lib/base/buf.h"
#include "lib/rt/fiber.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct common_params common = {.delay_logging_resolution_limit = 2, .ipc_timeout = 5};
static char *seen;
static size_t n_seen, n_pieces;
static bool ends_ok;

static bool take(void *ctx, const char *p, size_t n)
{
    uint64_t *left = ctx;
    memcpy(seen + n_seen, p, n);
    n_seen += n;
    *left -= n;
    n_pieces++;
    ends_ok = ends_ok && (p[n - 1] == '\n' || *left == 0);
    return true;
}

static void deliver(struct agent_delivery *d)
{
    uint64_t left = d->request.content_size;
    n_seen = n_pieces = 0;
    ends_ok = true;
    assert_true(agent_content(d, take, &left));
    struct agent_result r = {.result = result_ok("2.0.0", "fine"), .relay = "r[1.2.3.4]:25"};
    agent_report(d, 0, &r);
    r.result = result_never("5.1.1", "who");
    agent_report(d, 1, &r);
    agent_report(d, 1, &r); /* said twice: the first counts */
}

static int ends[2];

static void agent(void *arg)
{
    agent_serve(ipc_conn_new(ends[1]), deliver);
}

static void ask(struct ipc_conn *c, size_t size, int fd, struct msg_deliver_reply *reply, struct arena *a)
{
    struct msg_deliver_recipient rcpt[3] = {{.index = 7, .address = "a@x", .orig_address = "b@x"},
                                            {.index = 8, .address = "c@x"},
                                            {.index = 9, .address = "d@x"}};
    struct msg_deliver_request q = {.queue_id = "Q",
                                    .recipients = rcpt,
                                    .n_recipients = 3,
                                    .content_offset = 3,
                                    .content_size = size,
                                    .arrival_usec = clock_wall_usec(),
                                    .active_usec = clock_wall_usec(),
                                    .file = fd};
    assert_int_equal(ipc_send(c, &ipc_type_deliver_request, &q, deadline_in(5)), IPC_OK);
    assert_int_equal(ipc_recv(c, &ipc_type_deliver_reply, a, reply, deadline_in(5)), IPC_OK);
}

static void run(void *arg)
{
    ARENA_AUTO a = arena_new();
    struct msg_deliver_reply reply;
    enum { SIZE = 200000 };
    FILE *f = tmpfile();
    char *text = arena_alloc(a, SIZE);
    seen = arena_alloc(a, SIZE);
    for (size_t i = 0; i < SIZE; i++)
        text[i] = i % 79 == 78 ? '\n' : 'x';
    fputs("abc", f);
    fwrite(text, 1, SIZE, f);
    fflush(f);
    fiber_start("agent", agent, NULL);
    struct ipc_conn *c = ipc_conn_new(ends[0]);
    ask(c, SIZE, fileno(f), &reply, a);
    assert_int_equal(n_seen, SIZE);
    assert_memory_equal(seen, text, SIZE);
    assert_true(ends_ok && n_pieces > 1);
    assert_int_equal(reply.n_results, 3);
    assert_int_equal(reply.results[0].index, 7);
    assert_int_equal(reply.results[0].outcome, OUTCOME_OK);
    assert_string_equal(reply.results[0].relay, "r[1.2.3.4]:25");
    assert_string_equal(reply.results[1].dsn, "5.1.1");
    assert_int_equal(reply.results[2].outcome, OUTCOME_TRY_AGAIN); /* the agent forgot it */
    assert_string_equal(reply.results[2].dsn, "4.3.0");
    common.soft_bounce = true;
    ask(c, 100, fileno(f), &reply, a);
    assert_int_equal(reply.results[1].outcome, OUTCOME_TRY_AGAIN);
    assert_string_equal(reply.results[1].dsn, "4.1.1");
    ipc_conn_free(&c);
    fclose(f);
}

static void requests_are_answered_for_every_recipient(void **state)
{
    agent_configure(&common);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    loop_run("test", run, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(requests_are_answered_for_every_recipient)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
