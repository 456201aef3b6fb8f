/* Tests of smtp_command and smtp_data: what ends a message, what a command line may hold. */
#include "lib/syntax/smtp_command.h"
#include "lib/syntax/smtp_data.h"

/* cmocka wants these before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
/* clang-format on */

static void emit(void *ctx, const char *p, size_t n)
{
    buf_append(ctx, p, n);
}

/* Feeds the text in pieces of every size and expects the same content, end and rest each time. */
static void expect(enum smtp_data_eod eod, struct slice in, const char *content, bool done, const char *rest)
{
    for (size_t piece = 1; piece <= in.n; piece++) {
        BUF_AUTO out = BUF(100000);
        struct smtp_data d;
        smtp_data_init(&d, eod, eod == SMTP_DATA_STANDARD_EOD);
        size_t i = 0;
        while (i < in.n && !d.done) {
            size_t n = in.n - i < piece ? in.n - i : piece;
            i += smtp_data_feed(&d, slice_make(in.p + i, n), emit, &out);
        }
        assert_string_equal(buf_cstr(&out), content);
        assert_int_equal(d.done, done);
        assert_string_equal(in.p + i, rest);
    }
}

static void test_end_of_data(void **state)
{
    expect(SMTP_DATA_STANDARD_EOD, SLICE("a\r\n.\r\nQUIT"), "a\n", true, "QUIT");
    expect(SMTP_DATA_STANDARD_EOD, SLICE(".\r\n"), "", true, "");
    expect(SMTP_DATA_STANDARD_EOD, SLICE("..a\r\n...\r\n.b\r\n.\r\n"), ".a\n..\nb\n", true, "");
    expect(SMTP_DATA_ANY_EOD, SLICE("a\n.\nRSET"), "a\n", true, "RSET");
    expect(SMTP_DATA_ANY_EOD, SLICE("a\r\n.\r\r\nRSET"), "a\n", true, "RSET");
    expect(SMTP_DATA_ANY_EOD, SLICE("a\r\n.\r\n"), "a\n", true, "");
}

static void test_smuggling(void **state)
{
    static const char *const tries[] = {"\n.\n",       "\n.\r\n", "\r\n.\n", "\r.\r",      "\r\n.\r",
                                        "\r\n.\r\r\n", "\r.\r\n", "\r.\n",   "\r\n. \r\n", "\r\n.\v\r\n"};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        BUF_AUTO out = BUF(1000);
        struct smtp_data d;
        smtp_data_init(&d, SMTP_DATA_STANDARD_EOD, true);
        smtp_data_feed(&d, SLICE("line"), emit, &out);
        smtp_data_feed(&d, slice_of(tries[i]), emit, &out);
        smtp_data_feed(&d, SLICE("x"), emit, &out);
        assert_false(d.done);
        size_t n = smtp_data_feed(&d, SLICE("\r\n.\r\nNOOP"), emit, &out);
        assert_true(d.done);
        assert_int_equal(n, 5);
    }
}

static void test_bare(void **state)
{
    expect(SMTP_DATA_STANDARD_EOD, SLICE("a\rb\r\n.\r\n"), "a\rb\n", true, "");
    expect(SMTP_DATA_STANDARD_EOD, SLICE("a\nb\r\n.\r\n"), "a\nb\n", true, "");
    expect(SMTP_DATA_STANDARD_EOD, SLICE("a\n.\n.\r\nb\r\n.\r\n"), "a\nb\n", true, "");
    expect(SMTP_DATA_NO_EOD, SLICE("a\r\n.\r\n.b\r\n"), "a\n.\n.b\n", false, "");
    struct smtp_data d;
    BUF_AUTO out = BUF(100);
    smtp_data_init(&d, SMTP_DATA_NO_EOD, true);
    smtp_data_feed(&d, SLICE("a\r\nb"), emit, &out);
    assert_false(d.saw_bare_lf);
    smtp_data_finish(&d, emit, &out);
    assert_string_equal(buf_cstr(&out), "a\nb\n");
    assert_int_equal(d.size, 6);
    assert_false(d.saw_bare_lf);
}

static void test_lines(void **state)
{
    struct slice line;
    size_t used;
    bool bare;
    assert_false(smtp_command_line(SLICE("NOOP\r"), &line, &used, &bare));
    assert_true(smtp_command_line(SLICE("NOOP\r\nQUIT\r\n"), &line, &used, &bare));
    assert_int_equal(used, 6);
    assert_false(bare);
    assert_true(slice_eq(line, SLICE("NOOP")));
    assert_true(smtp_command_line(SLICE("NOOP\n"), &line, &used, &bare));
    assert_true(bare);
}

static void expect_words(const char *line, const char *const *want)
{
    ARENA_AUTO a = arena_new();
    struct slice rest = slice_of(line);
    const char *word;
    for (; *want; want++) {
        assert_true(smtp_command_word(a, &rest, &word, NULL));
        assert_string_equal(word, *want);
    }
    assert_false(smtp_command_word(a, &rest, &word, NULL));
}

