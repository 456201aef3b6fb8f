"""Each process runs under its own user, root directory and capabilities, and cannot reach what is not its job (ARCHITECTURE.md, doc/internals/daemon.md)."""
import ctypes, imaplib, os, pwd, re, shutil, struct, subprocess, time

import pytest

from clients import Smtp
from instance import AS_ROOT, LONG, ROOT, VMAIL
from test_mailflow import imap_fetch, pop3_fetch, submit

KILL, SETGID, SETUID, DAC_READ_SEARCH = 1 << 5, 1 << 6, 1 << 7, 1 << 2
SPAWNER = SETGID | SETUID
# role: (user, root directory, may gain privileges by set-uid and set-gid programs, capabilities in effect)
QUEUE, ALL = "queue", "/"
TABLE = {
    "master": ("root", ALL, True, KILL),
    "smtpd": ("merpati-net", QUEUE, False, 0), "smtp": ("merpati-net", QUEUE, False, 0),
    "imapd-front": ("merpati-net", QUEUE, False, 0), "pop3d-front": ("merpati-net", QUEUE, False, 0),
    "pickup": ("merpati", QUEUE, False, 0), "qmgr": ("merpati", QUEUE, False, 0), "anvil": ("merpati", QUEUE, False, 0),
    "bounce": ("merpati", QUEUE, False, 0), "error": ("merpati", QUEUE, False, 0),
    "cleanup": ("merpati", ALL, False, 0), "trivial-rewrite": ("merpati", ALL, False, 0),
    "auth": ("root", ALL, False, DAC_READ_SEARCH),
    "local": ("merpati", ALL, False, 0), "local-spawner": ("merpati", ALL, True, SPAWNER), "local-user": ("nobody", ALL, True, 0),
    "pipe": ("merpati", ALL, False, 0), "pipe-spawner": ("merpati", ALL, True, SPAWNER), "pipe-user": ("nobody", ALL, True, 0),
    "virtual": ("merpati", ALL, False, 0), "virtual-spawner": ("merpati", ALL, False, SPAWNER), "virtual-user": (VMAIL, ALL, False, 0),
    "imapd-session": ("merpati", QUEUE, False, 0), "imapd-session-spawner": ("merpati", ALL, False, SPAWNER),
    "imapd-session-user": (VMAIL, ALL, False, 0),
    "pop3d-session": ("merpati", QUEUE, False, 0), "pop3d-session-spawner": ("merpati", ALL, False, SPAWNER),
    "pop3d-session-user": (VMAIL, ALL, False, 0),
}
# A capability that no process of ours can ever get back: of the machine, of the kernel, of other processes.
NEVER_BOUND = [12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 25, 26, 27, 34, 38, 39]
SERVICES = "pipes unix - n n - - pipe flags=F user=nobody argv=/bin/sh -c cat>/dev/null\n"


def status(pid):
    s = dict(l.split(":\t", 1) for l in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in l)
    s["uid"] = int(s["Uid"].split()[1])
    return s


def role(i, pid):
    """smtpd, local-spawner, imapd-session-user: the program, what it is for, how far from master."""
    name = status(pid)["Name"]
    if pid == i.master_pid():
        return "master"
    arguments = open(f"/proc/{pid}/cmdline").read().split("\0")
    program = arguments[0]
    if program in ("imapd", "pop3d"):
        program += "-front" if "inet" in arguments else "-session"
    parent = int(status(pid)["PPid"])
    if parent == i.master_pid():
        return program
    return program + ("-spawner" if name.endswith("-users") else "-user")


def make_busy(instance):
    i = instance(transport_maps="inline:{ {gone.test=error:5.1.1 no} {pipe.test=pipes:} }", relayhost="[127.0.0.1]:9", smtpd_reject_unlisted_recipient="no",
                 smtpd_client_connection_rate_limit=1000, smtpd_client_event_limit_exceptions="", master=SERVICES,
                 aliases="cmd: \"|/bin/cat >/dev/null\"\n")
    submit(i, recipients=("bob@example.test", "x@gone.test", "y@far.test", "z@pipe.test", "cmd@localhost"))
    i.wait_delivered(3)
    i.log.wait("status=deferred")
    imap_fetch(i, "bob")
    pop3_fetch(i, "bob")
    i.run("sendmail", "-f", "x@example.test", "bob@example.test", input="Subject: x\n\nx\n")
    i.wait_delivered(4)
    return i


