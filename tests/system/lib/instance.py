"""A private instance of the suite in one folder, on loopback ports of its own."""
import grp, json, os, pathlib, pwd, re, select, shutil, socket, subprocess, time

ROOT = pathlib.Path(os.environ.get("MERPATI_ROOT", pathlib.Path(__file__).resolve().parents[3] / "build" / "root-release"))
SHARED = pathlib.Path(__file__).resolve().parents[3].parent / "shared"
AS_ROOT = os.geteuid() == 0
VMAIL = 5000 if AS_ROOT else os.geteuid()
LONG = 30 * int(os.environ.get("MERPATI_TEST_PATIENCE", "1"))  # seconds until a test gives up on an event
# Below the ports that the kernel gives to outgoing connections: one of those could hold a port that an instance wants back.
_ports = iter(range(10000 + os.getpid() % 1000 * 20, 32768))

MASTER = """
smtp       inet  n - n - {smtp_max} smtpd
submission inet  n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=may
  -o smtpd_sasl_auth_enable=yes
submissions inet n - n - - smtpd
  -o syslog_name=postfix/submissions
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
lmtp      unix  - - n - - lmtp
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
local     unix  - n n - - local
virtual   unix  - n n - - virtual
showq     unix  n - n - - showq
anvil     unix  - - n - 1 anvil
auth      unix  - - n - 1 auth
imap      inet  n - n - {imap_max} imapd
imaps     inet  n - n - - imapd
  -o imapd_tls_wrappermode=yes
pop3      inet  n - n - - pop3d
pop3s     inet  n - n - - pop3d
  -o pop3d_tls_wrappermode=yes
imap-session unix - n n - 0 imapd
pop3-session unix - n n - 0 pop3d
postlog   unix-dgram n - n - 1 postlogd
"""


def free_port():
    for port in _ports:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")


def certificate(folder):
    """A self-signed certificate; returns (certificate, key)."""
    cert, key = folder / "tls.crt", folder / "tls.key"
    if not cert.exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out",
                        str(cert)], check=True, capture_output=True)
        os.chmod(key, 0o600)
    return cert, key


