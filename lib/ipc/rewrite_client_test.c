/* rewrite_client_test.c - batches, the cache, and a service that cannot answer; the service is a fiber of this test. */
#include "lib/ipc/rewrite_client.h"

#include "lib/base/mem.h"
#include "lib/ipc/ipc.h"
#include "lib/rt/addr.h"
#include "lib/rt/fiber.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static int listener = -1;
static unsigned asked, addresses_asked;
static bool fail_resolve;

static bool serve_rewrite(struct ipc_conn *c, struct arena *a)
{
    struct msg_rewrite_request q;
    if (ipc_recv(c, &ipc_type_rewrite_request, a, &q, deadline_in(5)) != IPC_OK)
        return false;
    struct msg_rewrite_reply r = {.addresses = ARENA_ARRAY(a, const char *, q.n_addresses),
                                  .n_addresses = q.n_addresses};
    for (size_t i = 0; i < q.n_addresses; i++)
        r.addresses[i] = arena_printf(a, "%s@%s", q.addresses[i], q.context);
    addresses_asked += (unsigned)q.n_addresses;
    return ipc_send(c, &ipc_type_rewrite_reply, &r, deadline_in(5)) == IPC_OK;
}

static bool serve_resolve(struct ipc_conn *c, struct arena *a)
{
    struct msg_resolve_request q;
    if (ipc_recv(c, &ipc_type_resolve_request, a, &q, deadline_in(5)) != IPC_OK)
        return false;
    struct msg_resolve_reply r = {.resolved = ARENA_ARRAY(a, struct msg_resolved, q.n_addresses),
                                  .n_resolved = q.n_addresses};
    for (size_t i = 0; i < q.n_addresses; i++)
        r.resolved[i] = (struct msg_resolved){.transport = "smtp",
                                              .nexthop = arena_printf(a, "via-%s", q.sender),
                                              .recipient = q.addresses[i],
                                              .flags = fail_resolve ? RESOLVE_TRY_AGAIN : RESOLVE_DEFAULT};
    addresses_asked += (unsigned)q.n_addresses;
    return ipc_send(c, &ipc_type_resolve_reply, &r, deadline_in(5)) == IPC_OK;
}

static void serve(void *arg)
{
    struct io io;
    io_init(&io, listener);
    if (io_wait(&io, IO_READ, deadline_in(5)) == WAIT_OK) {
        struct ipc_conn *c = ipc_conn_new(accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
        ARENA_AUTO a = arena_new();
        enum ipc_status st;
        const struct ipc_type *t;
        while ((t = ipc_next_type(c, &st, deadline_in(5))) != NULL) {
            asked++;
            if (!(t == &ipc_type_rewrite_request ? serve_rewrite(c, a) : serve_resolve(c, a)))
                break;
        }
        ipc_conn_free(&c);
    }
    io_fini(&io);
}

static void rewriting(struct rewrite_client *c, struct arena *a)
{
    const char *in[] = {"a", "b", "a"}, *out[3];
    assert_true(rewrite_addresses(c, a, "local", in, 2, out));
    assert_string_equal(out[0], "a@local");
    assert_string_equal(out[1], "b@local");
    assert_int_equal(asked, 1);
    assert_true(rewrite_addresses(c, a, "local", in, 3, out)); /* from the cache */
    assert_string_equal(out[2], "a@local");
    assert_int_equal(asked, 1);
    assert_true(rewrite_addresses(c, a, "remote", in, 1, out));
    assert_string_equal(out[0], "a@remote");
    assert_int_equal(asked, 2);
}

static void resolving(struct rewrite_client *c, struct arena *a)
{
    const char *in[] = {"x@test", "y@test"};
    struct msg_resolved out[2];
    asked = addresses_asked = 0;
    assert_true(resolve_addresses(c, a, "s1", in, 1, out));
    assert_true(resolve_addresses(c, a, "s1", in, 2, out)); /* asks for the second alone */
    assert_int_equal(addresses_asked, 2);
    assert_string_equal(out[0].recipient, "x@test");
    assert_string_equal(out[0].nexthop, "via-s1");
    assert_string_equal(out[1].recipient, "y@test");
    assert_int_equal(out[1].flags, RESOLVE_DEFAULT);
    assert_true(resolve_addresses(c, a, "s2", in, 1, out)); /* another sender may go another way */
    assert_string_equal(out[0].nexthop, "via-s2");
    fail_resolve = true; /* an answer that is none is not kept */
    asked = 0;
    assert_true(resolve_addresses(c, a, "s3", in, 1, out));
    assert_true(resolve_addresses(c, a, "s3", in, 1, out));
    assert_int_equal(asked, 2);
}

static void large_batch(struct rewrite_client *c, struct arena *a)
{
    enum { N = 1200 };
    const char **in = ARENA_ARRAY(a, const char *, N), **out = ARENA_ARRAY(a, const char *, N);
    for (int i = 0; i < N; i++)
        in[i] = arena_printf(a, "u%d", i);
    asked = 0;
    assert_true(rewrite_addresses(c, a, "local", in, N, out));
    assert_int_equal(asked, 3);
    assert_string_equal(out[N - 1], "u1199@local");
}

static void run(void *arg)
{
    ARENA_AUTO a = arena_new();
    fiber_start("service", serve, NULL);
    struct rewrite_client *c = rewrite_client_new("rewrite", 60);
    rewriting(c, a);
    resolving(c, a);
    large_batch(c, a);
    rewrite_client_free(&c);
    assert_null(c);
}

static void asks_and_remembers(void **state)
{
    char dir[] = "/tmp/rewrite_client.XXXXXX";
    struct sockaddr_storage ss;
    socklen_t len;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chdir(dir), 0);
    assert_true(addr_unix("rewrite", &ss, &len));
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&ss, len), 0);
    assert_int_equal(listen(listener, 5), 0);
    loop_run("test", run, NULL);
    close(listener);
    unlink("rewrite");
    assert_int_equal(chdir("/"), 0);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(asks_and_remembers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
