/* smtp_wire_test.c - destinations as written, messages as sent. */
#include "smtp/smtp_content.h"
#include "smtp/smtp_dest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* "host:port" with ",nomx" and ",unix"; several parted by ';'. */
static void check_dest(const char *nexthop, bool lmtp, const char *want)
{
    ARENA_AUTO a = arena_new();
    BUF_AUTO b = BUF(1000);
    struct smtp_dest *d;
    const char *err = "";
    size_t n = smtp_dest_parse(a, nexthop, lmtp, 25, &d, &err);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s%s:%u%s%s", i ? ";" : "", d[i].host, d[i].port, d[i].no_mx ? ",nomx" : "",
                   d[i].is_unix ? ",unix" : "");
    if (n == 0)
        buf_printf(&b, "! %s", err);
    assert_string_equal(buf_cstr(&b), want);
}

static void destinations(void **state)
{
    check_dest("example.com", false, "example.com:25");
    check_dest("example.com:587", false, "example.com:587");
    check_dest("[mx.example.com]", false, "mx.example.com:25,nomx");
    check_dest("[mx.example.com]:2525", false, "mx.example.com:2525,nomx");
    check_dest("[2001:db8::1]:26", false, "2001:db8::1:26,nomx");
    check_dest("[IPv6:2001:db8::1]", false, "2001:db8::1:25,nomx");
    check_dest("inet:mx:24", true, "mx:24,nomx");
    check_dest("unix:private/dovecot-lmtp", true, "private/dovecot-lmtp:25,unix");
    check_dest("a.test, [b]:26 c.test", false, "a.test:25;b:26,nomx;c.test:25");
    check_dest("mx:smtp", false, "mx:25");
    check_dest("", false, "! no destination");
    check_dest("unix:x", false, "! invalid destination unix:x");
    check_dest("[x", false, "! invalid destination [x");
    check_dest("[x]y", false, "! invalid destination [x]y");
    check_dest("x:", false, "! invalid destination x:");
    check_dest("x:0", false, "! invalid destination x:0");
    check_dest("x:99999", false, "! invalid destination x:99999");
    check_dest("[]", false, "! invalid destination []");
}

static void check_content(size_t limit, const char *const *pieces, const char *want)
{
    BUF_AUTO b = BUF(10000);
    struct smtp_content c = {.line_limit = limit};
    for (; *pieces; pieces++)
        smtp_content_encode(&c, slice_of(*pieces), &b);
    smtp_content_end(&c, &b);
    assert_string_equal(buf_cstr(&b), want);
}

static void contents(void **state)
{
    check_content(0, (const char *[]){"a\n\nb\n", NULL}, "a\r\n\r\nb\r\n.\r\n");
    check_content(0, (const char *[]){".\n..x\n", NULL}, "..\r\n...x\r\n.\r\n");
    check_content(0, (const char *[]){"a\n", ".b", NULL}, "a\r\n..b\r\n.\r\n");
    check_content(0, (const char *[]){NULL}, ".\r\n");
    check_content(4, (const char *[]){"abcd\nabcdefghi\n", NULL}, "abcd\r\nabcd\r\n efg\r\n hi\r\n.\r\n");
    check_content(4, (const char *[]){"abcd.efg\n", NULL}, "abcd\r\n .ef\r\n g\r\n.\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(destinations), cmocka_unit_test(contents)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