@pytest.fixture
def busy(instance):
    if not AS_ROOT:
        pytest.skip("needs root: without it every daemon runs as the caller")
    return make_busy(instance)


def test_users_roots_and_capabilities(busy):
    seen = {}
    for pid in busy.pids():
        try:
            seen.setdefault(role(busy, pid), []).append((status(pid), os.readlink(f"/proc/{pid}/root")))
        except OSError:
            continue  # it ended meanwhile
    print(subprocess.run(["ps", "-eo", "pid,ppid,user:14,args", "--forest"], capture_output=True, text=True).stdout)
    assert set(TABLE) <= set(seen), set(TABLE) - set(seen)
    assert set(seen) <= set(TABLE) | {"command"}, set(seen) - set(TABLE)  # no process without a row
    for name, (user, root, gains, caps) in TABLE.items():
        for s, its_root in seen[name]:
            uid = user if isinstance(user, int) else pwd.getpwnam(user).pw_uid
            assert s["uid"] == uid, (name, s["uid"])
            assert s["Uid"].split()[0] == s["Uid"].split()[2] == str(uid), (name, s["Uid"])
            assert its_root == (str(busy.dir / "queue") if root == QUEUE else "/"), (name, its_root)
            assert s["NoNewPrivs"] == ("0" if gains else "1"), name
            assert int(s["CapEff"], 16) == caps, (name, s["CapEff"])
            if name != "master":
                assert int(s["CapPrm"], 16) == caps, (name, s["CapPrm"])
            assert int(s["CapInh"], 16) == int(s["CapAmb"], 16) == 0, name
            assert not any(int(s["CapBnd"], 16) >> c & 1 for c in NEVER_BOUND), (name, s["CapBnd"])
            if not gains:  # and that is all that there is to gain
                assert int(s["CapBnd"], 16) == (SPAWNER if name.endswith("-user") else caps), (name, s["CapBnd"])
            assert s["Seccomp"] == "2", name
            limits = {l[:25].strip(): l[25:].split() for l in open(f"/proc/{s['Pid']}/limits")}
            assert limits["Max core file size"][:2] == ["0", "0"], (name, limits)
            if not gains and "ASAN_OPTIONS" not in os.environ:  # whose memory is mapped in terabytes
                assert name.endswith("-spawner") or limits["Max data size"][1] == str(8 << 30), (name, limits)
            if name.endswith("-user") or name in ("local", "pipe", "virtual"):
                assert "0" not in s["Groups"].split(), (name, s["Groups"])


def landlock():
    """The kernel's version of it, 0 or less when there is none."""
    return ctypes.CDLL(None).syscall(444, None, 0, 1)


needs_mounts = pytest.mark.skipif(subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0,
                                  reason="needs a mount name space of its own (unshare -m)")


def probe(i):
    p = i.run("merpati", "-c", i.conf, "check", "--sandbox", check=False)
    return p, [l.split() for l in p.stdout.splitlines() if l.startswith("sandbox ")]


def test_no_process_does_what_is_outside_its_job(busy):
    """A probe that is compiled into every program goes the way of the program's start, and then tries what its row forbids."""
    if landlock() < 3:
        pytest.skip(f"this kernel's Landlock is of version {landlock()}: files are held off by ownership and chroot alone")
    p, lines = probe(busy)
    assert p.returncode == 0, p.stdout + p.stderr
    names = {l[1] for l in lines}
    assert names >= {"master", "smtpd", "smtp", "lmtp", "cleanup", "qmgr", "pickup", "bounce", "trivial-rewrite", "imapd", "pop3d", "auth", "anvil", "error",
                     "discard", "showq", "local", "virtual", "pipe"}, names
    assert names >= {f"{n}-{part}" for n in ("local", "virtual", "pipe", "imap", "pop3") for part in ("spawner", "user")}, names
    assert [l for l in lines if l[-1] != "denied"] == []
    for n in names:  # each was asked for a file and for a system call
        assert any(l[1] == n and l[2].startswith("read:") for l in lines), n
        assert any(l[1] == n and l[2].startswith("call:") for l in lines), n
    assert not list(os.scandir(busy.conf.parent / "queue" / "public")) == []


