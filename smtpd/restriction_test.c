/* Tests of the lists: words with braces, arguments, warn_if_reject, classes, and what makes a server safe. */
#include "smtpd/smtpd.h"

/* cmocka wants these before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
/* clang-format on */

struct smtpd_params smtpd_params;

static struct check_list parse(struct arena *a, const char *text)
{
    struct check_list list = {0};
    BUF_AUTO err = BUF(1000);
    /* Without a configuration no table is opened. */
    assert_true(check_list_parse(NULL, a, NULL, "test", text, STAGE_SENDER, &list, &err));
    return list;
}

static void test_words(void **state)
{
    struct slice rest = SLICE("permit, check_x inline:{ {a = b, c} }\n reject"), word;
    static const char *const want[] = {"permit", "check_x", "inline:{ {a = b, c} }", "reject"};
    for (size_t i = 0; i < 4; i++) {
        assert_true(check_word(&rest, &word));
        assert_true(slice_eq(word, slice_of(want[i])));
    }
    assert_false(check_word(&rest, &word));
    rest = SLICE("{ never closed");
    assert_true(check_word(&rest, &word));
    assert_false(check_word(&rest, &word));
}

static void test_lists(void **state)
{
    ARENA_AUTO a = arena_new();
    struct check_list l =
        parse(a, "warn_if_reject reject_non_fqdn_sender, hash:/x/y check_client_access cidr:/z nonsense");
    assert_int_equal(l.n, 4);
    assert_true(l.steps[0].warn);
    assert_false(l.steps[1].warn);
    assert_string_equal(l.steps[1].restriction->name, "check_sender_access");
    assert_string_equal(l.steps[1].argument, "hash:/x/y");
    assert_string_equal(l.steps[2].argument, "cidr:/z");
    assert_null(l.steps[3].restriction);
    l = parse(a, "check_client_access"); /* its argument is missing */
    assert_null(l.steps[0].restriction);
}

static void test_safety(void **state)
{
    ARENA_AUTO a = arena_new();
    static const struct {
        const char *text;
        bool safe;
    } cases[] = {{"permit_mynetworks, reject_unauth_destination", true},
                 {"permit_mynetworks", false},
                 {"permit_mynetworks, warn_if_reject reject", false},
                 {"defer_unauth_destination", true},
                 {"REJECT", true},
                 {"", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct check_list l = parse(a, cases[i].text);
        assert_int_equal(check_list_is_safe(&l), cases[i].safe);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_safety),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
