"""Two mail systems side by side: ours and Debian's Postfix (unpacked below build/postfix), with the same main.cf and tables. A session is a list of steps; it is
played to both, and what they answered and what came out at the other end is compared. Used by test_differential.py; the sessions come from grammar.py."""
import base64, grp, json, os, pathlib, pwd, re, shutil, socket, socketserver, ssl, subprocess, threading, time

from instance import ROOT, certificate, free_port
from peers import ENV, POSTFIX

PATIENCE = 10 * int(os.environ.get("MERPATI_TEST_PATIENCE", "1"))
SERVICES = """127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Server(socketserver.ThreadingTCPServer):
    daemon_threads, allow_reuse_address, request_queue_size = True, True, 200

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class Sink(Server):
    """Takes all mail and keeps it: envelope commands and content as they came. perm-*, temp-* recipients are refused."""

    def __init__(self, lmtp):
        self.messages = []
        sink = self

        class Handler(socketserver.StreamRequestHandler):
            def say(self, *lines):
                self.wfile.write("".join(l + "\r\n" for l in lines).encode())

            def content(self):
                lines = []
                for l in self.rfile:
                    if l == b".\r\n":
                        return b"".join(lines)
                    lines.append(l[1:] if l.startswith(b".") else l)

            def handle(self):
                try:
                    self.session()
                except OSError:
                    pass

            def session(self):
                self.say("220 sink.test")
                mail, rcpt = None, []
                for line in self.rfile:
                    text = line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
                    verb = text[:4].upper()
                    if verb in ("EHLO", "LHLO"):
                        self.say("250-sink.test", "250-PIPELINING", "250-SIZE 50000000", "250-8BITMIME", "250-SMTPUTF8", "250-DSN", "250 ENHANCEDSTATUSCODES")
                    elif verb == "MAIL":
                        mail, rcpt = re.sub(r"SIZE=\d+", "SIZE=N", text[5:]), []
                        self.say("250 2.1.0 Ok")
                    elif verb == "RCPT":
                        if text[9:13].lower() in ("perm", "temp"):
                            self.say("550 5.1.1 no" if text[9:13].lower() == "perm" else "451 4.2.0 later")
                            continue
                        rcpt.append(text[5:])
                        self.say("250 2.1.5 Ok")
                    elif verb == "DATA":
                        if not rcpt:
                            self.say("554 5.5.1 none")
                            continue
                        self.say("354 go")
                        data = self.content()
                        if data is None:
                            return
                        sink.messages += [(lmtp, mail, r, data) for r in rcpt]
                        self.say(*["250 2.0.0 Ok"] * (len(rcpt) if lmtp else 1))
                    elif verb == "QUIT":
                        return self.say("221 2.0.0 bye")
                    else:
                        self.say("250 2.0.0 Ok")

        super().__init__(Handler)


class Auth(Server):
    """Dovecot's auth protocol, for alice and bob (secret); `later` gets a temporary failure."""

    def __init__(self):
        class Handler(socketserver.StreamRequestHandler):
            def say(self, text):
                self.wfile.write(text.encode() + b"\n")

            def handle(self):
                self.say("VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t1\nCUID\t%d\nCOOKIE\t%032x\nDONE" % (id(self) % 65536, 1))
                self.asked = {}
                for line in self.rfile:
                    f = line.rstrip(b"\n").decode("latin1").split("\t")
                    if f[0] == "AUTH":
                        self.asked[f[1]] = [f[2].upper()]
                        self.step(f[1], next((x[5:] for x in f[3:] if x.startswith("resp=")), None))
                    elif f[0] == "CONT":
                        self.step(f[1], f[2] if len(f) > 2 else "")

            def step(self, id, response):
                state = self.asked[id]
                try:
                    raw = base64.b64decode(response, validate=True) if response is not None else None
                except ValueError:
                    return self.say(f"FAIL\t{id}\treason=Invalid base64 data in continued response")
                if state[0] == "PLAIN":
                    if raw is None:
                        return self.say(f"CONT\t{id}\t")
                    parts = raw.split(b"\0")
                    return self.verdict(id, parts[1], parts[2]) if len(parts) == 3 else self.say(f"FAIL\t{id}\treason=invalid input")
                if state[0] != "LOGIN":
                    return self.say(f"FAIL\t{id}\treason=Unsupported authentication mechanism")
                if raw is not None:
                    state.append(raw)
                if len(state) == 3:
                    return self.verdict(id, state[1], state[2])
                self.say(f"CONT\t{id}\t" + base64.b64encode(b"Username:" if len(state) == 1 else b"Password:").decode())

            def verdict(self, id, user, password):
                name = user.decode("latin1")
                if name == "later":
                    return self.say(f"FAIL\t{id}\tuser={name}\ttemp")
                self.say(f"OK\t{id}\tuser={name}" if name in ("alice", "bob") and password == b"secret" else f"FAIL\t{id}\tuser={name}")

        super().__init__(Handler)


