"""Small clients and servers of the tests' own, where a scripted exchange is needed byte by byte."""
import socket, ssl


class Smtp:
    """A raw SMTP connection: cmd() sends one line and returns (code, text)."""

    def __init__(self, port, host="127.0.0.1", timeout=30, tls=False):
        self.s = socket.create_connection((host, port), timeout)
        if tls:
            self.s = insecure().wrap_socket(self.s, server_hostname="localhost")
        self.buffer = b""
        self.greeting = self.reply()

    def line(self):
        while b"\n" not in self.buffer:
            data = self.s.recv(65536)
            if not data:
                raise EOFError(self.buffer)
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def reply(self):
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return int(lines[-1][:3]), "\n".join(l[4:] for l in lines)

    def raw(self, data):
        self.s.sendall(data)

    def cmd(self, text):
        self.raw(text.encode() + b"\r\n")
        return self.reply()

    def starttls(self):
        code, text = self.cmd("STARTTLS")
        assert code == 220, text
        self.s = insecure().wrap_socket(self.s, server_hostname="localhost")

    def send(self, sender, recipients, message):
        """One transaction; returns the final reply."""
        assert self.cmd(f"MAIL FROM:<{sender}>")[0] == 250
        for r in recipients:
            assert self.cmd(f"RCPT TO:<{r}>")[0] == 250
        assert self.cmd("DATA")[0] == 354
        body = b"".join(b"." + l if l.startswith(b".") else l for l in message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n").splitlines(True))
        self.raw(body + b".\r\n")
        return self.reply()

    def close(self):
        self.s.close()


def insecure():
    c = ssl.create_default_context()
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    return c


def split_headers(message):
    head, _, body = message.partition(b"\n\n")
    return head, body
