/* anvil_table_test.c - counts, rates, and processes that die. */
#include "support/anvil/anvil_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void counts_and_rates(void **state)
{
    struct anvil_table *t = anvil_table_new(60, 100);
    assert_int_equal(anvil_table_connect(t, "smtp", "192.0.2.1", 10, 0).connections, 1);
    struct anvil_counts c = anvil_table_connect(t, "smtp", "192.0.2.1", 11, 1);
    assert_true(c.connections == 2 && c.rate == 2);
    assert_int_equal(anvil_table_connect(t, "submission", "192.0.2.1", 11, 1).connections, 1);
    anvil_table_disconnect(t, "smtp", "192.0.2.1", 10);
    anvil_table_disconnect(t, "smtp", "192.0.2.1", 10); /* once too often: another process's connection stays */
    c = anvil_table_connect(t, "smtp", "192.0.2.1", 10, 59);
    assert_true(c.connections == 2 && c.rate == 3);
    assert_int_equal(anvil_table_connect(t, "smtp", "192.0.2.1", 10, 60).rate, 1); /* a new time unit */
    assert_int_equal(anvil_table_event(t, "smtp", "192.0.2.1", 2, 5, 61).rate, 5);
    assert_int_equal(anvil_table_event(t, "smtp", "192.0.2.1", 2, 0, 61).rate, 5);
    anvil_table_process_gone(t, 10);
    assert_int_equal(anvil_table_event(t, "smtp", "192.0.2.1", 1, 0, 61).connections, 1);
    assert_int_equal(anvil_table_peak(t, ANVIL_RATES).value, 3);
    assert_int_equal(anvil_table_peak(t, ANVIL_RATES).value, 0);
    anvil_table_process_gone(t, 11);
    assert_int_equal(anvil_table_expire(t, 100), 1); /* the rates of smtp still count */
    assert_int_equal(anvil_table_expire(t, 200), 0);
    anvil_table_free(&t);
}

/* Strangers make up addresses: the table stays small, and who is connected stays counted. */
static void flood(void **state)
{
    struct anvil_table *t = anvil_table_new(60, 100);
    char client[20];
    for (int i = 0; i < 50; i++) {
        snprintf(client, sizeof client, "10.0.0.%d", i);
        anvil_table_connect(t, "smtp", client, 7, 0);
    }
    anvil_table_event(t, "smtp", "192.0.2.1", 1, 1, 0);
    for (int i = 0; i < 100000; i++) {
        snprintf(client, sizeof client, "f%d", i);
        anvil_table_connect(t, "smtp", client, 8, 1);
        anvil_table_disconnect(t, "smtp", client, 8);
        if (i % 10 == 0) /* who is heard of stays, however old */
            assert_int_equal(anvil_table_event(t, "smtp", "192.0.2.1", 1, 0, 1).rate, 1);
    }
    assert_int_equal(anvil_table_expire(t, 2), 100);
    for (int i = 0; i < 50; i++) {
        snprintf(client, sizeof client, "10.0.0.%d", i);
        assert_int_equal(anvil_table_connect(t, "smtp", client, 7, 2).connections, 2);
    }
    for (int i = 0; i < 1000; i++) { /* all of it connected: the table keeps its size, a disconnection does no harm */
        snprintf(client, sizeof client, "g%d", i);
        assert_int_equal(anvil_table_connect(t, "smtp", client, 9, 2).connections, 1);
    }
    assert_int_equal(anvil_table_expire(t, 2), 100);
    anvil_table_disconnect(t, "smtp", "g999", 9);
    anvil_table_process_gone(t, 9);
    anvil_table_process_gone(t, 7);
    assert_int_equal(anvil_table_expire(t, 1000), 0);
    anvil_table_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts_and_rates), cmocka_unit_test(flood)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
