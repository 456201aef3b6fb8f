"""Many messages, many sessions: counted, none lost, none doubled."""
import socket, threading, time

import pytest

import peers
from clients import Smtp
from instance import LONG


@pytest.mark.slow
def test_ten_thousand_messages_over_a_hundred_connections_are_relayed(instance, tmp_path):
    peers.need()
    tmp_path.chmod(0o755)
    with peers.Sink(tmp_path) as sink:
        i = instance(transport_maps="inline:{far.test=smtp:[127.0.0.1]:%d}" % sink.port, smtp_max=300)
        peers.source(i.port["smtp"], 10000, 100, "x@far.test", size=2000)
        i.log.wait(r"qmgr\[\d+\]: \w+: removed", 10000, timeout=LONG * 6)
        assert i.queue() == []
        assert sink.count() == 10000


def send_numbered(port, numbers, acknowledged, to, sender="load@load.test", stopped=lambda: False):
    """Sends messages until each has its 250, over new connections when one breaks; notes those that got their 250."""
    s = None
    for n in numbers:
        while not stopped():
            try:
                if s is None:
                    s = Smtp(port, timeout=LONG)
                    s.cmd("EHLO load.test")
                code, _ = s.send(sender, [to], f"From: load@load.test\nMessage-ID: <{n}@load.test>\nSubject: {n}\n\n{'x' * 60}\n".encode())
                if code == 250:
                    acknowledged.add(n)
                    break
            except (OSError, EOFError, AssertionError):
                if s:
                    s.close()
                else:
                    time.sleep(0.01)  # nobody listens: not the same again at once
                s = None
    if s:
        s.close()


def test_no_message_is_lost_or_doubled_on_the_relay_path(instance):
    with peers.RecordingSink() as sink:
        i = instance(transport_maps="inline:{far.test=smtp:[127.0.0.1]:%d}" % sink.port)
        done = [set() for _ in range(8)]
        threads = [threading.Thread(target=send_numbered, args=(i.port["smtp"], [f"{t}.{n}" for n in range(50)], done[t], "x@far.test")) for t in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        i.log.wait(r"qmgr\[\d+\]: \w+: removed", 400)
        names = [name.decode() for name, _ in sink.taken]
        assert len(names) == len(set(names)) == 400
        assert set(names) == {f"<{n}@load.test>" for d in done for n in d}


def test_many_recipients_each_get_one_copy(instance):
    users = {f"u{n}": "secret-1" for n in range(60)}
    i = instance(users=users)
    s = Smtp(i.port["smtp"])
    s.cmd("EHLO load.test")
    assert s.send("x@load.test", [f"{u}@example.test" for u in users] + ["u1@example.test"], b"Subject: to all\n\nhello\n")[0] == 250
    i.wait_delivered(60)
    i.wait_empty()
    assert all(len(i.maildir(u)) == 1 for u in users)