class Side:
    """One of the two: its folder, its processes, its sinks."""

    def __init__(self, name, folder, config, cert):
        self.name, self.dir, self.ours = name, pathlib.Path(folder), name == "merpati"
        self.port, self.smtp, self.lmtp, self.auth = free_port(), Sink(False), Sink(True), Auth()
        self.conf = self.dir / "etc"
        for d in ("etc", "queue", "data"):
            (self.dir / d).mkdir(parents=True)
        for d in (self.dir, *self.dir.parents):
            if d in (pathlib.Path("/"), pathlib.Path("/tmp")):
                break
            os.chmod(d, 0o755)
        os.chown(self.dir / "data", pwd.getpwnam("merpati").pw_uid, -1)
        self.write(config, cert)
        (self.start_ours if self.ours else self.start_postfix)()

    def write(self, config, cert):
        sub = {"CONF": self.conf, "SINK": self.smtp.port, "LMTP": self.lmtp.port, "AUTH": self.auth.port, "CERT": cert[0], "KEY": cert[1]}
        fill = lambda text: re.sub(r"@([A-Z]+)@", lambda m: str(sub.get(m[1], m[0])), text)
        main = dict(compatibility_level="3.6", queue_directory=self.dir / "queue", data_directory=self.dir / "data", maillog_file=self.dir / "mail.log",
                    maillog_file_prefixes=self.dir, mail_owner="merpati", setgid_group="merpatidrop", mail_name="Duel")
        if not self.ours:
            main.update(daemon_directory=POSTFIX.resolve() / "usr/lib/postfix/sbin", command_directory=POSTFIX.resolve() / "usr/sbin",
                        shlib_directory=POSTFIX.resolve() / "usr/lib/postfix", meta_directory=self.conf,
                        import_environment="MAIL_CONFIG TZ LANG=C LD_LIBRARY_PATH")
        main.update(config["main"])
        (self.conf / "main.cf").write_text("".join(f"{k} = {fill(str(v))}\n" for k, v in main.items()))
        (self.conf / "master.cf").write_text(SERVICES.format(port=self.port))
        for name, text in config.get("files", {}).items():
            (self.conf / name).write_text(fill(text))

    def start_ours(self):
        p = subprocess.run([str(ROOT / "sbin/merpati"), "-c", str(self.conf), "start"], capture_output=True, text=True, timeout=60)
        if p.returncode:
            raise AssertionError(p.stdout + p.stderr)
        self.greeted()

    def start_postfix(self):
        owner, group = pwd.getpwnam("merpati").pw_uid, grp.getgrnam("merpatidrop").gr_gid
        for d in "active bounce corrupt defer deferred flush hold incoming private saved trace".split():
            (self.dir / "queue" / d).mkdir()
            os.chown(self.dir / "queue" / d, owner, -1)
        (self.dir / "queue/pid").mkdir()
        for d, mode in (("maildrop", 0o730), ("public", 0o710)):
            (self.dir / "queue" / d).mkdir()
            os.chown(self.dir / "queue" / d, owner, group)
            os.chmod(self.dir / "queue" / d, mode)
        self.master = subprocess.Popen([str(POSTFIX.resolve() / "usr/lib/postfix/sbin/master"), "-c", str(self.conf)], env=dict(ENV, MAIL_CONFIG=str(self.conf)),
                                       stdout=subprocess.DEVNULL, stderr=open(self.dir / "stderr", "w"))
        self.greeted()

    def greeted(self):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                    if s.recv(100):
                        return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"{self.name} does not greet: " + self.log()[-3000:])

    def log(self):
        p = self.dir / "mail.log"
        return p.read_text(errors="replace") if p.exists() else ""

    def stop(self):
        if self.ours:
            subprocess.run([str(ROOT / "sbin/merpati"), "-c", str(self.conf), "stop"], capture_output=True, timeout=60)
        else:
            self.master.terminate()
            self.master.wait()
        for s in (self.smtp, self.lmtp, self.auth):
            s.close()

    def queue(self):
        tool = ROOT / "sbin/postqueue" if self.ours else POSTFIX.resolve() / "usr/sbin/postqueue"
        p = subprocess.run([str(tool), "-c", str(self.conf), "-j"], capture_output=True, text=True, errors="replace", env=dict(ENV, MAIL_CONFIG=str(self.conf)))
        return [json.loads(l) for l in p.stdout.splitlines()]

    def idle(self):
        """Until only deferred and held mail is left; returns that."""
        end = time.monotonic() + PATIENCE * 6
        while time.monotonic() < end:
            q = self.queue()
            if all(m["queue_name"] in ("deferred", "hold") for m in q):
                return q
            time.sleep(0.1)
        return q


