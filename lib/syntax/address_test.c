/* address_test.c - addresses: quoting, paths, header lists, host names. */
#include "lib/syntax/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void check_quote(const char *internal, const char *external)
{
    BUF_AUTO b = BUF(1000);
    address_quote(&b, internal);
    assert_string_equal(buf_cstr(&b), external);
}

static void quotes_only_where_needed(void **state)
{
    check_quote("user@example.com", "user@example.com");
    check_quote("", "");
    check_quote("john doe@example.com", "\"john doe\"@example.com");
    check_quote("a..b@x", "\"a..b\"@x");
    check_quote(".a@x", "\".a\"@x");
    check_quote("a.@x", "\"a.\"@x");
    check_quote("@x", "\"\"@x");
    check_quote("a\"b\\c@x", "\"a\\\"b\\\\c\"@x");
    check_quote("a@b@c", "\"a@b\"@c");
    check_quote("us\xc3\xa9r@x", "us\xc3\xa9r@x");
    check_quote("user+ext", "user+ext");
    check_quote("user name", "\"user name\"");
}

static void check_unquote(const char *external, const char *internal)
{
    BUF_AUTO b = BUF(1000);
    bool ok = address_unquote(slice_of(external), &b);
    if (!internal) {
        assert_false(ok);
        return;
    }
    assert_true(ok);
    assert_string_equal(buf_cstr(&b), internal);
}

static void unquoting_is_the_inverse(void **state)
{
    check_unquote("user@example.com", "user@example.com");
    check_unquote("user", "user");
    check_unquote("\"john doe\"@example.com", "john doe@example.com");
    check_unquote("\"a\\\"b\\\\c\"@x", "a\"b\\c@x");
    check_unquote("a.\"b c\"@x", "a.b c@x");
    check_unquote("u@[192.0.2.1]", "u@[192.0.2.1]");
    check_unquote("@a,@b:u@c", "@a,@b:u@c");
    check_unquote("a!b%c@d", "a!b%c@d");
    check_unquote("", NULL);
    check_unquote("@x", NULL);
    check_unquote("u@", NULL);
    check_unquote("a b@c", NULL);
    check_unquote("a@b@c", NULL);
    check_unquote("\"a@b", NULL);
    check_unquote("a@[1.2.3", NULL);
    check_unquote("a@b>c", NULL);
    check_unquote("a\n@b", NULL);
    check_unquote("\"a\\", NULL);
}

static void check_path(const char *in, bool strict, const char *address, const char *rest)
{
    BUF_AUTO b = BUF(1000);
    struct slice r;
    bool ok = address_parse_path(slice_of(in), strict, &b, &r);
    if (!address) {
        assert_false(ok);
        return;
    }
    assert_true(ok);
    assert_string_equal(buf_cstr(&b), address);
    assert_true(slice_eq(r, slice_of(rest)));
}

static void smtp_paths(void **state)
{
    check_path("<>", true, "", "");
    check_path("<a@b> SIZE=10", true, "a@b", " SIZE=10");
    check_path("<\"a>b\"@c> X", true, "a>b@c", " X");
    check_path("a@b SIZE=10", true, NULL, "");
    check_path(" <a@b>", true, NULL, "");
    check_path(" <a@b>", false, "a@b", "");
    check_path("a@b SIZE=10", false, "a@b", " SIZE=10");
    check_path("< a@b >", false, "a@b", "");
    check_path("<a@b@c>", false, "a@b@c", "");
    check_path("<a@b@c>", true, NULL, "");
    check_path("<a@b", false, NULL, "");
    check_path("", false, NULL, "");
    check_path("<a@b\\>", false, NULL, "");
}

static void check_split(const char *local, const char *delimiters, const char *user, const char *ext)
{
    ARENA_AUTO a = arena_new();
    const char *u, *e;
    address_split_extension(a, local, delimiters, &u, &e);
    assert_string_equal(u, user);
    if (ext)
        assert_string_equal(e, ext);
    else
        assert_null(e);
}

