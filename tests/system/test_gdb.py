"""The gdb helper finds the fibers of a daemon that has work."""
import pathlib, re, shutil, subprocess

import pytest

from clients import Smtp
from instance import AS_ROOT, LONG

HELPER = pathlib.Path(__file__).resolve().parents[2] / "tools" / "gdb_fibers.py"


def gdb(pid, *commands):
    p = subprocess.run(["gdb", "-nx", "-batch", "-p", str(pid), "-iex", "set debuginfod enabled off", "-x", str(HELPER), *[x for c in commands for x in ("-ex", c)]],
                       capture_output=True, text=True, timeout=LONG * 3)
    return p.stdout + p.stderr


def test_parked_fibers_are_listed_and_unwound(instance):
    if not shutil.which("gdb"):
        pytest.skip("gdb is not installed")
    if not AS_ROOT:
        pytest.skip("needs root: daemons are not dumpable")
    i = instance()
    sessions = [Smtp(i.port["smtp"]) for _ in range(6)]
    for s in sessions:
        assert s.cmd("EHLO gdb.test")[0] == 250
    sessions[0].cmd("MAIL FROM:<a@example.test>")
    text = ""
    for pid, name in i.pids().items():
        if name == "smtpd":
            text += gdb(pid, "fibers", "fibers smtpd")
    listed = re.findall(r"^smtpd +parked +session_fiber +in (\w+) at \S*smtpd/", text, re.M)
    assert len(listed) == 6, text
    assert re.search(r"^accept +parked +accept_fiber", text, re.M), text
    chains = re.findall(r"^fiber smtpd, parked, session_fiber\n((?:  #.*\n)+)", text, re.M)
    assert len(chains) == 6, text
    for c in chains:  # from the switch up to where the fiber began
        assert re.search("switch_to_scheduler.*io_wait.*stream_fill.*smtpd_read_line.*session_fiber.*fiber_entry", c, re.S), c
    for s in sessions:  # nothing was disturbed
        assert s.cmd("NOOP")[0] == 250
