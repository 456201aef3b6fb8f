/* rt_test.c - fibers, waits, threads, streams, TLS between two fibers, and DNS against a responder in the same loop. */
#include "lib/base/arena.h"
#include "lib/base/mem.h"
#include "lib/rt/addr.h"
#include "lib/rt/dns.h"
#include "lib/rt/fiber.h"
#include "lib/rt/stream.h"
#include "lib/rt/tls.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- waits ---- */

struct waits {
    struct waitq q;
    struct fiber *sleeper;
    int woken, cancelled, timeouts, order[3], n;
};

static void waiter(void *arg)
{
    struct waits *w = arg;
    if (waitq_wait(&w->q, deadline_in(10)) == WAIT_OK)
        w->woken++;
}

static void sleeper(void *arg)
{
    struct waits *w = arg;
    if (fiber_sleep(DEADLINE_NEVER) == WAIT_CANCELLED)
        w->cancelled++;
    if (fiber_sleep(DEADLINE_NEVER) == WAIT_CANCELLED) /* stays cancelled */
        w->cancelled++;
}

static void short_sleep(void *arg)
{
    struct waits *w = arg;
    if (waitq_wait(&w->q, deadline_in_ms(1)) == WAIT_TIMEOUT)
        w->timeouts++;
}

static void waits_main(void *arg)
{
    struct waits *w = arg;
    waitq_init(&w->q);
    fiber_start("short", short_sleep, w);
    fiber_sleep(deadline_in_ms(5));
    fiber_start("a", waiter, w);
    fiber_start("b", waiter, w);
    w->sleeper = fiber_start("sleeper", sleeper, w);
    fiber_yield();
    waitq_wake_one(&w->q);
    fiber_yield();
    assert_int_equal(w->woken, 1);
    waitq_wake_all(&w->q);
    fiber_cancel(w->sleeper);
}

static void waits_wake_time_out_and_cancel(void **state)
{
    struct waits w = {0};
    loop_run("main", waits_main, &w);
    assert_int_equal(w.woken, 2);
    assert_int_equal(w.cancelled, 2);
    assert_int_equal(w.timeouts, 1);
}

