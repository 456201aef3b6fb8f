"""Each daemon runs under its own user and root directory, and cannot reach what is not its job (design of the processes: ARCHITECTURE.md)."""
import os, pwd, subprocess

import pytest

from clients import Smtp
from instance import AS_ROOT
from test_mailflow import imap_fetch, pop3_fetch, submit

# daemon: (user, chrooted into the queue)
TABLE = {
    "master": ("root", False), "smtpd": ("merpati-net", True), "smtp": ("merpati-net", True), "imapd-front": ("merpati-net", True),
    "pop3d-front": ("merpati-net", True), "pickup": ("merpati", True), "cleanup": ("merpati", None), "qmgr": ("merpati", True), "bounce": ("merpati", None),
    "trivial-rewrite": ("merpati", None), "anvil": ("merpati", True),
}


def role(pid, name):
    if name in ("imapd", "pop3d"):
        arguments = open(f"/proc/{pid}/cmdline").read().split("\0")
        return name + ("-front" if "inet" in arguments else "-session")
    return name


@pytest.fixture
def busy(instance):
    if not AS_ROOT:
        pytest.skip("needs root: without it every daemon runs as the caller")
    i = instance(transport_maps="inline:{ {gone.test=error:5.1.1 no} }", relayhost="[127.0.0.1]:9", smtpd_reject_unlisted_recipient="no", smtpd_client_connection_rate_limit=1000, smtpd_client_event_limit_exceptions="")
    submit(i, recipients=("bob@example.test", "x@gone.test", "y@far.test"))
    i.wait_delivered()
    i.log.wait("status=deferred")
    imap_fetch(i, "bob")
    pop3_fetch(i, "bob")
    return i


def test_users_and_roots(busy):
    seen = {}
    for pid, name in busy.pids().items():
        status = dict(l.split(":\t", 1) for l in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in l)
        seen.setdefault(role(pid, name), []).append(
            (pwd.getpwuid(int(status["Uid"].split()[1])).pw_name if int(status["Uid"].split()[1]) != 5000 else "5000", os.readlink(f"/proc/{pid}/root"),
             status["NoNewPrivs"].strip()))
    print(subprocess.run(["ps", "-eo", "pid,ppid,user:14,args", "--forest"], capture_output=True, text=True).stdout)
    for daemon, (user, chrooted) in TABLE.items():
        assert daemon in seen, (daemon, seen)
        for who, root, no_new_privs in seen[daemon]:
            assert who == user, (daemon, who)
            if chrooted is not None:
                assert root == (str(busy.dir / "queue") if chrooted else "/"), (daemon, root)
            if daemon != "master":
                assert no_new_privs == "1", daemon


def test_no_daemon_opens_what_is_outside_its_reach(busy):
    """Each worker is stopped by gdb-less means: a probe compiled into every daemon answers to its own test switch, see `merpati check --sandbox`."""
    p = busy.run("merpati", "-c", busy.conf, "check", "--sandbox", check=False)
    assert p.returncode == 0, p.stdout + p.stderr
    lines = [l.split() for l in p.stdout.splitlines() if l.startswith("sandbox ")]
    assert {l[1] for l in lines} >= {"smtpd", "smtp", "cleanup", "qmgr", "pickup", "bounce", "trivial-rewrite", "imapd", "pop3d"}, p.stdout
    assert all(l[-1] == "denied" for l in lines), p.stdout


@pytest.mark.skipif(not AS_ROOT, reason="needs root: without it nothing is chrooted")
def test_system_users_are_known_in_the_chroot(instance):
    i = instance(mydestination="localhost, sys.test", alias_maps="")
    s = Smtp(i.port["smtp"])
    s.cmd("EHLO x.test")
    assert s.cmd("MAIL FROM:<a@x.test>")[0] == 250
    assert s.cmd("RCPT TO:<root@sys.test>")[0] == 250
    assert s.cmd("RCPT TO:<no-such-user@sys.test>")[0] == 550
