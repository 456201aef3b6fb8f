/* Commands: with and without a shell, exit statuses, output as the reason, time limits. */
#include "lib/rt/fiber.h"
#include "local/delivery.h"

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
/* clang-format on */

static int message;

static struct result run(const char *command, uint32_t seconds)
{
    struct msg_user_delivery t = {.kind = "command",
                                  .target = command,
                                  .chdir_to = "",
                                  .eol = "\n",
                                  .prefix = SLICE("Return-Path: <>\n"),
                                  .time_limit = seconds,
                                  .content_size = 6,
                                  .file = message};
    BUF_AUTO diagnostic = BUF(20000);
    return command_run(&t, &diagnostic);
}

static void in_loop(void *arg)
{
    struct result r = run("cat > /dev/null", 10);
    assert_int_equal(r.outcome, OUTCOME_OK);
    assert_string_equal(r.text, "delivered to command: cat > /dev/null");
    r = run("cat; exit 67", 10);
    assert_string_equal(r.dsn, "5.1.1");
    assert_string_equal(r.text, "user unknown. Command output: Return-Path: <> hello");
    r = run("exit 75", 10);
    assert_int_equal(r.outcome, OUTCOME_TRY_AGAIN);
    assert_string_equal(r.text, "temporary failure");
    r = run("echo 5.7.42 my own dsn; exit 65", 10);
    assert_string_equal(r.dsn, "5.7.42");
    assert_string_equal(r.text, "my own dsn");
    r = run("/no/such/program x", 10);
    assert_int_equal(r.outcome, OUTCOME_TRY_AGAIN);
    r = run("kill -9 $$", 10);
    assert_int_equal(r.outcome, OUTCOME_TRY_AGAIN);
    assert_string_equal(r.text, "Command died with signal 9: \"kill -9 $$\"");
    r = run("exec sleep 100", 1);
    assert_string_equal(r.text, "Command time limit exceeded: \"exec sleep 100\"");
}

static void commands(void **state)
{
    loop_run("test", in_loop, NULL);
}

static void shells(void **state)
{
    assert_false(command_needs_shell("/usr/bin/procmail -a x"));
    assert_true(command_needs_shell("a|b"));
    assert_true(command_needs_shell("a $X"));
    assert_true(command_needs_shell("  "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shells), cmocka_unit_test(commands)};
    char path[] = "/tmp/command_test.XXXXXX";
    signal(SIGPIPE, SIG_IGN);
    message = mkstemp(path);
    unlink(path);
    if (write(message, "hello\n", 6) != 6)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
