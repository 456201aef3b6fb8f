/* The protocol from end to end: lib/sasl's client against a session, with a passwd-file. */
#include "auth/auth.h"
#include "lib/rt/addr.h"
#include "lib/rt/fiber.h"
#include "lib/sasl/password.h"
#include "lib/sasl/sasl_client.h"

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
/* clang-format on */

struct auth_params auth_params;
static char dir[] = "/tmp/auth_test.XXXXXX";
static char socket_path[200], db[200];
static int listener;

static void serve_one(void *arg)
{
    session_serve(arg, NULL, NULL);
}

/* Two connections: the login service's, and the user database's. */
static void server(void *arg)
{
    struct io io;
    io_init(&io, listener);
    for (int i = 0; i < 2;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            assert_int_equal(io_wait(&io, IO_READ, deadline_in(5)), WAIT_OK);
            continue;
        }
        fiber_start("session", serve_one, stream_new(fd, 0));
        i++;
    }
    io_fini(&io);
}

static enum sasl_status login(struct sasl_service *s, struct arena *a, const char *user, const char *password,
                              struct sasl_exchange **x)
{
    struct buf raw = BUF(1000), text = BUF(2000);
    buf_putc(&raw, '\0');
    buf_append(&raw, user, strlen(user) + 1);
    buf_puts(&raw, password);
    password_base64_encode(&text, raw.data, raw.len);
    struct sasl_request r = {
        .service = "imap", .mechanism = "PLAIN", .initial = buf_cstr(&text), .remote_addr = "192.0.2.7"};
    const char *challenge;
    enum sasl_status st = sasl_start(s, x, &r, a, &challenge, deadline_in(10));
    buf_fini(&raw);
    buf_fini(&text);
    return st;
}

static void check_claims(struct sasl_exchange *x, struct arena *a)
{
    struct sasl_user u;
    uint32_t pid = (uint32_t)getpid();
    assert_int_equal(sasl_claim(socket_path, sasl_auth_id(x), "wrong", pid, a, &u, deadline_in(5)), SASL_FAILED);
    assert_int_equal(sasl_claim(socket_path, sasl_auth_id(x), sasl_cookie(x), pid, a, &u, deadline_in(5)), SASL_OK);
    assert_string_equal(u.user, "alice");
    assert_string_equal(u.mail, "maildir:/srv/mail/alice");
    assert_int_equal(u.uid, 5000);
    assert_int_equal(sasl_claim(socket_path, sasl_auth_id(x), sasl_cookie(x), pid, a, &u, deadline_in(5)),
                     SASL_FAILED); /* once only */
}

static void client(void *arg)
{
    struct arena *a = arena_new();
    struct sasl_service *s = sasl_service_new(socket_path);
    struct sasl_exchange *x;
    fiber_start("server", server, NULL);
    assert_string_equal(sasl_mechanisms(s, a, "noanonymous", false, deadline_in(5)), "PLAIN LOGIN");
    assert_int_equal(login(s, a, "alice", "secret", &x), SASL_OK);
    assert_string_equal(sasl_user(x), "alice");
    check_claims(x, a);
    sasl_free(&x);
    assert_int_equal(login(s, a, "Alice@example.test", "secret", &x), SASL_OK);
    assert_string_equal(sasl_user(x), "alice");
    sasl_free(&x);
    assert_int_equal(login(s, a, "alice", "wrong", &x), SASL_FAILED);
    sasl_free(&x);
    assert_int_equal(login(s, a, "nobody", "secret", &x), SASL_FAILED);
    sasl_free(&x);
    assert_int_equal(login(s, a, "closed", "secret", &x), SASL_FAILED);
    sasl_free(&x);
    struct sasl_user u;
    assert_int_equal(sasl_userdb(socket_path, "carl@virtual.test", a, &u, deadline_in(5)), SASL_OK);
    assert_string_equal(u.mail, "maildir:/home/carl/Maildir");
    assert_int_equal(u.uid, geteuid() == 0 ? 77 : (int)u.uid);
    assert_int_equal(sasl_userdb(socket_path, "../etc", a, &u, deadline_in(5)), SASL_FAILED);
    session_drain();
    arena_free(&a);
}

static void end_to_end(void **state)
{
    assert_non_null(mkdtemp(dir));
    snprintf(socket_path, sizeof socket_path, "%s/s", dir);
    snprintf(db, sizeof db, "%s/passwd", dir);
    FILE *f = fopen(db, "w");
    struct buf stored = BUF(1000), title = BUF(1000), err = BUF(1000);
    assert_true(password_make("SHA256-CRYPT", "secret", &stored));
    fprintf(f, "alice:%s:5000:5000::::userdb_mail=maildir:/srv/mail/%%n\n# closed:x\n", buf_cstr(&stored));
    fprintf(f, "closed:{PLAIN}secret::::::nologin\ncarl@virtual.test:{PLAIN}x:::g:/home/carl::\n");
    fclose(f);
    buf_printf(&title, "passwd-file:%s", db);
    auth_params = (struct auth_params){.auth_passdb = buf_cstr(&title),
                                       .auth_userdb = "",
                                       .auth_default_realm = "",
                                       .auth_default_uid = "",
                                       .auth_default_gid = "",
                                       .auth_claim_time = 60,
                                       .auth_requests_limit = 10,
                                       .auth_address_checks_limit = 2,
                                       .mail_location = "",
                                       .home_mailbox = "",
                                       .virtual_mailbox_base = "",
                                       .virtual_uid_maps = "static:77",
                                       .virtual_gid_maps = "static:78"};
    const char *own[3] = {"mx.example.test", "example.test", NULL};
    assert_true(backends_open(own, &err));
    struct sockaddr_storage sa;
    socklen_t len;
    assert_true(addr_unix(socket_path, &sa, &len));
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(listener, 5), 0);
    loop_run("test", client, NULL);
    close(listener);
    unlink(socket_path);
    unlink(db);
    rmdir(dir);
    buf_fini(&stored);
    buf_fini(&title);
    buf_fini(&err);
}

static void unknown_database(void **state)
{
    struct buf err = BUF(1000);
    const char *own[3] = {NULL, NULL, NULL};
    auth_params.auth_passdb = "oracle:x";
    auth_params.auth_userdb = "";
    assert_false(backends_open(own, &err));
    assert_non_null(strstr(buf_cstr(&err), "oracle:x"));
    buf_fini(&err);
}

static void names(void **state)
{
    assert_true(user_name_valid("al.ice+x@example.test"));
    assert_false(user_name_valid(""));
    assert_false(user_name_valid("a/b"));
    assert_false(user_name_valid("..@x"));
    assert_false(user_name_valid("a@.."));
    assert_false(user_name_valid("a@b@c"));
    assert_false(user_name_valid("a b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(end_to_end), cmocka_unit_test(unknown_database),
                                       cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
