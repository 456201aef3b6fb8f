"""Kills under load: which process to kill, loads that note what was acknowledged, and what must hold afterwards."""
import imaplib, os, poplib, re, signal, smtplib, threading, time

from clients import insecure
from instance import LONG
from test_load import send_numbered

ROUNDS = int(os.environ.get("MERPATI_KILL_ROUNDS", "50"))
NUMBER = re.compile(rb"^message-id: <([\w.]+)@load\.test>", re.I | re.M)


def until(i, condition, what, timeout=LONG):
    """Reads the log while it waits, so that the pipe of the log does not fill."""
    end = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < end, (what() if callable(what) else what, i.log_tail(60))
        i.log.read(0.01)
    return found


# ---- processes


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def service_of(pid):
    """(program, service) of a worker's command line; a process of a user has its daemon's."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            argv = f.read().decode().split("\0")
    except OSError:
        return "", ""
    return os.path.basename(argv[0]), argv[argv.index("-n") + 1] if "-n" in argv else ""


def workers(i, program, service=None):
    """Processes that master started for it."""
    return [p for p in children(i.master_pid()) if service_of(p)[0] == program and service in (None, service_of(p)[1])]


def users(i, program, service=None):
    """Processes that have become a user: a worker's spawner started them."""
    return [p for w in workers(i, program, service) for spawner in children(w) for p in children(spawner) if service_of(p)[0] == program]


def kill_rounds(i, find, progress, more=5, rounds=ROUNDS):
    """Kills what find() names, so many times; after each it must be there again, and progress() must have grown by so much."""
    killed = []
    for n in range(rounds):
        victims = until(i, find, f"no process to kill in round {n}")
        before = progress()
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            except ProcessLookupError:
                pass
        until(i, lambda: progress() >= before + more, f"no work was done after kill {n} of {victims}")
    until(i, find, "it was not started again")
    return killed


def told(i, killed):
    """The log names every process that was killed."""
    def named():
        found = {int(m[1]) for l in i.log.lines if (m := re.search(r"warning: process .*pid (\d+) killed by signal 9", l))}
        return set(killed) <= found
    until(i, named, "the log does not tell of a killed process")
    assert len(killed) >= ROUNDS


# ---- mail


class Route:
    """A sender of its own: numbered messages to one recipient; arrived() gives the numbers that came out at the end."""

    def __init__(self, recipient, arrived, how="smtp", user="alice", sender="load@load.test"):
        self.recipient, self.arrived, self.how, self.user, self.sender = recipient, arrived, how, user, sender
        self.acknowledged, self.refused = set(), 0


class MailLoad:
    def __init__(self, i, *routes):
        self.i, self.routes, self.stop = i, routes, False
        self.threads = [threading.Thread(target=self.run, args=(n, r), daemon=True) for n, r in enumerate(routes)]
        for t in self.threads:
            t.start()

    def run(self, number, r):
        n = 0
        while not self.stop:
            name = f"{number}.{n}"
            getattr(self, r.how)(r, name)
            n += 1

    def smtp(self, r, name):
        send_numbered(self.i.port["smtp"], [name], r.acknowledged, r.recipient, sender=r.sender, stopped=lambda: self.stop)

    def submission(self, r, name):
        """A session of its own each time, with a login."""
        text = f"From: {r.user}@example.test\nTo: {r.recipient}\nMessage-ID: <{name}@load.test>\n\n{'x' * 60}\n"
        while not self.stop:
            try:
                with smtplib.SMTP("127.0.0.1", self.i.port["submission"], timeout=LONG) as s:
                    s.starttls(context=insecure())
                    s.login(r.user, self.i.users[r.user])
                    s.sendmail(f"{r.user}@example.test", [r.recipient], text)
                    r.acknowledged.add(name)
                    return
            except (smtplib.SMTPException, OSError):
                r.refused += name not in r.acknowledged
                if name in r.acknowledged:  # it broke after the 250
                    return

    def sendmail(self, r, name):
        p = self.i.run("sendmail", "-f", "load@load.test", r.recipient, input=f"Message-ID: <{name}@load.test>\nSubject: {name}\n\ntext\n", check=False)
        if p.returncode == 0:
            r.acknowledged.add(name)

    def count(self):
        return sum(len(r.acknowledged) for r in self.routes)

    def end(self):
        self.stop = True
        for t in self.threads:
            t.join(LONG * 2)
            assert not t.is_alive()

    def wait_arrived(self, empty=True):
        """Each message that got its 250 came out at least once."""
        i, end = self.i, time.monotonic() + LONG * 2
        while True:
            missing = {n for r in self.routes for n in r.acknowledged - r.arrived()}
            if not missing and not (empty and i.queue()):
                return
            assert time.monotonic() < end, (len(missing), sorted(missing)[:5], i.queue()[:3], i.log_tail(40))
            i.run("postqueue", "-f", check=False)
            i.log.read(0.2)


def numbers(messages):
    return {m.decode() for text in messages for m in NUMBER.findall(text)}


def in_maildir(i, user):
    return lambda: numbers(i.messages(user))


def in_folder(folder):
    return lambda: numbers(p.read_bytes() for d in ("new", "cur") for p in (folder / d).glob("*"))


def in_file(path):
    return lambda: numbers([path.read_bytes() if path.exists() else b""])


