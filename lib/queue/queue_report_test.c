/* queue_report_test.c - the bytes that go to postqueue. */
#include "lib/queue/queue_report.h"

#include "lib/queue/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char id[QUEUE_ID_MAX + 1];
static char folder[] = "/tmp/queue_report_XXXXXX";

static int make_queue(void **state)
{
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    struct result r = queue_make_directories(0, 0, false);
    assert_true(result_is_ok(&r));
    return 0;
}

static int remove_queue(void **state)
{
    static const char *const directories[] = {"maildrop", "incoming", "active",  "deferred", "hold",
                                              "corrupt",  "public",   "private", "pid",      "bounce",
                                              "defer",    "trace",    "flush"};
    if (*id)
        queue_remove(id, "hold");
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++)
        rmdir(directories[i]);
    return chdir("/") || rmdir(folder);
}

static void put_message(void)
{
    struct result r;
    struct queue_writer *w = queue_writer_new("incoming", false, &r);
    assert_non_null(w);
    struct queue_envelope e = {.sender = "", .arrival_usec = INT64_C(1700000000000000)};
    struct queue_recipient to = {.address = "a@b.test", .orig_address = "a@b.test", .dsn_orcpt = ""};
    queue_writer_content(w, "Subject: t\n\nx\n", 14);
    queue_writer_recipient(w, &to);
    to.address = to.orig_address = "c@d.test";
    queue_writer_recipient(w, &to);
    r = queue_writer_commit(w, "incoming", &e);
    assert_true(result_is_ok(&r));
    snprintf(id, sizeof id, "%s", queue_writer_id(w));
    queue_writer_free(&w);
    assert_true(queue_move(id, "incoming", "hold"));
}

static void note(enum queue_event event, uint32_t recipient)
{
    struct queue_history h = {.event = event,
                              .recipient = recipient,
                              .time = 1,
                              .dsn = "4.0.0",
                              .text = "why",
                              .relay = "",
                              .diagnostic = "",
                              .remote_mta = ""};
    int fd = queue_open(id, "hold", true);
    assert_true(fd >= 0 && queue_history_append(fd, &h, 1));
    close(fd);
}

#define HELLO "protocol\0mail_queue_list_protocol\0\0"

static void check(const char *text, size_t n)
{
    struct queue_report *r = queue_report_new("MAILER-DAEMON");
    BUF_AUTO out = BUF(10000);
    assert_false(queue_report_fill(r, &out, 5000));
    assert_int_equal(out.len, n);
    assert_memory_equal(out.data, text, n);
    queue_report_free(&r);
    assert_null(r);
}

static void an_empty_queue(void **state)
{
    check(HELLO "", sizeof HELLO);
}

static void recipients_that_are_left_with_their_reasons(void **state)
{
    put_message();
    note(QUEUE_DELIVERED, 0);
    note(QUEUE_DEFERRED, 1);
    char text[300];
    static const char before[] = HELLO "queue_name\0hold\0queue_id",
                      after[] = "time\0001700000000\0size\00014\0forced_expire\0"
                                "0\0sender\0MAILER-DAEMON\0recipient\0c@d.test\0reason\0why\0\0";
    size_t n = sizeof before;
    memcpy(text, before, n);
    memcpy(text + n, id, strlen(id) + 1);
    n += strlen(id) + 1;
    memcpy(text + n, after, sizeof after);
    check(text, n + sizeof after);
}

static void a_list_in_pieces(void **state)
{
    struct queue_report *r = queue_report_new("MAILER-DAEMON");
    BUF_AUTO out = BUF(10000);
    assert_true(queue_report_fill(r, &out, 1)); /* the greeting is more than that */
    assert_int_equal(out.len, sizeof HELLO - 1);
    queue_report_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_empty_queue),
                                       cmocka_unit_test(recipients_that_are_left_with_their_reasons),
                                       cmocka_unit_test(a_list_in_pieces)};
    return cmocka_run_group_tests(tests, make_queue, remove_queue);
}
