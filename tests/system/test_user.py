"""The whole suite started by an ordinary user: every process is that user's, mail goes in, is kept in a Maildir and fetched, and what confinement is left holds."""
import json, os, pathlib, pwd, re, shutil, subprocess, sys, tempfile

import pytest

from instance import AS_ROOT, LONG, ROOT
from test_sandbox import landlock

HERE = pathlib.Path(__file__).resolve().parent

# Runs as the user. It is given a folder and prints one line of JSON.
SCRIPT = r"""
import json, os, sys
sys.path[:0] = [sys.argv[1] + "/lib", sys.argv[1]]
from instance import Instance
from clients import Smtp
from test_mailflow import submit, imap_fetch, pop3_fetch, MESSAGE
i = Instance(sys.argv[2], aliases='cmd: "|cat >%s/taken"\nfile: %s/box\n' % (sys.argv[2], sys.argv[2]), allow_mail_to_files="alias", allow_mail_to_commands="alias")
out = {}
try:
    i.start()
    submit(i)
    i.wait_delivered()
    i.run("sendmail", "-f", "x@example.test", "cmd@localhost", "file@localhost", input="Subject: local\n\nbody\n")
    i.wait_delivered(3)
    i.wait_empty()
    out["imap"] = [m.endswith(MESSAGE) for m in imap_fetch(i, "bob")]
    out["pop3"] = [m.endswith(MESSAGE) for m in pop3_fetch(i, "bob")]
    out["taken"] = open(sys.argv[2] + "/taken").read()
    out["box"] = open(sys.argv[2] + "/box").read()
    out["maildir"] = len(i.maildir("bob"))
    out["processes"] = {}
    for pid, name in i.pids().items():
        s = dict(l.split(":\t", 1) for l in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in l)
        out["processes"].setdefault(name, []).append({k: s[k] for k in ("Uid", "Seccomp", "NoNewPrivs", "CapEff", "CapPrm")})
    p = i.run("merpati", "-c", i.conf, "check", "--sandbox", check=False)
    out["probe"], out["probe_status"], out["probe_errors"] = p.stdout, p.returncode, p.stderr
    i.reload()
    i.log.wait("reload --")
    assert Smtp(i.port["smtp"]).greeting[0] == 220
finally:
    i.stop()
    out["log"] = i.log_tail(100)
    print(json.dumps(out))
"""


def test_everything_as_an_ordinary_user():
    user = pwd.getpwnam("nobody") if AS_ROOT else pwd.getpwuid(os.geteuid())
    folder = tempfile.mkdtemp(prefix="merpati-user.")
    try:
        shutil.copytree(ROOT, folder + "/root", symlinks=True)  # set-gid programs would be another user's
        os.mkdir(folder + "/mail")
        for dir_, _, files in os.walk(folder):
            os.chown(dir_, user.pw_uid, user.pw_gid)
            for f in files:
                os.chown(os.path.join(dir_, f), user.pw_uid, user.pw_gid, follow_symlinks=False)
        os.chmod(folder, 0o755)
        mine = folder + "/tests"
        shutil.copytree(HERE, mine, ignore=shutil.ignore_patterns("__pycache__"))
        as_user = dict(user=user.pw_uid, group=user.pw_gid, extra_groups=[]) if AS_ROOT else {}
        p = subprocess.run([sys.executable, "-c", SCRIPT, mine, folder + "/mail"], capture_output=True, text=True, timeout=LONG * 6,
                           env=dict(os.environ, MERPATI_ROOT=folder + "/root", HOME=folder, PYTHONDONTWRITEBYTECODE="1"), **as_user)
        assert p.stdout.strip(), p.stderr
        out = json.loads(p.stdout.splitlines()[-1])
        assert p.returncode == 0, p.stderr + out["log"]
        assert out["imap"] == out["pop3"] == [True] and out["maildir"] == 1
        assert "Subject: local" in out["taken"] and "Subject: local" in out["box"]
        for name, processes in out["processes"].items():
            for s in processes:
                assert set(s["Uid"].split()) == {str(user.pw_uid)}, (name, s)
                assert int(s["CapEff"], 16) == int(s["CapPrm"], 16) == 0, (name, s)
                if name not in ("master", "local", "local-users"):  # these may start set-gid programs
                    assert s["Seccomp"] == "2" and s["NoNewPrivs"] == "1", (name, s)
        if landlock() < 3:
            return  # what is left of the confinement is the system call filter
        assert out["probe_status"] == 0, [l for l in out["probe"].splitlines() if not l.endswith("denied")] + [out["probe_errors"]]
        assert re.search(r"^sandbox smtpd read:file-of-any denied$", out["probe"], re.M)
    finally:
        shutil.rmtree(folder)
