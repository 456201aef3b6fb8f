"""The recorded answers of the reference servers, where the folder ../shared is there."""
import os, re, subprocess, sys

import pytest

from instance import AS_ROOT, LONG, ROOT, SHARED, free_port

ACCEPTANCE = SHARED / "acceptance"
pytestmark = pytest.mark.skipif(not ACCEPTANCE.exists(), reason="../shared/acceptance is not beside this clone: the recorded answers are kept there")


def run(args, timeout=LONG * 20):
    env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", PATH=f"{ROOT}/sbin:{os.environ['PATH']}")
    p = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=timeout, env=env, cwd="/tmp")
    return p.returncode, p.stdout + p.stderr


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["base", "barelf-no", "barelf-yes", "barelf-reject", "tls", "auth", "relay", "limits"])
def test_smtp_dialogs(variant):
    if not AS_ROOT:
        pytest.skip("needs root: the recorded suite runs as root")
    owner = ("--set", "mail_owner=merpati", "--set", "setgid_group=merpatidrop", "--set", f"daemon_directory={ROOT}/libexec/merpati")
    rc, out = run([sys.executable, ACCEPTANCE / "smtp" / "smtp_diff.py", "check", "--command-dir", ROOT / "sbin", *owner, "--variant", variant, "--base-port",
                   free_port() + 20, "-v"])
    assert rc == 0, out[-6000:]
