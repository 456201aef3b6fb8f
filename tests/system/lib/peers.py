"""Postfix's smtp-source and smtp-sink (unpacked by tools/packages), as peers on both sides."""
import os, pathlib, re, subprocess

import pytest

from instance import LONG, free_port

POSTFIX = pathlib.Path(os.environ.get("MERPATI_POSTFIX", pathlib.Path(__file__).resolve().parents[3] / "build" / "postfix"))
ENV = dict(os.environ, LD_LIBRARY_PATH=str(POSTFIX / "usr/lib/postfix"))


def need():
    if not (POSTFIX / "usr/sbin/smtp-source").exists():
        pytest.skip("smtp-source and smtp-sink of Debian's postfix package are not there (tools/packages check)")


def source(port, count, sessions, to, size=4096, sender="sender@example.test", per_session=True, check=True):
    p = subprocess.run([str(POSTFIX / "usr/sbin/smtp-source"), *(["-d"] if per_session else []), "-s", str(sessions), "-l", str(size), "-m", str(count),
                        "-f", sender, "-t", to, f"127.0.0.1:{port}"], capture_output=True, text=True, env=ENV, timeout=LONG * 10)
    assert not check or (p.returncode == 0 and not p.stderr), p.stderr
    return p


class Sink:
    """smtp-sink that counts; as a context."""

    def __init__(self, folder, *options):
        self.port, self.options = free_port(), options
        self.path = pathlib.Path(folder) / f"sink-{self.port}.log"

    def __enter__(self):
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.p = subprocess.Popen([str(POSTFIX / "usr/sbin/smtp-sink"), *user, "-c", *self.options, f"127.0.0.1:{self.port}", "1000"], env=ENV,
                                  stdout=open(self.path, "w"), stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *_):
        self.p.terminate()
        self.p.wait()

    def count(self):
        found = re.findall(r"mesg=(\d+)", self.path.read_text()[-300:])
        return int(found[-1]) if found else 0


class RecordingSink:
    """An SMTP server of our own that keeps the Message-ID of each message that it took: counts what was doubled or lost."""

    def __init__(self):
        import socketserver, threading
        taken = self.taken = []

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                say = lambda t: (self.wfile.write(t.encode() + b"\r\n"))
                say("220 sink ESMTP")
                recipients = []
                for line in self.rfile:
                    verb = line[:4].upper()
                    if verb in (b"EHLO", b"LHLO"):
                        say("250-sink\r\n250-PIPELINING\r\n250 8BITMIME")
                    elif verb == b"RCPT":
                        recipients.append(line[8:].strip())
                        say("250 2.1.5 Ok")
                    elif verb == b"DATA":
                        say("354 go")
                        name = b""
                        for l in self.rfile:
                            if l == b".\r\n":
                                break
                            if l.lower().startswith(b"message-id:") and not name:
                                name = l.split(b":", 1)[1].strip()
                        taken.append((name, tuple(recipients)))
                        recipients = []
                        say("250 2.0.0 Ok: taken")
                    elif verb == b"QUIT":
                        say("221 bye")
                        return
                    else:
                        say("250 2.0.0 Ok")

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads, allow_reuse_address, request_queue_size = True, True, 200

            def handle_error(self, request, client_address):
                pass  # clients that are killed in the middle are what it is for

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
