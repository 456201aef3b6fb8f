/* Folders and subscriptions of a temporary Maildir++. */
#include "lib/base/mem.h"
#include "lib/store/folders.h"

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
/* clang-format on */

static char root[] = "/tmp/folders_test.XXXXXX";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    return remove(path);
}

static void ok(struct result r)
{
    if (!result_is_ok(&r))
        fail_msg("%s", r.text);
}

static void never(struct result r)
{
    assert_int_equal(r.outcome, OUTCOME_NEVER);
}

static void check(struct result (*list)(const char *, struct arena *, const char ***, size_t *), const char *want)
{
    ARENA_AUTO a = arena_new();
    const char **names, *all = "";
    size_t n;
    ok(list(root, a, &names, &n));
    for (size_t i = 0; i < n; i++)
        all = arena_printf(a, "%s%s ", all, names[i]);
    assert_string_equal(all, want);
}

static void makes_renames_and_deletes(void **state)
{
    ok(folders_create(root, "b"));
    ok(folders_create(root, "a.sub"));
    ok(folders_create(root, "ab"));
    never(folders_create(root, "b"));
    check(folders_list, "INBOX a.sub ab b ");
    ok(folders_rename(root, "a", "c"));
    check(folders_list, "INBOX ab b c.sub ");
    never(folders_rename(root, "b", "ab"));
    never(folders_rename(root, "b", "b.c"));
    never(folders_rename(root, "none", "x"));
    ok(folders_delete(root, "b"));
    never(folders_delete(root, "b"));
    never(folders_delete(root, "inbox"));
    check(folders_list, "INBOX ab c.sub ");
    ok(folders_delete(root, "ab"));
    ok(folders_delete(root, "c.sub"));
}

static void refuses_names_that_lead_elsewhere(void **state)
{
    const char *bad[] = {"", ".", "..", "a/b", "../x", "a..b", "a.", ".a", "a\nb", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        never(folders_create(root, bad[i]));
}

static void keeps_subscriptions(void **state)
{
    check(folders_subscriptions, "");
    ok(folders_subscribe(root, "a.b", true));
    ok(folders_subscribe(root, "INBOX", true));
    ok(folders_subscribe(root, "a.b", true));
    check(folders_subscriptions, "INBOX a.b ");
    ok(folders_subscribe(root, "INBOX", false));
    check(folders_subscriptions, "a.b ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_renames_and_deletes),
        cmocka_unit_test(refuses_names_that_lead_elsewhere),
        cmocka_unit_test(keeps_subscriptions),
    };
    if (!mkdtemp(root))
        return 1;
    MEM_AUTO char *tmp = mem_printf("%s/tmp", root);
    if (mkdir(tmp, 0700) < 0)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return failed;
}