static int napped[3], nap_count;
static void nap(void *arg)
{
    fiber_sleep(deadline_in_ms((intptr_t)arg * 3));
    napped[nap_count++] = (int)(intptr_t)arg;
}
static void naps_main(void *arg)
{
    for (intptr_t i = 3; i > 0; i--)
        fiber_start("nap", nap, (void *)i);
}
static void timers_fire_in_order(void **state)
{
    loop_run("main", naps_main, NULL);
    assert_int_equal(nap_count, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(napped[i], i + 1);
}

/* ---- threads ---- */

static void add_on_thread(void *arg)
{
    __atomic_fetch_add((int *)arg, 1, __ATOMIC_SEQ_CST);
}
static void thread_user(void *arg)
{
    for (int i = 0; i < 20; i++)
        thread_run(add_on_thread, arg);
}
static void threads_main(void *arg)
{
    for (int i = 0; i < 50; i++)
        fiber_start("user", thread_user, arg);
}
static void threads_do_every_job(void **state)
{
    int sum = 0;
    loop_run("main", threads_main, &sum);
    assert_int_equal(sum, 1000);
}

/* ---- fork ---- */

static int ran_in_child;
static void bystander(void *arg)
{
    ran_in_child++;
}
static void fork_main(void *arg)
{
    for (int i = 0; i < 3; i++)
        fiber_start("bystander", bystander, NULL);
}
static void forker(void *arg)
{
    int status;
    fiber_start("fork", fork_main, NULL);
    fiber_yield(); /* the bystanders are ready beside this one */
    pid_t pid = fork();
    if (pid == 0) {
        ran_in_child = 0;
        loop_after_fork();
        fiber_sleep(deadline_in_ms(2));
        _exit(ran_in_child);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}
static void a_forked_child_forgets_the_other_fibers(void **state)
{
    loop_run("main", forker, NULL);
    assert_int_equal(ran_in_child, 3);
}

/* ---- streams ---- */

struct pair {
    int fd[2];
    const char *cert, *key;
    bool tls;
    size_t received;
};
enum { BULK = 3 * 1000 * 1000 };

static void echo_side(void *arg)
{
    struct pair *p = arg;
    struct stream *s = stream_new(p->fd[0], 0);
    struct slice line;
    if (p->tls) {
        BUF_AUTO err = BUF(500);
        struct tls_context *ctx =
            tls_context_new(&(struct tls_config){.server = true, .cert_file = p->cert, .key_file = p->key}, &err);
        assert_non_null(ctx);
        assert_int_equal(stream_tls_accept(s, ctx, deadline_in(10)), STREAM_OK);
        tls_context_free(&ctx);
    }
    assert_int_equal(stream_read_line(s, 100, &line, deadline_in(10)), STREAM_OK);
    assert_true(slice_eq(line, SLICE("hello")));
    stream_printf(s, DEADLINE_NEVER, "%.*s back\r\n", SLICE_ARG(line));
    assert_int_equal(stream_flush(s, deadline_in(10)), STREAM_OK);
    assert_int_equal(stream_read_line(s, 8, &line, deadline_in(10)), STREAM_FULL);
    stream_consume(s, stream_peek(s).n);
    for (;;) {
        enum stream_status st = stream_fill(s, deadline_in(10));
        if (st == STREAM_EOF)
            break;
        assert_int_equal(st, STREAM_OK);
        p->received += stream_peek(s).n;
        stream_consume(s, stream_peek(s).n);
    }
    stream_free(&s);
}

static void pair_main(void *arg)
{
    struct pair *p = arg;
    struct slice line;
    fiber_start("echo", echo_side, p);
    struct stream *s = stream_new(p->fd[1], 0);
    if (p->tls) {
        BUF_AUTO err = BUF(500);
        struct tls_context *ctx = tls_context_new(&(struct tls_config){.server = false}, &err);
        assert_int_equal(stream_tls_connect(s, ctx, "localhost", deadline_in(10)), STREAM_OK);
        assert_true(stream_tls(s)->peer_cert_present);
        assert_false(stream_tls(s)->peer_cert_trusted);
        tls_context_free(&ctx);
    }
    stream_puts(s, "hello\r\n", DEADLINE_NEVER);
    stream_flush(s, deadline_in(10));
    assert_int_equal(stream_read_line(s, 100, &line, deadline_in(10)), STREAM_OK);
    assert_true(slice_eq(line, SLICE("hello back")));
    assert_int_equal(stream_fill(s, deadline_in_ms(1)), STREAM_TIMEOUT);
    stream_puts(s, "a line past the limit", DEADLINE_NEVER);
    stream_flush(s, deadline_in(10));
    fiber_sleep(deadline_in_ms(5));
    MEM_AUTO char *bulk = mem_alloc(BULK);
    assert_int_equal(stream_write(s, bulk, BULK, deadline_in(20)), STREAM_OK);
    stream_close(&s, deadline_in(10));
}

static void exchange(const char *cert, const char *key)
{
    struct pair p = {.cert = cert, .key = key, .tls = cert != NULL};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p.fd), 0);
    loop_run("main", pair_main, &p);
    assert_int_equal(p.received, BULK);
}

/* A client and a server that sends everything back, with a relay between them: both directions are full at a time. */
struct relayed {
    const char *cert, *key;
    int outer[2], inner[2];
    struct stream *client;
    size_t returned, wrong;
    bool over;
};

static char bulk_byte(size_t i)
{
    return (char)(i % 251);
}

static void relay_side(void *arg)
{
    struct relayed *r = arg;
    struct stream *s = stream_new(r->outer[0], 0), *inner = stream_new(r->inner[0], 0);
    if (r->cert) {
        BUF_AUTO err = BUF(500);
        struct tls_context *ctx =
            tls_context_new(&(struct tls_config){.server = true, .cert_file = r->cert, .key_file = r->key}, &err);
        assert_int_equal(stream_tls_accept(s, ctx, deadline_in(10)), STREAM_OK);
        tls_context_free(&ctx);
    }
    stream_unread(s, SLICE("early "));
    stream_relay(s, inner);
    stream_free(&inner);
    stream_free(&s);
    r->over = true;
}

