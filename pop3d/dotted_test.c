/* dotted_test.c - messages as POP3 sends them, whatever the blocks they come in. */
#include "pop3d/dotted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* In blocks of every size, each giving the same. */
static void sends(struct dotted start, const char *message, const char *wire)
{
    size_t n = strlen(message);
    for (size_t block = 1; block <= n + 1; block++) {
        BUF_AUTO out = BUF(10000);
        struct dotted d = start;
        for (size_t i = 0; i < n; i += block)
            dotted_feed(&d, slice_make(message + i, n - i < block ? n - i : block), &out);
        dotted_end(&d, &out);
        assert_string_equal(buf_cstr(&out), wire);
    }
}

static void line_ends_become_crlf(void **state)
{
    sends(dotted_all(), "A: b\n\nx\n", "A: b\r\n\r\nx\r\n.\r\n");
    sends(dotted_all(), "A: b\r\n\r\nx\r\n", "A: b\r\n\r\nx\r\n.\r\n");
    sends(dotted_all(), "A: b\n\nno end", "A: b\r\n\r\nno end\r\n.\r\n");
    sends(dotted_all(), "a\rb\n", "a\rb\r\n.\r\n");
    sends(dotted_all(), "", ".\r\n");
}

static void dots_are_doubled_at_the_line_start(void **state)
{
    sends(dotted_all(), ".\n..\na.\n.b", "..\r\n...\r\na.\r\n..b\r\n.\r\n");
}

static void top_ends_after_its_lines(void **state)
{
    const char *m = "A: b\nC: d\n\n1\n2\n.3\n";
    sends(dotted_top(0), m, "A: b\r\nC: d\r\n\r\n.\r\n");
    sends(dotted_top(1), m, "A: b\r\nC: d\r\n\r\n1\r\n.\r\n");
    sends(dotted_top(9), m, "A: b\r\nC: d\r\n\r\n1\r\n2\r\n..3\r\n.\r\n");
    sends(dotted_top(0), "A: b\n", "A: b\r\n.\r\n");
    sends(dotted_top(1), "A: b\r\n\r\n\r\nx\r\n", "A: b\r\n\r\n\r\n.\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_ends_become_crlf),
        cmocka_unit_test(dots_are_doubled_at_the_line_start),
        cmocka_unit_test(top_ends_after_its_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
