/* login_log_test.c - names from the wire in log lines. */
#include "lib/login/login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void fields_are_as_dovecot_writes_them(void **state)
{
    BUF_AUTO b = BUF(1000);
    login_log_peer(&b, "bob@example.org", "PLAIN", "192.0.2.1", "2001:db8::1");
    assert_string_equal(buf_cstr(&b), "user=<bob@example.org>, method=PLAIN, rip=192.0.2.1, lip=2001:db8::1");
    buf_reset(&b);
    login_log_peer(&b, "", "", "192.0.2.1", "192.0.2.2");
    assert_string_equal(buf_cstr(&b), "user=<>, rip=192.0.2.1, lip=192.0.2.2");
}

/* Otherwise a client could have another's address banned. */
static void a_name_is_no_other_field(void **state)
{
    BUF_AUTO b = BUF(1000);
    login_log_peer(&b, "x>, rip=198.51.100.9,\r\n\xc3\xa9", "", "192.0.2.1", "192.0.2.2");
    assert_string_equal(buf_cstr(&b), "user=<x???rip?198.51.100.9????"
                                      "?>, rip=192.0.2.1, lip=192.0.2.2");
}

static void a_long_name_is_cut(void **state)
{
    char name[1001] = "";
    BUF_AUTO b = BUF(2000);
    memset(name, 'n', sizeof name - 1);
    login_log_peer(&b, name, "", "192.0.2.1", "192.0.2.2");
    assert_in_range(b.len, 250, 320);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_as_dovecot_writes_them),
        cmocka_unit_test(a_name_is_no_other_field),
        cmocka_unit_test(a_long_name_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