@pytest.mark.skipif(not AS_ROOT, reason="needs root: commands run as other users")
def test_commands_of_users(instance, tmp_path):
    """They have their user's rights, set-gid programs among them, and nothing of ours: descriptors, environment, capabilities to gain."""
    tool, out = tmp_path / "id", tmp_path / "out"
    for d in (tmp_path, *tmp_path.parents):
        if str(d) not in ("/", "/tmp"):
            os.chmod(d, 0o755)
    out.mkdir()
    out.chmod(0o777)
    shutil.copy("/usr/bin/id", tool)
    os.chown(tool, 0, 1)
    tool.chmod(0o2755)
    script = tmp_path / "script"
    script.write_text(f"""#!/bin/sh
{tool} >{out}/id
env >{out}/env
cat /proc/self/status >{out}/status
for f in /proc/$$/fd/*; do readlink "$f"; done >{out}/fds
(cat /etc/shadow; ls "$1"/incoming "$1"/private) >{out}/secrets 2>/dev/null
exit 0
""")
    script.chmod(0o755)
    i = instance()
    (i.conf / "aliases").write_text(f'cmd: "|{script} {i.dir}/queue"\n')
    i.run("newaliases")
    i.reload()
    i.log.wait("reload --")
    i.run("sendmail", "-f", "x@example.test", "cmd@localhost", input="Subject: x\n\nx\n")
    i.wait_delivered()
    assert "uid=65534(nobody)" in (out / "id").read_text() and "egid=1(" in (out / "id").read_text()
    assert (out / "secrets").read_text() == ""
    assert "MERPATI" not in (out / "env").read_text()
    fds = (out / "fds").read_text().splitlines()  # its pipes, its script, what it writes and reads itself
    assert fds and all(f.startswith(("pipe:", str(tmp_path), "/proc/")) for f in fds), fds
    s = dict(l.split(":\t", 1) for l in (out / "status").read_text().splitlines() if ":\t" in l)
    assert int(s["CapEff"], 16) == int(s["CapPrm"], 16) == int(s["CapInh"], 16) == 0
    assert not any(int(s["CapBnd"], 16) >> c & 1 for c in NEVER_BOUND), s["CapBnd"]
    assert s["Seccomp"] == "2"


@pytest.mark.skipif(not AS_ROOT, reason="needs root: there are no rights to give up without it")
def test_a_table_that_only_root_reads_is_read_again(instance):
    """A daemon that has given up root makes way for a new one, which reads the table before it does."""
    i = instance(virtual_alias_maps="texthash:$config_directory/secret", smtpd_reject_unlisted_recipient="no", files={"secret": "one@example.test alice@example.test\n"})

    def change(name, to):
        (i.conf / "new").write_text(to)
        (i.conf / "new").chmod(0o600)
        (i.conf / "new").rename(i.conf / name)

    def send(to):
        i.run("sendmail", "-f", "x@example.test", to, input="Subject: x\n\nx\n")

    def until(pattern, to):
        end = time.monotonic() + LONG
        while not any(re.search(pattern, l) for l in i.log.lines):
            assert time.monotonic() < end, i.log_tail(30)
            send(to)
            i.log.read(1)

    (i.conf / "secret").chmod(0o600)
    (i.conf / "aliases").chmod(0o600)
    i.run("newaliases")
    assert (i.conf / "aliases.lmdb").stat().st_mode & 0o77 == 0
    i.reload()
    i.log.wait("reload --")
    send("one@example.test")
    i.log.wait("to=<alice@example.test>, orig_to=<one@example.test>.*status=sent")
    send("team@localhost")
    i.log.wait("orig_to=<team@localhost>.*status=sent")
    change("secret", "one@example.test bob@example.test\n# and more\n")
    until("to=<bob@example.test>, orig_to=<one@example.test>.*status=sent", "one@example.test")
    change("aliases", "postmaster: root\nroot: alice@example.test\nteam: |/bin/false\n")
    i.run("newaliases")
    until(r"orig_to=<team@localhost>.*status=bounced .*/bin/false|to=<team@localhost>.*status=bounced .*/bin/false", "team@localhost")