static void test_words(void **state)
{
    expect_words("  MAIL \tFROM:<a@b> ", (const char *[]){"MAIL", "FROM:", "<a@b>", NULL});
    expect_words("RCPT to:<\"a >b\"@c d>e SIZE=1", (const char *[]){"RCPT", "to:", "<\"a >b\"@c d>e", "SIZE=1", NULL});
    expect_words("a:b \"c d\\\" e\"f g\\ h", (const char *[]){"a:b", "\"c d\\\" e\"f", "g\\ h", NULL});
    expect_words("MAIL FROM:<a b", (const char *[]){"MAIL", "FROM:", "<a b", NULL});
    expect_words(" \t ", (const char *[]){NULL});
    ARENA_AUTO a = arena_new();
    struct slice rest = SLICE("<a b");
    const char *word;
    bool broken = false;
    assert_true(smtp_command_word(a, &rest, &word, &broken) && broken);
    assert_string_equal(smtp_command_words(a, SLICE(" a   b\tc ")), "a b c");
}

static void test_paths(void **state)
{
    static const struct {
        const char *word;
        bool strict;
        const char *address; /* NULL: refused */
    } cases[] = {
        {"<a@b.test>", true, "a@b.test"},
        {"<>", true, ""},
        {"a@b.test", false, "a@b.test"},
        {"a@b.test", true, NULL},
        {"<a@b.test>(x)", false, "a@b.test"},
        {"<a@b.test>(x)", true, NULL},
        {"<s s@b.test>", false, NULL},
        {"<\"s s\"@b.test>", false, "s s@b.test"},
        {"<s@>", false, "s@"},
        {"<a\x01@b.test>", false, "a\x01@b.test"},
        {"<@>", true, NULL},
        {"<<a@b.test>>", false, "a@b.test"},
        {"<a@b>,<c@d>", false, NULL},
        {"<@a,@b:c@d>", false, "c@d"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ARENA_AUTO a = arena_new();
        const char *address;
        bool ok = smtp_command_path(a, cases[i].word, cases[i].strict, true, &address);
        assert_int_equal(ok, cases[i].address != NULL);
        if (ok)
            assert_string_equal(address, cases[i].address);
    }
}

static void test_mail_params(void **state)
{
    ARENA_AUTO a = arena_new();
    struct smtp_mail_params m;
    const char *bad;
    assert_int_equal(
        smtp_command_mail_params(SLICE(" SIZE=500\tBODY=8bitmime SMTPUTF8 RET=hdrs ENVID=a+2Bb AUTH=<>"), a, &m, &bad),
        SMTP_PARAM_OK);
    assert_int_equal(m.size, 500);
    assert_string_equal(m.body, "8BITMIME");
    assert_true(m.smtputf8);
    assert_int_equal(m.ret, SMTP_RET_HDRS);
    assert_string_equal(m.envid, "a+b");
    static const struct {
        const char *text;
        enum smtp_param_status st;
    } cases[] = {
        {"SIZE=-1", SMTP_PARAM_BAD_SIZE},     {"SIZE=", SMTP_PARAM_BAD_SIZE},      {"SIZE", SMTP_PARAM_UNSUPPORTED},
        {"BODY=", SMTP_PARAM_UNSUPPORTED},    {"RET=SOME", SMTP_PARAM_BAD_RET},    {"ENVID=", SMTP_PARAM_BAD_ENVID},
        {"ENVID=a+g2", SMTP_PARAM_BAD_ENVID}, {"ENVID=+0A", SMTP_PARAM_BAD_ENVID}, {"junk", SMTP_PARAM_UNSUPPORTED}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(smtp_command_mail_params(slice_of(cases[i].text), a, &m, &bad), cases[i].st);
}

static void test_rcpt_params(void **state)
{
    ARENA_AUTO a = arena_new();
    struct smtp_rcpt_params r;
    const char *bad;
    assert_int_equal(smtp_command_rcpt_params(SLICE("NOTIFY=success,DELAY ORCPT=rfc822;or+2Big@x.test"), a, &r, &bad),
                     SMTP_PARAM_OK);
    assert_int_equal(r.notify, SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY);
    assert_string_equal(r.orcpt, "rfc822;or+ig@x.test");
    assert_int_equal(smtp_command_rcpt_params(SLICE("NOTIFY=NEVER,SUCCESS"), a, &r, &bad), SMTP_PARAM_BAD_NOTIFY);
    assert_int_equal(smtp_command_rcpt_params(SLICE("NOTIFY="), a, &r, &bad), SMTP_PARAM_BAD_NOTIFY);
    assert_int_equal(smtp_command_rcpt_params(SLICE("ORCPT=a@b"), a, &r, &bad), SMTP_PARAM_BAD_ORCPT);
    assert_int_equal(smtp_command_rcpt_params(SLICE("ORCPT=rfc822;a+g"), a, &r, &bad), SMTP_PARAM_BAD_ORCPT);
    assert_int_equal(smtp_command_rcpt_params(SLICE("RET=FULL"), a, &r, &bad), SMTP_PARAM_UNSUPPORTED);
    assert_string_equal(bad, "RET=FULL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_end_of_data), cmocka_unit_test(test_smuggling),   cmocka_unit_test(test_bare),
        cmocka_unit_test(test_lines),       cmocka_unit_test(test_words),       cmocka_unit_test(test_paths),
        cmocka_unit_test(test_mail_params), cmocka_unit_test(test_rcpt_params),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
