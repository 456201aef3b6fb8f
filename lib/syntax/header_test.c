/* header_test.c - header fields and dates. */
#include "lib/syntax/date.h"
#include "lib/syntax/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void fields_with_folds(void **state)
{
    ARENA_AUTO a = arena_new();
    struct slice rest = SLICE("Subject : a\n b\n\tc\nX-Y:\r\n z\r\n\nbody: no\n");
    struct header_field f;
    assert_int_equal(header_next(&rest, &f), 1);
    assert_true(header_is(&f, "SUBJECT"));
    assert_string_equal(header_unfold(a, f.value), "a b\tc");
    assert_int_equal(header_next(&rest, &f), 1);
    assert_string_equal(header_unfold(a, f.value), "z");
    assert_int_equal(header_next(&rest, &f), 0);
    assert_true(slice_eq(rest, SLICE("body: no\n")));
    rest = SLICE("no header here\n");
    assert_int_equal(header_next(&rest, &f), -1);
    rest = SLICE(": x\n");
    assert_int_equal(header_next(&rest, &f), -1);
    assert_string_equal(header_find(a, SLICE("A: 1\nB: 2\n\nC: 3\n"), "b"), "2");
    assert_null(header_find(a, SLICE("A: 1\nB: 2\n\nC: 3\n"), "c"));
}

static void dates_of_mail(void **state)
{
    static const struct {
        const char *text;
        time_t want;
    } good[] = {
        {"Mon, 23 Nov 2026 12:52:46 +0000", 1795438366},
        {"23 Nov 2026 13:52:46 +0100 (CET)", 1795438366},
        {"Mon, 23 Nov 26 07:52:46 EST", 1795438366},
        {" Thu, 1 Jan 1970 00:00:00 GMT", 0},
    };
    time_t t;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(date_parse_rfc5322(slice_of(good[i].text), &t, NULL));
        assert_int_equal(t, good[i].want);
    }
    assert_false(date_parse_rfc5322(SLICE("yesterday"), &t, NULL));
    assert_false(date_parse_rfc5322(SLICE("32 Foo 2020"), &t, NULL));
    BUF_AUTO b = BUF(100);
    date_rfc5322(&b, 1795438366);
    assert_true(date_parse_rfc5322(buf_slice(&b), &t, NULL) && t == 1795438366);
}

static void dates_of_imap(void **state)
{
    time_t t;
    BUF_AUTO b = BUF(100);
    date_imap(&b, 1795438366);
    assert_true(date_parse_imap(buf_slice(&b), &t) && t == 1795438366);
    assert_true(date_parse_imap(SLICE(" 3-Nov-2026 00:00:00 -0100"), &t));
    assert_false(date_parse_imap(SLICE("23-Nov-2026 12:52:46"), &t));
    assert_true(date_parse_imap_day(SLICE("1-Jan-1970"), &t) && t == 0);
    assert_false(date_parse_imap_day(SLICE("1-Jan-70"), &t));
    /* Years have four digits, whoever wrote such a date. */
    time_t early;
    assert_true(date_parse_imap(SLICE("23-Nov-0838 12:00:00 +0000"), &early));
    buf_reset(&b);
    date_imap(&b, early);
    assert_true(date_parse_imap(buf_slice(&b), &t) && t == early);
    buf_reset(&b);
    date_rfc5322(&b, early);
    assert_true(date_parse_rfc5322(buf_slice(&b), &t, NULL) && t == early);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fields_with_folds), cmocka_unit_test(dates_of_mail),
                                       cmocka_unit_test(dates_of_imap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
