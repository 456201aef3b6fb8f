"""Notices: of mail that failed, was delivered, is delayed; and of notices that failed themselves."""
import email, email.policy, re

from clients import Smtp

MESSAGE = b"From: alice@example.test\r\nTo: x@gone.test\r\nSubject: out\r\nMessage-ID: <out-1@example.test>\r\n\r\nthe body\r\n"
OTHERS = (r".* (?:imapd|pop3d|postlogd|anvil|auth|pickup)\b",)  # services that no test here needs


def make(instance, **settings):
    table = settings.pop("transports", "{gone.test=error:5.1.1 no such place}, {later.test=retry:4.2.1 not now}")
    return instance(drop_master=OTHERS, transport_maps=f"inline:{{{table}}}", smtpd_reject_unlisted_recipient="no", **settings)


def send(i, sender, recipient, mail="", rcpt="", message=MESSAGE):
    s = Smtp(i.port["smtp"])
    assert s.cmd("EHLO client.test")[0] == 250
    assert s.cmd(f"MAIL FROM:<{sender}> {mail}".rstrip())[0] == 250
    assert s.cmd(f"RCPT TO:<{recipient}> {rcpt}".rstrip())[0] == 250
    assert s.cmd("DATA")[0] == 354
    s.raw(message + b".\r\n")
    code, text = s.reply()
    assert code == 250, text
    s.cmd("QUIT")
    return re.search(r"queued as (\w+)", text).group(1)


def notice(i, user="alice"):
    """The only message of the user, as (message, text, fields of the message, fields of its recipient, the returned part)."""
    (raw,) = i.messages(user)
    m = email.message_from_bytes(raw, policy=email.policy.compat32)
    text, status, original = m.get_payload()
    about, recipient = status.get_payload()
    return m, text.get_payload(), about, recipient, original


def test_failure_notice(instance):
    i = make(instance)
    queue_id = send(i, "alice@example.test", "x@gone.test", "ENVID=e1", "ORCPT=rfc822;first@gone.test")
    i.log.wait(rf"bounce\[\d+\]: {queue_id}: sender non-delivery notification: \w+")
    i.wait_delivered()
    m, text, about, recipient, original = notice(i)
    assert m["From"] == "Mail Delivery System <MAILER-DAEMON@example.test>" and m["To"] == "alice@example.test"
    assert m["Subject"] == "Undelivered Mail Returned to Sender" and m["Auto-Submitted"] == "auto-replied" and m["Return-Path"] == "<>"
    assert m["Message-Id"] and m["Date"]
    assert text.startswith("This is the mail system at host mx.example.test.\n\nI'm sorry to have to inform you")
    assert text.endswith("\n\n<x@gone.test>: no such place\n")
    assert about["Reporting-MTA"] == "dns; mx.example.test" and about["Original-Envelope-Id"] == "e1"
    assert about["X-Postfix-Queue-ID"] == queue_id and about["X-Postfix-Sender"] == "rfc822; alice@example.test"
    assert recipient["Final-Recipient"] == "rfc822; x@gone.test" and recipient["Original-Recipient"] == "rfc822;first@gone.test"
    assert recipient["Action"] == "failed" and recipient["Status"] == "5.1.1"
    assert recipient["Diagnostic-Code"] == "X-Postfix; no such place"
    (returned,) = original.get_payload()
    assert returned["Return-Path"] == "<alice@example.test>" and returned["Subject"] == "out" and returned.get_payload() == "the body\n"
    i.wait_empty()


def test_headers_alone_on_request_and_nothing_for_never(instance):
    i = make(instance)
    send(i, "bob@example.test", "y@gone.test", rcpt="NOTIFY=NEVER")
    send(i, "alice@example.test", "x@gone.test", "RET=HDRS")
    i.wait_delivered()
    i.wait_empty()
    *_, original = notice(i)
    assert original.get_content_type() == "text/rfc822-headers" and "Subject: out" in original.get_payload()
    assert "the body" not in original.get_payload()
    assert i.messages("bob") == []


