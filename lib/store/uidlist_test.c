/* UID lists as Dovecot writes them, and names of message files. */
#include "lib/store/maildir_name.h"
#include "lib/store/uidlist.h"

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static const char dovecot[] = "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n"
                              "25006 :1276528487.M364837P9451.kurkku,S=1355,W=1394:2,\n"
                              "25017 W2481 Pold-1 :1276533073.M242911P3632.kurkku:2,F\n";

static void takes_over_what_dovecot_wrote(void **state)
{
    struct uidlist l;
    BUF_AUTO out = BUF(10000);
    assert_true(uidlist_parse(&l, SLICE(dovecot)));
    assert_int_equal(l.validity, 1275660208);
    assert_int_equal(l.entries.n, 2);
    assert_string_equal(l.entries.items[1].base, "1276533073.M242911P3632.kurkku");
    char *uidl = uidlist_pop3_uidl(&l.entries.items[1]);
    assert_string_equal(uidl, "old-1");
    free(uidl);
    assert_null(uidlist_pop3_uidl(&l.entries.items[0]));
    struct uidlist_entry by_name = {1, "12.M3.host,S=4", "W5 P"};
    uidl = uidlist_pop3_uidl(&by_name);
    assert_string_equal(uidl, "12.M3.host,S=4");
    free(uidl);
    assert_int_equal(uidlist_add(&l, SLICE("new")), 25022);
    uidlist_print(&l, &out);
    assert_string_equal(buf_cstr(&out), "3 V1275660208 N25023 G3085f01b7f11094c501100008c4a11c1\n"
                                        "25006 :1276528487.M364837P9451.kurkku,S=1355,W=1394\n"
                                        "25017 W2481 Pold-1 :1276533073.M242911P3632.kurkku\n"
                                        "25022 :new\n");
    uidlist_fini(&l);
}

static void refuses(const char *text)
{
    struct uidlist l;
    assert_false(uidlist_parse(&l, slice_of(text)));
    assert_int_equal(l.entries.n, 0);
    assert_int_equal(l.next, 1);
    uidlist_fini(&l);
}

static void refuses_broken_lists(void **state)
{
    refuses("");
    refuses("1 V1 N2\n");
    refuses("3 V1\n");
    refuses("3 V1 N5\n2 :a\n2 :b\n");
    refuses("3 V1 N5\n4294967295 :a\n");
    refuses("3 V1 N5\n2 :../a\n");
    refuses("3 V1 N5\n2 a\n");
    refuses("3 V1 N5\n:2 a\n");
}

static void leaves_out_a_cut_line(void **state)
{
    struct uidlist l;
    assert_true(uidlist_parse(&l, SLICE("3 V1 N9\n2 :a\n3 :half")));
    assert_int_equal(l.entries.n, 1);
    uidlist_fini(&l);
}

static void takes_lines_that_were_appended(void **state)
{
    struct uidlist l;
    assert_true(uidlist_parse(&l, SLICE("3 V1 N5\n5 :a\n9 :b\n")));
    assert_int_equal(l.entries.n, 2);
    assert_int_equal(l.next, 10);
    uidlist_fini(&l);
}

static void reads_and_prints_names(void **state)
{
    struct maildir_name n;
    BUF_AUTO out = BUF(1000);
    maildir_name_parse(SLICE("1.M2.h,S=1355,W=1394:2,FSac"), &n);
    assert_true(slice_eq(n.base, SLICE("1.M2.h,S=1355,W=1394")));
    assert_int_equal(n.flags, MAILDIR_FLAGGED | MAILDIR_SEEN);
    assert_int_equal(n.keywords, 5);
    assert_int_equal(n.size, 1355);
    assert_int_equal(n.virtual_size, 1394);
    maildir_name_print(&out, n.base, n.flags | MAILDIR_DRAFT, n.keywords);
    assert_string_equal(buf_cstr(&out), "1.M2.h,S=1355,W=1394:2,DFSac");
    maildir_name_parse(SLICE("1.h"), &n);
    assert_int_equal(n.flags, 0);
    assert_int_equal(n.size, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_over_what_dovecot_wrote), cmocka_unit_test(refuses_broken_lists),
        cmocka_unit_test(leaves_out_a_cut_line),         cmocka_unit_test(takes_lines_that_were_appended),
        cmocka_unit_test(reads_and_prints_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
