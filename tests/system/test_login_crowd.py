"""More logins at once than auth looks at: they wait, nobody is turned away."""
import socket

from instance import LONG


def test_a_crowd_of_logins_waits_its_turn(instance):
    i = instance(auth_requests_limit=2, auth_address_checks_limit=1, mail_max_userip_connections=0, disable_plaintext_auth="no")
    clients = []
    for n in range(60):
        s = socket.create_connection(("127.0.0.1", i.port["imap"]), LONG)
        f = s.makefile("rb")
        assert f.readline().startswith(b"* OK")
        s.sendall(b'a LOGIN bob "%s"\r\n' % i.users["bob"].encode())
        clients.append((s, f))
    for s, f in clients:
        while not (line := f.readline()).startswith(b"a "):
            assert line
        assert line.startswith(b"a OK"), line
        s.close()
