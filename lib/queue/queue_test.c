/* queue_test.c - queue files: written, read back, damaged at every place. */
#include "lib/base/mem.h"
#include "lib/queue/queue.h"
#include "lib/rt/fiber.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/merpati-queue-test-XXXXXX";

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    return remove(path);
}
static int setup(void **state)
{
    return mkdtemp(folder) && chdir(folder) == 0 &&
                   queue_make_directories(geteuid(), getegid(), false).outcome == OUTCOME_OK
               ? 0
               : -1;
}
static int teardown(void **state)
{
    return chdir("/") == 0 ? nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) : -1;
}

static const struct queue_envelope envelope = {
    .sender = "alice@example.test", .body_type = "8BITMIME", .context = "local", .arrival_usec = 1234567, .hop = 2};

static void put(size_t content, int recipients, bool long_id, char id[QUEUE_ID_MAX + 1])
{
    struct result r;
    struct queue_writer *w = queue_writer_new("incoming", long_id, &r);
    assert_non_null(w);
    MEM_AUTO char *text = mem_alloc(content + 1);
    memset(text, 'x', content);
    assert_true(queue_writer_content(w, text, content));
    for (int i = 0; i < recipients; i++) {
        MEM_AUTO char *address = mem_printf("r%d@example.test", i);
        queue_writer_recipient(
            w, &(struct queue_recipient){.address = address, .orig_address = "team@example.test", .dsn_notify = 3});
    }
    r = queue_writer_commit(w, "incoming", &envelope);
    assert_true(result_is_ok(&r));
    snprintf(id, QUEUE_ID_MAX + 1, "%s", queue_writer_id(w));
    assert_true(queue_id_valid(id));
    queue_writer_free(&w);
}

static enum queue_read get(const char *id, struct arena *a, struct queue_message *m)
{
    BUF_AUTO why = BUF(300);
    FD_AUTO fd = queue_open(id, "incoming", false);
    assert_true(fd >= 0);
    enum queue_read r = queue_read(fd, a, m, &why);
    assert_true(r == QUEUE_READ_OK || why.len > 0);
    return r;
}

static void written_is_read(void **state)
{
    static const size_t sizes[] = {0, 1, 7, 8, 4096, 16384, 65535, 65536, 3000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ARENA_AUTO a = arena_new();
        char id[QUEUE_ID_MAX + 1];
        struct queue_message m;
        put(sizes[i], i == 2 ? 2000 : 2, i & 1, id);
        assert_int_equal(get(id, a, &m), QUEUE_READ_OK);
        assert_int_equal(m.envelope.content_size, sizes[i]);
        assert_string_equal(m.envelope.sender, "alice@example.test");
        assert_string_equal(m.envelope.dsn_envid, "");
        assert_true(m.envelope.arrival_usec == 1234567 && m.envelope.hop == 2 && !m.torn);
        assert_int_equal(m.n_recipients, i == 2 ? 2000 : 2);
        assert_string_equal(m.recipients[1].address, "r1@example.test");
        assert_string_equal(m.recipients[1].orig_address, "team@example.test");
        FD_AUTO fd = queue_open(id, "incoming", false);
        char c = 0;
        if (sizes[i])
            assert_true(pread(fd, &c, 1, (off_t)(m.envelope.content_offset + sizes[i] - 1)) == 1 && c == 'x');
        assert_true(queue_remove(id, "incoming"));
    }
}

static void every_cut_is_noticed(void **state)
{
    char id[QUEUE_ID_MAX + 1], path[300];
    struct stat st;
    put(100, 2, false, id);
    queue_path(path, sizeof path, "incoming", id);
    assert_int_equal(stat(path, &st), 0);
    for (off_t size = st.st_size - 1; size >= 0; size--) {
        ARENA_AUTO a = arena_new();
        struct queue_message m;
        assert_int_equal(truncate(path, size), 0);
        assert_int_not_equal(get(id, a, &m), QUEUE_READ_OK);
    }
    queue_remove(id, "incoming");
}

static void every_changed_byte_of_the_records_is_noticed(void **state)
{
    char id[QUEUE_ID_MAX + 1];
    struct stat st;
    put(8, 2, false, id);
    int fd = queue_open(id, "incoming", true);
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t at = 0; at < st.st_size; at++) {
        ARENA_AUTO a = arena_new();
        struct queue_message m;
        char c, changed;
        assert_int_equal(pread(fd, &c, 1, at), 1);
        changed = (char)(c ^ 0x55);
        assert_int_equal(pwrite(fd, &changed, 1, at), 1);
        enum queue_read r = get(id, a, &m);
        /* Not looked at: reserved bytes, padding, and the content with its head, whose checksum is for those who read
         * it. */
        if (r == QUEUE_READ_OK)
            assert_true((at >= 64 && at < 64 + 16 + 8) || (at % 8 >= 1 && at % 8 <= 7));
        assert_int_equal(pwrite(fd, &c, 1, at), 1);
    }
    close(fd);
    queue_remove(id, "incoming");
}

