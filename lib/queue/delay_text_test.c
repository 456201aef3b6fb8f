/* delay_text_test.c - delays of log lines. */
#include "lib/queue/delay_text.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void check(int64_t usec, int digits, const char *text)
{
    BUF_AUTO b = BUF(100);
    delay_text_append(&b, usec, digits);
    assert_string_equal(buf_cstr(&b), text);
}

static void two_digits_count(void **state)
{
    check(0, 2, "0");
    check(-5000000, 2, "0");
    check(4000, 2, "0");
    check(6000, 2, "0.01");
    check(52000, 2, "0.05");
    check(123456, 2, "0.12");
    check(999000, 2, "1");
    check(1240000, 2, "1.2");
    check(9960000, 2, "10");
    check(35400000, 2, "35");
    check(100000000, 2, "100");
    check(86412700000, 2, "86413");
}

static void the_limit_is_obeyed(void **state)
{
    check(400000, 0, "0");
    check(1600000, 0, "2");
    check(20000000, 0, "20");
    check(123456, 1, "0.1");
    check(12345, 3, "0.012");
    check(1234, 4, "0.0012");
    check(1234, 6, "0.0012");
    check(7, 6, "0.000007");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_digits_count), cmocka_unit_test(the_limit_is_obeyed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
