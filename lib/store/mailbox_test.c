/* A mailbox over a temporary Maildir. */
#include "lib/base/mem.h"
#include "lib/store/mailbox.h"

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
/* clang-format on */

static char *folder;

static int make_folder(void **state)
{
    static char dir[] = "/tmp/mailbox_test.XXXXXX";
    memcpy(dir, "/tmp/mailbox_test.XXXXXX", sizeof dir);
    folder = mkdtemp(dir);
    const char *parts[] = {"cur", "new", "tmp"};
    for (int i = 0; i < 3; i++) {
        MEM_AUTO char *path = mem_printf("%s/%s", folder, parts[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    return remove(path);
}

static int remove_folder(void **state)
{
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *name, const char *text)
{
    MEM_AUTO char *path = mem_printf("%s/%s", folder, name);
    FD_AUTO fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static struct mailbox *box(void)
{
    struct result r;
    struct mailbox *m = mailbox_open(folder, &r);
    assert_non_null(m);
    return m;
}

static void ok(struct result r)
{
    if (!result_is_ok(&r))
        fail_msg("%s", r.text);
}

static void new_mail_is_recent_once(void **state)
{
    put("new/10.a", "x\n");
    put("new/9.b", "x\n");
    struct mailbox *m = box(), *other = box();
    ok(mailbox_sync(m, true));
    assert_int_equal(mailbox_count(m), 2);
    assert_string_equal(mailbox_at(m, 0)->file, "cur/9.b:2,");
    assert_int_equal(mailbox_at(m, 1)->uid, 2);
    assert_true(mailbox_at(m, 1)->recent);
    ok(mailbox_sync(m, true));
    assert_true(mailbox_at(m, 1)->recent);
    ok(mailbox_sync(other, true));
    assert_false(mailbox_at(other, 1)->recent);
    mailbox_free(&other);
    mailbox_free(&m);
}

static void takes_over_dovecots_uids(void **state)
{
    put("dovecot-uidlist", "3 V77 N31\n20 Pabc :5.x\n30 :4.y\n");
    put("dovecot-keywords", "0 $Junk\n3 work\n");
    put("cur/5.x:2,Sd", "a\nb\n");
    put("cur/4.y:2,", "a\n");
    struct mailbox *m = box();
    assert_int_equal(mailbox_uid_validity(m), 77);
    assert_int_equal(mailbox_uid_next(m), 31);
    assert_int_equal(mailbox_at(m, 0)->uid, 20);
    assert_int_equal(mailbox_at(m, 0)->flags, MAILDIR_SEEN);
    assert_string_equal(mailbox_keyword(m, 3), "work");
    assert_int_equal(mailbox_keyword_bit(m, "WORK"), 3);
    assert_int_equal(mailbox_keyword_bit(m, "fresh"), 1);
    assert_int_equal(mailbox_virtual_size(m, 20), 6);
    char *uidl = mailbox_pop3_uidl(m, 20);
    assert_string_equal(uidl, "abc");
    free(uidl);
    mailbox_free(&m);
    m = box();
    assert_int_equal(mailbox_keyword_bit(m, "fresh"), 1);
    mailbox_free(&m);
}

static void append_keeps_size_date_and_flags(void **state)
{
    struct mailbox *m = box();
    uint32_t uid;
    struct result r;
    struct stat st;
    char text[20] = "";
    ok(mailbox_append(m, SLICE("a: b\r\n\r\nx\ry\n"), MAILDIR_SEEN | MAILDIR_DRAFT, 2, 1000000, &uid));
    assert_int_equal(uid, 1);
    FD_AUTO fd = mailbox_read(m, uid, &r);
    assert_int_equal(read(fd, text, sizeof text - 1), 10);
    assert_string_equal(text, "a: b\n\nx\ry\n");
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mtime, 1000000);
    assert_int_equal(mailbox_virtual_size(m, uid), 13);
    mailbox_free(&m);
    m = box();
    assert_int_equal(mailbox_find(m, 1)->flags, MAILDIR_SEEN | MAILDIR_DRAFT);
    assert_int_equal(mailbox_find(m, 1)->keywords, 2);
    assert_int_equal(mailbox_virtual_size(m, 1), 13);
    mailbox_free(&m);
}

static void two_objects_never_share_a_uid(void **state)
{
    struct mailbox *a = box(), *b = box();
    uint32_t uids[3];
    ok(mailbox_append(a, SLICE("a\n"), 0, 0, 1, &uids[0]));
    ok(mailbox_append(b, SLICE("b\n"), 0, 0, 1, &uids[1]));
    ok(mailbox_append(a, SLICE("c\n"), 0, 0, 1, &uids[2]));
    assert_int_equal(uids[1], 2);
    assert_int_equal(uids[2], 3);
    ok(mailbox_set_flags(b, 1, MAILDIR_FLAGGED, 0));
    ok(mailbox_set_flags(a, 1, MAILDIR_SEEN, 0)); /* the file has another name by now */
    assert_int_equal(mailbox_find(a, 1)->flags, MAILDIR_SEEN);
    ok(mailbox_expunge(b, &uids[1], 1));
    assert_int_equal(mailbox_count(b), 2);
    ok(mailbox_expunge(b, &uids[1], 1));
    ok(mailbox_copy(b, 1, b, 0, &uids[0]));
    assert_int_equal(uids[0], 4);
    ok(mailbox_sync(a, false));
    assert_int_equal(mailbox_count(a), 3);
    assert_int_equal(mailbox_find(a, 4)->flags, MAILDIR_SEEN);
    struct result r = mailbox_copy(a, 2, b, 0, &uids[0]);
    assert_int_equal(r.outcome, OUTCOME_NEVER);
    mailbox_free(&a);
    mailbox_free(&b);
}

static void a_broken_list_raises_uidvalidity(void **state)
{
    put("cur/1.a:2,S", "x\n");
    struct mailbox *m = box();
    uint32_t before = mailbox_uid_validity(m);
    put("dovecot-uidlist", "rubbish");
    ok(mailbox_sync(m, false));
    assert_true(mailbox_uid_validity(m) > before);
    assert_int_equal(mailbox_count(m), 1);
    mailbox_free(&m);
}

static void modseqs_rise_with_changes_only(void **state)
{
    struct mailbox *a = box(), *b = box();
    uint32_t uid, gone = 1;
    ok(mailbox_append(a, SLICE("a\n"), 0, 0, 1, &uid));
    ok(mailbox_append(a, SLICE("b\n"), 0, 0, 1, &uid));
    uint64_t before = mailbox_modseq(a);
    ok(mailbox_set_flags(a, 2, 0, 0));
    ok(mailbox_sync(a, true));
    assert_int_equal(mailbox_modseq(a), before);
    ok(mailbox_set_flags(a, 2, MAILDIR_SEEN, 0));
    assert_true(mailbox_find(a, 2)->modseq > before);
    assert_true(mailbox_find(a, 1)->modseq <= before);
    struct mailbox_change c[] = {{.uid = 1, .set = MAILDIR_SEEN}, {.uid = 2, .set = MAILDIR_FLAGGED}, {.uid = 9}};
    ok(mailbox_change_flags(b, c, 3, before));
    assert_int_equal(c[0].outcome, CHANGE_DONE);
    assert_int_equal(c[1].outcome, CHANGE_MODIFIED);
    assert_int_equal(c[2].outcome, CHANGE_GONE);
    before = mailbox_modseq(b);
    ok(mailbox_expunge(b, &gone, 1));
    assert_true(mailbox_modseq(b) > before);
    ok(mailbox_sync(a, false));
    assert_int_equal(mailbox_modseq(a), mailbox_modseq(b));
    assert_int_equal(mailbox_count(a), 1);
    assert_int_equal(mailbox_find(a, 2)->flags, MAILDIR_SEEN);
    mailbox_free(&a);
    mailbox_free(&b);
}

static void a_lost_index_costs_no_uid_and_no_modseq(void **state)
{
    uint32_t uid, gone = 2;
    struct mailbox *m = box();
    for (int i = 0; i < 3; i++)
        ok(mailbox_append(m, SLICE("a\n"), MAILDIR_SEEN, 1, 1, &uid));
    ok(mailbox_expunge(m, &gone, 1));
    for (int round = 0; round < 3; round++) {
        uint64_t before = mailbox_modseq(m);
        uint32_t validity = mailbox_uid_validity(m);
        MEM_AUTO char *index = mem_printf("%s/merpati.index", folder);
        mailbox_free(&m);
        if (round == 0)
            assert_int_equal(unlink(index), 0);
        else if (round == 1)
            assert_int_equal(truncate(index, 5000), 0);
        else
            put("merpati.index", "rubbish that is no index");
        m = box();
        assert_int_equal(mailbox_count(m), 2);
        assert_int_equal(mailbox_at(m, 1)->uid, 3);
        assert_int_equal(mailbox_uid_next(m), 4);
        assert_int_equal(mailbox_uid_validity(m), validity);
        assert_true(mailbox_at(m, 0)->modseq > before);
        assert_int_equal(mailbox_at(m, 0)->flags, MAILDIR_SEEN);
    }
    mailbox_free(&m);
}

static void many_removals_shorten_the_list(void **state)
{
    struct mailbox *m = box(), *other = box();
    uint32_t uids[1100];
    for (int i = 0; i < 1101; i++) {
        char name[30];
        snprintf(name, sizeof name, "new/%d.a", 1000 + i);
        put(name, "x\n");
    }
    ok(mailbox_sync(m, true));
    ok(mailbox_sync(other, true));
    for (int i = 0; i < 1100; i++)
        uids[i] = (uint32_t)i + 1;
    ok(mailbox_expunge(m, uids, 1100));
    ok(mailbox_sync(other, false));
    assert_int_equal(mailbox_count(other), 1);
    assert_int_equal(mailbox_at(other, 0)->uid, 1101);
    assert_int_equal(mailbox_modseq(other), mailbox_modseq(m));
    MEM_AUTO char *list = mem_printf("%s/dovecot-uidlist", folder);
    struct stat st;
    assert_int_equal(stat(list, &st), 0);
    assert_true(st.st_size < 200);
    ok(mailbox_append(other, SLICE("b\n"), 0, 0, 1, uids));
    assert_int_equal(uids[0], 1102);
    mailbox_free(&other);
    mailbox_free(&m);
}

static void others_renames_and_removals_are_seen(void **state)
{
    put("cur/1.a:2,", "x\n");
    put("cur/2.b:2,", "x\n");
    struct mailbox *m = box();
    MEM_AUTO char *from = mem_printf("%s/cur/1.a:2,", folder), *to = mem_printf("%s/cur/1.a:2,F", folder);
    MEM_AUTO char *second = mem_printf("%s/cur/2.b:2,", folder);
    uint64_t before = mailbox_modseq(m);
    assert_int_equal(rename(from, to), 0);
    ok(mailbox_set_flags(m, 1, MAILDIR_FLAGGED | MAILDIR_SEEN, 0));
    assert_int_equal(mailbox_find(m, 1)->flags, MAILDIR_FLAGGED | MAILDIR_SEEN);
    assert_true(mailbox_find(m, 1)->modseq > before);
    assert_int_equal(unlink(second), 0);
    struct result r;
    assert_int_equal(mailbox_read(m, 2, &r), -1);
    assert_int_equal(r.outcome, OUTCOME_NEVER);
    assert_int_equal(mailbox_count(m), 1);
    mailbox_free(&m);
}

static void copies_are_all_or_none(void **state)
{
    struct mailbox *m = box();
    uint32_t uid;
    for (int i = 0; i < 3; i++)
        ok(mailbox_append(m, SLICE("a\n"), MAILDIR_SEEN, 0, 1, &uid));
    struct mailbox_copying c[] = {{.uid = 3}, {.uid = 1, .keywords = 1}, {.uid = 77}};
    struct result r = mailbox_copy_many(m, c, 3, m);
    assert_int_equal(r.outcome, OUTCOME_NEVER);
    assert_int_equal(mailbox_count(m), 3);
    ok(mailbox_copy_many(m, c, 2, m));
    assert_int_equal(c[0].new_uid, 4);
    assert_int_equal(c[1].new_uid, 5);
    assert_int_equal(mailbox_find(m, 5)->keywords, 1);
    assert_int_equal(mailbox_find(m, 5)->flags, MAILDIR_SEEN);
    mailbox_free(&m);
}

static void a_missing_folder_is_told(void **state)
{
    struct result r;
    assert_null(mailbox_open("/tmp/mailbox_test.none/x", &r));
    assert_int_equal(r.outcome, OUTCOME_NEVER);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(new_mail_is_recent_once),
        TEST(takes_over_dovecots_uids),
        TEST(append_keeps_size_date_and_flags),
        TEST(two_objects_never_share_a_uid),
        TEST(a_broken_list_raises_uidvalidity),
        TEST(a_missing_folder_is_told),
        TEST(copies_are_all_or_none),
        TEST(modseqs_rise_with_changes_only),
        TEST(a_lost_index_costs_no_uid_and_no_modseq),
        TEST(many_removals_shorten_the_list),
        TEST(others_renames_and_removals_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
