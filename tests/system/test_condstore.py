"""CONDSTORE (RFC 7162), and the index that its modseqs are kept in."""
import os, re, shutil, signal, socket, subprocess

import pytest

from instance import LONG


class Imap:
    def __init__(self, i, user="bob"):
        self.s = socket.create_connection(("127.0.0.1", i.port["imap"]), LONG)
        self.f = self.s.makefile("rb")
        self.n = 0
        self.f.readline()
        self.ok(f'LOGIN {user} "{i.users[user]}"')

    def send(self, text):
        self.n += 1
        self.s.sendall(f"t{self.n} {text}\r\n".encode())
        return f"t{self.n} "

    def line(self):
        line = self.f.readline().decode("utf-8", "replace")
        assert line, "closed"
        return line.rstrip("\r\n")

    def answer(self, tag):
        lines = []
        while not (line := self.line()).startswith(tag):
            lines.append(line)
        return lines, line[len(tag):]

    def cmd(self, text):
        return self.answer(self.send(text))

    def ok(self, text):
        lines, end = self.cmd(text)
        assert end.startswith("OK"), (text, end)
        return lines, end

    def append(self, box="INBOX", text="Subject: x\r\n\r\nx\r\n", flags=""):
        return self.ok(f"APPEND {box} {flags}{{{len(text)}+}}\r\n{text}")


def highest(lines):
    return int(re.search(r"HIGHESTMODSEQ (\d+)", "\n".join(lines)).group(1))


def modseqs(lines):
    return {int(m[1]): int(m[2]) for l in lines if (m := re.match(r"\* (\d+) FETCH .*MODSEQ \((\d+)\)", l))}


@pytest.fixture
def imap(instance):
    i = instance(imap_max=0, imapd_plaintext_auth="yes", disable_plaintext_auth="no")
    c = Imap(i)
    for n in range(3):
        c.append()
    c.instance = i
    return c


def test_capability_enable_and_select(imap):
    assert "CONDSTORE" in imap.ok("CAPABILITY")[0][0]
    assert imap.ok("ENABLE X-FOO CONDSTORE")[0] == ["* ENABLED CONDSTORE"]
    h = highest(imap.ok("SELECT INBOX (CONDSTORE)")[0])
    assert max(modseqs(imap.ok("FETCH 1:* (MODSEQ)")[0]).values()) == h
    assert imap.cmd("SELECT INBOX (NOSUCH)")[1].startswith("BAD")
    assert imap.cmd("SELECT INBOX (CONDSTORE")[1].startswith("BAD")


def test_status_shows_what_rises(imap):
    def status():
        return highest(imap.ok("STATUS INBOX (HIGHESTMODSEQ)")[0])

    seen = [status()]
    imap.append()
    seen.append(status())
    imap.ok("SELECT INBOX")
    imap.ok("STORE 1 +FLAGS (\\Seen)")
    seen.append(status())
    imap.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    imap.ok("EXPUNGE")
    seen.append(status())
    imap.ok("COPY 1 INBOX")
    seen.append(status())
    imap.ok("CREATE there")
    imap.ok("MOVE 1 there")
    seen.append(status())
    imap.ok("NOOP")
    assert seen == sorted(set(seen)) and status() == seen[-1]


def test_fetch_changedsince(imap):
    h = highest(imap.ok("SELECT INBOX")[0])
    imap.ok("STORE 2 +FLAGS.SILENT (\\Flagged)")
    lines, _ = imap.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {h})")
    assert lines.pop(0).startswith("* OK [HIGHESTMODSEQ ")  # now it is enabled
    assert len(lines) == 1 and re.match(r"\* 2 FETCH \(UID 2 FLAGS \(.*\\Flagged.*\) MODSEQ \(\d+\)\)", lines[0]), lines
    now = modseqs(lines)[2]
    assert now > h and imap.ok(f"FETCH 1:* (FLAGS) (CHANGEDSINCE {now})")[0] == []
    for bad in ("FETCH 1 (FLAGS) (CHANGEDSINCE 0)", "FETCH 1 (FLAGS) (CHANGEDSINCE x)", "FETCH 1 (FLAGS) CHANGEDSINCE 3", "FETCH 1 (FLAGS) (UNCHANGEDSINCE 3)"):
        assert imap.cmd(bad)[1].startswith("BAD"), bad


