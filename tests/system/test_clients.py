"""Clients that others wrote, against our servers."""
import os, shutil, subprocess, textwrap

import pytest

from instance import LONG

MESSAGE = "From: alice@example.test\nTo: bob@example.test\nSubject: from a client\n\nThe text of it.\n.\nAfter a dot.\n"


def need(program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed (tools/packages check)")


def run(*args, **kw):
    kw.setdefault("timeout", LONG * 2)
    p = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kw)
    assert p.returncode == 0, (args, p.stdout, p.stderr)
    return p.stdout


def delivered(i, count=1, user="bob"):
    i.wait_delivered(count)
    messages = i.messages(user)
    assert len(messages) == count
    return messages


def put(i, count=1):
    for n in range(count):
        i.run("sendmail", "-i", "-f", "alice@example.test", "bob@example.test", input=MESSAGE.replace("from a client", f"number {n}"))
    i.wait_delivered(count)


@pytest.mark.parametrize("how", [("submission", "-tls"), ("submissions", "--tls-on-connect")])
def test_swaks(instance, how):
    need("swaks")
    i = instance()
    out = run("swaks", "--server", "127.0.0.1", "--port", i.port[how[0]], how[1], "--auth", "PLAIN", "--auth-user", "alice", "--auth-password",
              i.users["alice"], "--from", "alice@example.test", "--to", "bob@example.test", "--h-Subject", "from a client")
    assert "queued as" in out
    assert b"Subject: from a client" in delivered(i)[0]


def test_swaks_login_mechanism(instance):
    need("swaks")
    i = instance()
    run("swaks", "--server", "127.0.0.1", "--port", i.port["submission"], "-tls", "--auth", "LOGIN", "--auth-user", "alice", "--auth-password",
        i.users["alice"], "--from", "alice@example.test", "--to", "bob@example.test")
    delivered(i)


def test_curl_smtp_imap_pop3(instance, tmp_path):
    need("curl")
    i = instance()
    (tmp_path / "m").write_bytes(MESSAGE.replace("\n", "\r\n").encode())
    run("curl", "-sS", "--ssl-reqd", "-k", f"smtp://127.0.0.1:{i.port['submission']}", "-u", f"alice:{i.users['alice']}", "--mail-from", "alice@example.test",
        "--mail-rcpt", "bob@example.test", "-T", tmp_path / "m")
    delivered(i)
    credentials = ("-u", f"bob:{i.users['bob']}")
    for url in (f"imaps://127.0.0.1:{i.port['imaps']}/INBOX;MAILINDEX=1", f"pop3s://127.0.0.1:{i.port['pop3s']}/1"):
        text = run("curl", "-sS", "-k", *credentials, url)
        head, _, body = text.replace("\r\n", "\n").partition("\n\n")
        assert body == MESSAGE.partition("\n\n")[2] and "\nSubject: from a client\n" in head, url
    assert "EXISTS" in run("curl", "-sS", "-k", *credentials, f"imaps://127.0.0.1:{i.port['imaps']}/", "-X", "EXAMINE INBOX")
    assert "INBOX" in run("curl", "-sS", "-k", *credentials, f"imaps://127.0.0.1:{i.port['imaps']}/")


def test_msmtp(instance, tmp_path):
    need("msmtp")
    i = instance()
    rc = tmp_path / "msmtprc"
    rc.write_text(textwrap.dedent(f"""
        account default
        host 127.0.0.1
        port {i.port['submission']}
        tls on
        tls_starttls on
        tls_trust_file {i.cert}
        auth on
        user alice
        password {i.users['alice']}
        from alice@example.test
        """))
    rc.chmod(0o600)
    run("msmtp", "-C", rc, "bob@example.test", input=MESSAGE)
    assert delivered(i)[0].endswith(MESSAGE.encode())


def test_s_nail(instance, tmp_path):
    need("s-nail")
    i = instance()
    env = dict(os.environ, HOME=str(tmp_path), MAILRC="/dev/null")
    run("s-nail", "-n", "-Sv15-compat", f"-Smta=smtp://alice:{i.users['alice']}@127.0.0.1:{i.port['submission']}", "-Ssmtp-use-starttls", "-Stls-verify=ignore",
        "-Ssmtp-auth=login", "-Sfrom=alice@example.test", "-s", "from a client", "bob@example.test", input="The text.\n", env=env)
    assert b"Subject: from a client" in delivered(i)[0]