class Log:
    """The log file as a stream of events."""

    def __init__(self, path):
        self.path = path
        self.lines = []
        path.touch()
        self.tail = subprocess.Popen(["tail", "-n", "+1", "-F", str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.rest = b""

    def read(self, timeout):
        ready, _, _ = select.select([self.tail.stdout], [], [], timeout)
        if not ready:
            return False
        data = os.read(self.tail.stdout.fileno(), 1 << 20)
        *lines, self.rest = (self.rest + data).split(b"\n")
        self.lines += [l.decode("utf-8", "replace") for l in lines]
        return bool(data)

    def wait(self, pattern, count=1, timeout=LONG):
        """Waits until so many lines match; returns the matches."""
        end = time.monotonic() + timeout
        while True:
            found = [m for l in self.lines if (m := re.search(pattern, l))]
            if len(found) >= count:
                return found
            left = end - time.monotonic()
            if left <= 0 or not self.read(left):
                if time.monotonic() >= end:
                    raise AssertionError(f"{len(found)} of {count} log lines match {pattern!r} in {self.path} after {timeout} s")

    def close(self):
        self.tail.kill()
        self.tail.wait()
        self.tail.stdout.close()


class Instance:
    """settings: main.cf parameters; special keys: master (text to append), users (dict name: password), aliases (text), files (dict)."""

    def __init__(self, folder, *, master="", users=None, aliases="", files=None, smtp_max="-", imap_max="-", drop_master=(), **main):
        self.dir = pathlib.Path(folder)
        os.chmod(self.dir, 0o755)
        for p in self.dir.parents:
            if p == pathlib.Path("/") or p.stat().st_mode & 0o1000:  # /tmp and its like
                break
            os.chmod(p, 0o755)
        self.conf = self.dir / "etc"
        self.conf.mkdir()
        for d in ("queue", "data", "mail"):
            (self.dir / d).mkdir()
        if AS_ROOT:
            os.chown(self.dir / "mail", VMAIL, VMAIL)
            os.chown(self.dir / "data", pwd.getpwnam("merpati").pw_uid, -1)
        self.port = {n: free_port() for n in ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s")}
        self.users = {"alice": "wonder-Land1", "bob": "builder-2"} if users is None else users
        self.domain = main.pop("domain", "example.test")
        cert, key = certificate(self.conf)
        self.cert = cert
        self.main = dict(
            compatibility_level="3.6", queue_directory=self.dir / "queue", data_directory=self.dir / "data",
            maillog_file=self.dir / "mail.log", maillog_file_prefixes=self.dir, myhostname="mx." + self.domain, mydomain=self.domain,
            myorigin=self.domain, mydestination="localhost, mx." + self.domain, mynetworks="127.0.0.0/8 [::1]/128",
            inet_interfaces="127.0.0.1", inet_protocols="ipv4", smtpd_peername_lookup="no", smtp_dns_support_level="disabled",
            smtp_host_lookup="native", alias_maps=f"hash:{self.conf}/aliases", alias_database=f"hash:{self.conf}/aliases", biff="no",
            virtual_mailbox_domains=self.domain, virtual_mailbox_base=self.dir / "mail",
            virtual_mailbox_maps=f"hash:{self.conf}/vmailbox", virtual_uid_maps=f"static:{VMAIL}", virtual_gid_maps=f"static:{VMAIL}",
            virtual_minimum_uid=1, virtual_alias_maps=f"hash:{self.conf}/virtual", smtpd_tls_cert_file=cert, smtpd_tls_key_file=key,
            smtpd_tls_security_level="may", imapd_tls_cert_file=cert, imapd_tls_key_file=key, pop3d_tls_cert_file=cert,
            pop3d_tls_key_file=key, smtpd_relay_restrictions="permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
            auth_passdb=f"passwd-file:{self.conf}/passwd", mail_location=f"maildir:{self.dir}/mail/%n",
            smtpd_client_connection_count_limit=0, smtpd_client_connection_rate_limit=0)
        self.main.update(main)
        text = MASTER.format(smtp_max=smtp_max, imap_max=imap_max)
        for name, port in self.port.items():
            text = re.sub(rf"^{name}( +)inet", rf"127.0.0.1:{port}\1inet", text, flags=re.M)
        for d in drop_master:
            text = re.sub(rf"^{d}.*\n(?:[ \t].*\n)*", "", text, flags=re.M)
        self.master_text = text.lstrip() + master
        self.write_main()
        (self.conf / "master.cf").write_text(self.master_text)
        (self.conf / "aliases").write_text(aliases or f"postmaster: root\nroot: alice@{self.domain}\nteam: alice@{self.domain}, bob@{self.domain}\n")
        (self.conf / "vmailbox").write_text("".join(f"{u}@{self.domain} {u}/\n" for u in self.users))
        (self.conf / "virtual").write_text(f"postmaster@{self.domain} alice@{self.domain}\n")
        (self.conf / "passwd").touch(0o640)
        for name, content in (files or {}).items():
            (self.conf / name).write_text(content)
        self.log = None
        self.running = False

    # ---- commands

    def run(self, name, *args, check=True, **kw):
        env = dict(os.environ, MAIL_CONFIG=str(self.conf), PATH=f"{ROOT}/sbin:{os.environ['PATH']}")
        kw.setdefault("timeout", LONG * 2)
        p = subprocess.run([str(ROOT / "sbin" / name), *map(str, args)], env=env, capture_output=True, text=kw.pop("text", True), **kw)
        if check and p.returncode != 0:
            raise AssertionError(f"{name} {args}: exit status {p.returncode}: {p.stdout}{p.stderr}")
        return p

    def write_main(self):
        (self.conf / "main.cf").write_text("".join(f"{k} = {v}\n" for k, v in self.main.items()))

    def start(self, check=True):
        for table in ("hash:vmailbox", "hash:virtual"):
            self.run("postmap", f"hash:{self.conf}/{table.split(':')[1]}")
        self.run("newaliases")
        if not (self.conf / "passwd").read_text():
            for u, p in self.users.items():
                self.run("merpati", "-c", self.conf, "user", "add", f"{u}", input=p + "\n")
        self.log = self.log or Log(self.dir / "mail.log")
        p = self.run("merpati", "-c", self.conf, "start", check=check)
        self.running = p.returncode == 0
        return p

    def stop(self):
        if self.running:
            self.run("merpati", "-c", self.conf, "stop", check=False)
            self.running = False
        if self.log:
            self.log.close()
            self.log = None

    def reload(self):
        self.run("merpati", "-c", self.conf, "reload")

    def master_pid(self):
        return int((self.dir / "queue" / "pid" / "master.pid").read_text())

    def pids(self):
        """All processes of the instance: {pid: program}."""
        master, found = self.master_pid(), {}
        parent = {}
        for p in os.listdir("/proc"):
            if p.isdigit():
                try:
                    stat = open(f"/proc/{p}/stat").read()
                except OSError:
                    continue
                parent[int(p)] = (int(stat.rpartition(")")[2].split()[1]), stat[stat.index("(") + 1:stat.rindex(")")])
        todo = [master]
        while todo:
            one = todo.pop()
            if one in parent:
                found[one] = parent[one][1]
            todo += [p for p, (pp, _) in parent.items() if pp == one]
        return found

    # ---- looking

    def queue(self):
        return [json.loads(l) for l in self.run("postqueue", "-j").stdout.splitlines()]

    def maildir(self, user, folder=""):
        box = self.dir / "mail" / user / folder
        return sorted(p for d in ("new", "cur") for p in (box / d).glob("*")) if box.exists() else []

    def messages(self, user, folder=""):
        return [p.read_bytes() for p in self.maildir(user, folder)]

    def log_tail(self, n):
        try:
            return "\n".join((self.dir / "mail.log").read_text(errors="replace").splitlines()[-n:])
        except OSError:
            return ""

    def wait_delivered(self, count=1, status="sent"):
        return self.log.wait(rf"status={status} \(", count)

    def wait_deferred(self, count=1, timeout=LONG):
        """Until so many messages lie in deferred: the agent's log line comes before the queue manager has moved them."""
        self.log.wait("status=deferred", count, timeout)
        end = time.monotonic() + timeout
        while sum(q["queue_name"] == "deferred" for q in self.queue()) < count:
            if time.monotonic() > end:
                raise AssertionError(f"the queue holds {self.queue()}")
            self.log.read(0.05)

    def wait_empty(self, timeout=LONG):
        """Until the queue holds nothing: told by the log (every arrival has its `removed`)."""
        end = time.monotonic() + timeout
        while self.queue():
            if time.monotonic() > end:
                raise AssertionError(f"the queue still holds {self.queue()}")
            self.log.read(0.2)