def test_store_unchangedsince(imap):
    h = highest(imap.ok("SELECT INBOX (CONDSTORE)")[0])
    other = Imap(imap.instance)
    other.ok("SELECT INBOX")
    other.ok("STORE 2 +FLAGS (\\Flagged)")
    lines, end = imap.cmd(f"STORE 1:3 (UNCHANGEDSINCE {h}) +FLAGS.SILENT (\\Answered)")
    assert end.startswith("OK [MODIFIED 2]"), end
    assert {1, 3} <= set(modseqs(lines)) and not any("Answered" in l and l.startswith("* 2 ") for l in lines), lines
    assert "Answered" not in imap.ok("FETCH 2 FLAGS")[0][0] and "Answered" in imap.ok("FETCH 1 FLAGS")[0][0]
    assert imap.cmd(f"UID STORE 3 (UNCHANGEDSINCE 0) +FLAGS (\\Seen)")[1].startswith("OK [MODIFIED 3]")
    assert imap.cmd("STORE 3 (UNCHANGEDSINCE x) +FLAGS (\\Seen)")[1].startswith("BAD")
    before = modseqs(imap.ok("FETCH 3 MODSEQ")[0])
    imap.ok("STORE 3 +FLAGS (\\Answered)")  # it has it
    assert modseqs(imap.ok("FETCH 3 MODSEQ")[0]) == before


def test_search_modseq(imap):
    h = highest(imap.ok("SELECT INBOX")[0])
    imap.ok("STORE 2 +FLAGS.SILENT (\\Flagged)")
    now = modseqs(imap.ok("FETCH 2 MODSEQ")[0])[2]
    assert imap.ok(f"SEARCH MODSEQ {h + 1}")[0] == [f"* SEARCH 2 (MODSEQ {now})"]
    assert imap.ok(f'SEARCH MODSEQ "/flags/\\\\draft" all {h + 1}')[0] == [f"* SEARCH 2 (MODSEQ {now})"]
    assert imap.ok(f"SEARCH MODSEQ {now + 1}")[0] == ["* SEARCH"]
    assert re.search(rf"MIN 1 .*MODSEQ \d+$", imap.ok("SEARCH RETURN (MIN) MODSEQ 1")[0][0])
    assert imap.ok("SEARCH RETURN (ALL) MODSEQ 1")[0][0].endswith(f"ALL 1:3 MODSEQ {now}")


def test_others_changes_are_told_with_their_modseq(imap):
    imap.ok("SELECT INBOX (CONDSTORE)")
    other = Imap(imap.instance)
    other.ok("SELECT INBOX")
    tag = imap.send("IDLE")
    assert imap.line().startswith("+")
    other.ok("STORE 1 +FLAGS (\\Flagged work)")
    while not (line := imap.line()).startswith("* 1 FETCH"):
        pass
    assert "work" in line and "MODSEQ (" in line
    other.append()
    while imap.line() != "* 4 EXISTS":
        pass
    imap.s.sendall(b"DONE\r\n")
    imap.answer(tag)
    lines, _ = imap.ok("FETCH 2 BODY[]")  # sets \Seen
    assert any(re.search(r"FLAGS \(.*\\Seen.*MODSEQ \(\d+\)", l) for l in lines), lines


def test_uids_and_modseqs_survive_the_loss_of_the_index(imap):
    i = imap.instance
    imap.ok("SELECT INBOX (CONDSTORE)")
    imap.ok("STORE 1 +FLAGS (\\Seen)")
    def uids():
        return [re.search(r"UID (\d+)", l).group(1) for l in imap.ok("FETCH 1:* UID")[0]]

    lines, _ = imap.ok("SELECT INBOX")
    before, known, h = uids(), re.search(r"UIDVALIDITY (\d+)", "\n".join(lines)).group(1), highest(lines)
    for damage in ("remove", "rubbish", "cut"):
        index = i.dir / "mail" / "bob" / "merpati.index"
        if damage == "remove":
            index.unlink()
        elif damage == "rubbish":
            index.write_bytes(os.urandom(20000))
        else:
            os.truncate(index, 0)
        imap.ok("UNSELECT")
        lines, _ = imap.ok("SELECT INBOX")
        assert re.search(r"UIDVALIDITY (\d+)", "\n".join(lines)).group(1) == known
        assert uids() == before and highest(lines) > h, damage
        h = highest(lines)
        imap.ok("STORE 1 -FLAGS (\\Seen)")
        imap.ok("STORE 1 +FLAGS (\\Seen)")
        assert min(modseqs(imap.ok("FETCH 1 MODSEQ")[0]).values()) > h