def test_fetchmail(instance, tmp_path):
    need("fetchmail")
    i = instance()
    put(i, 3)
    for protocol, port in (("imap", "imaps"), ("pop3", "pop3s")):
        box = tmp_path / protocol
        rc = tmp_path / "fetchmailrc"
        rc.write_text(f"poll 127.0.0.1 protocol {protocol} port {i.port[port]} user bob password \"{i.users['bob']}\" ssl sslproto 'auto' no sslcertck "
                      f"fetchall keep mda \"cat >>{box}\"\n")
        rc.chmod(0o600)
        run("fetchmail", "-f", rc, "--pidfile", tmp_path / "pid", env=dict(os.environ, HOME=str(tmp_path), FETCHMAILHOME=str(tmp_path)))
        assert box.read_text().count("Subject: number") == 3


def test_getmail(instance, tmp_path):
    need("getmail")
    i = instance()
    put(i, 2)
    for kind, port in (("SimpleIMAPSSLRetriever", "imaps"), ("SimplePOP3SSLRetriever", "pop3s")):
        box = tmp_path / kind
        for d in ("new", "cur", "tmp"):
            (box / d).mkdir(parents=True)
        (tmp_path / "rc").write_text(f"[retriever]\ntype = {kind}\nserver = 127.0.0.1\nport = {i.port[port]}\nusername = bob\npassword = {i.users['bob']}\n"
                                     f"[destination]\ntype = Maildir\npath = {box}/\nuser = nobody\n[options]\nread_all = true\ndelete = false\n")
        if os.geteuid() == 0:
            run("chown", "-R", "nobody", box)
            for p in tmp_path, *tmp_path.parents:
                if str(p) not in ("/tmp", "/"):
                    os.chmod(p, 0o755)
        else:
            (tmp_path / "rc").write_text((tmp_path / "rc").read_text().replace("user = nobody\n", ""))
        run("getmail", "--getmaildir", tmp_path, "--rcfile", tmp_path / "rc")
        assert len(list((box / "new").iterdir())) == 2


def test_mbsync_both_ways(instance, tmp_path):
    need("mbsync")
    i = instance()
    put(i, 3)
    (tmp_path / "rc").write_text(textwrap.dedent(f"""
        IMAPAccount one
        Host localhost
        Port {i.port['imaps']}
        User bob
        Pass {i.users['bob']}
        SSLType IMAPS
        CertificateFile {i.cert}

        IMAPStore far
        Account one

        MaildirStore near
        Path {tmp_path}/near/
        Inbox {tmp_path}/near/INBOX
        SubFolders Verbatim

        Channel all
        Far :far:
        Near :near:
        Patterns *
        Create Both
        Expunge Both
        SyncState *
        """))
    sync = ("mbsync", "-c", tmp_path / "rc", "-a")
    (tmp_path / "near").mkdir()
    env = dict(os.environ, HOME=str(tmp_path))
    run(*sync, env=env)
    inbox = tmp_path / "near" / "INBOX"
    files = [p for d in ("new", "cur") for p in (inbox / d).iterdir()]
    assert len(files) == 3
    files[0].unlink()  # deleted here: to be expunged there
    (inbox / "new" / "own.1").write_text("Subject: made here\n\nuploaded\n")
    (tmp_path / "near" / "Work" / "cur").mkdir(parents=True)
    for d in ("new", "tmp"):
        (tmp_path / "near" / "Work" / d).mkdir()
    (tmp_path / "near" / "Work" / "new" / "own.2").write_text("Subject: at work\n\nin a folder\n")
    run(*sync, env=env)
    messages = i.messages("bob")
    assert len(messages) == 3 and any(b"Subject: made here" in m for m in messages)
    assert any(b"in a folder" in m for m in i.messages("bob", ".Work"))


def test_neomutt_batch(instance, tmp_path):
    need("neomutt")
    i = instance()
    rc = tmp_path / "rc"
    rc.write_text(f"set smtp_url=\"smtp://alice:{i.users['alice']}@127.0.0.1:{i.port['submission']}\"\nset ssl_starttls=yes\nset ssl_force_tls=yes\n"
                  f"set certificate_file={i.cert}\nset ssl_verify_host=no\nset from=alice@example.test\nset use_from=yes\nset copy=no\nset realname=Alice\nset smtp_authenticators=plain\n")
    run("neomutt", "-n", "-F", rc, "-s", "from a client", "bob@example.test", input="The text.\n", env=dict(os.environ, HOME=str(tmp_path), TERM="dumb"))
    assert b"Subject: from a client" in delivered(i)[0]
