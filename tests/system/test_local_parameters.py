"""local(8) and pipe(8): where mail goes by their parameters, seen in the log and in the files."""
import os, re

import pytest

from instance import AS_ROOT

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="needs root: deliveries as several users")


@pytest.fixture
def place(tmp_path):
    """A folder that every user can write to."""
    for p in (tmp_path, *tmp_path.parents):
        if str(p) in ("/", "/tmp"):
            break
        os.chmod(p, 0o755)
    out = tmp_path / "out"
    out.mkdir()
    os.chmod(out, 0o1777)
    return out


def send(i, *recipients, sender="s@client.test", text="Subject: x\n\nbody\n"):
    i.run("sendmail", "-f", sender, *recipients, input=text)


def script(place, name, text):
    p = place.parent / name
    p.write_text("#!/bin/sh\n" + text)
    os.chmod(p, 0o755)
    return p


def taker(place, name="takes"):
    return script(place, name, f'(echo "$@"; cat) > {place}/$1\n')


def pipe_service(name, argv, flags="R"):
    return f"{name} unix - n n - - pipe\n  flags={flags} user=nobody argv={argv}\n"


def test_mailbox_transport_takes_known_and_unknown_users(instance, place):
    i = instance(myorigin="localhost", mailbox_transport="taken:", mailbox_transport_maps="inline:{ {nobody=other:hop.test} }",
                 master=pipe_service("taken", f"{taker(place)} ${{user}} ${{sender}}") + pipe_service("other", f"{taker(place)} other ${{nexthop}} ${{recipient}}"),
                 aliases="list: somebody, nobody\n", local_recipient_maps="")
    send(i, "list@localhost")
    i.log.wait(r"to=<somebody@localhost>, orig_to=<list@localhost>, relay=taken, .*status=sent")
    i.log.wait(r"to=<nobody@localhost>, orig_to=<list@localhost>, relay=other, .*status=sent")
    i.wait_empty()
    assert (place / "somebody").read_text().startswith("somebody s@client.test\nReturn-Path: <s@client.test>\n")
    assert (place / "other").read_text().startswith("other hop.test nobody@localhost\n")


def test_fallback_transport_comes_before_luser_relay(instance, place):
    i = instance(fallback_transport_maps="inline:{ {lost=other} }", luser_relay=f"bob@{'example.test'}", local_recipient_maps="",
                 master=pipe_service("other", f"{taker(place)} ${{user}}"))
    send(i, "lost@localhost", "nowhere@localhost")
    i.log.wait(r"to=<lost@localhost>, .*relay=other, .*status=sent")
    i.log.wait(r"to=<bob@example.test>, orig_to=<nowhere@localhost>, relay=virtual, .*status=sent")


def test_a_transport_that_fails_is_told_of_as_it_said(instance, place):
    i = instance(mailbox_transport="refuses", local_recipient_maps="", master=pipe_service("refuses", script(place, "no", "echo 5.7.42 not here; exit 1\n")))
    send(i, "somebody@localhost", sender="bob@example.test")
    i.log.wait(r"relay=refuses, .*dsn=5\.7\.42, status=bounced \(not here\)")
    i.log.wait(r"to=<bob@example.test>, relay=virtual, .*status=sent")
    notice = i.messages("bob")[0]
    assert b"Status: 5.7.42" in notice and b"Diagnostic-Code: x-unix; not here" in notice


def test_owner_aliases(instance, place):
    show = script(place, "sender", f'echo "$SENDER" > {place}/$1\n')
    i = instance(myorigin="localhost", aliases=f"list: |\"{show} list\"\nowner-list: chief\nchief: |\"{show} chief\"\n", expand_owner_alias="yes")
    send(i, "list@localhost")
    i.log.wait("status=sent")
    assert (place / "list").read_text() == "chief@localhost\n"
    i.main.update(expand_owner_alias="no")
    i.write_main()
    i.reload()
    send(i, "list@localhost")
    i.log.wait("status=sent", 2)
    assert (place / "list").read_text() == "owner-list@localhost\n"
    i.main.update(owner_request_special="no")
    i.write_main()
    i.reload()
    send(i, "list@localhost")
    i.log.wait("status=sent", 3)
    assert (place / "list").read_text() == "s@client.test\n"