def in_sink(sink):
    return lambda: {name.decode()[1:].partition("@")[0] for name, _ in sink.taken}


def by_queue_id(i):
    """{queue id: number} of what the log tells."""
    i.log.read(0)
    return dict(m.groups() for l in i.log.lines if (m := re.search(r"cleanup\[\d+\]: (\w+): message-id=<([\w.]+)@load\.test>", l)))


def removed(i):
    """Numbers of messages that qmgr has done with."""
    def found():
        names = by_queue_id(i)
        return {names[m[1]] for l in i.log.lines if (m := re.search(r"qmgr\[\d+\]: (\w+): removed", l)) and m[1] in names}
    return found


def in_queue(i):
    def found():
        names = by_queue_id(i)
        return {names[m["queue_id"]] for m in i.queue() if m["queue_id"] in names}
    return found


# ---- mailboxes


class ImapLoad:
    """One client for each user: logs in, appends, flags, fetches, logs out, again; notes what got an OK."""

    def __init__(self, i, names, per_session=4):
        self.i, self.stop, self.per_session = i, False, per_session
        self.appended, self.flagged = {u: set() for u in names}, {u: set() for u in names}
        self.broken, self.wrong, self.done = 0, [], 0
        self.threads = [threading.Thread(target=self.run, args=(u,), daemon=True) for u in names]
        for t in self.threads:
            t.start()

    def connect(self, user):
        m = imaplib.IMAP4("127.0.0.1", self.i.port["imap"], timeout=LONG)
        m.login(user, self.i.users[user])
        return m

    def run(self, user):
        n = 0
        while not self.stop:
            try:
                m = self.connect(user)
                self.need(m.select("INBOX"))
                for _ in range(self.per_session):
                    n += 1
                    self.work(m, user, f"{user}.{n}")
                m.logout()
            except (imaplib.IMAP4.error, OSError, EOFError):
                self.broken += 1

    @staticmethod
    def need(answer):
        if answer[0] != "OK":
            raise imaplib.IMAP4.error(answer)
        return answer[1]

    def work(self, m, user, name):
        text = f"From: {user}@example.test\r\nMessage-ID: <{name}@load.test>\r\nSubject: {name}\r\n\r\nkept\r\n".encode()
        (answer,) = self.need(m.append("INBOX", None, None, text))
        self.appended[user].add(name)
        uid = re.search(rb"APPENDUID \d+ (\d+)", answer)[1].decode()
        self.need(m.uid("STORE", uid, "+FLAGS.SILENT", "(\\Flagged)"))
        self.flagged[user].add(name)
        fetched = self.need(m.uid("FETCH", uid, "(FLAGS BODY.PEEK[])"))
        if not isinstance(fetched[0], tuple) or fetched[0][1] != text or b"\\Flagged" not in fetched[0][0] + fetched[-1]:
            self.wrong.append((name, fetched))
        self.done += 1

    def count(self):
        return self.done

    def end(self):
        self.stop = True
        for t in self.threads:
            t.join(LONG * 2)
            assert not t.is_alive()

    def check(self):
        """What got an OK is there, once each, with its flag."""
        assert not self.wrong, self.wrong[:3]
        for user in self.appended:
            m = self.connect(user)
            self.need(m.select("INBOX"))
            flags = {}
            for item in self.need(m.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")):
                if isinstance(item, tuple):
                    for name in numbers([item[1]]):
                        assert name not in flags or name not in self.appended[user], f"{name} is there twice"
                        flags[name] = b"\\Flagged" in item[0]
            m.logout()
            assert self.appended[user] <= set(flags), self.appended[user] - set(flags)
            lost = {n for n in self.flagged[user] if not flags[n]}
            assert not lost, f"\\Flagged is lost: {lost}"


class PopLoad:
    """A client for each user that fetches and deletes what others deliver."""

    def __init__(self, i, names):
        self.i, self.stop = i, False
        self.seen, self.removed = {u: set() for u in names}, {u: set() for u in names}
        self.broken = self.done = 0
        self.threads = [threading.Thread(target=self.run, args=(u,), daemon=True) for u in names]
        for t in self.threads:
            t.start()

    def run(self, user):
        while not self.stop:
            try:
                self.session(user)
                self.done += 1
            except (poplib.error_proto, OSError, EOFError):
                self.broken += 1

    def session(self, user):
        p = poplib.POP3("127.0.0.1", self.i.port["pop3"], timeout=LONG)
        p.user(user)
        p.pass_(self.i.users[user])
        got = set()
        for n in range(1, min(p.stat()[0], 6) + 1):
            got |= numbers([b"\n".join(p.retr(n)[1])])
            p.dele(n)
        self.seen[user] |= got
        p.quit()
        self.removed[user] |= got

    def arrived(self, user):
        """What the client has seen, and what still lies in the mailbox."""
        return lambda: self.seen[user] | numbers(self.i.messages(user))

    def count(self):
        return self.done

    def end(self):
        self.stop = True
        for t in self.threads:
            t.join(LONG * 2)
            assert not t.is_alive()

    def check(self):
        for user, gone in self.removed.items():
            again = gone & numbers(self.i.messages(user))
            assert not again, f"deleted with a good QUIT, and there again: {again}"
