/* conf_test.c - main.cf and master.cf as postconf(5) and master(5) describe them. */
#include "lib/conf/common.h"
#include "lib/conf/conf.h"
#include "lib/conf/master_cf.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static struct conf *parse(const char *text)
{
    BUF_AUTO err = BUF(1000);
    struct conf *c = conf_parse("/etc/x", slice_of(text), &err);
    if (!c)
        fail_msg("%s", buf_cstr(&err));
    return c;
}

static void assert_value(struct conf *c, const char *name, const char *want)
{
    BUF_AUTO err = BUF(1000);
    const char *v = conf_value(c, name, &err);
    if (!v)
        fail_msg("%s: %s", name, buf_cstr(&err));
    assert_string_equal(v, want);
}

static void test_lines(void **state)
{
    struct conf *c = parse("# head\nc = x,\n    y,\n# between\n\n\tz\nr=   trailing   \n lead\ne =\n");
    assert_string_equal(conf_raw(c, "c"), "x,    y,\tz");
    assert_string_equal(conf_raw(c, "r"), "trailing    lead");
    assert_string_equal(conf_raw(c, "e"), "");
    assert_null(conf_raw(c, "nothing"));
    assert_string_equal(conf_origin(c, "c"), "/etc/x/main.cf, line 2");
    conf_free(&c);
}

static void test_duplicate_and_override(void **state)
{
    BUF_AUTO err = BUF(1000);
    struct conf *c = parse("a = 1\nb = $a\na = 2\n");
    assert_value(c, "b", "2");
    assert_string_equal(conf_warning(c, 0), "/etc/x/main.cf, line 3: overriding earlier entry: a=1");
    assert_null(conf_warning(c, 1));
    assert_true(conf_override(c, "a = 3", &err));
    assert_value(c, "b", "3");
    assert_string_equal(conf_origin(c, "a"), "-o");
    assert_false(conf_override(c, "a", &err));
    conf_free(&c);
}

static void test_bad_lines(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"\nfoo\n", "/etc/x/main.cf, line 2: missing '=' after attribute name: \"foo\""},
        {"= x\n", "/etc/x/main.cf, line 1: missing attribute name: \"= x\""},
        {"x y = z", "/etc/x/main.cf, line 1: missing '=' after attribute name: \"x y = z\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        BUF_AUTO err = BUF(1000);
        assert_null(conf_parse("/etc/x", slice_of(cases[i].text), &err));
        assert_string_equal(buf_cstr(&err), cases[i].error);
    }
}

static void test_expansion(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"$one.two", "1.two"},
        {"$(one)-${one}", "1-1"},
        {"$$one", "$one"},
        {"${one?yes}${empty?no}", "yes"},
        {"${one:no}${empty:yes}", "yes"},
        {"${one?{ a b }:{c}}", "a b"},
        {"${empty?{a}:{ c d }}", "c d"},
        {"${unknown_name}x", "x"},
        {"${indirect?{set}:{unset}}", "unset"},
        {"${{a} == {a} ? {eq} : {ne}}", "eq"},
        {"${{$one}=={2}?{eq}:{ne}}", "ne"},
        {"${{10} < {9} ? {lt} : {ge}}", "ge"},
        {"${{x10} < {x9} ? {lt} : {ge}}", "lt"},
        {"${{a} != {b}}", "1"},
        {"${{3.10} >level {3.6} ? {gt} : {le}}", "gt"},
        {"${{$compatibility_level} <level {1} ? {old} : {new}}", "new"},
        {"${{2} <=level {2.0} ? {y} : {n}}", "y"},
        {"${one?x$$y}", "x$y"},
        {"${one?{$one}}", "1"},
    };
    struct conf *c = parse("one = 1\nempty =\nindirect = $empty\ncompatibility_level = 3.6\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        BUF_AUTO out = BUF(1000);
        BUF_AUTO err = BUF(1000);
        if (!conf_expand(c, cases[i].text, &out, &err))
            fail_msg("%s: %s", cases[i].text, buf_cstr(&err));
        assert_string_equal(buf_cstr(&out), cases[i].want);
    }
    conf_free(&c);
}

static void test_bad_expansion(void **state)
{
    static const char *const cases[] = {
        "${",           "${}",         "$-",        "a$",    "${one b}",         "${one?{x}y}",
        "${{a} ~ {b}}", "${{a} == b}", "${one?{x}", "$(one", "${{a} <level {1}}"};
    struct conf *c = parse("one = 1\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        BUF_AUTO out = BUF(1000);
        BUF_AUTO err = BUF(1000);
        if (conf_expand(c, cases[i], &out, &err))
            fail_msg("accepted: %s", cases[i]);
        assert_true(err.len > 0);
    }
    conf_free(&c);
}