def test_success_notice(instance):
    i = make(instance)
    queue_id = send(i, "alice@example.test", "bob@example.test", rcpt="NOTIFY=SUCCESS")
    i.log.wait(rf"{queue_id}: sender delivery status notification: \w+")
    i.wait_delivered(2)
    m, text, about, recipient, original = notice(i)
    assert m["Subject"] == "Successful Mail Delivery Report"
    assert recipient["Action"] == "delivered" and recipient["Status"] == "2.0.0"
    assert original.get_content_type() == "text/rfc822-headers"
    i.wait_empty()


def test_delay_notice_is_sent_once(instance):
    i = make(instance, delay_warning_time="1s", minimal_backoff_time="1s", maximal_backoff_time="1s", queue_run_delay="1s")
    queue_id = send(i, "alice@example.test", "x@later.test")
    i.log.wait(rf"{queue_id}: sender delay notification: \w+")
    i.wait_delivered()
    i.log.wait(rf"{queue_id}: to=<x@later.test>.*status=deferred", 4)
    m, text, about, recipient, original = notice(i)
    assert m["Subject"] == "Delayed Mail (still being retried)" and "THIS IS A WARNING ONLY" in text
    assert recipient["Action"] == "delayed" and recipient["Status"] == "4.2.1" and recipient["Will-Retry-Until"]


def test_notice_that_fails_is_dropped(instance):
    i = make(instance)
    send(i, "lost@gone.test", "x@gone.test")
    i.log.wait(r"to=<lost@gone.test>, .*status=bounced")
    i.wait_empty()
    assert i.messages("alice") == []


def test_notice_that_fails_goes_to_the_postmaster_when_asked_for(instance):
    i = make(instance, notify_classes="2bounce, resource, software")
    send(i, "lost@gone.test", "x@gone.test")
    i.log.wait(r"postmaster non-delivery notification: \w+")
    i.wait_delivered()
    m, text, about, recipient, original = notice(i)
    assert m["Subject"] == "Postmaster Copy: Undelivered Mail" and m["Auto-Submitted"] == "auto-generated"
    assert m["Return-Path"] == "<double-bounce@mx.example.test>" and "lost@gone.test" in text
    assert about["X-Postfix-Sender"].strip() == "rfc822;"
    i.wait_empty()


def test_copy_for_the_postmaster(instance):
    i = make(instance, notify_classes="bounce", bounce_notice_recipient="bob@example.test")
    send(i, "alice@example.test", "x@gone.test")
    i.wait_delivered(2)
    i.wait_empty()
    m, text, *_, original = notice(i, "bob")
    assert m["Subject"] == "Postmaster Copy: Undelivered Mail" and text == "\n<x@gone.test>: no such place\n"
    assert original.get_content_type() == "text/rfc822-headers"
    assert notice(i)[0]["Subject"] == "Undelivered Mail Returned to Sender"


def test_headers_alone_when_the_notice_would_be_too_big(instance):
    i = make(instance, message_size_limit=4000, bounce_size_limit=4000)
    send(i, "alice@example.test", "x@gone.test", message=MESSAGE + b"more\r\n" * 500)
    i.wait_delivered()
    *_, original = notice(i)
    assert original.get_content_type() == "text/rfc822-headers"
    i.wait_empty()


def test_thread_of_the_original(instance):
    i = make(instance, enable_threaded_bounces="yes")
    send(i, "alice@example.test", "x@gone.test")
    i.wait_delivered()
    assert notice(i)[0]["In-Reply-To"] == "<out-1@example.test>" and notice(i)[0]["References"] == "<out-1@example.test>"


def test_internationalised_notice(instance):
    i = make(instance, smtputf8_enable="yes")
    send(i, "alice@example.test", "\u00e9@gone.test", "SMTPUTF8 BODY=8BITMIME", message=MESSAGE.replace(b"out\r", b"caf\xc3\xa9\r"))
    i.wait_delivered()
    (raw,) = i.messages("alice")
    assert b"\nContent-Type: message/global-delivery-status\nContent-Transfer-Encoding: 8bit\n\nReporting-MTA: dns; mx.example.test\n" in raw
    assert b"\nFinal-Recipient: utf-8; \xc3\xa9@gone.test\n" in raw and b"\nContent-Type: message/global\n" in raw
    assert b"\nSubject: caf\xc3\xa9\n" in raw
