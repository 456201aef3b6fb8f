/* map_test.c - tables and lists of them, with real files in a temporary folder. */
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/map/cidr.h"
#include "lib/map/map.h"
#include "lib/map/match_list.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/merpati_map_XXXXXX";

static int make_dir(void **state)
{
    return mkdtemp(dir) ? 0 : -1;
}

static const char *path(const char *name)
{
    static char text[4][300];
    static int n;
    char *p = text[n++ % 4];
    snprintf(p, sizeof text[0], "%s/%s", dir, name);
    return p;
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(path(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int remove_dir(void **state)
{
    static const char *const files[] = {"t", "t.lmdb", "rules", "list", "nested", "old", "old.lmdb"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(path(files[i]));
    return rmdir(dir);
}

static const char *title(const char *type, const char *name)
{
    static char text[400];
    snprintf(text, sizeof text, "%s:%s", type, path(name));
    return text;
}

static struct map *open_map(const char *type_name)
{
    BUF_AUTO err = BUF(1000);
    struct map *m = map_open(NULL, type_name, &err);
    if (!m)
        fail_msg("%s", buf_cstr(&err));
    return m;
}

static void expect(struct map *m, const char *key, const char *want)
{
    BUF_AUTO out = BUF(10000);
    enum map_status s = map_lookup(m, key, &out);
    if (s == MAP_TRY_AGAIN)
        fail_msg("%s: %s", key, buf_cstr(&out));
    if (want && s != MAP_FOUND)
        fail_msg("%s: not found in %s", key, map_title(m));
    if (!want && s == MAP_FOUND)
        fail_msg("%s: found %s in %s", key, buf_cstr(&out), map_title(m));
    if (want)
        assert_string_equal(buf_cstr(&out), want);
}

static void expect_in(const char *type_name, const char *key, const char *want)
{
    struct map *m = open_map(type_name);
    expect(m, key, want);
    map_close(&m);
}

static void test_simple_types(void **state)
{
    expect_in("static:OK", "anything", "OK");
    expect_in("static:{ two words }", "x", "two words");
    expect_in("inline:{ a=b, { c = two words } }", "A", "b");
    expect_in("inline:{ a=b, { c = two words } }", "c", "two words");
    expect_in("inline:{a=b}", "x", NULL);
    expect_in("unionmap:{static:a, inline:{x=b}, static:c}", "x", "a,b,c");
    expect_in("pipemap:{inline:{a=b}, inline:{b=c}}", "a", "c");
    expect_in("pipemap:{inline:{a=b}, inline:{b=c}}", "b", NULL);
    expect_in("randmap:{one}", "x", "one");
    expect_in("proxy:static:y", "x", "y");
    expect_in("unix:passwd.byname", "no-such-user-here", NULL);
    expect_in("unix:group.byname", "ROOT", "root:x:0:");
    struct map *m = open_map("unix:passwd.byname");
    BUF_AUTO out = BUF(1000);
    assert_int_equal(map_lookup(m, "root", &out), MAP_FOUND);
    assert_true(strncmp(buf_cstr(&out), "root:x:0:0:", 11) == 0);
    map_close(&m);
}

static void test_bad_titles(void **state)
{
    static const char *const bad[] = {"nonsense",
                                      "nosuch:x",
                                      "inline:x",
                                      "inline:{}",
                                      "unix:shadow",
                                      "texthash:/no/x",
                                      "unionmap:{nosuch:x}",
                                      "regexp:{/x/ y",
                                      "cidr:{",
                                      "hash:/no/such/file"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        BUF_AUTO err = BUF(1000);
        assert_null(map_open(NULL, bad[i], &err));
        assert_true(err.len > 0);
    }
}

static void build(const char *type, const char *name, const char *key, const char *value)
{
    BUF_AUTO err = BUF(1000);
    struct map_builder *b = map_builder_new(NULL, title(type, name), 0644, &err);
    assert_non_null(b);
    assert_int_equal(map_builder_add(b, key, value, &err), 1);
    assert_int_equal(map_builder_add(b, key, "second", &err), 0);
    assert_int_equal(map_builder_add(b, "zz", "last", &err), 1);
    assert_true(map_builder_commit(&b, &err));
}

static bool count_entry(void *ctx, const char *key, const char *value)
{
    ++*(int *)ctx;
    return true;
}

static void test_compiled(void **state)
{
    BUF_AUTO err = BUF(1000);
    int n = 0;
    build("hash", "t", "key@example.com", "value one");
    struct map *m = open_map(title("btree", "t"));
    expect(m, "Key@Example.com", "value one");
    expect(m, "key", NULL);
    expect(m, "", NULL);
    assert_true(map_each(m, count_entry, &n, &err));
    assert_int_equal(n, 2);
    map_close(&m);

    struct map_builder *b = map_builder_new(NULL, title("lmdb", "t"), 0600, &err);
    assert_true(map_builder_load(b, &err));
    assert_true(map_builder_remove(b, "zz"));
    assert_false(map_builder_remove(b, "zz"));
    assert_true(map_builder_replace(b, "new", "x", &err));
    map_builder_omit_nul(b);
    assert_true(map_builder_commit(&b, &err));
    m = open_map(title("lmdb", "t"));
    expect(m, "key@example.com", "value one");
    expect(m, "new", "x");
    expect(m, "zz", NULL);
    map_close(&m);
}

static void test_missing_compiled(void **state)
{
    BUF_AUTO err = BUF(1000);
    write_file("old", "a b\n");
    assert_null(map_open(NULL, title("hash", "old"), &err));
    assert_non_null(strstr(buf_cstr(&err), "run \"postmap hash:/"));
}

static void test_replaced_file_is_noticed(void **state)
{
    struct map *m;
    int64_t until = clock_mono() + 5 * NSEC_PER_SEC;
    build("hash", "t", "k", "before");
    m = open_map(title("hash", "t"));
    expect(m, "k", "before");
    build("hash", "t", "k", "after");
    for (;;) {
        BUF_AUTO out = BUF(100);
        assert_int_equal(map_lookup(m, "k", &out), MAP_FOUND);
        if (strcmp(buf_cstr(&out), "after") == 0)
            break;
        assert_true(clock_mono() < until);
        usleep(50000);
    }
    map_close(&m);
}

static void test_texthash(void **state)
{
    write_file("t", "# c\nA  one\n  two\n\"quoted key\"  three\nbad\nb\tx\n");
    struct map *m = open_map(title("texthash", "t"));
    expect(m, "a", "one  two");
    expect(m, "quoted key", "three");
    expect(m, "B", "x");
    expect(m, "bad", NULL);
    map_close(&m);
}

static void test_regexp(void **state)
{
    static const char *const types[] = {"regexp", "pcre"};
    write_file("rules", "/^(.*)@example\\.com$/ to $1 and ${1} for $$5\n"
                        "!/@/ no domain\n"
                        "if /^x/\n"
                        "if !/y$/\n"
                        "/./ x without y\n"
                        "endif\n"
                        "/^xay/ inner\n"
                        "endif\n"
                        "/bad(/ skipped\n"
                        "/a/ $2\n"
                        "/Exact/i case\n"
                        "%sl\\%a/sh%  percent\n"
                        "/(^a)|(^b)@/ <$1$2>\n");
    for (size_t i = 0; i < 2; i++) {
        struct map *m = open_map(title(types[i], "rules"));
        assert_true(map_is_pattern(m));
        expect(m, "Joe@EXAMPLE.com", "to Joe and Joe for $5");
        expect(m, "nobody", "no domain");
        expect(m, "xz@z", "x without y");
        expect(m, "xay@y", "inner");
        expect(m, "q@Exact", "case");
        expect(m, "q@exact", NULL);
        expect(m, "b@q", "<b>");
        expect(m, "q@sl%a/sh", "percent");
        map_close(&m);
    }
    expect_in("pcre:{{/^a/ first}, {/b$/ second}}", "xb", "second");
}

static void test_bad_if_guards(void **state)
{
    write_file("rules", "if /(/\n/./ everyone\nendif\n/./ rest\n");
    expect_in(title("pcre", "rules"), "x", "rest");
}

static void test_cidr_table(void **state)
{
    write_file("rules", "192.0.2.1 one\n192.0.2.0/24 net\n!10.0.0.0/8 not ten\n2001:db8::/32 six\n10.1.1.1/8 bad\n"
                        "if 10.0.0.0/8\n10.2.0.0/16 $inner\nendif\n[::1]/128 loop\n");
    struct map *m = open_map(title("cidr", "rules"));
    expect(m, "192.0.2.1", "one");
    expect(m, "192.0.2.9", "net");
    expect(m, "10.2.3.4", "$inner");
    expect(m, "10.3.3.4", NULL);
    expect(m, "2001:db8::1", "not ten");
    expect(m, "example.com", NULL);
    map_close(&m);
}

static void test_cidr_parse(void **state)
{
    struct cidr c;
    struct cidr_address a;
    assert_null(cidr_parse(SLICE("[2001:db8::/32]"), &c));
    assert_true(cidr_parse_address(SLICE("2001:db8:1::5"), &a) && cidr_contains(&c, &a));
    assert_null(cidr_parse(SLICE("0.0.0.0/0"), &c));
    assert_true(cidr_parse_address(SLICE("::ffff:1.2.3.4"), &a) && cidr_contains(&c, &a));
    assert_non_null(cidr_parse(SLICE("1.2.3.4/33"), &c));
    assert_non_null(cidr_parse(SLICE("1.2.3.4/24"), &c));
    assert_non_null(cidr_parse(SLICE("1.2.3"), &c));
    assert_null(cidr_parse(SLICE("128.0.0.0/1"), &c));
    assert_true(cidr_parse_address(SLICE("192.1.1.1"), &a) && cidr_contains(&c, &a));
}

static bool is_example(void *ctx, const char *domain)
{
    return str_eq_fold(domain, "example.com");
}

static void expect_address(const char *tables, const char *address, const char *want, const char *ext)
{
    BUF_AUTO err = BUF(1000);
    BUF_AUTO out = BUF(1000);
    struct slice extension;
    struct maps *m = maps_open(NULL, "test_maps", tables, &err);
    assert_non_null(m);
    enum map_status s = maps_lookup_address(m, address, "+", MAPS_DEFAULT, is_example, NULL, &out, &extension);
    assert_int_equal(s, want ? MAP_FOUND : MAP_NOT_FOUND);
    if (want)
        assert_string_equal(buf_cstr(&out), want);
    assert_int_equal(extension.n, strlen(ext));
    assert_memory_equal(extension.n ? extension.p : "", ext, extension.n);
    maps_close(&m);
}

static void test_address_order(void **state)
{
    expect_address("inline:{u+e@example.com=1,u@example.com=2,u+e=3,u=4,@example.com=5}", "u+e@example.com", "1", "");
    expect_address("inline:{u@example.com=2,u+e=3,u=4,@example.com=5}", "u+e@example.com", "2", "+e");
    expect_address("inline:{u+e=3,u=4,@example.com=5}", "u+e@example.com", "3", "");
    expect_address("inline:{u=4,@example.com=5}", "U+e@example.com", "4", "+e");
    expect_address("inline:{@example.com=5}", "u+e@example.com", "5", "");
    expect_address("inline:{u=4}", "u@other.org", NULL, "");
    expect_address("inline:{u=4}", "u+x", "4", "+x");
    expect_address("pcre:{{/^u$/ bad},{/^@/ bad}}", "u+e@example.com", NULL, "");
    expect_address("inline:{mailer-daemon=1}", "mailer-daemon@example.com", "1", "");
    expect_address("", "u+e@example.com", NULL, "");
}

static void test_missing_table_defers(void **state)
{
    BUF_AUTO err = BUF(1000);
    BUF_AUTO out = BUF(1000);
    const char *which = NULL;
    struct maps *m = maps_open(NULL, "test_maps", "inline:{a=b}, hash:/no/such/table", &err);
    assert_non_null(m);
    assert_int_equal(maps_lookup_title(m, "a", &out, &which), MAP_FOUND);
    assert_string_equal(which, "inline:{a=b}");
    assert_int_equal(maps_lookup(m, "b", &out), MAP_TRY_AGAIN);
    maps_close(&m);
    assert_null(maps_open(NULL, "test_maps", "nonsense", &err));
}

static struct match_list *list(const char *text, bool parents)
{
    BUF_AUTO err = BUF(1000);
    struct match_list *l = match_list_open(NULL, "test_list", text, parents, &err);
    if (!l)
        fail_msg("%s", buf_cstr(&err));
    return l;
}

static enum map_status host(struct match_list *l, const char *name, const char *address)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_in four = {.sin_family = AF_INET};
    if (strchr(address, ':')) {
        assert_int_equal(inet_pton(AF_INET6, address, &six.sin6_addr), 1);
        return match_list_host(l, name, (struct sockaddr *)&six);
    }
    assert_int_equal(inet_pton(AF_INET, address, &four.sin_addr), 1);
    return match_list_host(l, name, (struct sockaddr *)&four);
}

static void test_match_domain(void **state)
{
    struct match_list *l = list("!not.example.com, Example.com .example.org inline:{.table.net=x, top.net=y}", false);
    assert_int_equal(match_list_domain(l, "example.COM"), MAP_FOUND);
    assert_int_equal(match_list_domain(l, "sub.example.com"), MAP_NOT_FOUND);
    assert_int_equal(match_list_domain(l, "a.example.org"), MAP_FOUND);
    assert_int_equal(match_list_domain(l, "example.org"), MAP_NOT_FOUND);
    assert_int_equal(match_list_domain(l, "a.b.table.net"), MAP_FOUND);
    assert_int_equal(match_list_domain(l, "top.net"), MAP_FOUND);
    assert_int_equal(match_list_domain(l, "a.top.net"), MAP_NOT_FOUND);
    match_list_close(&l);
    l = list("!not.example.com, example.com, inline:{top.net=y}", true);
    assert_int_equal(match_list_domain(l, "sub.example.com"), MAP_FOUND);
    assert_int_equal(match_list_domain(l, "a.not.example.com"), MAP_NOT_FOUND);
    assert_int_equal(match_list_domain(l, "badexample.com"), MAP_NOT_FOUND);
    assert_int_equal(match_list_domain(l, "a.b.top.net"), MAP_FOUND);
    match_list_close(&l);
}

static void test_match_host(void **state)
{
    struct match_list *l = list("!192.0.2.66 127.0.0.0/8 192.0.2.0/24 [::1]/128 [2001:db8::]/32 .example.com "
                                "cidr:{{10.0.0.0/8 x}}",
                                false);
    assert_int_equal(host(l, NULL, "127.0.0.1"), MAP_FOUND);
    assert_int_equal(host(l, "unknown", "192.0.2.1"), MAP_FOUND);
    assert_int_equal(host(l, NULL, "192.0.2.66"), MAP_NOT_FOUND);
    assert_int_equal(host(l, NULL, "192.0.3.1"), MAP_NOT_FOUND);
    assert_int_equal(host(l, "a.example.com", "192.0.3.1"), MAP_FOUND);
    assert_int_equal(host(l, NULL, "::1"), MAP_FOUND);
    assert_int_equal(host(l, NULL, "2001:db8:5::1"), MAP_FOUND);
    assert_int_equal(host(l, NULL, "::ffff:192.0.2.9"), MAP_FOUND);
    assert_int_equal(host(l, NULL, "10.9.9.9"), MAP_FOUND);
    match_list_close(&l);
}

static void test_match_file(void **state)
{
    BUF_AUTO err = BUF(1000);
    char text[300];
    write_file("list", "# comment\none\n!two, three\n");
    snprintf(text, sizeof text, "%s, static:all", path("list"));
    struct match_list *l = list(text, false);
    assert_int_equal(match_list_string(l, "ONE"), MAP_FOUND);
    assert_int_equal(match_list_string(l, "two"), MAP_NOT_FOUND);
    assert_int_equal(match_list_string(l, "four"), MAP_FOUND);
    match_list_close(&l);
    assert_null(match_list_open(NULL, "x", "/no/such/list", false, &err));
    assert_null(match_list_open(NULL, "x", "2001:db8::1", false, &err));
    assert_null(match_list_open(NULL, "x", "!", false, &err));
    l = list("", false);
    assert_true(match_list_is_empty(l));
    match_list_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple_types),
        cmocka_unit_test(test_bad_titles),
        cmocka_unit_test(test_compiled),
        cmocka_unit_test(test_missing_compiled),
        cmocka_unit_test(test_replaced_file_is_noticed),
        cmocka_unit_test(test_texthash),
        cmocka_unit_test(test_regexp),
        cmocka_unit_test(test_bad_if_guards),
        cmocka_unit_test(test_cidr_table),
        cmocka_unit_test(test_cidr_parse),
        cmocka_unit_test(test_address_order),
        cmocka_unit_test(test_missing_table_defers),
        cmocka_unit_test(test_match_domain),
        cmocka_unit_test(test_match_host),
        cmocka_unit_test(test_match_file),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
