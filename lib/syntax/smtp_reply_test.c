/* smtp_reply_test.c - server replies: whole, in parts, malformed. */
#include "lib/syntax/smtp_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct smtp_reply reply;
static struct arena *arena;

static size_t parse(const char *in, enum smtp_reply_status want)
{
    size_t used;
    arena_free(&arena);
    arena = arena_new();
    assert_int_equal(smtp_reply_parse(slice_of(in), arena, &reply, &used), want);
    return used;
}

static void whole_replies(void **state)
{
    assert_int_equal(parse("250 2.1.5 Ok\r\n354", SMTP_REPLY_OK), 14);
    assert_int_equal(reply.code, 250);
    assert_string_equal(reply.dsn, "2.1.5");
    assert_true(reply.has_dsn);
    assert_string_equal(reply.text, "250 2.1.5 Ok");
    parse("550-5.1.1 no\n550 5.1.1 such user\n", SMTP_REPLY_OK);
    assert_string_equal(reply.text, "550-5.1.1 no 550 5.1.1 such user");
    assert_int_equal(reply.n_lines, 2);
    assert_true(slice_eq(reply.lines[0], SLICE("5.1.1 no")));
    parse("220\r\n", SMTP_REPLY_OK);
    assert_int_equal(reply.n_lines, 1);
    assert_int_equal(reply.lines[0].n, 0);
    parse("250 a\001b\tc\r\n", SMTP_REPLY_OK);
    assert_string_equal(reply.text, "250 a?b c");
}

static void enhanced_codes(void **state)
{
    parse("450 4.2.1\r\n", SMTP_REPLY_OK);
    assert_string_equal(reply.dsn, "4.2.1");
    parse("550 4.2.1 class differs\r\n", SMTP_REPLY_OK);
    assert_string_equal(reply.dsn, "5.0.0");
    assert_false(reply.has_dsn);
    parse("550 5.1.1000 x\r\n", SMTP_REPLY_OK);
    assert_string_equal(reply.dsn, "5.0.0");
    parse("550 5.1.1x\r\n", SMTP_REPLY_OK);
    assert_false(reply.has_dsn);
    parse("550 5.. x\r\n", SMTP_REPLY_OK);
    assert_false(reply.has_dsn);
    parse("354 3.1.1 x\r\n", SMTP_REPLY_OK);
    assert_false(reply.has_dsn);
}

static void not_replies(void **state)
{
    parse("", SMTP_REPLY_MORE);
    parse("250-a\r\n250", SMTP_REPLY_MORE);
    parse("250 x", SMTP_REPLY_MORE);
    parse("hello\r\n", SMTP_REPLY_BROKEN);
    parse("25 x\r\n", SMTP_REPLY_BROKEN);
    parse("650 x\r\n", SMTP_REPLY_BROKEN);
    parse("250x\r\n", SMTP_REPLY_BROKEN);
    parse("\r\n", SMTP_REPLY_BROKEN);
    static char big[SMTP_REPLY_MAX + 10];
    memset(big, '2', sizeof big - 1);
    parse(big, SMTP_REPLY_BROKEN);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_replies),
        cmocka_unit_test(enhanced_codes),
        cmocka_unit_test(not_replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
