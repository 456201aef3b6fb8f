/* Words, sets and mailbox names of IMAP. */
#include "lib/syntax/imap_name.h"
#include "lib/syntax/imap_set.h"

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static void announces_literals(void **state)
{
    uint64_t size;
    bool waits;
    assert_true(imap_literal_announced(SLICE("a LOGIN {12}"), &size, &waits));
    assert_int_equal(size, 12);
    assert_true(waits);
    assert_true(imap_literal_announced(SLICE("a LOGIN x {0+}"), &size, &waits));
    assert_false(waits);
    assert_false(imap_literal_announced(SLICE("a LOGIN {}"), &size, &waits));
    assert_false(imap_literal_announced(SLICE("a LOGIN {x}"), &size, &waits));
    assert_false(imap_literal_announced(SLICE("a LOGIN {99999999999999999999}"), &size, &waits));
    assert_false(imap_literal_announced(SLICE("a {1} "), &size, &waits));
}

static void takes_words(void **state)
{
    ARENA_AUTO a = arena_new();
    struct imap_cursor c = {SLICE("a1 login {3}\r\nx\ny \"q\\\"\\\\\" (\\Seen $a) 42"), a};
    struct slice s;
    uint32_t n = 0;
    assert_true(imap_tag(&c, &s) && imap_space(&c) && imap_word(&c, "LOGIN") && imap_space(&c));
    assert_true(imap_astring(&c, &s) && slice_eq(s, SLICE("x\ny")));
    assert_true(imap_space(&c) && imap_astring(&c, &s) && slice_eq(s, SLICE("q\"\\")));
    assert_true(imap_space(&c) && imap_char(&c, '(') && imap_flag(&c, &s) && slice_eq(s, SLICE("\\Seen")));
    assert_true(imap_space(&c) && imap_flag(&c, &s) && slice_eq(s, SLICE("$a")) && imap_char(&c, ')'));
    assert_true(imap_space(&c) && !imap_word(&c, "4") && imap_number(&c, &n) && imap_at_end(&c));
    assert_int_equal(n, 42);
    c.rest = SLICE("\"open");
    assert_false(imap_astring(&c, &s));
    c.rest = SLICE("{9}\r\nshort");
    assert_false(imap_astring(&c, &s));
    assert_int_equal(c.rest.n, 10);
}

static const char *printed(struct arena *a, void (*print)(struct buf *, struct slice), struct slice s)
{
    BUF_AUTO out = BUF(1000);
    print(&out, s);
    return arena_slice(a, buf_slice(&out));
}

static void prints_strings(void **state)
{
    ARENA_AUTO a = arena_new();
    assert_string_equal(printed(a, imap_print_string, SLICE("a\"\\")), "\"a\\\"\\\\\"");
    assert_string_equal(printed(a, imap_print_string, SLICE("a\n")), "{2}\r\na\n");
    assert_string_equal(printed(a, imap_print_string, SLICE("\xc3\xa9")), "{2}\r\n\xc3\xa9");
    assert_string_equal(printed(a, imap_print_nstring, (struct slice){0}), "NIL");
    assert_string_equal(printed(a, imap_print_astring, SLICE("INBOX")), "INBOX");
    assert_string_equal(printed(a, imap_print_astring, SLICE("")), "\"\"");
    assert_string_equal(printed(a, imap_print_astring, SLICE("nil")), "\"nil\"");
    assert_string_equal(printed(a, imap_print_astring, SLICE("a b")), "\"a b\"");
}

static bool set(struct arena *a, const char *text, struct imap_set *s)
{
    struct imap_cursor c = {slice_of(text), a};
    return imap_set_parse(&c, s) && imap_at_end(&c);
}

static void reads_sets(void **state)
{
    ARENA_AUTO a = arena_new();
    struct imap_set s;
    assert_true(set(a, "2,7:4,9:*", &s));
    struct imap_set none = {0};
    imap_set_settle(&none, 20);
    assert_false(imap_set_has(&none, 5, 20));
    assert_true(imap_set_has(&s, 5, 20));
    assert_false(imap_set_has(&s, 8, 20));
    assert_true(imap_set_has(&s, 20, 20));
    assert_false(imap_set_has(&s, 21, 20));
    assert_true(set(a, "9:*", &s));
    assert_true(imap_set_has(&s, 3, 3));
    assert_false(imap_set_has(&s, 2, 3));
    assert_true(set(a, "*", &s));
    assert_true(imap_set_has(&s, 3, 3));
    assert_false(imap_set_has(&s, 0, 0));
    const char *bad[] = {"", "0", "1,", "1:2:3", "99999999999", "a", ":1", "1:"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(set(a, bad[i], &s));
    BUF_AUTO out = BUF(100);
    imap_set_print(&out, (uint32_t[]){1, 2, 3, 5, 8, 9}, 6);
    assert_string_equal(buf_cstr(&out), "1:3,5,8:9");
}

static void there_and_back(const char *utf8, const char *wire)
{
    BUF_AUTO out = BUF(100);
    assert_true(imap_name_from_utf8(&out, slice_of(utf8)));
    assert_string_equal(buf_cstr(&out), wire);
    buf_reset(&out);
    assert_true(imap_name_to_utf8(&out, slice_of(wire)));
    assert_string_equal(buf_cstr(&out), utf8);
}

static void converts_names(void **state)
{
    there_and_back("", "");
    there_and_back("a & b", "a &- b");
    there_and_back("Entw\xc3\xbcrfe", "Entw&APw-rfe");
    there_and_back("~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
                   "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
    there_and_back("\xf0\x9f\x98\x80", "&2D3eAA-");
    const char *bad[] = {"&", "&AGE-", "&APw", "&2D0-", "&APx-", "&APwA-", "&3gA-", "a\x01", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        BUF_AUTO out = BUF(100);
        assert_false(imap_name_to_utf8(&out, slice_of(bad[i])));
    }
}

static bool matches(const char *pattern, const char *name)
{
    return imap_name_matches(slice_of(pattern), slice_of(name), '.');
}

static void matches_names(void **state)
{
    assert_true(matches("*", "a.b") && matches("%", "a") && matches("a.%", "a.b") && matches("*c", "a.b.c"));
    assert_true(matches("%.%", "a.b") && matches("a*%", "a.b.c") && matches("", "") && matches("*b%d", "abc.bcd"));
    assert_false(matches("%", "a.b") || matches("a", "ab") || matches("a%", "b") || matches("%c", "a.c") ||
                 matches("", "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(announces_literals), cmocka_unit_test(takes_words),    cmocka_unit_test(prints_strings),
        cmocka_unit_test(reads_sets),         cmocka_unit_test(converts_names), cmocka_unit_test(matches_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
