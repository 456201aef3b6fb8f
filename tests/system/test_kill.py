"""Daemons of the mail's way killed under load, each many times: each message that got its 250 arrives at least once, master
starts a new process, the log says so."""
import os, pwd, signal, socket, subprocess, threading

import pytest

import instance as instances
import peers
from instance import AS_ROOT, LONG
from kill import (ROUNDS, MailLoad, Route, in_file, in_folder, in_maildir, in_queue, in_sink, kill_rounds, removed, service_of, told, until,
                  users, workers)


class Place:
    """An instance with a route for every delivery agent: a domain for each transport, and aliases for a Maildir and a command."""

    def __init__(self, instance, folder, sink):
        self.out, self.sink = folder / "out", sink
        self.out.mkdir()
        for p in (self.out, *folder.parents, folder):
            if str(p) not in ("/", "/tmp"):
                os.chmod(p, 0o777 if p == self.out else 0o755)
        (self.out / "keep").write_text(f"exec cat >>{self.out}/piped\n")
        transports = {"far.test": f"smtp:[127.0.0.1]:{sink.port}", "lmtp.test": f"lmtp:inet:127.0.0.1:{sink.port}", "pipe.test": "pipe:", "later.test": "retry:4.2.1 not now",
                      "gone.test": "error:5.1.1 no such place", "nothing.test": "discard:"}
        user = "nobody" if AS_ROOT else pwd.getpwuid(os.geteuid()).pw_name
        self.i = instance(
            users={"alice": "wonder-Land1", "bob": "builder-2", "carol": "carol-3"}, transport_maps=self.table(transports), minimal_backoff_time="1s", maximal_backoff_time="2s",
            queue_run_delay="1s", transport_retry_time="1s", smtpd_reject_unlisted_recipient="no", smtpd_client_connection_count_limit=1000,
            smtpd_client_event_limit_exceptions="", master=f"pipe unix - n n - - pipe\n  flags=R user={user} argv=/bin/sh {self.out}/keep\n",
            aliases=f'postmaster: root\nroot: alice@example.test\nboxed: {self.out}/box/\ncommanded: "|cat >>{self.out}/commanded"\n')

    @staticmethod
    def table(transports):
        return "inline:{" + ", ".join("{%s=%s}" % t for t in transports.items()) + "}"

    def routes(self, kind):
        i, far = self.i, in_sink(self.sink)
        return {"near": lambda: Route("bob@example.test", in_maildir(i, "bob")),
                "far": lambda: Route("x@far.test", far),
                "lmtp": lambda: Route("x@lmtp.test", far),
                "box": lambda: Route("boxed@localhost", in_folder(self.out / "box")),
                "command": lambda: Route("commanded@localhost", in_file(self.out / "commanded")),
                "pipe": lambda: Route("x@pipe.test", in_file(self.out / "piped")),
                # The notice to the sender, which quotes the header, is what must arrive.
                "notice": lambda: Route("x@gone.test", in_maildir(i, "carol"), sender="carol@example.test"),
                "discard": lambda: Route("x@nothing.test", removed(i)),
                "later": lambda: Route("x@later.test", in_queue(i)),
                "sendmail": lambda: Route("bob@example.test", in_maildir(i, "bob"), how="sendmail")}[kind]()

    def load(self, kinds):
        return MailLoad(self.i, *(self.routes(k) for k in kinds.split()))


# What is killed, as (program, service), the processes of users below it instead of the worker, and the load it needs.
DAEMONS = {
    "smtpd": (workers, ("smtpd",), "near far near far"),
    "cleanup": (workers, ("cleanup",), "near far near far"),
    "qmgr": (workers, ("qmgr",), "near far near far"),
    "trivial-rewrite": (workers, ("trivial-rewrite",), "near far near far"),
    "smtp": (workers, ("smtp",), "near far near far"),
    "pickup": (workers, ("pickup",), "sendmail sendmail far"),
    "bounce": (workers, ("bounce",), "notice notice later"),
    "anvil": (workers, ("anvil",), "near far near far"),
    "lmtp": (workers, ("lmtp",), "lmtp lmtp near"),
    "error": (workers, ("error", "error"), "notice notice near"),
    "retry": (workers, ("error", "retry"), "later near"),
    "discard": (workers, ("discard",), "discard discard near"),
    "virtual": (workers, ("virtual",), "near near far"),
    "virtual, the owner's process": (users, ("virtual",), "near near far"),
    "local": (workers, ("local",), "box command box command"),
    "local, the owner's process": (users, ("local",), "box command box command"),
    "pipe": (workers, ("pipe",), "pipe pipe near"),
    "pipe, the owner's process": (users, ("pipe",), "pipe pipe near"),
}


