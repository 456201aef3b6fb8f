/* Deliveries into Maildirs, mboxes and files of a temporary folder. */
#include "lib/base/buf.h"
#include "lib/rt/fiber.h"
#include "lib/store/deliver.h"

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
/* clang-format on */

static char dir[] = "/tmp/deliver_test.XXXXXX";
static int message_fd;
static const char message[] = "JUNKSubject: x\n\nFrom me\nFrom\n From you\nFro";

static struct store_source source(void)
{
    return (struct store_source){
        .fd = message_fd, .offset = 4, .size = sizeof message - 5, .prefix = SLICE("Delivered-To: a@b\n")};
}

static void check_file(const char *path, const char *want)
{
    char text[2000];
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    assert_true(n >= 0);
    text[n] = '\0';
    const char *got = strncmp(text, "From s", 6) == 0 ? strchr(text, '\n') + 1 : text;
    assert_string_equal(got, want);
}

static void maildir(void **state)
{
    char path[300], file[600];
    snprintf(path, sizeof path, "%s/deep/md", dir);
    struct store_source m = source();
    for (int i = 0; i < 3; i++) {
        struct result r = store_deliver_maildir(path, &m, 0);
        assert_int_equal(r.outcome, OUTCOME_OK);
        assert_string_equal(r.text, "delivered to maildir");
    }
    struct result r = store_deliver_maildir(path, &m, 20);
    assert_int_equal(r.outcome, OUTCOME_NEVER);
    assert_string_equal(r.dsn, "5.2.2");
    snprintf(file, sizeof file, "%s/new", path);
    DIR *d = opendir(file);
    int count = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.') {
            count++;
            assert_non_null(strstr(e->d_name, ".M"));
            snprintf(file, sizeof file, "%s/new/%s", path, e->d_name);
            check_file(file, "Delivered-To: a@b\nSubject: x\n\nFrom me\nFrom\n From you\nFro");
        }
    closedir(d);
    assert_int_equal(count, 3);
}

/* One that was killed while it made the Maildir left only a part of it: mail goes in all the same. */
static void half_made_maildir(void **state)
{
    static const char *const parts[] = {"tmp", "new", "cur"};
    struct store_source m = source();
    for (int i = 0; i < 3; i++) {
        char path[300], part[600];
        snprintf(path, sizeof path, "%s/half%d", dir, i);
        snprintf(part, sizeof part, "%s/%s", path, parts[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(mkdir(part, 0700), 0);
        struct result r = i == 2 ? store_make_maildir(path) : store_deliver_maildir(path, &m, 0);
        assert_int_equal(r.outcome, OUTCOME_OK);
        for (int k = 0; k < 3; k++) {
            snprintf(part, sizeof part, "%s/%s", path, parts[k]);
            assert_int_equal(access(part, X_OK), 0);
        }
    }
}

/* ---- many at the same time ---- */

enum { TOGETHER = 200, MAILBOXES = 7 };
static struct {
    unsigned left, delivered, refused;
    struct waitq over;
} crowd;

static void one_of_many(void *arg)
{
    static unsigned n;
    unsigned mine = n++;
    char path[300];
    struct store_source m = source();
    snprintf(path, sizeof path, "%s/many/%u", dir, mine % MAILBOXES);
    if (mine % 50 == 3)
        m.size += 100; /* the source is too short: the others get theirs all the same */
    struct result r = store_deliver_maildir(path, &m, 0);
    if (r.outcome == OUTCOME_OK)
        crowd.delivered++;
    else
        crowd.refused++;
    if (--crowd.left == 0)
        waitq_wake_all(&crowd.over);
}

static void start_many(void *arg)
{
    waitq_init(&crowd.over);
    crowd.left = TOGETHER;
    for (int i = 0; i < TOGETHER; i++)
        fiber_start("delivery", one_of_many, NULL);
    assert_int_equal(waitq_wait(&crowd.over, deadline_in(60)), WAIT_OK);
}

static unsigned count_files(const char *path)
{
    unsigned count = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        count += e->d_name[0] != '.';
    closedir(d);
    return count;
}

static void many_together(void **state)
{
    unsigned found = 0;
    loop_run("test", start_many, NULL);
    assert_int_equal(crowd.delivered, TOGETHER - TOGETHER / 50);
    assert_int_equal(crowd.refused, TOGETHER / 50);
    for (int i = 0; i < MAILBOXES; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/many/%d/new", dir, i);
        found += count_files(path);
        snprintf(path, sizeof path, "%s/many/%d/tmp", dir, i);
        assert_int_equal(count_files(path), 0);
    }
    assert_int_equal(found, crowd.delivered);
}

static void mbox(void **state)
{
    static const char once[] = "Delivered-To: a@b\nSubject: x\n\n>From me\nFrom\n From you\nFro\n\n";
    char path[300], lock[310], other[310];
    struct store_source m = source();
    snprintf(path, sizeof path, "%s/mbox", dir);
    assert_int_equal(store_deliver_mbox(path, &m, "s@x", 0, STORE_DOTLOCK).outcome, OUTCOME_OK);
    check_file(path, once);
    struct result r = store_deliver_mbox(path, &m, "s@x", 150, STORE_DOTLOCK);
    assert_int_equal(r.outcome, OUTCOME_NEVER);
    check_file(path, once);
    m.size += 100; /* the source is too short: nothing of it may stay */
    r = store_deliver_mbox(path, &m, "s@x", 0, STORE_DOTLOCK);
    assert_int_equal(r.outcome, OUTCOME_TRY_AGAIN);
    check_file(path, once);
    snprintf(lock, sizeof lock, "%s.lock", path);
    assert_int_not_equal(access(lock, F_OK), 0);
    m = source();
    snprintf(other, sizeof other, "%s/link", dir);
    assert_int_equal(symlink(path, other), 0);
    assert_int_equal(store_deliver_mbox(other, &m, "s@x", 0, 0).outcome, OUTCOME_NEVER);
    unlink(other);
    assert_int_equal(link(path, other), 0);
    assert_int_equal(store_deliver_mbox(path, &m, "s@x", 0, 0).outcome, OUTCOME_NEVER);
    unlink(other);
    unlink(path);
}

static void plain_file(void **state)
{
    char path[300];
    struct store_source m = source();
    snprintf(path, sizeof path, "%s/file", dir);
    struct result r = store_deliver_file(path, &m, "", 0, 0);
    assert_int_equal(r.outcome, OUTCOME_OK);
    assert_non_null(strstr(r.text, "delivered to file: /"));
    chmod(path, 0700);
    assert_int_equal(store_deliver_file(path, &m, "", 0, 0).outcome, OUTCOME_NEVER);
    unlink(path);
    assert_int_equal(store_deliver_file("/dev/null", &m, "", 0, 0).outcome, OUTCOME_OK);
    snprintf(path, sizeof path, "%s/none/file", dir);
    assert_int_equal(store_deliver_file(path, &m, "", 0, 0).outcome, OUTCOME_NEVER);
}

static void remove_tree(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char sub[800];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
        if (unlink(sub) != 0)
            remove_tree(sub);
    }
    if (d != NULL)
        closedir(d);
    rmdir(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(maildir), cmocka_unit_test(half_made_maildir),
                                       cmocka_unit_test(many_together), cmocka_unit_test(mbox),
                                       cmocka_unit_test(plain_file)};
    char path[300];
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/message", dir);
    message_fd = open(path, O_RDWR | O_CREAT, 0600);
    if (write(message_fd, message, sizeof message - 1) != (ssize_t)sizeof message - 1)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_tree(dir);
    return failed;
}