# ---- playing a session

class Gone(Exception):
    pass


class Player:
    """Plays steps and notes what came back. Steps: ("cmd", line) one line, one reply; ("pipe", [lines]) many at once; ("data", bytes) DATA and, if wanted, this
    content; ("tls",) and ("auth", line, [answers]); ("raw", bytes) the last one: bytes, the end of our side, and all that is said then."""

    def __init__(self, port, source):
        self.s = socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=(source, 0) if source else None)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.said, self.asked = b"", [], []
        self.client_port = self.s.getsockname()[1]

    def line(self):
        while b"\n" not in self.buffer:
            try:
                d = self.s.recv(65536)
            except TimeoutError:
                raise Gone("(silent)") from None
            except OSError:
                raise Gone("(closed)") from None
            if not d:
                raise Gone("(closed)")
            self.buffer += d
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode("utf-8", "backslashreplace")

    def reply(self, to=b""):
        lines = []
        self.asked.append(to)
        while not lines or lines[-1][3:4] == "-":
            lines.append(self.line())
        self.said.append("\n".join(lines))
        return lines[-1]

    def send(self, data):
        try:
            self.s.sendall(data)
        except OSError:
            pass

    def play(self, steps):
        try:
            self.reply()
            for op, *args in steps:
                getattr(self, op)(*args)
            while True:
                self.reply()
        except Gone as e:
            self.said.append(str(e))
        except (ssl.SSLError, OSError) as e:
            self.said.append(f"({type(e).__name__})")
        self.s.close()
        return self.said

    def cmd(self, line):
        self.send(line + b"\r\n")
        return self.reply(line)

    def pipe(self, lines):
        self.send(b"".join(l + b"\r\n" for l in lines))
        for l in lines:
            self.reply(l)

    def data(self, content):
        if self.cmd(b"DATA").startswith("354"):
            self.send(content)
            self.reply(content)

    def bdat(self, chunks):
        for size, last, content in chunks:
            self.send(b"BDAT %d%s\r\n" % (size, b" LAST" if last else b"") + content)
            self.reply(b"BDAT %d %d" % (size, last))

    def tls(self):
        if not self.cmd(b"STARTTLS").startswith("220"):
            return
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
        self.s, self.buffer = c.wrap_socket(self.s), b""

    def login(self, line, answers):
        last = self.cmd(line)
        for a in answers:
            if not last.startswith("334"):
                return
            last = self.cmd(a)

    def raw(self, data):
        self.send(data)
        try:
            self.s.shutdown(socket.SHUT_WR)
        except OSError:
            pass


# ---- what is compared

QUEUED = re.compile(r"queued as (\w+)")


def plain(said):
    """Replies without what differs by nature. How many bytes a chunked message has is counted with line breaks that Postfix adds."""
    return [re.sub(r"\d+ bytes queued", "N bytes queued", QUEUED.sub("queued as ID", s)) for s in said]


def unfold(data):
    head, _, body = data.partition(b"\r\n\r\n") if not data.startswith(b"\r\n") else (b"", b"", data[2:])
    return head.decode("utf-8", "backslashreplace"), body.decode("utf-8", "backslashreplace")


