"""Logins and mailbox sessions under kills: clients see a closed connection and get in again, nothing that was acknowledged is
lost, master starts a new process, the log says so."""
import pytest

from instance import VMAIL
from kill import ImapLoad, MailLoad, PopLoad, Route, in_maildir, kill_rounds, told, users, workers

NAMES = ("ann", "ben", "cat", "dan")


def start(instance):
    """Accounts with plain passwords: what is tried here is not the hash."""
    passwd = "".join(f"{u}:{{PLAIN}}secret-{u}:{VMAIL}:{VMAIL}::\n" for u in NAMES)
    return instance(users={u: f"secret-{u}" for u in NAMES}, files={"passwd": passwd}, mynetworks="192.0.2.0/24", login_trusted_networks="127.0.0.0/8",
                    disable_plaintext_auth="no", session_minimum_uid=1, minimal_backoff_time="1s", maximal_backoff_time="2s", queue_run_delay="1s",
                    transport_retry_time="1s")


@pytest.mark.slow
def test_killed_auth_loses_nothing(instance):
    i = start(instance)
    imap, pop = ImapLoad(i, ("ann",)), PopLoad(i, ("ben",))
    mail = MailLoad(i, Route("ben@example.test", pop.arrived("ben"), how="submission", user="cat"),
                    Route("dan@example.test", in_maildir(i, "dan"), how="submission", user="dan"))
    killed = kill_rounds(i, lambda: workers(i, "auth"), lambda: min(imap.count(), pop.count(), mail.count()), more=1)
    for load in (mail, imap, pop):
        load.end()
    mail.wait_arrived()
    imap.check()
    pop.check()
    told(i, killed)


IMAP = {"front": lambda i: [p for p in workers(i, "imapd") if p not in workers(i, "imapd", "imap-session")],
        "session service": lambda i: workers(i, "imapd", "imap-session"),
        "owner's process": lambda i: users(i, "imapd", "imap-session")}
POP3 = {"front": lambda i: [p for p in workers(i, "pop3d") if p not in workers(i, "pop3d", "pop3-session")],
        "session service": lambda i: workers(i, "pop3d", "pop3-session"),
        "owner's process": lambda i: users(i, "pop3d", "pop3-session")}


@pytest.mark.slow
@pytest.mark.parametrize("part", IMAP)
def test_killed_imapd_loses_nothing(instance, part):
    i = start(instance)
    load = ImapLoad(i, NAMES)
    killed = kill_rounds(i, lambda: IMAP[part](i), load.count)
    load.end()
    load.check()
    told(i, killed)
    if part == "owner's process":  # sessions that were open saw their end, each client more than once
        assert load.broken > len(killed) / 2


@pytest.mark.slow
@pytest.mark.parametrize("part", POP3)
def test_killed_pop3d_loses_nothing(instance, part):
    i = start(instance)
    pop = PopLoad(i, NAMES[:2])
    mail = MailLoad(i, *(Route(f"{u}@example.test", pop.arrived(u), how="submission", user=u) for u in NAMES[:2]))
    killed = kill_rounds(i, lambda: POP3[part](i), pop.count, more=2)
    mail.end()
    pop.end()
    mail.wait_arrived()
    pop.check()
    told(i, killed)
    if part == "owner's process":
        assert pop.broken > len(killed) / 4
