/* status_text_test.c - codes and texts of next hops. */
#include "support/error/status_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void check(const char *nexthop, const char *dsn, const char *text)
{
    struct status_text t = status_text_split(nexthop, "5.0.0");
    assert_string_equal(t.dsn, dsn);
    assert_string_equal(t.text, text);
}

static void a_code_is_taken_off(void **state)
{
    check("5.1.1 no such user", "5.1.1", "no such user");
    check("  4.123.456 \t later", "4.123.456", "later");
    check("5.1.1", "5.1.1", "");
}

static void other_texts_stay_whole(void **state)
{
    check("user has moved", "5.0.0", "user has moved");
    check("", "5.0.0", "");
    check("5.1 x", "5.0.0", "5.1 x");
    check("3.1.1 x", "5.0.0", "3.1.1 x");
    check("5.1.1234 x", "5.0.0", "5.1.1234 x");
    check("5.1.1x", "5.0.0", "5.1.1x");
    check("5.example.com", "5.0.0", "5.example.com");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_code_is_taken_off), cmocka_unit_test(other_texts_stay_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
