"""Thousands of idle sessions at once, all answered."""
import resource, socket

import pytest

from instance import AS_ROOT, LONG

SMTP, IMAP = 5000, 2000


def pss_kb(i):
    total = 0
    for pid in i.pids():
        try:
            for line in open(f"/proc/{pid}/smaps_rollup"):
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            pass
    return total


class Line:
    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port), LONG)
        self.b = b""

    def read(self):
        while b"\n" not in self.b:
            data = self.s.recv(4096)
            assert data, "closed"
            self.b += data
        line, self.b = self.b.split(b"\n", 1)
        return line

    def until(self, start):
        while not (l := self.read()).startswith(start):
            assert not l.startswith((b"4", b"5")), l
        return l


@pytest.mark.slow
def test_thousands_of_idle_sessions_are_answered(instance, record_property):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < SMTP + IMAP + 500:
        pytest.skip(f"the limit of open files here is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    i = instance(smtp_max=SMTP + 100, imap_max=IMAP + 100, default_process_limit=SMTP, mail_max_userip_connections=0,
                 smtpd_timeout="3600s", imapd_plaintext_auth="yes", disable_plaintext_auth="no")
    base = pss_kb(i)
    smtp = [Line(i.port["smtp"]) for _ in range(SMTP)]
    for s in smtp:
        s.until(b"220 ")
        s.s.sendall(b"EHLO idle.test\r\n")
    for s in smtp:
        s.until(b"250 ")
    after_smtp = pss_kb(i)
    imap = []
    for n in range(IMAP):
        c = Line(i.port["imap"])
        c.until(b"* OK")
        c.s.sendall(b'a LOGIN "bob" "%s"\r\nb SELECT INBOX\r\nc IDLE\r\n' % i.users["bob"].encode())
        imap.append(c)
    for c in imap:
        c.until(b"b OK")
        c.until(b"+ ")
    after_imap = pss_kb(i)
    for s in smtp:
        s.s.sendall(b"NOOP\r\n")
    for s in smtp:
        s.until(b"250 ")
    i.run("sendmail", "-f", "x@example.test", "bob@example.test", input="Subject: wake up\n\nall of you\n")
    for c in imap:
        c.until(b"* 1 EXISTS")
        c.s.sendall(b"DONE\r\n")
        c.until(b"c OK")
    smtp_kb, imap_kb = (after_smtp - base) / SMTP, (after_imap - after_smtp) / IMAP
    record_property("pss_kib_per_idle_smtp_session", smtp_kb)
    record_property("pss_kib_per_idle_imap_session", imap_kb)
    print(f"\nproportional memory of an idle session: SMTP {smtp_kb:.1f} KiB, IMAP {imap_kb:.1f} KiB")
    assert smtp_kb < 100 and imap_kb < 100  # the aim is 40; past 100 something is wrong
    for s in smtp + imap:
        s.s.close()
