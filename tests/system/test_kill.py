"""Processes killed under load: each message that got its 250 arrives at least once, master starts a new process, the log says so."""
import contextlib, os, random, signal, threading, time

import pytest

import peers
from instance import LONG
from test_load import send_numbered

DAEMONS = ("smtpd", "cleanup", "qmgr", "trivial-rewrite", "virtual", "smtp", "pickup", "bounce", "anvil")
ROUNDS = int(os.environ.get("MERPATI_KILL_ROUNDS", "50"))


class Load:
    """Four senders; half of the mail goes to a Maildir, half is relayed to a recording sink."""

    def __init__(self, i, sink):
        self.i, self.sink, self.stop = i, sink, False
        self.acknowledged = [set() for _ in range(4)]
        self.threads = [threading.Thread(target=self.send, args=(t,), daemon=True) for t in range(4)]
        for t in self.threads:
            t.start()

    def send(self, t):
        n = 0
        while not self.stop:
            send_numbered(self.i.port["smtp"], [f"{t}.{n}"], self.acknowledged[t], "bob@example.test" if t % 2 else "x@far.test")
            n += 1

    def end(self):
        self.stop = True
        for t in self.threads:
            t.join(LONG * 2)
            assert not t.is_alive()

    def missing(self):
        far = {name.decode() for name, _ in self.sink.taken}
        near = {l.split(b":", 1)[1].strip().decode() for m in self.i.messages("bob") for l in m.split(b"\n") if l.lower().startswith(b"message-id:")}
        return {n for t, d in enumerate(self.acknowledged) for n in d if f"<{n}@load.test>" not in (near if t % 2 else far)}


def wait_all_arrived(i, load):
    end = time.monotonic() + LONG * 2
    i.run("postqueue", "-f", check=False)
    while load.missing() or i.queue():
        assert time.monotonic() < end, (len(load.missing()), i.queue()[:3], i.log_tail(40))
        i.log.read(0.3)
        i.run("postqueue", "-f", check=False)


def settings(sink):
    return dict(transport_maps="inline:{far.test=smtp:[127.0.0.1]:%d}" % sink.port, minimal_backoff_time="1s", maximal_backoff_time="2s", queue_run_delay="1s",
                transport_retry_time="1s")


def runs(pid):
    try:
        return "State:\tZ" not in open(f"/proc/{pid}/status").read()
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("daemon", DAEMONS)
def test_killed_daemon_loses_nothing(instance, daemon):
    with peers.RecordingSink() as sink:
        i = instance(**settings(sink))
        load = Load(i, sink)
        killed = set()  # of those that master started; its children's children are theirs to report
        for _ in range(ROUNDS):
            before = sum(map(len, load.acknowledged))
            for pid, name in i.pids().items():
                if not os.path.exists(f"/proc/{pid}/status"):
                    continue
                if name == daemon[:15]:
                    try:
                        mine = f"PPid:\t{i.master_pid()}\n" in open(f"/proc/{pid}/status").read()
                        os.kill(pid, signal.SIGKILL)
                    except (OSError, ProcessLookupError):
                        continue  # killed a moment ago
                    killed |= {pid} if mine else set()
            end = time.monotonic() + LONG
            while sum(map(len, load.acknowledged)) < before + 5:  # the mail goes on
                assert time.monotonic() < end, i.log_tail(40)
                i.log.read(0.1)
        load.end()
        wait_all_arrived(i, load)
        assert sum(map(len, load.acknowledged)) >= ROUNDS * 5
        for pid in killed:
            i.log.wait(rf"master\[\d+\]: warning: process .*{daemon} pid {pid} killed by signal 9")


@pytest.mark.slow
def test_everything_killed_at_once_loses_nothing(instance):
    with peers.RecordingSink() as sink:
        i = instance(**settings(sink))
        load = Load(i, sink)
        for _ in range(max(3, ROUNDS // 3)):
            before = sum(map(len, load.acknowledged))
            end = time.monotonic() + LONG
            while sum(map(len, load.acknowledged)) < before + 20:
                assert time.monotonic() < end, i.log_tail(40)
                i.log.read(0.1)
            pids = i.pids()
            for pid in sorted(pids):
                with contextlib.suppress(ProcessLookupError):  # with master gone they end by themselves
                    os.kill(pid, signal.SIGKILL)
            for pid in pids:  # until the ports are free
                while runs(pid):
                    time.sleep(0.01)
            i.start()
        load.end()
        wait_all_arrived(i, load)
