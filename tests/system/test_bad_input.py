"""What is wrong is named, with file and line or peer; the rest goes on."""
import os, random, socket, subprocess

import pytest

from clients import Smtp
from instance import AS_ROOT, LONG, Instance


def broken(tmp_path_factory, change, **settings):
    """Starts an instance that something is wrong with; returns (instance, exit status, everything it said)."""
    i = Instance(tmp_path_factory.mktemp("broken"), **settings)
    change(i)
    p = i.start(check=False)
    checked = i.run("merpati", "-c", i.conf, "check", check=False)
    said, wrong = p.stdout + p.stderr, checked.stdout + checked.stderr
    assert all(line in said for line in wrong.splitlines()), (said, wrong)
    i.stop()
    return i, p.returncode, said


def test_misspelt_parameter_is_named_with_the_right_name(tmp_path_factory):
    i = Instance(tmp_path_factory.mktemp("broken"), smtpd_timeuot="3s")
    p = i.run("merpati", "-c", i.conf, "check", check=False)
    said = p.stdout + p.stderr
    assert "smtpd_timeuot" in said and "smtpd_timeout" in said and "main.cf" in said and "line" in said, said


def test_value_out_of_range_names_file_and_line(tmp_path_factory):
    _, rc, said = broken(tmp_path_factory, lambda i: None, smtpd_recipient_limit="many")
    assert "smtpd_recipient_limit" in said and "many" in said and "main.cf" in said, said


def test_unknown_map_type_is_named(tmp_path_factory):
    _, rc, said = broken(tmp_path_factory, lambda i: None, transport_maps="hahs:/etc/x")
    assert "hahs" in said and "transport_maps" in said, said


def test_syntax_error_in_master_cf_names_file_and_line(tmp_path_factory):
    def change(i):
        (i.conf / "master.cf").write_text(i.master_text + "this is no service\n")

    i, rc, said = broken(tmp_path_factory, change)
    line = len(i.master_text.splitlines()) + 1
    assert rc != 0 and "master.cf" in said and f"line {line}" in said, said


def test_unreadable_certificate_is_named(tmp_path_factory):
    _, rc, said = broken(tmp_path_factory, lambda i: None, smtpd_tls_cert_file="/nonexistent/cert.pem")
    if "/nonexistent/cert.pem" not in said:  # smtpd starts with the first client
        pytest.fail(said)


def test_occupied_port_is_named(tmp_path_factory):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]

        def change(i):
            (i.conf / "master.cf").write_text(i.master_text + f"127.0.0.1:{port} inet n - n - - smtpd\n")

        _, rc, said = broken(tmp_path_factory, change)
        assert rc != 0 and str(port) in said and "in use" in said, said


def test_queue_file_cut_in_the_middle_goes_to_corrupt(instance):
    i = instance(defer_transports="smtp", transport_maps="inline:{cut.test=smtp:[127.0.0.1]:9}")
    for n in range(2):
        i.run("sendmail", "-f", "x@example.test", "y@cut.test", input=f"Subject: {n}\n\n{'body ' * 500}\n")
    i.log.wait("status=deferred", 2)
    cut, whole = (q["queue_id"] for q in i.queue())
    i.run("merpati", "-c", i.conf, "stop")
    i.running = False
    (path,) = [p for p in (i.dir / "queue").rglob(cut) if p.is_file()]
    with open(path, "r+b") as f:
        f.truncate(path.stat().st_size // 2)
    i.start()
    i.run("postqueue", "-f")
    i.log.wait(rf"{cut}.*(corrupt|damaged)")
    i.log.wait(rf"{whole}: to=<y@cut.test>.*status=deferred", 2)
    assert (i.dir / "queue" / "corrupt" / cut).exists()


def test_rubbish_on_every_port_costs_nobody_anything(instance):
    i = instance(smtpd_error_sleep_time="0")
    watching = Smtp(i.port["smtp"])
    rubbish = random.Random(1)
    for name, port in i.port.items():
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port), LONG) as s:
                try:
                    for _ in range(20):
                        s.sendall(rubbish.randbytes(5000))
                    s.shutdown(socket.SHUT_WR)
                    while s.recv(65536):
                        pass
                except OSError:
                    pass
    assert watching.cmd("EHLO client.test")[0] == 250
    assert watching.send("x@client.test", ["bob@example.test"], b"Subject: still here\n\nx\n")[0] == 250
    i.wait_delivered()
    assert "killed by signal" not in i.log_tail(2000)


@pytest.mark.parametrize("service", ["smtp", "imap", "pop3"])
def test_command_line_of_ten_megabytes(instance, service):
    i = instance()
    s = socket.create_connection(("127.0.0.1", i.port[service]), LONG)
    s.recv(1000)
    try:
        for _ in range(10):
            s.sendall(b"x" * 1_000_000)
        s.sendall(b"\r\n")
    except OSError:
        pass
    answered = b""
    try:
        answered = s.recv(1000)
    except OSError:
        pass
    assert answered == b"" or answered[:1] in b"45*-x", answered
    t = Smtp(i.port["smtp"])
    assert t.cmd("NOOP")[0] == 250


def test_full_disk_is_a_temporary_error_and_nothing_accepted_is_lost(tmp_path_factory):
    if not AS_ROOT:
        pytest.skip("needs root: mounts a small tmpfs as the queue")
    i = Instance(tmp_path_factory.mktemp("full"), message_size_limit=1000000, queue_minfree=0)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", i.dir / "queue"], check=True)
    try:
        i.main["defer_transports"] = "virtual"
        i.write_main()
        i.start()
        accepted = refused = 0
        for n in range(12):
            s = Smtp(i.port["smtp"])
            s.cmd("EHLO client.test")
            code, text = s.cmd("MAIL FROM:<x@client.test>")
            if code == 250 and (code := s.cmd("RCPT TO:<bob@example.test>")[0]) == 250 and (code := s.cmd("DATA")[0]) == 354:
                s.raw(f"Subject: {n}\r\n\r\n".encode() + b"y" * 70 + b"\r\n" + (b"z" * 70 + b"\r\n") * 6000 + b".\r\n")
                code, text = s.reply()
            accepted, refused = accepted + (code == 250), refused + (code in (451, 452))
            assert code in (250, 451, 452), (code, text)
        assert accepted and refused
        i.log.wait(r"(No space left|insufficient|Insufficient)")
        i.main["defer_transports"] = ""
        i.write_main()
        i.reload()
        i.run("postqueue", "-f")
        i.wait_delivered(accepted)
        assert len(i.maildir("bob")) == accepted
    finally:
        i.stop()
        subprocess.run(["umount", "-l", i.dir / "queue"])
