"""The order of effects, seen in the system calls: no 250 before the message is on stable storage, no removal before the delivery is."""
import re, shutil, subprocess

import pytest

from clients import Smtp
from instance import LONG


def trace(i, names, path, also="fsync"):
    pids = [str(p) for p, n in i.pids().items() if n in names]
    assert pids, f"none of {names} runs"
    p = subprocess.Popen(["strace", "-f", "-y", "-s", "300", "-ttt", "-e",
                          f"trace={also},fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,sendto,sendmsg,write,writev,pwrite64,pwritev",
                          "-o", str(path), *[x for pid in pids for x in ("-p", pid)]], stderr=subprocess.PIPE, text=True)
    for line in p.stderr:
        if "attached" in line:
            break
    return p


def calls(path):
    """(time of the call's end, text) in order; unfinished calls are joined to their resumption."""
    open_calls, found = {}, []
    for line in path.read_text(errors="replace").splitlines():
        pid, at, text = line.split(None, 2)
        if text.endswith("<unfinished ...>"):
            open_calls[pid] = text[: -len("<unfinished ...>")].rstrip()
            continue
        m = re.match(r"<\.\.\. \w+ resumed>\s?(.*)", text)
        if m:
            text = open_calls.pop(pid, "") + m[1]
        found.append((float(at), text))
    return sorted(found)


def when(found, pattern, last=False):
    hits = [at for at, text in found if re.search(pattern, text)]
    assert hits, f"no call matches {pattern!r} in\n" + "\n".join(t for _, t in found[-60:])
    return hits[-1] if last else hits[0]


@pytest.fixture
def traced(instance, tmp_path):
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    i = instance()
    s = Smtp(i.port["smtp"])
    s.cmd("EHLO order.test")
    # Once before: every process is there when strace comes.
    assert s.send("x@order.test", ["bob@example.test"], b"Subject: before\n\nx\n")[0] == 250
    i.wait_delivered()
    i.wait_empty()
    p = trace(i, {"smtpd", "cleanup", "qmgr", "virtual"}, tmp_path / "trace")
    code, text = s.send("x@order.test", ["bob@example.test"], b"Subject: traced\n\nx\n")
    assert code == 250
    i.wait_delivered(2)
    i.log.wait(r"qmgr\[\d+\]: \w+: removed", 2)
    p.send_signal(2)
    p.wait(LONG)
    return calls(tmp_path / "trace"), text.split()[-1]


def test_the_250_comes_after_the_sync_of_file_and_directory(traced):
    found, queue_id = traced
    acknowledged = when(found, rf'"250 2\.0\.0 Ok: queued as {queue_id}')
    file_synced = when(found, r"f(data)?sync\(\d+<[^>]*/incoming/[^>]+>\)\s+= 0")
    named = when(found, rf'(rename|link)\w*\(.*incoming/{queue_id}"')
    directory_synced = [at for at, t in found if re.search(r"f(data)?sync\(\d+<[^>]*/incoming>\)\s+= 0", t) and at > named]
    assert file_synced < acknowledged and named < acknowledged
    assert directory_synced and directory_synced[0] < acknowledged


def test_the_removal_comes_after_the_sync_of_the_mailbox(traced):
    found, queue_id = traced
    removed = when(found, rf'(unlink|rename)\w*\(.*active/{queue_id}"', last=True)
    delivered = when(found, r'(rename|link)\w*\(.*/tmp/.*/new/')
    file_synced = when(found, r"f(data)?sync\(\d+<[^>]*/mail/bob/tmp/[^>]+>\)\s+= 0")
    directory_synced = [at for at, t in found if re.search(r"f(data)?sync\(\d+<[^>]*/mail/bob/new>\)\s+= 0", t) and at > delivered]
    assert file_synced < removed
    assert directory_synced and directory_synced[0] < removed
