/* postalias_build_test.c - lines of alias files (aliases(5)). */
#include "command/postalias_build.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_lines(void **state)
{
    static const struct {
        const char *line, *name, *value;
    } good[] = {
        {"root: joe", "root", "joe"},
        {"\"quo ted\": x", "quo ted", "x"},
        {"list : a ,b,\"|/bin/x  -y, z\" ,\t:include:/a/b, /file", "list",
         "a, b, \"|/bin/x  -y, z\", :include:/a/b, /file"},
        {"n: Some One <a@b>, (x, y) c", "n", "Some One <a@b>, (x, y) c"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        BUF_AUTO name = BUF(1000);
        BUF_AUTO value = BUF(1000);
        assert_null(postalias_parse(slice_of(good[i].line), &name, &value));
        assert_string_equal(buf_cstr(&name), good[i].name);
        assert_string_equal(buf_cstr(&value), good[i].value);
    }
}

static void test_bad_lines(void **state)
{
    static const char *const bad[] = {"empty", "novalue:", ": x", "a@b: c", "\"open: x", "x: ,,"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        BUF_AUTO name = BUF(1000);
        BUF_AUTO value = BUF(1000);
        if (!postalias_parse(slice_of(bad[i]), &name, &value))
            fail_msg("accepted: %s", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_bad_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