@needs_mounts
@pytest.mark.skipif(not AS_ROOT, reason="needs root: only root reads the passwords of the system's users")
@pytest.mark.parametrize("passdb", ["shadow", "pam"])
def test_auth_reads_the_passwords_of_the_system(instance, tmp_path, passdb):
    """With the few rights that it keeps; with PAM those of its modules. The users are in files that only this instance sees."""
    home = tmp_path / "home"
    for d in (tmp_path, *tmp_path.parents):
        if str(d) not in ("/", "/tmp"):
            os.chmod(d, 0o755)
    home.mkdir()
    os.chown(home, 64999, 64999)
    hashed = subprocess.run(["openssl", "passwd", "-6", "systemic-1"], capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / "passwd").write_text(open("/etc/passwd").read() + f"systemic:x:64999:64999::{home}:/bin/sh\n")
    (tmp_path / "shadow").write_text(open("/etc/shadow").read() + f"systemic:{hashed}:19000:0:99999:7:::\n")
    (tmp_path / "shadow").chmod(0o600)
    shutil.copytree("/etc/pam.d", tmp_path / "pam.d")
    (tmp_path / "pam.d" / "merpati").write_text("auth required pam_unix.so\naccount required pam_unix.so\n")
    i = instance()
    i.run("merpati", "-c", i.conf, "stop")
    i.main.update(auth_passdb=passdb, auth_userdb="passwd", mail_location="", mydestination="localhost", home_mailbox="Maildir/")
    i.write_main()
    mounts = "".join(f"mount --bind {tmp_path}/{f} /etc/{f} && " for f in ("passwd", "shadow", "pam.d"))
    subprocess.run(["unshare", "-m", "sh", "-c", mounts + 'exec "$@"', "sh", str(ROOT / "sbin/merpati"), "-c", str(i.conf), "start"], check=True,
                   env=dict(os.environ, MAIL_CONFIG=str(i.conf)))
    i.users["systemic"] = "systemic-1"
    i.run("sendmail", "-f", "x@example.test", "systemic@localhost", input="Subject: x\n\nto a user of the system\n")
    i.wait_delivered()
    assert [m.endswith(b"to a user of the system\r\n") for m in imap_fetch(i, "systemic")] == [True]
    i.users["systemic"] = "wrong"
    with pytest.raises(imaplib.IMAP4.error):
        imap_fetch(i, "systemic")
    auth = next(s for s in map(status, i.pids()) if s["Name"] == "auth")
    assert int(auth["CapEff"], 16) & ~(DAC_READ_SEARCH if passdb == "shadow" else 0x200000CF) == 0, auth["CapEff"]
    assert (home / "Maildir").stat().st_uid == 64999


@pytest.mark.skipif(not AS_ROOT, reason="needs root: it is about root's mail")
def test_mail_of_root_is_delivered_by_a_confined_process(instance):
    i = instance(aliases="postmaster: root\n", mydestination="localhost")
    (i.dir / "spool").mkdir()
    (i.conf / "members").write_text("bob@example.test\n")
    (i.conf / "aliases").write_text(f"postmaster: root\nlist: :include:{i.conf}/members\n")
    i.run("newaliases")
    i.main["mail_spool_directory"] = i.dir / "spool"
    i.write_main()
    i.reload()
    i.log.wait("reload --")
    i.run("sendmail", "-f", "x@example.test", "root@localhost", "list@localhost", input="Subject: to root\n\nx\n")
    i.wait_delivered(3)
    assert "Subject: to root" in (i.dir / "spool" / "root").read_text()
    assert len(i.maildir("bob")) == 1
    (s,) = [s for s in map(status, i.pids()) if s["Name"] == "local" and s["uid"] == 0]
    assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2" and int(s["CapEff"], 16) == int(s["CapPrm"], 16) == 0


