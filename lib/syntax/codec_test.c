/* codec_test.c - base64, xtext, checksums, character sets. */
#include "lib/syntax/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void check_base64(const char *plain, const char *coded)
{
    BUF_AUTO e = BUF(100);
    BUF_AUTO d = BUF(100);
    base64_encode(&e, plain, strlen(plain));
    assert_string_equal(buf_cstr(&e), coded);
    assert_true(base64_decode(&d, slice_of(coded)));
    assert_string_equal(buf_cstr(&d), plain);
}

static void base64_is_strict(void **state)
{
    check_base64("", "");
    check_base64("f", "Zg==");
    check_base64("fo", "Zm8=");
    check_base64("foo", "Zm9v");
    check_base64("foob", "Zm9vYg==");
    const char *bad[] = {"Zg=", "Zg", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm 9", "Zm9v\n", "Zm9-"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        BUF_AUTO d = BUF(100);
        assert_false(base64_decode(&d, slice_of(bad[i])));
    }
}

static void xtext(void **state)
{
    BUF_AUTO e = BUF(100);
    BUF_AUTO d = BUF(100);
    xtext_encode(&e, SLICE("a+b=c \xff"));
    assert_string_equal(buf_cstr(&e), "a+2Bb+3Dc+20+FF");
    assert_true(xtext_decode(&d, buf_slice(&e)));
    assert_string_equal(buf_cstr(&d), "a+b=c \xff");
    const char *bad[] = {"a=b", "a b", "+", "+2", "+2b", "+GG", "a\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(xtext_decode(&d, slice_of(bad[i])));
}

static void checksums(void **state)
{
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    uint32_t halves = crc32c(crc32c(0, "1234", 4), "56789", 5);
    assert_int_equal(halves, 0xe3069283);
    assert_int_equal(crc32c(0, "", 0), 0);
}

static void characters(void **state)
{
    assert_true(is_ascii(SLICE("")));
    assert_true(is_ascii(SLICE("abcdefghij")));
    assert_false(is_ascii(SLICE("abcdefghi\x80")));
    assert_false(is_ascii(SLICE("\xc3\xa9"
                                "abcdefghi")));
    assert_true(utf8_valid(SLICE("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
    const char *bad[] = {"\x80", "\xc3",    "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                         "\xff", "\xe2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(utf8_valid(slice_of(bad[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(base64_is_strict), cmocka_unit_test(xtext),
                                       cmocka_unit_test(checksums), cmocka_unit_test(characters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
