/* Destinations of alias and .forward lists. */
#include "local/tokens.h"

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static void expect(const char *list, size_t n, const struct token *want)
{
    struct arena *a = arena_new();
    struct slice rest = slice_of(list);
    struct token t;
    for (size_t i = 0; i < n; i++) {
        assert_true(token_next(a, &rest, &t));
        assert_string_equal(t.text, want[i].text);
        assert_int_equal(t.kind, want[i].kind);
        assert_int_equal(t.no_expand, want[i].no_expand);
    }
    assert_false(token_next(a, &rest, &t));
    arena_free(&a);
}

static void lists(void **state)
{
    const struct token many[] = {{TOKEN_ADDRESS, "ann", false},         {TOKEN_ADDRESS, "b ob@x", false},
                                 {TOKEN_COMMAND, "cat > /x, y", false}, {TOKEN_FILE, "/dev/null", false},
                                 {TOKEN_INCLUDE, "/l", false},          {TOKEN_ADDRESS, "me", true},
                                 {TOKEN_ADDRESS, "'q'", false},         {TOKEN_ADDRESS, "c@d", false}};
    expect("# none\nann (comment, too), \"b ob\"@x\n \"|cat > /x, y\",/dev/null\n\n:include:/l, \\me, 'q', <c@d>", 8,
           many);
    const struct token command[] = {{TOKEN_COMMAND, "prog \"a b\" (c)", false}, {TOKEN_ADDRESS, "x", false}};
    expect("|prog \"a b\" (c)\nx", 2, command);
    const struct token quoted[] = {{TOKEN_COMMAND, "cat >/x y", false}, {TOKEN_ADDRESS, "x", false}};
    expect("|\"cat >/x y\", x", 2, quoted);
    expect("", 0, NULL);
    expect("# only\n\n , ", 0, NULL);
    expect("\"", 0, NULL);
    expect("(", 0, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lists)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
