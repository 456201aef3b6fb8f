"""The processes that deliver into virtual mailboxes: what they may not do, and what becomes of mailboxes out of their reach."""
import os

import pytest

from instance import AS_ROOT, VMAIL
from test_mailflow import submit


def deliverers(i):
    found = {}
    for pid, name in i.pids().items():
        status = dict(l.split(":\t", 1) for l in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in l)
        if name == "virtual" and int(status["Uid"].split()[1]) == VMAIL:
            found[pid] = status
    return found


@pytest.mark.skipif(not AS_ROOT, reason="needs root: without it deliveries are done by virtual itself")
def test_delivering_processes_are_confined(instance):
    i = instance()
    submit(i)
    i.wait_delivered()
    found = deliverers(i)
    assert found
    for status in found.values():
        assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"
        assert int(status["CapEff"], 16) == 0


@pytest.mark.skipif(not AS_ROOT, reason="needs root: without it deliveries are done by virtual itself")
def test_a_mailbox_behind_a_link_out_of_the_folders_waits_for_the_operator(instance, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.chown(elsewhere, VMAIL, VMAIL)
    for p in (tmp_path, *tmp_path.parents):
        if str(p) not in ("/", "/tmp"):
            os.chmod(p, 0o755)
    i = instance()
    (i.dir / "mail" / "bob").symlink_to(elsewhere)
    submit(i, recipients=("bob@example.test",))
    i.log.wait("status=deferred")
    i.log.wait("virtual_mailbox_folders does not name")
    assert not list(elsewhere.iterdir())
    i.main["virtual_mailbox_folders"] = f"$virtual_mailbox_base {elsewhere}"
    i.write_main()
    i.reload()
    i.run("postqueue", "-c", i.conf, "-f")
    i.log.wait("status=sent")
    assert len(list((elsewhere / "new").iterdir())) == 1
