"""A Maildir that a real Dovecot wrote (data/dovecot_maildir.json has its files, and what Dovecot said of them), taken over in place."""
import imaplib, json, os, pathlib, poplib, re

import pytest

from instance import AS_ROOT, VMAIL

RECORDED = json.loads((pathlib.Path(__file__).parent / "data" / "dovecot_maildir.json").read_text())
EXPECTED = RECORDED["expected"]


def restore(box):
    box.mkdir(exist_ok=True)
    for name, content in RECORDED["files"].items():
        path = box / name
        if content is None:
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(content[0].encode("latin1"))
            os.utime(path, (content[1], content[1]))
    if AS_ROOT:
        for path in (box, *box.rglob("*")):
            os.chown(path, VMAIL, VMAIL)


@pytest.fixture
def taken_over(instance):
    i = instance(imap_max=0, imapd_plaintext_auth="yes", disable_plaintext_auth="no")
    restore(i.dir / "mail" / "bob")
    return i


def login(i):
    c = imaplib.IMAP4("127.0.0.1", i.port["imap"], timeout=30)
    c.login("bob", i.users["bob"])
    return c


def listing(c, name):
    c.select(name, readonly=True)
    messages = []
    for line in c.fetch("1:*", "(UID FLAGS RFC822.SIZE INTERNALDATE)")[1]:
        line = line.decode()
        flags = sorted(f for f in re.search(r"FLAGS \((.*?)\)", line)[1].split() if f != "\\Recent")
        messages.append([int(re.search(r"UID (\d+)", line)[1]), flags, int(re.search(r"SIZE (\d+)", line)[1]), re.search(r'DATE "(.*?)"', line)[1].strip()])
    return {"validity": c.response("UIDVALIDITY")[1][0].decode(), "messages": messages,
            "next": re.search(r"UIDNEXT (\d+)", c.status(name, "(UIDNEXT)")[1][0].decode())[1]}


@pytest.mark.parametrize("box", ["INBOX", "Work.2026"])
def test_uids_flags_keywords_sizes_and_dates(taken_over, box):
    c = login(taken_over)
    assert listing(c, box) == EXPECTED[box]
    c.append(box, None, None, b"Subject: one more\r\n\r\nx\r\n")
    index = taken_over.dir / "mail" / "bob" / ("" if box == "INBOX" else "." + box) / "merpati.index"
    index.unlink()
    c = login(taken_over)
    again = listing(c, box)
    assert again["messages"][:-1] == EXPECTED[box]["messages"] and again["validity"] == EXPECTED[box]["validity"]
    assert again["messages"][-1][0] == int(EXPECTED[box]["next"])


def test_subscriptions(taken_over):
    c = login(taken_over)
    names = sorted(re.search(rb'"\." "?(.*?)"?$', l)[1].decode() for l in c.lsub()[1])
    assert names == EXPECTED["subscribed"] or names == sorted(EXPECTED["subscribed"] + ["gone"])


def test_pop3_uidls(taken_over):
    def uidls():
        p = poplib.POP3("127.0.0.1", taken_over.port["pop3"], timeout=30)
        p.user("bob")
        p.pass_(taken_over.users["bob"])
        return [l.decode().split()[1] for l in p.uidl()[1]]

    assert uidls() == EXPECTED["uidl"]
    c = login(taken_over)
    c.select("INBOX")
    c.store("1:*", "+FLAGS", "(\\Seen new-keyword)")
    assert uidls() == EXPECTED["uidl"]


def test_the_lists_stay_readable_for_dovecot(taken_over):
    """Its own lines stay as they are; ours have the same form."""
    box = taken_over.dir / "mail" / "bob"
    before = (box / "dovecot-uidlist").read_text()
    c = login(taken_over)
    c.append("INBOX", None, None, b"Subject: one more\r\n\r\nx\r\n")
    c.select("INBOX")
    c.store("1", "+FLAGS", "(fresh)")
    after = (box / "dovecot-uidlist").read_text()
    assert after.startswith(before) and re.fullmatch(r"8 :[^:\n]+\n", after[len(before):])
    assert (box / "dovecot-keywords").read_text().splitlines() == ["0 $Forwarded", "1 work", "2 $Junk", "3 fresh"]