static void test_loop(void **state)
{
    BUF_AUTO err = BUF(1000);
    struct conf *c = parse("a = $b\nb = x${a}\n");
    assert_null(conf_value(c, "a", &err));
    assert_non_null(strstr(buf_cstr(&err), "main.cf, line 1: a: the value refers to itself"));
    conf_free(&c);
}

static void test_defaults(void **state)
{
    struct conf *c = parse("myhostname = mail.example.com\n");
    assert_value(c, "mydomain", "example.com");
    assert_value(c, "myorigin", "mail.example.com");
    assert_value(c, "mydestination", "mail.example.com, localhost.example.com, localhost");
    assert_value(c, "smtpd_client_restrictions", "");
    assert_value(c, "append_dot_mydomain", "yes");
    assert_null(conf_value(c, "no_such_name", NULL));
    conf_free(&c);
}

static bool try_bind(const char *text, struct common_params *p, struct buf *err)
{
    struct conf *c = parse(text);
    bool ok = conf_bind(c, common_param_table, common_param_count, p, err);
    conf_free(&c);
    return ok;
}

static void test_bind(void **state)
{
    static const struct {
        const char *text, *error;
    } bad[] = {
        {"hopcount_limit = many",
         "/etc/x/main.cf, line 1: hopcount_limit = many: expected a whole number of at least 1"},
        {"# x\nhopcount_limit = 0",
         "/etc/x/main.cf, line 2: hopcount_limit = 0: expected a whole number of at least 1"},
        {"delay_logging_resolution_limit = 7", "/etc/x/main.cf, line 1: delay_logging_resolution_limit = 7: expected a "
                                               "whole number from 0 to 6 (digits)"},
        {"soft_bounce = true", "/etc/x/main.cf, line 1: soft_bounce = true: expected yes or no"},
        {"ipc_timeout = 5y",
         "/etc/x/main.cf, line 1: ipc_timeout = 5y: expected a time with one of the units s m h d w, "
         "of at least 1 (s)"},
        {"x=\nmyorigin = $x", "/etc/x/main.cf, line 2: myorigin = $x: (that is, ) must not be empty"},
    };
    struct common_params p;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        BUF_AUTO err = BUF(1000);
        assert_false(try_bind(bad[i].text, &p, &err));
        assert_string_equal(buf_cstr(&err), bad[i].error);
    }
    BUF_AUTO err = BUF(1000);
    assert_true(try_bind("ipc_timeout = 2h\nsoft_bounce = YES\nmessage_size_limit = 51200000\n", &p, &err));
    assert_int_equal(p.ipc_timeout, 7200);
    assert_true(p.soft_bounce);
    assert_int_equal(p.message_size_limit, 51200000);
    assert_int_equal(p.max_idle, 100);
}

static void test_transport_values(void **state)
{
    struct conf *c = parse("relay_destination_concurrency_limit = 7\nslow_destination_rate_delay = 2m\n");
    assert_int_equal(conf_transport_int(c, "relay", "_destination_concurrency_limit", 20), 7);
    assert_int_equal(conf_transport_int(c, "smtp", "_destination_concurrency_limit", 20), 20);
    assert_int_equal(conf_transport_time(c, "slow", "_destination_rate_delay", 0), 120);
    conf_free(&c);
}

static void note_name(void *ctx, const char *name, const char *text)
{
    buf_printf(ctx, "%s;", text);
}

static void test_unknown_names(void **state)
{
    BUF_AUTO got = BUF(4000);
    BUF_AUTO err = BUF(1000);
    ARENA_AUTO a = arena_new();
    struct service *s =
        master_cf_parse(a, "m", SLICE("slow unix - - n - - smtp -o smtp_bind_address=$own_address\n"), false, &err);
    assert_non_null(s);
    struct conf *c = parse("smtpd_recipient_restriction = x\nslow_destination_rate_delay = 1s\nown_address = 1.2.3.4\n"
                           "fast_destination_rate_delay = 1s\nsmtpd_restriction_classes = grey\ngrey = permit\n"
                           "virtual_alias_maps = ldap:people\npeople_server_host = x\nzzz_local_only = 1\n");
    conf_check_names(c, s, note_name, &got);
    assert_string_equal(buf_cstr(&got),
                        "/etc/x/main.cf, line 1: unused parameter: smtpd_recipient_restriction=x (did you mean "
                        "smtpd_recipient_restrictions?);"
                        "/etc/x/main.cf, line 4: unused parameter: fast_destination_rate_delay=1s;"
                        "/etc/x/main.cf, line 9: unused parameter: zzz_local_only=1;");
    conf_free(&c);
}