static void extensions(void **state)
{
    check_split("user+ext", "+", "user", "ext");
    check_split("user+a+b", "+", "user", "a+b");
    check_split("user-ext", "+-", "user", "ext");
    check_split("user", "+", "user", NULL);
    check_split("+ext", "+", "+ext", NULL);
    check_split("user+ext", "", "user+ext", NULL);
    check_split("owner-list", "-", "owner-list", NULL);
    check_split("list-request", "-", "list-request", NULL);
    check_split("owner+x", "+", "owner", "x");
    check_split("MAILER-DAEMON", "-", "MAILER-DAEMON", NULL);
    check_split("double-bounce", "-", "double-bounce", NULL);
}

/* Joins the addresses by '|'; the text at each place follows in braces. */
static void check_list(const char *header, const char *want)
{
    ARENA_AUTO a = arena_new();
    BUF_AUTO b = BUF(4000);
    struct address_token *t;
    size_t n = address_list_parse(a, slice_of(header), &t);
    for (size_t i = 0; i < n; i++) {
        assert_true(t[i].start <= t[i].end && t[i].end <= strlen(header));
        buf_printf(&b, "%s%s{%.*s}", i ? "|" : "", t[i].address, (int)(t[i].end - t[i].start), header + t[i].start);
    }
    assert_string_equal(buf_cstr(&b), want);
}

static void header_lists(void **state)
{
    check_list("a@b", "a@b{a@b}");
    check_list("a@b, c@d", "a@b{a@b}|c@d{c@d}");
    check_list("John Doe <j@d>", "j@d{j@d}");
    check_list("\"Doe, John\" <j@d>, x", "j@d{j@d}|x{x}");
    check_list("j@d (John (the) Doe), k", "j@d{j@d}|k{k}");
    check_list("friends: a@b, c@d;, e@f", "a@b{a@b}|c@d{c@d}|e@f{e@f}");
    check_list("undisclosed-recipients:;", "");
    check_list("\"john doe\"@x", "john doe@x{\"john doe\"@x}");
    check_list("user @ host . example", "user@host.example{user @ host . example}");
    check_list("<@a,@b:u@c>", "@a,@b:u@c{@a,@b:u@c}");
    check_list("a@b\n\tc@d", "a@b{a@b}|c@d{c@d}");
    check_list("j@d <x@y>", "x@y{x@y}");
    check_list("u@[192.0.2.1]", "u@[192.0.2.1]{u@[192.0.2.1]}");
    check_list("<>", "");
    check_list(", ,", "");
    check_list("(never closed", "");
    check_list("a b c", "a{a}|b{b}|c{c}");
}

static void host_names(void **state)
{
    assert_true(hostname_valid("mail.example.com"));
    assert_true(hostname_valid("a_b-c.x1"));
    assert_false(hostname_valid(""));
    assert_false(hostname_valid("a..b"));
    assert_false(hostname_valid("a."));
    assert_false(hostname_valid("-a.b"));
    assert_false(hostname_valid("a-.b"));
    assert_false(hostname_valid("192.0.2.1"));
    assert_false(hostname_valid("a b"));
    assert_false(hostname_valid("0123456789012345678901234567890123456789012345678901234567890123.x"));
    assert_true(hostname_is_fqdn("a.b"));
    assert_false(hostname_is_fqdn("a"));
    assert_true(address_literal_valid("[192.0.2.1]"));
    assert_true(address_literal_valid("[IPv6:2001:db8::1]"));
    assert_false(address_literal_valid("[2001:db8::1]"));
    assert_false(address_literal_valid("[192.0.2.256]"));
    assert_false(address_literal_valid("192.0.2.1"));
    assert_false(address_literal_valid("[]"));
}

static void parts(void **state)
{
    assert_int_equal(address_at("a@b@c"), 3);
    assert_int_equal(address_at("abc"), -1);
    assert_string_equal(address_domain("a@b@c"), "c");
    assert_null(address_domain("a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_only_where_needed),
        cmocka_unit_test(unquoting_is_the_inverse),
        cmocka_unit_test(smtp_paths),
        cmocka_unit_test(extensions),
        cmocka_unit_test(header_lists),
        cmocka_unit_test(host_names),
        cmocka_unit_test(parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