def without(*calls):
    """For a kernel that lacks something: a filter of our own makes these system calls unknown, and prctl(PR_SET_SECCOMP) too."""
    n = len(calls)
    ld, jeq, ret = 0x20, 0x15, 0x06
    code = [(ld, 0, 0, 0)]
    code += [(jeq, n - k, 0, c) for k, c in enumerate(calls)]
    code += [(ret, 0, 0, 0x7FFF0000), (ret, 0, 0, 0x00050000 | 38)]
    program = b"".join(struct.pack("HBBI", *c) for c in code)

    def install():
        libc = ctypes.CDLL(None)
        text = ctypes.create_string_buffer(program, len(program))
        fprog = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(text)))
        assert libc.prctl(38, 1, 0, 0, 0) == 0
        assert libc.prctl(22, 2, fprog) == 0

    return install


def test_tables_that_change_are_read_again(instance, tmp_path):
    """Also one that is a link to a folder that main.cf does not name, and one that was not there at the start."""
    linked, late = tmp_path / "linked", tmp_path / "late"
    for d in (tmp_path, linked, late, *tmp_path.parents):
        d.mkdir(exist_ok=True)
        if str(d) not in ("/", "/tmp"):
            os.chmod(d, 0o755)
    (linked / "table").write_text("one@example.test alice@example.test\n")
    i = instance(smtpd_reject_unlisted_recipient="no")
    (i.conf / "link").symlink_to(linked / "table")
    i.main["virtual_alias_maps"] = f"texthash:$config_directory/link texthash:{late}/table"
    i.write_main()
    i.reload()
    i.log.wait("reload --")
    (late / "table").write_text("two@example.test bob@example.test\n")

    def send(to):
        i.run("sendmail", "-f", "x@example.test", to, input="Subject: x\n\nx\n")

    send("one@example.test")
    i.log.wait(r"to=<alice@example.test>, orig_to=<one@example.test>.*status=sent")
    send("two@example.test")
    i.log.wait(r"to=<bob@example.test>, orig_to=<two@example.test>.*status=sent", timeout=LONG * 3)
    (linked / "new").write_text("one@example.test bob@example.test\n# longer\n")
    (linked / "new").rename(linked / "table")
    end = time.monotonic() + LONG
    while not any("to=<bob@example.test>, orig_to=<one@example.test>" in l for l in i.log.lines):
        assert time.monotonic() < end, i.log_tail(30)
        send("one@example.test")
        i.log.read(1)


def test_what_the_kernel_lacks_is_told(instance):
    """Without Landlock (its first system call is 444): master says so, mail goes on, and the probe shows what is open now."""
    i = instance()
    i.run("merpati", "-c", i.conf, "stop")
    i.run("merpati", "-c", i.conf, "start", preexec_fn=without(444))
    i.log.wait("master.*warning: this kernel has no Landlock")
    submit(i)
    i.wait_delivered()
    assert len(imap_fetch(i, "bob")) == 1
    p = i.run("merpati", "-c", i.conf, "check", "--sandbox", check=False, preexec_fn=without(444))
    assert p.returncode == 1
    assert "no Landlock" in p.stderr
    assert "sandbox cleanup read:file-of-any allowed" in p.stdout
    assert "sandbox smtpd call:keyctl denied" in p.stdout
    if AS_ROOT:
        assert "sandbox smtpd read:/etc/passwd denied" in p.stdout


def test_without_system_call_filters(instance):
    """seccomp(2) is 317, and prctl(PR_SET_SECCOMP) is not asked where that is unknown."""
    i = instance()
    i.run("merpati", "-c", i.conf, "stop")
    i.run("merpati", "-c", i.conf, "start", preexec_fn=without(317))
    i.log.wait("master.*warning: this kernel has no system call filters")
    submit(i)
    i.wait_delivered()


@pytest.mark.skipif(not AS_ROOT, reason="needs root: without it nothing is chrooted")
def test_system_users_are_known_in_the_chroot(instance):
    i = instance(mydestination="localhost, sys.test", alias_maps="")
    s = Smtp(i.port["smtp"])
    s.cmd("EHLO x.test")
    assert s.cmd("MAIL FROM:<a@x.test>")[0] == 250
    assert s.cmd("RCPT TO:<root@sys.test>")[0] == 250
    assert s.cmd("RCPT TO:<no-such-user@sys.test>")[0] == 550