static void history_is_kept_and_a_torn_end_cut_off(void **state)
{
    char id[QUEUE_ID_MAX + 1];
    put(10, 3, false, id);
    int fd = queue_open(id, "incoming", true);
    const struct queue_history events[] = {
        {.event = QUEUE_DELIVERED, .recipient = 0, .time = 100},
        {.event = QUEUE_DEFERRED, .recipient = 1, .time = 101, .dsn = "4.4.1", .text = "no route", .relay = "none"},
        {.event = QUEUE_FAILED, .recipient = 2, .time = 102, .dsn = "5.1.1", .text = "unknown"},
    };
    assert_true(queue_history_append(fd, events, 3) && queue_history_sync(fd));
    ARENA_AUTO a = arena_new();
    struct queue_message m;
    struct stat st;
    assert_int_equal(get(id, a, &m), QUEUE_READ_OK);
    assert_int_equal(m.recipients[0].state, RCPT_DONE);
    assert_int_equal(m.recipients[1].state, RCPT_TODO);
    assert_string_equal(m.recipients[1].last_text, "no route");
    assert_int_equal(m.recipients[2].state, RCPT_FAILED);
    assert_int_equal(fstat(fd, &st), 0);
    uint64_t whole = m.file_size;
    assert_true(whole == (uint64_t)st.st_size);
    assert_int_equal(ftruncate(fd, st.st_size - 5), 0);
    assert_int_equal(get(id, a, &m), QUEUE_READ_OK);
    assert_true(m.torn);
    assert_int_equal(m.recipients[2].state, RCPT_TODO);
    close(fd);
    queue_remove(id, "incoming");
}

static void sizes_past_the_limit_fail_for_good(void **state)
{
    struct result r;
    struct queue_writer *w = queue_writer_new("incoming", false, &r);
    queue_writer_size_limit(w, 10);
    assert_true(queue_writer_content(w, "123456789\n", 10));
    assert_false(queue_writer_content(w, "x", 1));
    r = queue_writer_commit(w, "incoming", &envelope);
    assert_int_equal(r.outcome, OUTCOME_NEVER);
    assert_string_equal(r.dsn, "5.3.4");
    queue_writer_free(&w);
    struct queue_scan *s = queue_scan_open("incoming");
    char id[QUEUE_ID_MAX + 1];
    assert_false(queue_scan_next(s, id)); /* nothing is left */
    queue_scan_close(&s);
}

static void files_move_and_are_found(void **state)
{
    char id[QUEUE_ID_MAX + 1], seen[QUEUE_ID_MAX + 1];
    static const char *const all[] = {"incoming", "active", "deferred", NULL};
    put(10, 1, true, id);
    assert_string_equal(queue_find(id, all), "incoming");
    assert_true(queue_move(id, "incoming", "active"));
    assert_true(queue_move(id, "active", "deferred")); /* into a hash directory that is made */
    assert_string_equal(queue_find(id, all), "deferred");
    struct queue_scan *s = queue_scan_open("deferred");
    assert_true(queue_scan_next(s, seen));
    assert_string_equal(seen, id);
    assert_false(queue_scan_next(s, seen));
    queue_scan_close(&s);
    assert_false(queue_move("ABCDEF", "incoming", "active"));
    assert_true(queue_remove(id, "deferred"));
    assert_false(queue_id_valid("../x"));
    assert_false(queue_id_valid(""));
}

/* A scan may take a file away as soon as it has its name: the writer does not mind. */
static void files_may_go_as_soon_as_they_are_there(void **state)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        for (;;) {
            char id[QUEUE_ID_MAX + 1];
            struct queue_scan *s = queue_scan_open("maildrop");
            while (queue_scan_next(s, id))
                queue_remove(id, "maildrop");
            queue_scan_close(&s);
        }
    }
    for (int i = 0; i < 300; i++) {
        struct result r;
        struct queue_writer *w = queue_writer_new("maildrop", false, &r);
        assert_non_null(w);
        queue_writer_content(w, "x\n", 2);
        r = queue_writer_commit(w, "maildrop", &envelope);
        assert_true(result_is_ok(&r));
        queue_writer_free(&w);
    }
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* qmgr's scan leaves alone what cleanup is still to tell it of. */
static void a_writer_holds_its_file_until_it_ends(void **state)
{
    struct result r;
    struct queue_writer *w = queue_writer_new("incoming", false, &r);
    queue_writer_content(w, "x\n", 2);
    r = queue_writer_commit(w, "incoming", &envelope);
    assert_true(result_is_ok(&r));
    FD_AUTO fd = queue_open(queue_writer_id(w), "incoming", false);
    assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), -1);
    assert_true(queue_remove(queue_writer_id(w), "incoming"));
    queue_writer_free(&w);
    assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), 0);
}

static int committed;
static void commit_fiber(void *arg)
{
    char id[QUEUE_ID_MAX + 1];
    put(2000, 1, false, id);
    committed++;
}
static void commit_main(void *arg)
{
    for (int i = 0; i < 100; i++)
        fiber_start("commit", commit_fiber, NULL);
}
static void many_commits_at_once(void **state)
{
    loop_run("main", commit_main, NULL);
    assert_int_equal(committed, 100);
    struct queue_scan *s = queue_scan_open("incoming");
    char id[QUEUE_ID_MAX + 1];
    int seen = 0;
    while (queue_scan_next(s, id))
        seen++;
    queue_scan_close(&s);
    assert_int_equal(seen, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_is_read),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(every_changed_byte_of_the_records_is_noticed),
        cmocka_unit_test(history_is_kept_and_a_torn_end_cut_off),
        cmocka_unit_test(sizes_past_the_limit_fail_for_good),
        cmocka_unit_test(files_move_and_are_found),
        cmocka_unit_test(files_may_go_as_soon_as_they_are_there),
        cmocka_unit_test(a_writer_holds_its_file_until_it_ends),
        cmocka_unit_test(many_commits_at_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
