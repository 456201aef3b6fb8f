"""The whole way of a message: submitted, queued, delivered, fetched; and what happens when it cannot go on."""
import imaplib, poplib, smtplib, ssl

import pytest

from clients import Smtp, insecure, split_headers
from instance import LONG

MESSAGE = (b"From: alice@example.test\r\nTo: bob@example.test\r\nSubject: the way through\r\n"
           b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <way-1@example.test>\r\n\r\n"
           b"A line.\r\n.a line with a dot in front\r\n.\r\n..\r\nTrailing blanks  \r\n\r\n8bit: \xc3\xa4\r\nlast line\r\n")


def submit(i, message=MESSAGE, sender="alice@example.test", recipients=("bob@example.test",), wrapped=False):
    if wrapped:
        s = smtplib.SMTP_SSL("127.0.0.1", i.port["submissions"], context=insecure(), timeout=LONG)
    else:
        s = smtplib.SMTP("127.0.0.1", i.port["submission"], timeout=LONG)
        s.starttls(context=insecure())
    s.login("alice", i.users["alice"])
    s.sendmail(sender, list(recipients), message, mail_options=["BODY=8BITMIME"])
    s.quit()


def without_added_headers(fetched, sent):
    """The fetched message less the headers that came on top; they must be Return-Path, Delivered-To, X-Original-To and Received only."""
    assert fetched.endswith(sent), (fetched, sent)
    top = fetched[: len(fetched) - len(sent)]
    for line in top.splitlines():
        assert line[:1] in b" \t" or line.split(b":")[0].lower() in (b"return-path", b"delivered-to", b"x-original-to", b"received"), line
    return top


def imap_fetch(i, user, tls=True):
    m = imaplib.IMAP4_SSL("127.0.0.1", i.port["imaps"], ssl_context=insecure()) if tls else imaplib.IMAP4("127.0.0.1", i.port["imap"])
    if not tls:
        m.starttls(insecure())
    m.login(user, i.users[user])
    assert m.select("INBOX")[0] == "OK"
    numbers = m.search(None, "ALL")[1][0].split()
    found = [m.fetch(n, "(BODY.PEEK[])")[1][0][1] for n in numbers]
    m.logout()
    return found


def pop3_fetch(i, user, tls=True):
    p = poplib.POP3_SSL("127.0.0.1", i.port["pop3s"], context=insecure()) if tls else poplib.POP3("127.0.0.1", i.port["pop3"])
    if not tls:
        p.stls(insecure())
    p.user(user)
    p.pass_(i.users[user])
    found = []
    for n in range(1, p.stat()[0] + 1):
        _, lines, size = p.retr(n)
        found.append(b"\r\n".join(lines) + b"\r\n")
    p.quit()
    return found


def test_submitted_message_is_fetched_byte_for_byte(instance):
    i = instance()
    submit(i)
    submit(i, wrapped=True)
    i.wait_delivered(2)
    for fetched in imap_fetch(i, "bob") + imap_fetch(i, "bob", tls=False) + pop3_fetch(i, "bob") + pop3_fetch(i, "bob", tls=False):
        top = without_added_headers(fetched, MESSAGE)
        assert b"Return-Path: <alice@example.test>\r\n" in top
        assert b"with ESMTPSA id " in top or b"with ESMTPSA\r\n" in top
    assert len(i.maildir("bob")) == 2
    i.wait_empty()


def test_log_tells_the_whole_way(instance):
    i = instance()
    submit(i)
    queue_id = i.log.wait(r"submission/smtpd\[\d+\]: (\w+): client=unknown\[127.0.0.1\], sasl_method=\w+, sasl_username=alice")[0].group(1)
    for pattern in (rf"cleanup\[\d+\]: {queue_id}: message-id=<way-1@example.test>",
                    rf"qmgr\[\d+\]: {queue_id}: from=<alice@example.test>, size=\d+, nrcpt=1 \(queue active\)",
                    rf"virtual\[\d+\]: {queue_id}: to=<bob@example.test>, relay=virtual, delay=[\d.]+, delays=[\d./]+, dsn=2.0.0, status=sent \(delivered to maildir\)",
                    rf"qmgr\[\d+\]: {queue_id}: removed"):
        i.log.wait(pattern)


