/* qmgr_schedule_test.c - turns, windows, dead destinations. */
#include "lib/base/mem.h"
#include "qmgr/qmgr_schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct transport *make(unsigned maxproc, unsigned initial, unsigned limit)
{
    struct schedule_settings s = {.maxproc = maxproc,
                                  .initial = initial,
                                  .limit = limit,
                                  .cohort_limit = 1,
                                  .positive = {1, FEEDBACK_FIXED},
                                  .negative = {1, FEEDBACK_FIXED}};
    return transport_new("smtp", &s);
}

static struct entry *add(struct transport *t, const char *nexthop)
{
    struct entry *e = MEM_NEW(struct entry);
    schedule_add(transport_destination(t, nexthop), e);
    return e;
}

static void destinations_take_turns(void **state)
{
    struct transport *t = make(0, 10, 20);
    for (int i = 0; i < 3; i++)
        add(t, "a");
    add(t, "b");
    const char *want[] = {"a", "b", "a", "a"};
    for (int i = 0; i < 4; i++) {
        struct entry *e = schedule_next(t);
        assert_string_equal(e->destination->nexthop, want[i]);
        free(e);
    }
    assert_null(schedule_next(t));
    transport_free(&t);
}

static void limits_hold(void **state)
{
    struct transport *t = make(3, 2, 20);
    struct entry *taken[3];
    for (int i = 0; i < 5; i++) {
        add(t, "a");
        add(t, "b");
    }
    for (int i = 0; i < 3; i++)
        assert_non_null(taken[i] = schedule_next(t));
    assert_null(schedule_next(t)); /* maxproc */
    assert_true(taken[0]->destination->busy <= 2);
    for (int i = 0; i < 3; i++) {
        schedule_done(taken[i], true);
        free(taken[i]);
    }
    for (const char *d = "a"; d; d = *d == 'a' ? "b" : NULL)
        for (struct entry *e; (e = schedule_take_waiting(transport_destination(t, d)));)
            free(e);
    transport_free(&t);
}

static void successes_widen_the_window_and_its_limit_holds(void **state)
{
    struct transport *t = make(0, 2, 5);
    struct destination *d = transport_destination(t, "a");
    for (int round = 0; round < 20; round++) {
        struct entry *batch[10];
        int n = 0;
        for (int i = 0; i < 10; i++)
            add(t, "a");
        while ((batch[n] = schedule_next(t)))
            n++;
        assert_int_equal(n, d->window);
        for (int i = 0; i < n; i++) {
            schedule_done(batch[i], true);
            free(batch[i]);
        }
        for (struct entry *e; (e = schedule_take_waiting(d));)
            free(e);
    }
    assert_int_equal(d->window, 5);
    transport_free(&t);
}

static void a_cohort_of_failures_kills_and_time_revives(void **state)
{
    struct transport *t = make(0, 2, 20);
    struct destination *d = transport_destination(t, "a");
    struct entry *first, *second;
    add(t, "a");
    add(t, "a");
    add(t, "a");
    first = schedule_next(t);
    second = schedule_next(t);
    assert_false(schedule_done(first, false)); /* half a cohort */
    assert_true(schedule_done(second, false)); /* the window had shrunk to one */
    schedule_kill(d, 100, "4.4.1", "no route");
    assert_true(schedule_is_dead(d, 99));
    assert_null(schedule_next(t));
    assert_false(schedule_is_dead(d, 100));
    assert_int_equal(d->window, 2);
    struct entry *third = schedule_next(t);
    assert_non_null(third);
    schedule_done(third, true);
    schedule_forget_idle(d);
    assert_null(hash_get(t->destinations, "a"));
    free(first);
    free(second);
    free(third);
    transport_free(&t);
}

static void feedback_is_parsed(void **state)
{
    struct feedback f;
    assert_true(schedule_parse_feedback("1", &f) && f.kind == FEEDBACK_FIXED);
    assert_true(schedule_parse_feedback("1/concurrency", &f) && f.kind == FEEDBACK_BY_WINDOW);
    assert_true(schedule_parse_feedback("0.5 / sqrt_concurrency", &f) && f.kind == FEEDBACK_BY_SQRT && f.value == 0.5);
    assert_false(schedule_parse_feedback("2", &f));
    assert_false(schedule_parse_feedback("1/x", &f));
    assert_false(schedule_parse_feedback("", &f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(destinations_take_turns),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(successes_widen_the_window_and_its_limit_holds),
        cmocka_unit_test(a_cohort_of_failures_kills_and_time_revives),
        cmocka_unit_test(feedback_is_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
