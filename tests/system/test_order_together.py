"""The order of effects when many messages are delivered at the same time and share their syncs."""
import re, shutil, threading

import pytest

from clients import Smtp
from instance import LONG
from test_order import trace

SESSIONS, EACH = 12, 6


def spans(path):
    """(begin, end, text) of each finished call."""
    begun, found = {}, []
    for line in path.read_text(errors="replace").splitlines():
        pid, at, text = line.split(None, 2)
        at = float(at)
        if text.endswith("<unfinished ...>"):
            begun[pid] = at, text[: -len("<unfinished ...>")].rstrip()
            continue
        m = re.match(r"<\.\.\. \w+ resumed>\s?(.*)", text)
        first, text = (lambda b: (b[0], b[1] + m[1]))(begun.pop(pid, (at, ""))) if m else (at, text)
        found.append((first, at, text))
    return found


def only(found, pattern):
    hits = [(a, b) for a, b, text in found if re.search(pattern, text)]
    assert hits, f"no call matches {pattern!r}"
    return hits


def send_many(i, n):
    s = Smtp(i.port["smtp"])
    s.cmd("EHLO order.test")
    for k in range(EACH):
        code, _ = s.send("x@order.test", [f"{'alice' if (n + k) % 3 else 'bob'}@example.test"], b"Subject: many\n\n" + b"x" * 3000 + b"\n")
        assert code == 250
    s.close()


def test_each_of_many_is_on_stable_storage_before_it_is_removed(instance, tmp_path):
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    i = instance()
    send_many(i, 0)
    i.wait_delivered(EACH)
    i.wait_empty()
    p = trace(i, {"qmgr", "virtual"}, tmp_path / "trace", also="syncfs,sync_file_range")
    threads = [threading.Thread(target=send_many, args=(i, n)) for n in range(SESSIONS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    i.wait_delivered(EACH + SESSIONS * EACH)
    i.log.wait(r"qmgr\[\d+\]: \w+: removed", EACH + SESSIONS * EACH)
    p.send_signal(2)
    p.wait(LONG)
    found = spans(tmp_path / "trace")
    files = {}
    for _, _, text in found:
        m = re.match(r"writev\(\d+<[^>]*/mail/(\w+)/tmp/([^>]+)>.*\bid (\w+)", text)
        if m:
            files[m[2]] = m[1], m[3]
    assert len(files) == SESSIONS * EACH
    together = 0
    for name, (user, queue_id) in files.items():
        file = re.escape(name)
        settled = only(found, rf"^(f(data)?sync\(\d+<[^>]*/{file}>\)|sync_file_range\(\d+<[^>]*/{file}>.*WAIT_AFTER\))\s+= 0")
        named = only(found, rf'^rename\(.*/mail/{user}/tmp/{file}".*/mail/{user}/new/{file}"\)\s+= 0')[0]
        removed = only(found, rf'^unlink\(.*active/{queue_id}"')[0]
        assert min(end for _, end in settled) <= named[0], f"{name} shows before its content is settled"
        synced = [1 for a, b, text in found if a >= named[1] and b <= removed[0] and
                  re.match(rf"(f(data)?sync\(\d+<[^>]*/mail/{user}/new>\)|syncfs\(\d+<[^>]*/mail/\w+/\w+/[^>]+>\))\s+= 0", text)]
        assert synced, f"{queue_id} is removed before the entry of {name} is on stable storage"
        one_by_one = re.search(rf"fsync\(\d+<[^>]*/{file}>\)", "\n".join(text for _, _, text in found))
        together += one_by_one is None
    print(f"{together} of {len(files)} shared their syncs")
