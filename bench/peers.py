"""The systems that are measured: a private instance each, in one folder, on loopback."""
import os, pathlib, pwd, re, shutil, socket, subprocess, time

TOP = pathlib.Path(__file__).resolve().parent.parent
POSTFIX = pathlib.Path(os.environ.get("MERPATI_POSTFIX", TOP / "build" / "postfix"))
ROOT = pathlib.Path(os.environ.get("MERPATI_ROOT", TOP / "build" / "root-release"))
VUID = 5000
TICK = os.sysconf("SC_CLK_TCK")
LIBRARIES = {"LD_LIBRARY_PATH": str(POSTFIX / "usr/lib/postfix")}


def read(path):
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def wait(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"bench: {what} within {seconds} s")
        time.sleep(0.02)


def listening(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Peer:
    """name: 'merpati' or 'postfix'; extra: settings for main.cf."""

    def __init__(self, folder, name, base_port, sink_port, users=100, **extra):
        self.name, self.dir, self.users, self.sink_port = name, pathlib.Path(folder), users, sink_port
        self.port = {"smtp": base_port + 25, "imap": base_port + 143}
        self.etc, self.log = self.dir / "etc", self.dir / "mail.log"
        self.extra = extra

    def configure(self):
        d = self.dir
        for p in ("etc", "queue", "data", "mail"):
            (d / p).mkdir(parents=True)
        owner = "merpati" if self.name == "merpati" else "postfix"
        for p in (d, *d.parents):
            if str(p) not in ("/", "/tmp"):
                os.chmod(p, 0o755)
        shutil.chown(d / "data", owner)
        os.chown(d / "mail", VUID, VUID)
        settings = dict(
            compatibility_level="3.6", queue_directory=d / "queue", data_directory=d / "data", maillog_file=self.log, maillog_file_prefixes=d,
            inet_interfaces="127.0.0.1", inet_protocols="ipv4", myhostname="bench.test", mydestination="", mynetworks="127.0.0.0/8", alias_maps="",
            alias_database="", transport_maps=f"hash:{d}/etc/transport", virtual_mailbox_domains="example.test", virtual_mailbox_base=d / "mail",
            virtual_mailbox_maps=f"hash:{d}/etc/vmailbox", virtual_uid_maps=f"static:{VUID}", virtual_gid_maps=f"static:{VUID}")
        if self.name == "postfix":
            settings.update(daemon_directory=POSTFIX / "usr/lib/postfix/sbin", command_directory=POSTFIX / "usr/sbin", meta_directory=POSTFIX / "etc/postfix",
                            shlib_directory=POSTFIX / "usr/lib/postfix", import_environment="MAIL_CONFIG TZ LANG=C LD_LIBRARY_PATH")
        else:
            settings.update(auth_passdb=f"passwd-file:{d}/etc/passwd", mail_location=f"maildir:{d}/mail/%n")
        settings.update(self.extra)
        (self.etc / "main.cf").write_text("".join(f"{k} = {v}\n" for k, v in settings.items()))
        stock = (POSTFIX / "usr/share/postfix/master.cf.dist") if self.name == "postfix" else ROOT / "share/merpati/master.cf"
        text = stock.read_text()
        text = re.sub(r"^smtp( +)inet", rf"127.0.0.1:{self.port['smtp']}\1inet", text, flags=re.M)
        text = re.sub(r"^imap( +)inet", rf"127.0.0.1:{self.port['imap']}\1inet", text, flags=re.M)
        text = re.sub(r"^(submissions?|imaps|pop3s?)( +)inet.*\n(?:[ \t].*\n)*", "", text, flags=re.M)
        if self.name == "postfix":
            text = re.sub(r"^([a-z]\S* +\S+ +\S+ +\S+ +)y ", r"\1n ", text, flags=re.M)
        (self.etc / "master.cf").write_text(text)
        (self.etc / "vmailbox").write_text("".join(f"u{u}@example.test u{u}/\n" for u in range(1, self.users + 1)))
        (self.etc / "transport").write_text(f"discard.test discard:\nremote.test smtp:[127.0.0.1]:{self.sink_port}\n")
        (self.etc / "passwd").write_text("".join(f"u{u}:{{PLAIN}}secret:{VUID}:{VUID}::{d}/mail/u{u}\n" for u in range(1, self.users + 1)))
        for table in ("vmailbox", "transport"):
            self.run("postmap", f"hash:{self.etc}/{table}")

    def run(self, command, *args):
        folder = POSTFIX / "usr/sbin" if self.name == "postfix" else ROOT / "sbin"
        env = dict(os.environ, MAIL_CONFIG=str(self.etc), **(LIBRARIES if self.name == "postfix" else {}))
        p = subprocess.run([str(folder / command), "-c", str(self.etc), *map(str, args)], env=env, capture_output=True, text=True)
        if p.returncode:
            raise SystemExit(f"bench: {self.name}: {command}: {p.stderr or p.stdout}\n{read(self.log)[-2000:]}")

    def start(self):
        self.configure()
        self.run("postfix", "start")
        wait(lambda: read(self.dir / "queue/pid/master.pid").strip(), 10, f"{self.name} has no master")
        self.pid = int(read(self.dir / "queue/pid/master.pid"))
        wait(lambda: listening(self.port["smtp"]), 10, f"{self.name} does not listen")

    def stop(self):
        self.run("postfix", "stop")

    # ---- counters

    def pids(self):
        parent = {}
        for p in os.listdir("/proc"):
            if p.isdigit() and (s := read(f"/proc/{p}/stat")):
                parent[int(p)] = int(s.rsplit(")", 1)[1].split()[1])
        tree = [self.pid]
        for p in tree:
            tree += [c for c, q in parent.items() if q == p]
        return tree

    def cpu_ms(self):
        """CPU of the whole tree, reaped children of live processes included; schedstat is exact where stat is rounded to ticks."""
        total = 0.0
        for p in self.pids():
            stat = read(f"/proc/{p}/stat")
            if not stat:
                continue
            own = 0.0
            try:
                for t in os.listdir(f"/proc/{p}/task"):
                    own += int((read(f"/proc/{p}/task/{t}/schedstat").split() or ["0"])[0]) / 1e6
            except OSError:
                continue
            fields = stat.rsplit(")", 1)[1].split()
            ticks = sum(int(x) for x in fields[11:13]) * 1e3 / TICK
            total += max(own, ticks) + sum(int(x) for x in fields[13:15]) * 1e3 / TICK
        return total

    def pss_kb(self):
        total = 0
        for p in self.pids():
            for line in read(f"/proc/{p}/smaps_rollup").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total

    def queued(self):
        n = 0
        for q in ("incoming", "active", "deferred", "maildrop"):
            for _, _, files in os.walk(self.dir / "queue" / q):
                n += len(files)
        return n

    def logged(self):
        return read(self.log).count("status=sent")

    def delivered(self):
        return sum(len(files) for _, _, files in os.walk(self.dir / "mail"))


class Sink:
    """Postfix's smtp-sink: takes and throws away, and counts."""

    def __init__(self, folder, port):
        self.port = port
        self.log = pathlib.Path(folder) / "sink.log"
        os.chmod(folder, 0o755)
        self.p = subprocess.Popen([str(POSTFIX / "usr/sbin/smtp-sink"), *(["-u", "nobody"] if os.geteuid() == 0 else []), "-c", f"127.0.0.1:{port}", "1000"],
                                  stdout=open(self.log, "w"), stderr=subprocess.STDOUT, env=dict(os.environ, **LIBRARIES))
        wait(lambda: listening(port), 5, "smtp-sink does not listen")

    def count(self):
        found = re.findall(r"mesg=(\d+)", read(self.log)[-300:])
        return int(found[-1]) if found else 0

    def stop(self):
        self.p.terminate()
        self.p.wait()


def source(port, to, count, sessions, size):
    """Postfix's smtp-source: count messages over so many sessions that stay open."""
    p = subprocess.run([str(POSTFIX / "usr/sbin/smtp-source"), "-d", "-s", str(sessions), "-l", str(size), "-m", str(count), "-f", "sender@discard.test",
                        "-t", to, f"127.0.0.1:{port}"], capture_output=True, text=True, env=dict(os.environ, **LIBRARIES))
    if p.returncode or p.stderr:
        raise SystemExit(f"bench: smtp-source: {p.stderr or p.returncode}")