def test_sendmail_to_an_alias_reaches_everyone(instance):
    i = instance()
    i.run("sendmail", "-f", "alice@example.test", "-F", "Alice", "team@localhost", input="Subject: to the team\n\nhello\n.\nnot read\n")
    i.wait_delivered(3, "sent")  # to the alias, and what it was forwarded to
    i.wait_empty()
    for user in ("alice", "bob"):
        (m,) = i.messages(user)
        head, body = split_headers(m)
        head += b"\n"
        assert body == b"hello\n"
        assert b"\nSubject: to the team\n" in head and b"\nFrom: Alice <alice@example.test>\n" in head
        assert b"\nMessage-Id: <" in head and b"\nDate: " in head


def test_relay_between_two_instances(instance):
    there = instance("there", domain="remote.test")
    here = instance("here", transport_maps="inline:{remote.test=smtp:[127.0.0.1]:%d}" % there.port["smtp"])
    submit(here, recipients=("bob@remote.test", "alice@remote.test"))
    here.log.wait(r"to=<bob@remote.test>, relay=127.0.0.1\[127.0.0.1\]:\d+, .*status=sent \(250 2.0.0 Ok: queued as \w+\)")
    there.wait_delivered(2)
    for user in ("alice", "bob"):
        (m,) = there.messages(user)
        assert m.endswith(MESSAGE.replace(b"\r\n", b"\n"))


def test_unknown_recipient_is_refused_and_relaying_denied(instance):
    i = instance(mynetworks="192.0.2.0/24")
    s = Smtp(i.port["smtp"])
    assert s.cmd("EHLO client.test")[0] == 250
    assert s.cmd("MAIL FROM:<x@client.test>")[0] == 250
    code, text = s.cmd("RCPT TO:<nobody@example.test>")
    assert (code, text[:5]) == (550, "5.1.1")
    code, text = s.cmd("RCPT TO:<x@elsewhere.test>")
    assert (code, text[:5]) == (454, "4.7.1") or (code, text[:5]) == (554, "5.7.1")
    i.log.wait(r"NOQUEUE: reject: RCPT from unknown\[127.0.0.1\]: 55\d 5.1.1 <nobody@example.test>: Recipient address rejected: User unknown in virtual mailbox table; from=<x@client.test> to=<nobody@example.test> proto=ESMTP helo=<client.test>")


def test_undeliverable_mail_comes_back(instance):
    i = instance(transport_maps="inline:{ {gone.test=error:5.1.1 no such place} }", smtpd_reject_unlisted_recipient="no")
    submit(i, recipients=("x@gone.test",))
    i.log.wait(r"to=<x@gone.test>, relay=none, .*dsn=5.1.1, status=bounced \(no such place\)")
    i.log.wait(r"sender non-delivery notification: (\w+)")
    i.wait_delivered()
    (m,) = i.messages("alice")
    for part in (b"From: Mail Delivery System <MAILER-DAEMON@example.test>", b"Subject: Undelivered Mail Returned to Sender", b"Content-Type: multipart/report; report-type=delivery-status",
                 b"Final-Recipient: rfc822; x@gone.test", b"Action: failed", b"Status: 5.1.1", b"Subject: the way through"):
        assert part in m, part
    i.wait_empty()


def test_mail_waits_for_a_dead_host_and_goes_on_by_flush(instance):
    from instance import free_port
    port = free_port()
    i = instance(transport_maps="inline:{later.test=smtp:[127.0.0.1]:%d}" % port)
    submit(i, recipients=("bob@later.test",))
    i.log.wait(rf"to=<bob@later.test>, relay=none, .*dsn=4.4.1, status=deferred \(connect to 127.0.0.1\[127.0.0.1\]:{port}: Connection refused\)")
    i.wait_deferred()
    (q,) = i.queue()
    assert q["queue_name"] == "deferred" and q["recipients"][0]["address"] == "bob@later.test"
    assert "Connection refused" in q["recipients"][0]["delay_reason"]
    later = instance("later", domain="later.test", master=f"127.0.0.1:{port} inet n - n - - smtpd\n")
    i.run("postqueue", "-f")
    later.wait_delivered()
    i.wait_empty()


