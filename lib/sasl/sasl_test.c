/* Passwords, passwd-file lines, mechanisms, protocol lines, and the client against a scripted auth server. */
#include "lib/rt/addr.h"
#include "lib/rt/fiber.h"
#include "lib/rt/stream.h"
#include "lib/sasl/auth_line.h"
#include "lib/sasl/mechanism.h"
#include "lib/sasl/passwd_file.h"
#include "lib/sasl/password.h"
#include "lib/sasl/sasl_client.h"

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
/* clang-format on */

static void passwords_match(void **state)
{
    static const char *const schemes[] = {"",        "PLAIN", "SHA512-CRYPT", "SHA256-CRYPT", "YESCRYPT",
                                          "SSHA512", "SSHA",  "SHA256",       "MD5-CRYPT"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        struct buf b = BUF(1000);
        assert_true(password_make(schemes[i], "s3cret:x", &b));
        assert_int_equal(password_check(buf_cstr(&b), "s3cret:x"), PASSWORD_MATCH);
        assert_int_equal(password_check(buf_cstr(&b), "s3cret"), PASSWORD_MISMATCH);
        buf_fini(&b);
    }
    struct buf b = BUF(1000);
    assert_false(password_make("ROT13", "x", &b));
    assert_int_equal(password_check("{ROT13}k", "x"), PASSWORD_UNSUPPORTED);
    assert_int_equal(password_check("", ""), PASSWORD_UNSUPPORTED);
    assert_int_equal(password_check("!", ""), PASSWORD_MISMATCH);
    /* sha1("test") in base64 and in hex */
    assert_int_equal(password_check("{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "test"), PASSWORD_MATCH);
    assert_int_equal(password_check("{SHA.HEX}a94a8fe5ccb19ba61c4c0873d391e987982fbbd3", "test"), PASSWORD_MATCH);
    buf_fini(&b);
}

static void passwd_lines(void **state)
{
    struct arena *a = arena_new();
    struct passwd_entry e;
    assert_true(passwd_line_parse(a, SLICE("al@x:{PLAIN}pw:5000:5001::/home/al::userdb_mail=maildir:~/M nologin"), &e));
    assert_string_equal(e.user, "al@x");
    assert_string_equal(e.password, "{PLAIN}pw");
    assert_int_equal(e.uid, 5000);
    assert_int_equal(e.gid, 5001);
    assert_string_equal(e.home, "/home/al");
    assert_string_equal(e.mail, "maildir:~/M");
    assert_true(e.nologin);
    assert_true(passwd_line_parse(a, SLICE("bob:x"), &e));
    assert_int_equal(e.uid, -1);
    assert_false(passwd_line_parse(a, SLICE("# bob:x"), &e));
    assert_false(passwd_line_parse(a, SLICE(""), &e));
    arena_free(&a);
}

static void mechanisms(void **state)
{
    struct mechanism_state s = {0};
    struct buf out = BUF(100);
    const struct mechanism_kind *k = mechanism_find("plain");
    assert_int_equal(k->step(&s, slice_make(NULL, 0), &out), MECHANISM_CHALLENGE);
    assert_int_equal(k->step(&s, SLICE("z\0al\0pw"), &out), MECHANISM_CHECK);
    assert_string_equal(s.user, "al");
    assert_string_equal(s.authzid, "z");
    assert_string_equal(s.password, "pw");
    assert_int_equal(k->step(&s, SLICE("al\0pw"), &out), MECHANISM_BROKEN);
    assert_int_equal(k->step(&s, SLICE("\0al\0p\0w"), &out), MECHANISM_BROKEN);
    mechanism_wipe(&s);
    k = mechanism_find("LOGIN");
    assert_int_equal(k->step(&s, slice_make(NULL, 0), &out), MECHANISM_CHALLENGE);
    assert_string_equal(buf_cstr(&out), "Username:");
    assert_int_equal(k->step(&s, SLICE("al"), &out), MECHANISM_CHALLENGE);
    assert_int_equal(k->step(&s, SLICE("pw"), &out), MECHANISM_CHECK);
    assert_string_equal(s.password, "pw");
    assert_null(mechanism_find("CRAM-MD5"));
    buf_fini(&out);
}

/* A server that answers user 2's request before user 1's. */
static int listener;
static void scripted_server(void *arg)
{
    struct io io;
    io_init(&io, listener);
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
        assert_int_equal(io_wait(&io, IO_READ, deadline_in(5)), WAIT_OK);
    struct stream *s = stream_new(fd, 0);
    int64_t end = deadline_in(5);
    stream_puts(s,
                "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tANONYMOUS\tanonymous\nSPID\t1\nCUID\t1\nCOOKIE\tc00k\n"
                "DONE\n",
                end);
    stream_flush(s, end);
    struct slice line;
    for (int i = 0; i < 4; i++)
        assert_int_equal(stream_read_line(s, 1000, &line, end), STREAM_OK);
    assert_non_null(memmem(line.p, line.n, "resp=Mg==", 9));
    stream_puts(s, "OK\t2\tuser=two\nCONT\t1\tYWJj\n", end);
    stream_flush(s, end);
    assert_int_equal(stream_read_line(s, 1000, &line, end), STREAM_OK);
    assert_true(slice_eq(line, SLICE("CONT\t1\tZGVm")));
    stream_puts(s, "FAIL\t1\tuser=one\ttemp\n", end);
    stream_flush(s, end);
    assert_int_equal(stream_read_line(s, 1000, &line, end), STREAM_OK); /* the third login: hang up */
    stream_free(&s);
    io_fini(&io);
}

static struct sasl_service *service;
static int finished;
static void login_one(void *arg)
{
    struct arena *a = arena_new();
    struct sasl_exchange *x;
    const char *challenge;
    struct sasl_request r = {.service = "imap", .mechanism = "PLAIN", .remote_addr = "192.0.2.1"};
    assert_int_equal(sasl_start(service, &x, &r, a, &challenge, deadline_in(5)), SASL_CONTINUE);
    assert_string_equal(challenge, "YWJj");
    assert_int_equal(sasl_continue(x, "ZGVm", a, &challenge, deadline_in(5)), SASL_TRY_AGAIN);
    sasl_free(&x);
    assert_int_equal(sasl_start(service, &x, &r, a, &challenge, deadline_in(5)), SASL_TRY_AGAIN);
    sasl_free(&x);
    arena_free(&a);
    finished++;
}

static void login_two(void *arg)
{
    struct arena *a = arena_new();
    struct sasl_exchange *x;
    const char *challenge;
    struct sasl_request r = {.service = "smtp", .mechanism = "plain", .initial = "Mg=="};
    assert_string_equal(sasl_mechanisms(service, a, "noanonymous", false, deadline_in(5)), "PLAIN");
    assert_int_equal(sasl_start(service, &x, &r, a, &challenge, deadline_in(5)), SASL_OK);
    assert_string_equal(sasl_user(x), "two");
    assert_string_equal(sasl_cookie(x), "c00k");
    sasl_free(&x);
    r.mechanism = "NTLM";
    assert_int_equal(sasl_start(service, &x, &r, a, &challenge, deadline_in(5)), SASL_FAILED);
    sasl_free(&x);
    r.mechanism = "PLAIN";
    r.initial = "a\tb";
    assert_int_equal(sasl_start(service, &x, &r, a, &challenge, deadline_in(5)), SASL_MALFORMED);
    arena_free(&a);
    finished++;
}

static void client_main(void *arg)
{
    fiber_start("server", scripted_server, NULL);
    fiber_start("one", login_one, NULL);
    fiber_start("two", login_two, NULL);
}

static void client_multiplexes(void **state)
{
    char path[] = "/tmp/sasl_test.XXXXXX";
    assert_non_null(mkdtemp(path));
    struct buf name = BUF(200);
    buf_printf(&name, "%s/s", path);
    struct sockaddr_storage sa;
    socklen_t len;
    assert_true(addr_unix(buf_cstr(&name), &sa, &len));
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(listener, 5), 0);
    service = sasl_service_new(buf_cstr(&name));
    loop_run("test", client_main, NULL);
    assert_int_equal(finished, 2);
    close(listener);
    unlink(buf_cstr(&name));
    rmdir(path);
    buf_fini(&name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(passwords_match), cmocka_unit_test(passwd_lines),
                                       cmocka_unit_test(mechanisms), cmocka_unit_test(client_multiplexes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
