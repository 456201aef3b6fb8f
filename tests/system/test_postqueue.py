"""The queue as postqueue shows it, while the suite runs and while it does not; and its answers to odd requests."""
import os, subprocess

import pytest

from instance import ROOT
from test_bounces import make, send


def test_the_list_is_the_same_without_the_daemons(instance):
    i = make(instance)
    assert i.run("postqueue", "-p").stdout == "Mail queue is empty\n" and i.run("postqueue", "-j").stdout == ""
    queue_id = send(i, "alice@example.test", "x@later.test")
    i.wait_deferred()
    text, objects = i.run("postqueue", "-p").stdout, i.queue()
    assert text.splitlines()[2] == f"{'(not now)':>78}"
    (o,) = objects
    assert (o["queue_name"], o["queue_id"], o["sender"]) == ("deferred", queue_id, "alice@example.test")
    assert o["recipients"] == [{"address": "x@later.test", "delay_reason": "not now"}]
    assert not o["forced_expire"] and o["message_size"] > 100
    i.run("merpati", "-c", i.conf, "stop")
    i.running = False
    down = i.run("postqueue", "-p")
    assert down.stdout == text and "warning: Mail system is down -- accessing queue directly" in down.stderr
    assert i.queue() == objects
    flush = i.run("postqueue", "-f", check=False)
    assert flush.returncode == 69 and flush.stderr == "postqueue: fatal: Cannot flush mail queue - mail system is down\n"


def test_strangers_get_no_list_while_the_suite_is_down(instance):
    if os.geteuid() != 0:
        pytest.skip("needs another user")
    i = make(instance)
    i.run("merpati", "-c", i.conf, "stop")
    i.running = False
    p = subprocess.run([str(ROOT / "sbin" / "postqueue"), "-c", str(i.conf), "-p"], user="nobody", group="nogroup", capture_output=True, text=True)
    assert p.returncode == 69 and "Queue report unavailable - mail system is down" in p.stderr and not p.stdout


def test_one_message_and_one_site_are_tried_at_once(instance):
    i = make(instance)
    queue_id = send(i, "alice@example.test", "x@later.test")
    i.log.wait("status=deferred")
    i.run("postqueue", "-i", queue_id)
    i.log.wait("status=deferred", 2)
    i.run("postqueue", "-s", "later.test")
    i.log.wait("status=deferred", 3)


@pytest.mark.parametrize("args, status, text", [
    ((), 64, "usage: postqueue -f | postqueue -i queueid"), (("-p", "-j"), 64, "usage: "), (("-i", "../x"), 64, 'Cannot flush queue ID - invalid name: "../x"'),
    (("-s", "a b"), 64, 'Cannot flush mail queue - invalid destination: "a b"')])
def test_wrong_use(instance, args, status, text):
    p = make(instance).run("postqueue", *args, check=False)
    assert p.returncode == status and p.stderr.startswith("postqueue: fatal: " + text)


def test_who_may_look_and_flush(instance):
    if os.geteuid() != 0:
        pytest.skip("needs another user")
    i = make(instance, authorized_mailq_users="!nobody, static:all", authorized_flush_users="root")
    for option, what in (("-p", "view"), ("-f", "flush")):
        p = subprocess.run([str(ROOT / "sbin" / "postqueue"), "-c", str(i.conf), option], user="nobody", group="nogroup", capture_output=True, text=True)
        assert p.returncode == 77 and f"User nobody({__import__('pwd').getpwnam('nobody').pw_uid}) is not allowed to {what} the mail queue" in p.stderr