static void test_known_names_sorted(void **state)
{
    ARENA_AUTO a = arena_new();
    const char **names;
    size_t n = conf_known_names(a, &names);
    assert_true(n > 900);
    for (size_t i = 0; i < n; i++)
        if (!conf_is_known(names[i]))
            fail_msg("%s is listed and not found", names[i]);
}

static void test_daemon_directory(void **state)
{
    BUF_AUTO warning = BUF(1000);
    struct conf *c = parse("daemon_directory = /usr/lib/postfix/sbin\n");
    const char *dir = conf_daemon_directory(c, &warning);
    assert_non_null(strstr(dir, "/libexec/merpati"));
    assert_non_null(strstr(buf_cstr(&warning), "main.cf, line 1: daemon_directory = /usr/lib/postfix/sbin: "));
    conf_free(&c);
}

static void test_every_default_expands(void **state)
{
    ARENA_AUTO a = arena_new();
    const char **names;
    size_t n = conf_known_names(a, &names);
    struct conf *c = parse("");
    for (size_t i = 0; i < n; i++) {
        BUF_AUTO err = BUF(1000);
        if (!conf_value(c, names[i], &err))
            fail_msg("%s", buf_cstr(&err));
    }
    conf_free(&c);
}

static struct service *services(struct arena *a, const char *text, struct buf *err)
{
    return master_cf_parse(a, "m.cf", slice_of(text), false, err);
}

static void test_master(void **state)
{
    ARENA_AUTO a = arena_new();
    BUF_AUTO err = BUF(1000);
    struct service *s = services(a,
                                 "smtp inet n - y - - smtpd\n  -o a=b\n# c\n  -o { c = d  e } -v\n"
                                 "qmgr unix n - n 300? 1 qmgr\n"
                                 "mail unix - n n - 10 pipe\n  flags=R user=x argv={/bin/a b} ${recipient}\n",
                                 &err);
    assert_non_null(s);
    assert_string_equal(s->name, "smtp");
    assert_int_equal(s->type, SERVICE_INET);
    assert_false(s->is_private);
    assert_true(s->unprivileged);
    assert_true(s->chroot);
    assert_int_equal(s->maxproc, -1);
    assert_int_equal(s->n_args, 5);
    assert_string_equal(s->args[1], "a=b");
    assert_string_equal(s->args[3], "c=d  e");
    assert_null(s->args[5]);
    s = s->next;
    assert_int_equal(s->wakeup, 300);
    assert_true(s->wakeup_only_if_used);
    assert_int_equal(s->maxproc, 1);
    assert_int_equal(s->line, 5);
    assert_string_equal(s->raw[3], "300?");
    s = s->next;
    assert_true(s->is_private);
    assert_false(s->unprivileged);
    assert_string_equal(s->args[4], "${recipient}");
    assert_null(s->next);
}

static void test_bad_master(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "m.cf: no services in this file"},
        {"\nsmtp inet n - n - -\n", "m.cf, line 2: bad field count"},
        {"smtp foo n - n - - x\n", "m.cf, line 1: invalid type field"},
        {"smtp inet n x n - - x\n", "m.cf, line 1: invalid unprivileged field"},
        {"smtp inet n - n 5x - x\n", "m.cf, line 1: invalid wakeup field"},
        {"smtp inet n - n - z x\n", "m.cf, line 1: invalid process_limit field"},
        {"a unix - - - - - x\na unix - - - - - y\n", "m.cf, line 2: duplicate entry"},
        {"a unix - - - - - x -o\n", "m.cf, line 1: -o needs name=value"},
        {"a unix - - - - - x -o {b\n", "m.cf, line 1: missing '}'"},
        {" a unix - - - - - x\n", "m.cf, line 1: logical line must not start with whitespace"},
        {"smtp inet - - n - - x\n", "m.cf, line 1: an inet service cannot be private"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ARENA_AUTO a = arena_new();
        BUF_AUTO err = BUF(1000);
        assert_null(services(a, cases[i].text, &err));
        if (strncmp(buf_cstr(&err), cases[i].error, strlen(cases[i].error)) != 0)
            fail_msg("got %s, wanted %s", buf_cstr(&err), cases[i].error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_duplicate_and_override),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_expansion),
        cmocka_unit_test(test_bad_expansion),
        cmocka_unit_test(test_loop),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_bind),
        cmocka_unit_test(test_transport_values),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_known_names_sorted),
        cmocka_unit_test(test_daemon_directory),
        cmocka_unit_test(test_every_default_expands),
        cmocka_unit_test(test_master),
        cmocka_unit_test(test_bad_master),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
