/* postqueue_list_test.c - the list as text and as JSON, to the byte. */
#include "command/postqueue_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HELLO "protocol\0mail_queue_list_protocol\0\0"
#define MESSAGE(queue, id, size, expire, sender)                                                          \
    "queue_name\0" queue "\0queue_id\0" id "\0time\0001700000000\0size\0" size "\0forced_expire\0" expire \
    "\0sender\0" sender "\0"
#define RCPT(address, reason) "recipient\0" address "\0reason\0" reason "\0"
#define END "\0"

static char shown[4000];

static bool list(const char *input, size_t n, bool json, bool option)
{
    shown[0] = '\0';
    FILE *in = fmemopen((void *)(uintptr_t)input, n, "r"), *out = fmemopen(shown, sizeof shown, "w");
    bool ok = json ? postqueue_list_json(in, out, option) : postqueue_list_text(in, out, option);
    fclose(in);
    fclose(out);
    return ok;
}
#define LIST(input, json, option) list(input, sizeof(input) - 1, json, option)

static void an_empty_queue(void **state)
{
    assert_true(LIST(HELLO END, false, false));
    assert_string_equal(shown, "Mail queue is empty\n");
    assert_true(LIST(HELLO END, true, true));
    assert_string_equal(shown, "");
}

static void text_with_reasons(void **state)
{
    assert_true(LIST(HELLO MESSAGE("deferred", "4F2A0B", "2000", "0", "a@b.test") RCPT("x@y.test", "no route")
                         RCPT("z@y.test", "no route") END MESSAGE("active", "4F2A0C", "100", "0", "MAILER-DAEMON")
                             RCPT("odd one@y.test", "") END END,
                     false, false));
    assert_string_equal(shown, "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n"
                               "4F2A0B         2000 Tue Nov 14 22:13:20  a@b.test\n"
                               "                                                                    (no route)\n"
                               "                                         x@y.test\n"
                               "                                         z@y.test\n"
                               "\n"
                               "4F2A0C*         100 Tue Nov 14 22:13:20  MAILER-DAEMON\n"
                               "                                         \"odd one\"@y.test\n"
                               "\n"
                               "-- 2 Kbytes in 2 Requests.\n");
}

static void text_with_long_ids(void **state)
{
    assert_true(LIST(HELLO MESSAGE("hold", "4ScNzV0z5Wz1x", "1024", "0", "a@b.test") RCPT("x@y.test", "") END END,
                     false, true));
    assert_string_equal(shown, "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n"
                               "4ScNzV0z5Wz1x!        1024 Tue Nov 14 22:13:20 a@b.test\n"
                               "                                               x@y.test\n"
                               "\n"
                               "-- 1 Kbytes in 1 Request.\n");
}

static void json(void **state)
{
    assert_true(LIST(HELLO MESSAGE("deferred", "4F2A", "2000", "1", "a\"@b.test")
                         RCPT("\303\251@y.test", "tab\there \377") RCPT("z@y.test", "") END END,
                     true, true));
    assert_string_equal(
        shown, "{\"queue_name\": \"deferred\", \"queue_id\": \"4F2A\", \"arrival_time\": 1700000000, "
               "\"message_size\": 2000, \"forced_expire\": true, \"sender\": \"a\\\"@b.test\", \"recipients\": "
               "[{\"address\": \"\303\251@y.test\", \"delay_reason\": \"tab\\there ?\"}, {\"address\": "
               "\"z@y.test\"}]}\n");
}

static void a_list_that_breaks_off(void **state)
{
    assert_false(LIST(HELLO, false, false));
    assert_false(LIST(HELLO MESSAGE("hold", "4F2A", "1", "0", "a@b.test"), false, false));
    assert_false(LIST(HELLO "queue_name\0hold\0size\0001\0", true, false));
    assert_false(LIST("220 mx.example.test ESMTP\r\n", false, false));
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_empty_queue), cmocka_unit_test(text_with_reasons),
                                       cmocka_unit_test(text_with_long_ids), cmocka_unit_test(json),
                                       cmocka_unit_test(a_list_that_breaks_off)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