static void echo_bulk(void *arg)
{
    struct stream *s = stream_new(((struct relayed *)arg)->inner[1], 0);
    while (stream_fill(s, deadline_in(20)) == STREAM_OK) {
        struct slice have = stream_peek(s);
        assert_int_equal(stream_write(s, have.p, have.n, deadline_in(20)), STREAM_OK);
        assert_int_equal(stream_flush(s, deadline_in(20)), STREAM_OK);
        stream_consume(s, have.n);
    }
    stream_free(&s);
}

static void write_bulk(void *arg)
{
    struct relayed *r = arg;
    MEM_AUTO char *bulk = mem_alloc(BULK);
    for (size_t i = 0; i < BULK; i++)
        bulk[i] = bulk_byte(i);
    assert_int_equal(stream_write(r->client, bulk, BULK, deadline_in(20)), STREAM_OK);
    assert_int_equal(stream_flush(r->client, deadline_in(20)), STREAM_OK);
}

static void relay_main(void *arg)
{
    struct relayed *r = arg;
    char early[6];
    fiber_start("relay", relay_side, r);
    fiber_start("echo", echo_bulk, r);
    r->client = stream_new(r->outer[1], 0);
    if (r->cert) {
        BUF_AUTO err = BUF(500);
        struct tls_context *ctx = tls_context_new(&(struct tls_config){.server = false}, &err);
        assert_int_equal(stream_tls_connect(r->client, ctx, "localhost", deadline_in(10)), STREAM_OK);
        tls_context_free(&ctx);
    }
    assert_int_equal(stream_read_full(r->client, early, sizeof early, deadline_in(10)), STREAM_OK);
    assert_memory_equal(early, "early ", sizeof early);
    fiber_start("writer", write_bulk, r);
    while (r->returned < BULK) {
        assert_int_equal(stream_fill(r->client, deadline_in(20)), STREAM_OK);
        struct slice have = stream_peek(r->client);
        for (size_t i = 0; i < have.n; i++)
            r->wrong += have.p[i] != bulk_byte(r->returned + i);
        r->returned += have.n;
        stream_consume(r->client, have.n);
    }
    stream_close(&r->client, deadline_in(10));
}

static void relay(const char *cert, const char *key)
{
    struct relayed r = {.cert = cert, .key = key};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, r.outer), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, r.inner), 0);
    loop_run("main", relay_main, &r);
    assert_int_equal(r.returned, BULK);
    assert_int_equal(r.wrong, 0);
    assert_true(r.over);
}

static void streams_carry_lines_and_bulk(void **state)
{
    exchange(NULL, NULL);
    relay(NULL, NULL);
}

static int run(char *const argv[])
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(126);
        execvp(argv[0], argv);
        _exit(127);
    }
    waitpid(pid, &status, 0);
    return status;
}

static void streams_carry_them_in_tls(void **state)
{
    char key[] = "/tmp/merpati-rt-key-XXXXXX", cert[] = "/tmp/merpati-rt-cert-XXXXXX";
    close(mkstemp(key));
    close(mkstemp(cert));
    char *const argv[] = {"openssl",
                          "req",
                          "-x509",
                          "-newkey",
                          "ec",
                          "-pkeyopt",
                          "ec_paramgen_curve:P-256",
                          "-nodes",
                          "-days",
                          "2",
                          "-subj",
                          "/CN=localhost",
                          "-keyout",
                          key,
                          "-out",
                          cert,
                          NULL};
    assert_int_equal(run(argv), 0);
    exchange(cert, key);
    relay(cert, key);
    unlink(key);
    unlink(cert);
}

static void tls_context_names_what_is_wrong(void **state)
{
    BUF_AUTO err = BUF(500);
    assert_null(tls_context_new(&(struct tls_config){.server = true, .cert_file = "/nonexistent.pem"}, &err));
    assert_non_null(strstr(buf_cstr(&err), "/nonexistent.pem"));
    buf_reset(&err);
    assert_null(tls_context_new(&(struct tls_config){.server = true, .protocols = "TLSv9"}, &err));
    assert_non_null(strstr(buf_cstr(&err), "TLSv9"));
}

/* ---- DNS ---- */

