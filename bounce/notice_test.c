/* notice_test.c - notices, to the byte. */
#include "bounce/bounce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct msg_bounce_recipient rcpt = {.address = "perm-x@remote.test",
                                           .orig_address = "perm-x@remote.test",
                                           .dsn_orcpt = "",
                                           .action = "failed",
                                           .dsn = "5.1.1",
                                           .text =
                                               "host 127.0.0.1[127.0.0.1] said: 550 5.1.1 no such user (in reply to "
                                               "RCPT TO command)",
                                           .remote_mta = "127.0.0.1",
                                           .diagnostic = "550 5.1.1 no such user"};
#define MESSAGE "Subject: t\nMessage-ID: <1@client.test>\n\nhello\n"

static struct msg_bounce_request request_of(const char *kind)
{
    return (struct msg_bounce_request){.kind = kind,
                                       .queue_id = "4F2A",
                                       .sender = "s@client.test",
                                       .dsn_envid = "",
                                       .body_type = "",
                                       .content_size = sizeof MESSAGE - 1,
                                       .arrival_usec = INT64_C(1700000000000000),
                                       .recipients = &rcpt,
                                       .n_recipients = 1};
}

static struct notice notice_of(const struct msg_bounce_request *q)
{
    struct notice n = {.request = q,
                       .to = "s@client.test",
                       .eight_bit = true,
                       .boundary = "4F2A.1/mx.example.test",
                       .myhostname = "mx.example.test",
                       .mail_name = "Postfix",
                       .delay_warning_time = 4 * 3600,
                       .maximal_queue_lifetime = 5 * 86400,
                       .size_limit = 50000,
                       .content = SLICE(MESSAGE)};
    assert_true(notice_kind_parse(q->kind, &n.kind));
    return n;
}

#define STATUS_HEAD                                                                                             \
    "--4F2A.1/mx.example.test\nContent-Description: Delivery report\nContent-Type: message/delivery-status\n\n" \
    "Reporting-MTA: dns; mx.example.test\nX-Postfix-Queue-ID: 4F2A\nX-Postfix-Sender: rfc822; s@client.test\n"  \
    "Arrival-Date: Tue, 14 Nov 2023 22:13:20 +0000 (UTC)\n\n"

static void failure(void **state)
{
    struct msg_bounce_request q = request_of("failure");
    struct notice n = notice_of(&q);
    BUF_AUTO out = BUF(100000);
    notice_write(&n, &out);
    assert_string_equal(
        buf_cstr(&out),
        "From: Mail Delivery System <MAILER-DAEMON>\nSubject: Undelivered Mail Returned to Sender\nTo: s@client.test\n"
        "Auto-Submitted: auto-replied\nMIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=delivery-status;\n\tboundary=\"4F2A.1/mx.example.test\"\n"
        "Content-Transfer-Encoding: 8bit\n\nThis is a MIME-encapsulated message.\n\n"
        "--4F2A.1/mx.example.test\nContent-Description: Notification\nContent-Type: text/plain; charset=utf-8\n"
        "Content-Transfer-Encoding: 8bit\n\nThis is the mail system at host mx.example.test.\n\n"
        "I'm sorry to have to inform you that your message could not\n"
        "be delivered to one or more recipients. It's attached below.\n\n"
        "For further assistance, please send mail to postmaster.\n\n"
        "If you do so, please include this problem report. You can\n"
        "delete your own text from the attached returned message.\n\n                   The mail system\n\n"
        "<perm-x@remote.test>: host 127.0.0.1[127.0.0.1] said: 550 5.1.1 no such user\n"
        "    (in reply to RCPT TO command)\n\n" STATUS_HEAD
        "Final-Recipient: rfc822; perm-x@remote.test\nOriginal-Recipient: rfc822;perm-x@remote.test\nAction: failed\n"
        "Status: 5.1.1\nRemote-MTA: dns; 127.0.0.1\nDiagnostic-Code: smtp; 550 5.1.1 no such user\n\n"
        "--4F2A.1/mx.example.test\nContent-Description: Undelivered Message\nContent-Type: message/rfc822\n"
        "Content-Transfer-Encoding: 8bit\n\nReturn-Path: <s@client.test>\n" MESSAGE "\n--4F2A.1/mx.example.test--\n");
}

