/* ipc_test.c - messages there and back, bounds, descriptors, pools. */
#include "lib/ipc/ipc.h"
#include "lib/rt/fiber.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct msg_deliver_recipient recipients[] = {
    {.index = 7, .address = "a@example.test", .orig_address = "", .dsn_orcpt = "rfc822;a@x", .dsn_notify = 6},
    {.index = 8, .address = "b@example.test", .orig_address = "c@example.test"},
};
static const struct msg_deliver_request request = {.queue_id = "4F2A",
                                                   .transport = "smtp",
                                                   .content_size = UINT64_C(1) << 40,
                                                   .arrival_usec = -5,
                                                   .recipients = recipients,
                                                   .n_recipients = 2,
                                                   .file = -1};

static void message_survives_the_wire(void **state)
{
    BUF_AUTO b = BUF(10000);
    ARENA_AUTO a = arena_new();
    struct msg_deliver_request got;
    assert_true(ipc_encode(&ipc_type_deliver_request, &request, &b));
    assert_true(ipc_decode(&ipc_type_deliver_request, buf_slice(&b), a, &got));
    assert_string_equal(got.queue_id, "4F2A");
    assert_string_equal(got.nexthop, ""); /* NULL became "" */
    assert_true(got.content_size == UINT64_C(1) << 40 && got.arrival_usec == -5);
    assert_int_equal(got.n_recipients, 2);
    assert_string_equal(got.recipients[1].orig_address, "c@example.test");
    assert_int_equal(got.recipients[0].dsn_notify, 6);
    for (size_t n = 0; n < b.len; n++) /* any shorter text is refused */
        assert_false(ipc_decode(&ipc_type_deliver_request, slice_make(b.data, n), a, &got));
    buf_putc(&b, 'x'); /* and any longer one */
    assert_false(ipc_decode(&ipc_type_deliver_request, buf_slice(&b), a, &got));
}

static void bounds_are_kept_on_both_sides(void **state)
{
    char id[200];
    memset(id, 'A', sizeof id - 1);
    id[sizeof id - 1] = '\0';
    struct msg_qmgr_new m = {.queue_id = id, .file = -1};
    BUF_AUTO b = BUF(10000);
    ARENA_AUTO a = arena_new();
    assert_false(ipc_encode(&ipc_type_qmgr_new, &m, &b)); /* 100 at most */
    assert_false(ipc_decode(&ipc_type_qmgr_new, buf_slice(&b), a, &m));
}

static void secrets_are_not_described(void **state)
{
    BUF_AUTO b = BUF(10000);
    struct msg_session_start m = {.secret_cookie = "tell nobody", .client = -1};
    ipc_describe(&ipc_type_session_start, &m, &b);
    assert_null(strstr(buf_cstr(&b), "tell nobody"));
}

static void types_have_ids_of_their_own(void **state)
{
    for (size_t i = 0; ipc_all_types[i]; i++)
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(ipc_type_id(ipc_all_types[i]), ipc_type_id(ipc_all_types[j]));
}

/* ---- over sockets ---- */

static int listener;
static char path[] = "/tmp/merpati-ipc-test-XXXXXX";

static void server(void *arg)
{
    int serves = *(int *)arg;
    struct io io;
    io_init(&io, listener);
    while (serves--) {
        int fd;
        while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
            assert_int_equal(io_wait(&io, IO_READ, deadline_in(10)), WAIT_OK);
        struct ipc_conn *c = ipc_conn_new(fd);
        for (;;) {
            ARENA_AUTO a = arena_new();
            enum ipc_status st;
            const struct ipc_type *t = ipc_next_type(c, &st, deadline_in(10));
            if (!t)
                break;
            if (t == &ipc_type_qmgr_new) {
                struct msg_qmgr_new m;
                char text[10] = "";
                assert_int_equal(ipc_recv(c, t, a, &m, deadline_in(10)), IPC_OK);
                assert_int_equal(pread(m.file, text, 5, 0), 5);
                assert_string_equal(text, m.queue_id);
                close(m.file);
                continue;
            }
            struct msg_anvil_request m;
            assert_int_equal(ipc_recv(c, &ipc_type_anvil_request, a, &m, deadline_in(10)), IPC_OK);
            struct msg_anvil_reply r = {.count = m.op + 1};
            ipc_send(c, &ipc_type_anvil_reply, &r, deadline_in(10));
            if (m.op == 99)
                break; /* closes: the next call must find out by itself */
        }
        ipc_conn_free(&c);
    }
    io_fini(&io);
}

