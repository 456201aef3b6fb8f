"""The recorded answers of the reference servers, where the folder ../shared is there."""
import os, re, subprocess, sys

import pytest

from instance import AS_ROOT, LONG, ROOT, SHARED, free_port

ACCEPTANCE = SHARED / "acceptance"
DEFENDED = set()  # doc/differences.md
pytestmark = pytest.mark.skipif(not ACCEPTANCE.exists(), reason="../shared/acceptance is not beside this clone: the recorded answers are kept there")


def run(args, timeout=LONG * 20):
    env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", PATH=f"{ROOT}/sbin:{os.environ['PATH']}")
    p = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=timeout, env=env, cwd="/tmp")
    return p.returncode, p.stdout + p.stderr


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["base", "barelf-no", "barelf-yes", "barelf-reject", "tls", "auth", "relay", "limits", "restrict", "nodelay", "reorder", "maps", "catchall", "xclient"])
def test_smtp_dialogs(variant):
    if not AS_ROOT:
        pytest.skip("needs root: the recorded suite runs as root")
    owner = ("--set", "mail_owner=merpati", "--set", "setgid_group=merpatidrop", "--set", f"daemon_directory={ROOT}/libexec/merpati")
    rc, out = run([sys.executable, ACCEPTANCE / "smtp" / "smtp_diff.py", "check", "--command-dir", ROOT / "sbin", *owner, "--variant", variant, "--base-port",
                   free_port() + 20, "-v"])
    differ = set(re.findall(r"^([\w.-]+) \[[\w-]+\] .*: [a-z,-]+$", out, re.M)) - DEFENDED
    assert re.search(r"^\d+ dialogs: \d+ identical", out, re.M) and not differ, (differ, out[-6000:])


def bad(out):
    """The cases that did not pass, each with its notes."""
    return "\n".join(re.findall(r"^(?:FAIL|ERROR)[^\n]*(?:\n\s[^\n]*)*", out, re.M))[:3000] or out[-3000:]


def ports(i):
    return [str(x) for pair in (("--port", i.port["imap"]), ("--tls-port", i.port["imaps"])) for x in pair]


def test_imap_cases(instance):
    i = instance(users={"u1": "pass", "u2": "pass"}, imap_max=0)
    merpati = f"{ROOT}/sbin/merpati -c {i.conf}"
    rc, out = run([sys.executable, ACCEPTANCE / "imap" / "imap_check.py", *ports(i), "--user", "u1", "--user2", "u2", "--restart-cmd",
                   f"{merpati} stop; {merpati} start"])
    assert rc == 0 and re.search(r"^\d+ cases: 1[01]\d passed, 0 failed", out, re.M), bad(out)


def test_pop3_cases(instance):
    i = instance(users={"u1": "pass", "u2": "pass"}, imap_max=0)
    rc, out = run([sys.executable, ACCEPTANCE / "pop3" / "pop3_check.py", "--port", i.port["pop3"], "--tls-port", i.port["pop3s"], "--imap-port", i.port["imap"],
                   "--user", "u1", "--user2", "u2"])
    assert rc == 0 and "32 cases: 32 passed" in out, bad(out)