static bool has(const struct notice *n, const char *text)
{
    BUF_AUTO out = BUF(100000);
    notice_write(n, &out);
    return strstr(buf_cstr(&out), text) != NULL;
}

static void delay(void **state)
{
    struct msg_bounce_request q = request_of("delay");
    q.retry_until = 1700432000;
    struct notice n = notice_of(&q);
    assert_true(has(&n, "Subject: Delayed Mail (still being retried)\n"));
    assert_true(has(&n, "more than 4 hour(s).\nIt will be retried until it is 5 day(s) old.\n"));
    assert_true(has(&n, "Will-Retry-Until: Sun, 19 Nov 2023 22:13:20 +0000 (UTC)\n"));
    assert_true(has(&n, "Content-Description: Undelivered Message Headers\nContent-Type: text/rfc822-headers\n"));
    assert_false(has(&n, "hello"));
}

static void success(void **state)
{
    struct msg_bounce_request q = request_of("success");
    struct notice n = notice_of(&q);
    assert_true(has(&n, "Subject: Successful Mail Delivery Report\n"));
    assert_true(has(&n, "Content-Description: Message Headers\nContent-Type: text/rfc822-headers\n"));
    assert_false(has(&n, "hello"));
}

static void headers_alone_when_asked_or_too_big(void **state)
{
    struct msg_bounce_request q = request_of("failure");
    struct notice n = notice_of(&q);
    q.dsn_ret = DSN_RET_HDRS;
    assert_false(has(&n, "hello"));
    q.dsn_ret = DSN_RET_FULL;
    assert_true(has(&n, "hello"));
    n.size_limit = 10;
    assert_false(has(&n, "hello"));
}

static void postmaster_copy(void **state)
{
    struct msg_bounce_request q = request_of("failure");
    struct notice n = notice_of(&q);
    n.postmaster = true;
    assert_true(has(&n, "Subject: Postmaster Copy: Undelivered Mail\n"));
    assert_true(has(&n, "Auto-Submitted: auto-generated\n"));
    assert_true(has(&n, "8bit\n\n\n<perm-x@remote.test>: host"));
    assert_false(has(&n, "hello"));
}

static void internationalised(void **state)
{
    struct msg_bounce_request q = request_of("failure");
    struct notice n = notice_of(&q);
    q.flags = DELIVER_SMTPUTF8;
    q.sender = "\303\251@client.test";
    assert_true(has(&n, "Content-Type: message/global-delivery-status\nContent-Transfer-Encoding: 8bit\n"));
    assert_true(has(&n, "X-Postfix-Sender: utf-8; \303\251@client.test\n"));
    assert_true(has(&n, "Content-Type: message/global\n"));
}

static void threads(void **state)
{
    struct msg_bounce_request q = request_of("failure");
    struct notice n = notice_of(&q);
    assert_false(has(&n, "In-Reply-To:"));
    n.threaded = true;
    assert_true(has(&n, "References: <1@client.test>\nIn-Reply-To: <1@client.test>\n"));
}

static void no_line_of_its_own_for_strangers(void **state)
{
    struct msg_bounce_request q = request_of("failure");
    struct notice n = notice_of(&q);
    struct msg_bounce_recipient evil = rcpt;
    evil.diagnostic = "550 no\nAction: delivered";
    evil.text = "no\n\n--4F2A.1/mx.example.test";
    q.recipients = &evil;
    assert_false(has(&n, "\nAction: delivered"));
    assert_true(has(&n, "no?\?--4F2A"));
}

static void words_are_wrapped(void **state)
{
    BUF_AUTO out = BUF(1000);
    notice_wrap(&out, "one two three four", 9);
    assert_string_equal(buf_cstr(&out), "one two\n    three\n    four\n");
    buf_reset(&out);
    notice_wrap(&out, "abcdefghijklmnop q", 9);
    assert_string_equal(buf_cstr(&out), "abcdefghijklmnop\n    q\n");
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failure),          cmocka_unit_test(delay),
        cmocka_unit_test(success),          cmocka_unit_test(headers_alone_when_asked_or_too_big),
        cmocka_unit_test(postmaster_copy),  cmocka_unit_test(internationalised),
        cmocka_unit_test(threads),          cmocka_unit_test(no_line_of_its_own_for_strangers),
        cmocka_unit_test(words_are_wrapped)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