static void client(void *arg)
{
    int serves = 2;
    fiber_start("server", server, &serves);
    struct ipc_pool *p = ipc_pool_new(path, 4);
    ARENA_AUTO a = arena_new();
    struct msg_anvil_reply reply;
    for (unsigned op = 0; op < 100; op++) {
        assert_int_equal(ipc_call(p, &ipc_type_anvil_request, &(struct msg_anvil_request){.op = op},
                                  &ipc_type_anvil_reply, a, &reply, deadline_in(10)),
                         IPC_OK);
        assert_int_equal(reply.count, op + 1);
    }
    assert_int_equal(ipc_call(p, &ipc_type_anvil_request, &(struct msg_anvil_request){.op = 5}, &ipc_type_anvil_reply,
                              a, &reply, deadline_in(10)),
                     IPC_OK);
    assert_int_equal(reply.count, 6);
    /* Ten descriptors in a row, each with its own message, over one connection. */
    struct ipc_conn *c = ipc_pool_take(p, deadline_in(10));
    for (int i = 0; i < 10; i++) {
        char name[] = "/tmp/merpati-ipc-fd-XXXXXX", text[10];
        int fd = mkstemp(name);
        unlink(name);
        snprintf(text, sizeof text, "file%d", i);
        assert_int_equal(write(fd, text, 5), 5);
        assert_int_equal(
            ipc_send(c, &ipc_type_qmgr_new, &(struct msg_qmgr_new){.queue_id = text, .file = fd}, deadline_in(10)),
            IPC_OK);
        close(fd);
    }
    assert_int_equal(ipc_send(c, &ipc_type_anvil_request, &(struct msg_anvil_request){.op = 1}, deadline_in(10)),
                     IPC_OK);
    assert_int_equal(ipc_recv(c, &ipc_type_anvil_reply, a, &reply, deadline_in(10)), IPC_OK);
    ipc_pool_give(p, &c, true);
    ipc_pool_free(&p);
}

static void calls_and_descriptors_over_a_pool(void **state)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    close(mkstemp(path));
    unlink(path);
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&sun, sizeof sun), 0);
    assert_int_equal(listen(listener, 10), 0);
    loop_run("client", client, NULL);
    close(listener);
    unlink(path);
}

static void send_with_fds(int to, const struct ipc_type *t, const void *msg, int n)
{
    BUF_AUTO b = BUF(10000);
    char space[CMSG_SPACE(20 * sizeof(int))] = {0};
    assert_true(ipc_encode(t, msg, &b));
    uint32_t head[2] = {(uint32_t)b.len, ipc_type_id(t)};
    struct iovec iov[2] = {{head, sizeof head}, {b.data, b.len}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    if (n) {
        m.msg_control = space;
        m.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
        for (int i = 0; i < n; i++)
            memcpy(CMSG_DATA(h) + (size_t)i * sizeof(int), &(int){i ? 1 : 0}, sizeof(int));
    }
    assert_true(sendmsg(to, &m, 0) > 0);
}

static int open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1000; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* A peer sends descriptors that nobody asked for: none stays open, and none passes for another message's. */
static void strays(void *arg)
{
    int pair[2], before;
    ARENA_AUTO a = arena_new();
    struct stat mine, wanted;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    struct ipc_conn *c = ipc_conn_new(pair[0]);
    struct msg_anvil_request q;
    struct msg_qmgr_new m;
    before = open_descriptors();
    for (int n = 1; n <= 20; n++) {
        send_with_fds(pair[1], &ipc_type_anvil_request, &(struct msg_anvil_request){.op = 1}, n);
        assert_int_equal(ipc_recv(c, &ipc_type_anvil_request, a, &q, deadline_in(10)), IPC_OK);
        assert_int_equal(open_descriptors(), before);
    }
    /* All in the buffer at once: the strays of the first are not the second's, which has none, nor the third's. */
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    before = open_descriptors();
    send_with_fds(pair[1], &ipc_type_anvil_request, &(struct msg_anvil_request){.op = 1}, 3);
    send_with_fds(pair[1], &ipc_type_qmgr_new, &(struct msg_qmgr_new){.queue_id = "A", .file = -1}, 0);
    struct ipc_conn *sender = ipc_conn_new(dup(pair[1]));
    ipc_send(sender, &ipc_type_qmgr_new, &(struct msg_qmgr_new){.queue_id = "B", .file = pipes[0]}, deadline_in(10));
    ipc_conn_free(&sender);
    assert_int_equal(ipc_recv(c, &ipc_type_anvil_request, a, &q, deadline_in(10)), IPC_OK);
    assert_int_equal(ipc_recv(c, &ipc_type_qmgr_new, a, &m, deadline_in(10)), IPC_OK);
    assert_int_equal(m.file, -1);
    assert_int_equal(ipc_recv(c, &ipc_type_qmgr_new, a, &m, deadline_in(10)), IPC_OK);
    assert_true(fstat(m.file, &mine) == 0 && fstat(pipes[0], &wanted) == 0 && mine.st_ino == wanted.st_ino);
    close(m.file);
    assert_int_equal(open_descriptors(), before);
    /* Of a message that was never received they go with the connection. */
    send_with_fds(pair[1], &ipc_type_anvil_request, &(struct msg_anvil_request){.op = 1}, 8);
    enum ipc_status st;
    assert_ptr_equal(ipc_next_type(c, &st, deadline_in(10)), &ipc_type_anvil_request);
    ipc_conn_free(&c);
    assert_int_equal(open_descriptors(), before - 1);
    close(pair[1]);
    close(pipes[0]);
    close(pipes[1]);
}

static void descriptors_that_nobody_asked_for(void **state)
{
    loop_run("strays", strays, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_survives_the_wire),         cmocka_unit_test(bounds_are_kept_on_both_sides),
        cmocka_unit_test(secrets_are_not_described),         cmocka_unit_test(types_have_ids_of_their_own),
        cmocka_unit_test(calls_and_descriptors_over_a_pool), cmocka_unit_test(descriptors_that_nobody_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
