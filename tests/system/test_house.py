"""The house itself: starting, stopping, dying, and what is handed from one process to the next."""
import os, re, signal, socket, subprocess, time

import pytest

from clients import Smtp
from instance import AS_ROOT, LONG, ROOT
from test_mailflow import imap_fetch, submit
from test_sandbox import needs_mounts


def gone(pids, within):
    """Until none of the processes is left; returns the seconds that it took."""
    start = time.monotonic()
    while any(alive(p) for p in pids):
        assert time.monotonic() - start < within, [open(f"/proc/{p}/cmdline").read() for p in pids if alive(p)]
        time.sleep(0.01)
    return time.monotonic() - start


def alive(pid):
    try:
        return "State:\tZ" not in open(f"/proc/{pid}/status").read()
    except OSError:
        return False


def open_sessions(i):
    """An idle SMTP session and an idle IMAP session: what would hold up an orderly end."""
    submit(i)
    i.wait_delivered()
    s = Smtp(i.port["smtp"])
    s.cmd("EHLO idle.test")
    imap_fetch(i, "bob")
    m = socket.create_connection(("127.0.0.1", i.port["imap"]))
    m.sendall(b"a LOGIN bob %s\r\n" % i.users["bob"].encode())
    assert b"a OK" in read_until(m, b"a OK")
    return s, m


def read_until(s, what):
    got = b""
    s.settimeout(LONG)
    while what not in got:
        more = s.recv(4096)
        assert more, got
        got += more
    return got


def test_abort_ends_at_once(instance):
    i = instance()
    s, m = open_sessions(i)
    pids = i.pids()
    assert len(pids) > 8
    i.run("merpati", "-c", i.conf, "abort")
    gone(pids, 1.5)  # a stop gives sessions seconds
    i.running = False
    assert i.run("merpati", "-c", i.conf, "status", check=False).returncode == 1
    i.start()
    assert Smtp(i.port["smtp"]).greeting[0] == 220


def test_stop_leaves_no_socket_behind(instance):
    i = instance()
    i.run("merpati", "-c", i.conf, "stop")
    i.running = False
    left = [p for d in ("public", "private") for p in os.listdir(i.dir / "queue" / d)]
    assert left == [], left


def test_daemons_end_with_master(instance):
    """After a kill -9 of master alone its ports are free within seconds, though sessions are open."""
    i = instance()
    s, m = open_sessions(i)
    pids = i.pids()
    os.kill(i.master_pid(), signal.SIGKILL)
    gone(pids, LONG)
    i.start()
    s = Smtp(i.port["smtp"])
    assert s.greeting[0] == 220
    submit(i)
    i.wait_delivered(2)


def test_a_dead_process_counts_for_nothing(instance):
    """anvil forgets the connections of an smtpd that was killed."""
    i = instance(smtpd_client_connection_count_limit=2, smtpd_client_event_limit_exceptions="")
    held = [Smtp(i.port["smtp"]) for _ in range(2)]
    assert [h.greeting[0] for h in held] == [220, 220]
    assert Smtp(i.port["smtp"]).greeting[0] == 421
    for pid, name in i.pids().items():
        if name == "smtpd":
            os.kill(pid, signal.SIGKILL)
    i.log.wait("smtpd pid .* killed by signal 9")
    end = time.monotonic() + LONG
    while Smtp(i.port["smtp"]).greeting[0] != 220:
        assert time.monotonic() < end
        i.log.read(0.1)


def test_a_daemon_started_by_hand_takes_no_strangers_descriptor(instance, tmp_path):
    """Descriptors 5 and 6 of whoever starts it are neither master's status socket nor listeners."""
    i = instance()
    a, b = socket.socketpair()
    other = open(tmp_path / "x", "w+")
    env = dict(os.environ, MAIL_CONFIG=str(i.conf))
    for where in (a.fileno(), other.fileno()):
        def place():
            os.dup2(where, 5)
            os.dup2(where, 6)
        p = subprocess.Popen([str(ROOT / "libexec/merpati/anvil"), "-n", "anvil", "-t", "unix", "-s", "1"], env=env, close_fds=False, preexec_fn=place,
                             stderr=subprocess.PIPE)
        try:
            end = time.monotonic() + LONG
            while True:
                fds = {n: os.readlink(f"/proc/{p.pid}/fd/{n}") for n in os.listdir(f"/proc/{p.pid}/fd")}
                if any("eventpoll" in v for v in fds.values()):
                    break
                assert time.monotonic() < end and p.poll() is None, fds
                time.sleep(0.02)
            assert os.readlink(f"/proc/self/fd/{where}") not in fds.values(), fds
        finally:
            p.kill()
            p.wait()