def plain_message(message, ids):
    """(key, text): the queue id that it belongs to, and all that must be equal."""
    lmtp, mail, rcpt, data = message
    found = [i for i in re.findall(r"\bid (\w{8,})|X-Postfix-Queue-ID: (\w+)|queue id (\w+)", data.decode("latin1")) for i in i if i in ids]
    head, body = unfold(data)
    day = r"[A-Z][a-z]{2}, +\d+ [A-Z][a-z]{2} 20[2-9]\d \d\d:\d\d:\d\d [+-]\d{4}( \(\w+\))?"
    clean = lambda t: re.sub(r"\b[0-9A-Z]{9,13}\b(\.\d+/)?", "ID", re.sub(day, "DATE", re.sub(r"<20\d{12}\.\w+@", "<MSGID@", t)))
    head = re.sub(r"\(using TLS[^)]*\).*?\)\s*\(No client certificate requested\)", "(TLS)", clean(head), flags=re.S)
    return (found[0] if found else None), f"{'lmtp' if lmtp else 'smtp'} {mail} {clean(rcpt)}\n{head}\n\n{clean(body)}"


def defended(asked, a, b):
    """Where the comparison ends, because we differ on purpose from there (doc/differences.md); 0: nowhere."""
    for i, to in enumerate(asked[:len(a)]):
        content = to.endswith((b"\n.\r\n", b" 1")) or to == b".\r\n"
        if content and a[i][:1] in "45" and "Data command" not in a[i] and ("access" in a[i] or "rejected" in a[i]):
            return i + 1  # an end-of-data rejection ends our transaction, not Postfix's
        if to.startswith(b"BDAT") and a[i][:1] in "45":
            return i + 1  # Postfix still counts the recipients of a chunk that it refused
        if a[i].startswith("552 5.3.4 Message size") and b"size=" in to.lower():
            return i + 1  # Postfix measures the next message by the refused size
    return 0


class Duel:
    def __init__(self, folder, config, mute=()):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        cert = certificate(folder)
        os.chmod(cert[1], 0o644)
        self.sides = [Side("postfix", folder / "postfix", config, cert)]
        try:
            self.sides.append(Side("merpati", folder / "merpati", config, cert))
        except BaseException:
            self.stop()
            raise

    def stop(self):
        for s in self.sides:
            s.stop()

    def play(self, sessions, threads=4):
        """Each session: dict(steps, source). Returns for each a list of (what, postfix's, ours) where they differ."""
        results = [[None, None] for _ in sessions]
        todo = iter(range(len(sessions)))
        lock = threading.Lock()

        def work():
            while True:
                with lock:
                    n = next(todo, None)
                if n is None:
                    return
                for k, side in enumerate(self.sides):
                    p = Player(side.port, sessions[n].get("source"))
                    results[n][k] = (p.play(sessions[n]["steps"]), p.client_port, p.asked)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        after = [self.outcome(side, [r[k] for r in results]) for k, side in enumerate(self.sides)]
        found = []
        for n in range(len(sessions)):
            a, b = plain(results[n][0][0]), plain(results[n][1][0])
            if cut := defended(results[n][0][2], a, b):
                a, b = a[:cut], b[:cut]
                after[0][n] = after[1][n] = []
            at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            asked = [*results[n][0][2], *[b""] * len(a)][at:at + 1]
            one = [(f"replies, first to {asked[0][:300]!r}", "\n".join(a), "\n".join(b))] if a != b else []
            if after[0][n] != after[1][n]:
                one.append(("mail", "\n=====\n".join(after[0][n]), "\n=====\n".join(after[1][n])))
            found.append(one)
        return found

    def outcome(self, side, results):
        """What each session led to: delivered messages, and what is left in the queue."""
        session_of = {}
        for n, (said, *_) in enumerate(results):
            for s in said:
                if m := QUEUED.search(s):
                    session_of[m[1]] = n
        out = [[] for _ in results]
        for m in side.idle():
            if m["queue_id"] in session_of:
                rcpt = sorted((r["address"], re.sub(r"\b127\.0\.0\.1:\d+|\[127\.0\.0\.1\]:\d+", "HOST", r.get("delay_reason", ""))) for r in m["recipients"])
                    # A held message shows its redirected address with us, its first ones with Postfix.
                held = m["queue_name"] == "hold"
                out[session_of[m["queue_id"]]].append(f"left in {m['queue_name']}: {m['sender']}" + ("" if held else f" -> {rcpt}"))
        self.stray = []
        for sink in (side.smtp, side.lmtp):
            for m in sink.messages:
                key, text = plain_message(m, session_of)
                (out[session_of[key]] if key else self.stray).append(text)
            sink.messages.clear()
        return [sorted(o) for o in out]