def test_foreign_programs_changes_are_seen(imap):
    box = imap.instance.dir / "mail" / "bob"
    h = highest(imap.ok("SELECT INBOX (CONDSTORE)")[0])
    names = sorted(n for n in os.listdir(box / "cur"))
    os.rename(box / "cur" / names[0], box / "cur" / (names[0].split(":")[0] + ":2,FS"))
    os.unlink(box / "cur" / names[1])
    shutil.copy(box / "cur" / names[2], box / "new" / "1999999999.M1P1.foreign")
    seen = imap.ok("NOOP")[0]
    text = "\n".join(seen)
    assert "EXPUNGE" in text and "* 3 EXISTS" in text and re.search(r"FETCH \(FLAGS \(\\Flagged \\Seen.*MODSEQ \((\d+)\)", text), seen
    assert min(modseqs(seen).values()) > h


def again(i):
    """A login that a dying process got is closed; clients try again."""
    for _ in range(20):
        try:
            return Imap(i)
        except (AssertionError, OSError):
            pass
    return Imap(i)


def test_sessions_killed_in_the_middle_leave_a_usable_mailbox(imap):
    i = imap.instance
    for n in range(8):
        c = again(i)
        h = highest(c.ok("SELECT INBOX (CONDSTORE)")[0])
        c.s.sendall(b"".join(b"s%d STORE 1:* %sFLAGS (\\Seen k%d)\r\n" % (k, b"-" if k % 2 else b"+", k % 5) for k in range(200)))
        c.line()
        i.log.wait(r"imap-login: Login: user=<bob>.*mpid=(\d+)", n + 2)
        for found in i.log.wait(r"imap-login: Login: user=<bob>.*mpid=(\d+)"):
            try:
                os.kill(int(found.group(1)), signal.SIGKILL)
            except ProcessLookupError:
                pass
    c = again(i)
    lines, _ = c.ok("SELECT INBOX (CONDSTORE)")
    assert highest(lines) >= h and "* 3 EXISTS" in lines
    told = [re.search(r"UID (\d+) FLAGS \((.*?)\)", l).group(1, 2) for l in c.ok("FETCH 1:* (UID FLAGS)")[0]]
    (i.dir / "mail" / "bob" / "merpati.index").unlink()
    c.ok("UNSELECT")
    c.ok("SELECT INBOX")
    assert told == [re.search(r"UID (\d+) FLAGS \((.*?)\)", l).group(1, 2) for l in c.ok("FETCH 1:* (UID FLAGS)")[0]]


def test_a_new_message_is_told_without_reading_cur(imap, tmp_path):
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    i = imap.instance
    box = i.dir / "mail" / "bob"
    imap.ok("SELECT INBOX")
    imap.send("IDLE")
    while not imap.line().startswith("+"):
        pass
    pid = i.log.wait(r"imap-login: Login: user=<bob>.*mpid=(\d+)")[-1].group(1)
    i.run("sendmail", "-f", "x@example.test", "bob@example.test", input="Subject: first\n\nx\n")  # the index was made a moment ago: it looks once more
    while imap.line() != "* 4 EXISTS":
        pass
    trace = tmp_path / "trace"
    p = subprocess.Popen(["strace", "-f", "-y", "-e", "trace=getdents64", "-o", str(trace), "-p", pid], stderr=subprocess.PIPE, text=True)
    assert "attached" in p.stderr.readline()
    try:
        for n in range(3):
            i.run("sendmail", "-f", "x@example.test", "bob@example.test", input=f"Subject: {n}\n\nx\n")
            while imap.line() != f"* {n + 5} EXISTS":
                pass
    finally:
        p.terminate()
        p.communicate()
    text = trace.read_text()
    assert "/new>" in text and "/cur>" not in text, text