@pytest.mark.slow
@pytest.mark.parametrize("daemon", DAEMONS)
def test_killed_daemon_loses_nothing(instance, tmp_path, daemon):
    find, which, kinds = DAEMONS[daemon]
    with peers.RecordingSink() as sink:
        place = Place(instance, tmp_path, sink)
        i, load = place.i, place.load(kinds)
        killed = kill_rounds(i, lambda: find(i, *which), load.count)
        load.end()
        load.wait_arrived(empty="later" not in kinds)
        told(i, killed)


@pytest.mark.slow
def test_killed_showq_comes_back(instance, tmp_path):
    with peers.RecordingSink() as sink:
        place = Place(instance, tmp_path, sink)
        i, load = place.i, place.load("later near")
        viewer = Viewer(i)
        killed = kill_rounds(i, lambda: workers(i, "showq"), viewer.count, more=1)
        viewer.end()
        load.end()
        load.wait_arrived(empty=False)
        told(i, killed)


class Viewer:
    """Looks at the queue all the time; counts the lists that came whole."""

    def __init__(self, i):
        self.i, self.stop, self.lists = i, False, 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stop:
            self.lists += self.i.run("postqueue", "-j", check=False).returncode == 0

    def count(self):
        return self.lists

    def end(self):
        self.stop = True
        self.thread.join(LONG)


def processes(i):
    """All that work in the instance's queue, whoever started them."""
    found = []
    for p in os.listdir("/proc"):
        try:
            if p.isdigit() and os.readlink(f"/proc/{p}/cwd") == str(i.dir / "queue"):
                found.append(int(p))
        except OSError:  # ended between two looks, or a zombie
            pass
    return found


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def test_worker_ends_when_master_ends_right_after_a_wakeup(instance):
    """Both are there at once when the worker first looks."""
    i = instance(drop_master=("pickup",))
    ours, theirs = socket.socketpair()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(i.dir / "queue" / "public" / "pickup-of-test"))
    listener.listen()
    ours.send(b"W")
    ours.close()

    # Descriptors 5 and 6, as master passes them on.
    p = subprocess.Popen(["bash", "-c", f'exec "$@" 5<&{theirs.fileno()} 6<&{listener.fileno()}', "sh", instances.ROOT / "libexec" / "merpati" / "pickup", "-n", "pickup", "-t", "unix",
                          "-s", "1", "-m", "1"], pass_fds=(theirs.fileno(), listener.fileno()), env=dict(os.environ, MAIL_CONFIG=str(i.conf), MERPATI_WORKER="1"), cwd=i.dir / "queue")
    theirs.close()
    try:
        assert p.wait(LONG) == 0
    finally:
        p.kill()
        p.wait()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["master", "everything"])
def test_killed_master_loses_nothing(instance, tmp_path, what):
    with peers.RecordingSink() as sink:
        place = Place(instance, tmp_path, sink)
        i, load = place.i, place.load("near far box command")
        rounds = ROUNDS if what == "master" else max(3, ROUNDS // 3)
        for _ in range(rounds):
            before = load.count()
            until(i, lambda: load.count() >= before + 10, "no mail after a start")
            kill(processes(i) if what == "everything" else [i.master_pid()])
            until(i, lambda: not processes(i), lambda: f"processes go on without master: {[(p, service_of(p)) for p in processes(i)]}")
            i.start()
        load.end()
        load.wait_arrived()
        i.log.wait(r"master\[\d+\]: daemon started", rounds + 1)