def in_another_etc(i, files, *command):
    """Runs a command that sees other files in /etc."""
    mounts = "".join(f"mount --bind {source} /etc/{name} && " for name, source in files.items())
    return subprocess.run(["unshare", "-m", "sh", "-c", mounts + 'exec "$@"', "sh", *map(str, command)], capture_output=True, text=True, timeout=LONG,
                          env=dict(os.environ, MAIL_CONFIG=str(i.conf)))


@needs_mounts
@pytest.mark.skipif(not AS_ROOT, reason="needs root: an ordinary user's mail system needs no other users")
@pytest.mark.parametrize("file, name, message", [("passwd", "merpati", "user merpati does not exist (mail_owner)"),
                                                 ("group", "merpatidrop", "group merpatidrop does not exist (setgid_group)")])
def test_missing_users_are_named_at_start(instance, tmp_path, file, name, message):
    i = instance()
    i.run("merpati", "-c", i.conf, "stop")
    i.running = False
    (tmp_path / file).write_text("".join(l for l in open(f"/etc/{file}") if not l.startswith(name + ":")))
    for command in ("start", "check"):
        p = in_another_etc(i, {file: tmp_path / file}, ROOT / "sbin/merpati", "-c", i.conf, command)
        assert p.returncode == 1
        assert message in p.stderr and "set-permissions" in p.stderr, p.stderr


def test_a_main_cf_of_postfix_is_told_and_served(instance):
    """Its daemon_directory, mail_owner and setgid_group are not there: each is named in a warning, and ours serve."""
    i = instance()
    i.run("merpati", "-c", i.conf, "stop")
    i.main.update(daemon_directory="/usr/lib/postfix/sbin", mail_owner="postfix-of-old", setgid_group="postdrop-of-old")
    i.write_main()
    p = i.run("merpati", "-c", i.conf, "check", check=False)
    assert p.returncode == 0, p.stderr
    q = i.start()
    for text in (p.stderr, q.stderr):
        assert re.search(r"warning: .*main.cf, line \d+: daemon_directory = /usr/lib/postfix/sbin: .*using", text), text
        if AS_ROOT:
            assert re.search(r"warning: .*main.cf, line \d+: mail_owner = postfix-of-old: there is no such user here; using merpati", text), text
            assert re.search(r"warning: .*main.cf, line \d+: setgid_group = postdrop-of-old: there is no such group here; using merpatidrop", text), text
    submit(i)
    i.wait_delivered()
    i.run("sendmail", "-f", "x@example.test", "bob@example.test", input="Subject: x\n\nx\n")
    i.wait_delivered(2)


@pytest.mark.skipif(not AS_ROOT, reason="needs root: there are no rights to give up without it")
def test_who_makes_way_keeps_nobody_waiting(instance):
    """A worker that gives way to a new one still has sessions: the clients that come meanwhile are served by the new one."""
    def access(text):
        (i.conf / "new").write_text(text)
        (i.conf / "new").chmod(0o600)
        (i.conf / "new").rename(i.conf / "access")

    i = instance(service_workers=1, files={"access": "192.0.2.1 REJECT\n"})
    (i.conf / "access").chmod(0o600)
    i.main["smtpd_client_restrictions"] = "check_client_access texthash:$config_directory/access"
    i.main["smtpd_delay_reject"] = "no"
    i.write_main()
    i.reload()
    i.log.wait("reload --")
    held = Smtp(i.port["smtp"])
    assert held.greeting[0] == 220
    old = {pid for pid, name in i.pids().items() if name == "smtpd"}
    access("127.0.0.1 REJECT go away\n# longer\n")
    end = time.monotonic() + LONG
    while "making way for one" not in i.log_tail(200):
        assert time.monotonic() < end
        Smtp(i.port["smtp"]).close()
        time.sleep(0.2)
    text = ""
    while "go away" not in text:
        assert time.monotonic() < end, text
        s = Smtp(i.port["smtp"])
        text = s.greeting[1] + s.cmd("EHLO x.test")[1] if s.greeting[0] != 220 else s.cmd("EHLO x.test")[1]
        s.close()
    assert any(alive(p) for p in old)  # it still has its session
    assert held.cmd("NOOP")[0] in (250, 421)


def test_a_flush_just_after_a_reload_is_heard(instance):
    """The old queue manager may take the connection and go; the command asks the new one."""
    i = instance()
    for _ in range(15):
        i.reload()
        i.run("postqueue", "-f")