def test_extensions_go_on_where_told(instance, place):
    show = script(place, "recipient", f'echo "$EXTENSION" "$RECIPIENT" > {place}/$1\n')
    aliases = f"team: member\nmember: |\"{show} plain\"\nmember+ext: |\"{show} ext\"\n"
    i = instance(myorigin="localhost", aliases=aliases, recipient_delimiter="+", propagate_unmatched_extensions="alias", frozen_delivered_to="no")
    send(i, "team+ext@localhost")
    i.log.wait("status=sent")
    assert (place / "ext").read_text() == "ext member+ext@localhost\n"
    i.main.update(propagate_unmatched_extensions="")
    i.write_main()
    i.reload()
    send(i, "team+ext@localhost")
    i.log.wait("status=sent", 2)
    assert (place / "plain").read_text() == " member@localhost\n"


def test_commands_of_users(instance, place):
    takes = taker(place)
    i = instance(mailbox_command_maps=f"inline:{{ {{nobody={takes} mapped}} }}", mailbox_command=f"{takes} all", command_execution_directory="/tmp",
                 local_command_shell="/bin/sh -c", mydestination="localhost, mx.example.test")
    send(i, "nobody@localhost", "daemon@localhost")
    i.log.wait("status=sent", 2)
    assert (place / "mapped").stat().st_uid == 65534 and "body" in (place / "mapped").read_text()
    assert (place / "all").stat().st_uid == 1


def test_the_spool_and_its_owners(instance, place):
    i = instance(mail_spool_directory=place, mydestination="localhost")
    foreign = place / "daemon"
    foreign.touch()
    send(i, "nobody@localhost", "daemon@localhost", sender="bob@example.test")
    i.log.wait(r"to=<nobody@localhost>, .*status=sent \(delivered to mailbox\)")
    i.log.wait(r"to=<daemon@localhost>, .*status=(deferred|bounced) \(cannot update mailbox \S+ for user daemon\. ")
    assert (place / "nobody").stat().st_uid == 65534


def test_a_loop_of_aliases_ends(instance):
    chain = "".join(f"a{n}: a{n + 1}\n" for n in range(150))
    i = instance(myorigin="localhost", aliases=f"one: two\ntwo: one\n{chain}a150: bob@example.test\n")
    send(i, "one@localhost", sender="bob@example.test")
    i.log.wait(r"dsn=5\.4\.6, status=bounced \(alias database loop for (one|two)\)")
    send(i, "a0@localhost", sender="bob@example.test")
    i.log.wait(r"dsn=5\.4\.6, status=bounced \(alias database loop for a\d+\)")
    assert not any("killed by signal" in l for l in i.log.lines)


def test_pipe_flags(instance, place):
    i = instance(transport_maps="inline:{ {p.test=p:Hop.Test} {q.test=q} {s.test=s} }", smtpd_reject_unlisted_recipient="no", p_destination_recipient_limit=1,
                 master=pipe_service("p", f"{taker(place)} p ${{recipient}} ${{mailbox}} ${{nexthop}} ${{size}}", "DFORXhu>.") +
                 f"q unix - n n - - pipe\n  flags=qB user=nobody eol=\\r\\n null_sender= argv={taker(place)} q <${{sender}}> $recipient\n"
                 f"s unix - n n - - pipe\n  user=nobody size=100 argv={taker(place)} s\n")
    send(i, "One@P.test", text="Subject: x\n\nFrom here\n.dot\n")
    send(i, '"two words"@q.test', "three@q.test", sender="<>")
    send(i, "four@s.test", sender="bob@example.test")
    i.log.wait(r"to=<One@P.test>, relay=p, .*status=sent \(delivered via p service\)")
    i.log.wait(r"to=<\"two words\"@q.test>, relay=q, .*status=sent")
    i.log.wait(r"relay=s, .*dsn=5\.2\.3, status=bounced \(message too large\)")
    first = (place / "p").read_text()
    head, body = first.split("\n\n", 1)
    assert re.match(r"p one@p\.test one hop\.test \d+\nFrom s@client\.test  \w{3} ", head)
    assert re.search(r"^Return-Path: <s@client.test>\nX-Original-To: One@P.test\nDelivered-To: One@P.test\n", head, re.M)
    assert body == ">From here\n..dot\n"
    second = (place / "q").read_bytes()
    assert second.startswith(b"q <> \"two words\"@q.test three@q.test\n") and second.endswith(b"\r\n\r\nbody\r\n\r\n")
    assert b"\n" not in second.split(b"\n", 1)[1].replace(b"\r\n", b"")