def test_queue_commands(instance):
    i = instance(defer_transports="smtp", transport_maps="inline:{held.test=smtp:[127.0.0.1]:9}")
    assert i.run("mailq").stdout == "Mail queue is empty\n"
    submit(i, recipients=("a@held.test",))
    i.log.wait("status=deferred")
    (q,) = i.queue()
    queue_id = q["queue_id"]
    listing = i.run("mailq").stdout
    assert listing.startswith("-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n") and "a@held.test" in listing
    assert "Request." in listing
    i.run("postsuper", "-h", queue_id)
    assert i.queue()[0]["queue_name"] == "hold"
    content = i.run("postcat", "-q", queue_id).stdout
    assert "sender: alice@example.test" in content and "recipient: a@held.test" in content and "Subject: the way through" in content
    i.run("postsuper", "-H", queue_id)
    assert i.queue()[0]["queue_name"] in ("deferred", "incoming", "active")
    i.run("postsuper", "-d", "ALL")
    assert i.queue() == []


@pytest.mark.parametrize("user", ["alice", "nobody-of-that-name"])
def test_wrong_password_is_refused_everywhere(instance, user):
    i = instance()
    s = smtplib.SMTP("127.0.0.1", i.port["submission"], timeout=LONG)
    s.starttls(context=insecure())
    with pytest.raises(smtplib.SMTPAuthenticationError) as e:
        s.login(user, "wrong")
    assert e.value.smtp_code == 535
    m = imaplib.IMAP4_SSL("127.0.0.1", i.port["imaps"], ssl_context=insecure())
    with pytest.raises(imaplib.IMAP4.error):
        m.login(user, "wrong")
    m.shutdown()
    p = poplib.POP3_SSL("127.0.0.1", i.port["pop3s"], context=insecure())
    p.user(user)
    with pytest.raises(poplib.error_proto):
        p.pass_("wrong")
    i.log.wait(r"SASL \w+ authentication failed")
    i.log.wait(r"imap-login: .*\(auth failed, 1 attempts")


def test_new_mail_is_pushed_to_an_idle_session(instance):
    i = instance()
    m = imaplib.IMAP4_SSL("127.0.0.1", i.port["imaps"], ssl_context=insecure())
    m.login("bob", i.users["bob"])
    m.select("INBOX")
    m.sock.settimeout(LONG)
    m.send(b"x1 IDLE\r\n")
    assert m.readline().startswith(b"+")
    submit(i)
    while not (line := m.readline()).startswith(b"* 1 EXISTS"):
        assert line
    m.send(b"DONE\r\n")
    while not (line := m.readline()).startswith(b"x1 OK"):
        assert line


def test_forward_file_and_command(instance, tmp_path):
    if __import__("os").geteuid() != 0:
        pytest.skip("needs root: deliveries as several users")
    i = instance(aliases=f"keep: |\"cat >{tmp_path}/taken\"\nfile: {tmp_path}/box\n", allow_mail_to_commands="alias", allow_mail_to_files="alias")
    __import__("os").chmod(tmp_path, 0o777)
    for p in tmp_path.parents:
        if str(p) in ("/tmp", "/"):
            break
        __import__("os").chmod(p, 0o755)
    i.run("sendmail", "keep@localhost", "file@localhost", input="Subject: one\n\nbody\n")
    i.log.wait(r"to=<keep@localhost>, relay=local, .*status=sent \(delivered to command: cat >")
    i.log.wait(r"to=<file@localhost>, relay=local, .*status=sent \(delivered to file: ")
    assert "\nbody\n" in (tmp_path / "taken").read_text()
    assert (tmp_path / "box").read_text().startswith("From ")