static int dns_fd;
static void dns_responder(void *arg)
{
    struct io io;
    io_init(&io, dns_fd);
    for (int answered = 0; answered < 3;) {
        unsigned char p[1500];
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(dns_fd, p, 512, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
        if (n < 0) {
            assert_int_equal(io_wait(&io, IO_READ, deadline_in(10)), WAIT_OK);
            continue;
        }
        answered++;
        size_t q = 12; /* drop the OPT record: find the question's end */
        while (p[q])
            q += 1u + p[q];
        q += 5;
        bool mx = p[q - 3] == 15, gone = p[13] == 'g';
        p[2] |= 0x80;
        p[3] = (unsigned char)(0x20 | (gone ? 3 : 0));
        p[7] = mx ? 2 : gone ? 0 : 1;
        p[11] = 0;
        static const unsigned char a_rr[] = {0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7};
        static const unsigned char mx_rr[] = {0xC0, 12, 0, 15, 0, 1, 0, 0, 0, 60, 0, 6, 0, 20, 1, 'b', 0xC0, 12,
                                              0xC0, 12, 0, 15, 0, 1, 0, 0, 0, 60, 0, 6, 0, 10, 1, 'a', 0xC0, 12};
        memcpy(p + q, mx ? mx_rr : a_rr, mx ? sizeof mx_rr : sizeof a_rr);
        sendto(dns_fd, p, q + (mx ? sizeof mx_rr : gone ? 0 : sizeof a_rr), 0, (struct sockaddr *)&from, len);
    }
    io_fini(&io);
}

static void dns_main(void *arg)
{
    ARENA_AUTO a = arena_new();
    char text[ADDR_TEXT_MAX];
    fiber_start("responder", dns_responder, NULL);
    struct dns_answer answer = dns_lookup(a, "host.test", DNS_A, deadline_in(10));
    assert_int_equal(answer.status, DNS_OK);
    assert_true(answer.secure);
    assert_string_equal(addr_text((struct sockaddr *)&answer.records->addr, text), "192.0.2.7");
    answer = dns_lookup(a, "mx.test", DNS_MX, deadline_in(10));
    assert_int_equal(answer.status, DNS_OK);
    assert_string_equal(answer.records->target, "a.mx.test");
    assert_int_equal(answer.records->next->preference, 20);
    answer = dns_lookup(a, "gone.test", DNS_A, deadline_in(10));
    assert_int_equal(answer.status, DNS_NO_NAME);
    answer = dns_lookup(a, "late.test", DNS_A, deadline_in_ms(5)); /* the responder has left */
    assert_int_equal(answer.status, DNS_TRY_AGAIN);
}

static void dns_answers_are_read(void **state)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sin;
    dns_fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(dns_fd, (struct sockaddr *)&sin, len), 0);
    getsockname(dns_fd, (struct sockaddr *)&sin, &len);
    MEM_AUTO char *server = mem_printf("127.0.0.1:%d", ntohs(sin.sin_port));
    assert_true(dns_set_servers(server));
    loop_run("main", dns_main, NULL);
    close(dns_fd);
}

static void addresses_are_read_and_compared(void **state)
{
    struct sockaddr_storage a, b;
    socklen_t len;
    char text[ADDR_TEXT_MAX];
    assert_true(addr_parse("[IPv6:2001:db8::1]", 25, &a, &len));
    assert_string_equal(addr_text((struct sockaddr *)&a, text), "2001:db8::1");
    assert_int_equal(addr_port((struct sockaddr *)&a), 25);
    assert_true(addr_parse("::ffff:192.0.2.1", 0, &a, &len) && addr_parse("192.0.2.1", 9, &b, &len));
    assert_true(addr_equal((struct sockaddr *)&a, (struct sockaddr *)&b));
    assert_string_equal(addr_text((struct sockaddr *)&a, text), "192.0.2.1");
    assert_false(addr_parse("192.0.2", 0, &a, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_wake_time_out_and_cancel),
        cmocka_unit_test(timers_fire_in_order),
        cmocka_unit_test(threads_do_every_job),
        cmocka_unit_test(a_forked_child_forgets_the_other_fibers),
        cmocka_unit_test(streams_carry_lines_and_bulk),
        cmocka_unit_test(streams_carry_them_in_tls),
        cmocka_unit_test(tls_context_names_what_is_wrong),
        cmocka_unit_test(dns_answers_are_read),
        cmocka_unit_test(addresses_are_read_and_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
