"""The how-tos of ARCHITECTURE.md, each followed in a copy of the tree: the files are touched that it names and no others, the one
target is built, and the new thing is there when it runs."""
import hashlib, imaplib, os, pathlib, poplib, re, shutil, socket, struct, subprocess

import pytest

import instance as instances
from clients import Smtp
from instance import LONG, VMAIL

TOP = pathlib.Path(__file__).resolve().parents[2]
TARGETS = ("smtpd", "imapd", "pop3d", "anvil", "postmap", "postconf")
pytestmark = pytest.mark.slow


class Tree:
    """A copy of the sources; change() edits it, build() makes one target, and undo() takes the edits back."""

    def __init__(self, folder):
        self.dir, self.before = folder / "tree", {}
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=TOP, capture_output=True, text=True)
        names = listed.stdout.split() if listed.returncode == 0 else self.all_files()
        for name in names:
            if (TOP / name).is_file() and not name.startswith("tests/fuzz/corpus/"):
                (self.dir / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(TOP / name, self.dir / name)
        self.cmake("-S", self.dir, "-B", self.dir / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS=-O0")
        self.build(*TARGETS)
        self.original = self.hashes()

    @staticmethod
    def all_files():
        return [str(p.relative_to(TOP)) for p in TOP.rglob("*") if p.is_file() and p.relative_to(TOP).parts[0] not in ("build", ".git", "quickstart.d")]

    def cmake(self, *args):
        p = subprocess.run(["cmake", *map(str, args)], capture_output=True, text=True, timeout=LONG * 20)
        assert p.returncode == 0, p.stdout[-3000:] + p.stderr[-2000:]

    def build(self, *targets):
        self.cmake("--build", self.dir / "build", "-j", os.cpu_count(), "--target", *targets)

    def hashes(self):
        return {str(p.relative_to(self.dir)): hashlib.sha256(p.read_bytes()).hexdigest()
                for p in self.dir.rglob("*") if p.is_file() and p.relative_to(self.dir).parts[0] != "build"}

    def touched(self):
        now = self.hashes()
        return sorted(n for n in {*now, *self.original} if now.get(n) != self.original.get(n))

    def write(self, name, text):
        path = self.dir / name
        self.before.setdefault(name, path.read_text() if path.exists() else None)
        path.write_text(text)

    def append(self, name, text):
        self.write(name, (self.dir / name).read_text() + text)

    def replace(self, name, old, new):
        text = (self.dir / name).read_text()
        assert text.count(old) == 1, f"{name} holds {old!r} {text.count(old)} times"
        self.write(name, text.replace(old, new))

    def undo(self):
        for name, text in self.before.items():
            if text is None:
                (self.dir / name).unlink()
            else:
                (self.dir / name).write_text(text)
        self.before = {}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return Tree(tmp_path_factory.mktemp("howto"))


@pytest.fixture
def tree(built):
    yield built
    built.undo()


@pytest.fixture
def running(instance, tree, tmp_path, monkeypatch):
    """An instance of the installed tree in which one program is the one just built."""
    def start(program, **settings):
        root = tmp_path / "root"
        shutil.copytree(instances.ROOT, root, symlinks=True)
        for p in (root, *tmp_path.parents, tmp_path):
            if str(p) not in ("/", "/tmp"):
                os.chmod(p, 0o755)
        shutil.copy2(tree.dir / "build" / "libexec" / "merpati" / program, root / "libexec" / "merpati" / program)
        monkeypatch.setattr(instances, "ROOT", root)
        return instance(**settings)
    return start


def promised(what):
    """How many files the how-to says."""
    text = (TOP / "ARCHITECTURE.md").read_text()
    return {"one": 1, "two": 2}[re.search(rf"^\*\*{what}\*\* \((one|two) file", text, re.M)[1]]


def test_a_parameter(tree):
    tree.append("smtpd/params.def", 'PARAM_TIME(smtpd_howto_pause, "3s", 1, 60, "s", "Pause of the how-to.")\n')
    assert len(tree.touched()) == promised("A parameter")
    tree.build("postconf")
    folder = tree.dir / "build" / "etc"
    folder.mkdir(exist_ok=True)
    (folder / "main.cf").write_text("smtpd_howto_pause = 5s\n")
    (folder / "master.cf").write_text("smtp inet n - n - - smtpd\n")

    def postconf(*args):
        p = subprocess.run([tree.dir / "build" / "sbin" / "postconf", "-c", folder, *args], capture_output=True, text=True)
        assert p.returncode == 0 and not p.stderr, p.stderr
        return p.stdout
    assert postconf("-d", "smtpd_howto_pause") == "smtpd_howto_pause = 3s\n"
    assert "smtpd_howto_pause = 5s" in postconf("-n").splitlines()


def test_an_smtp_command(tree, running):
    tree.write("smtpd/smtpd_howto.c", """/* smtpd_howto.c - XHOWTO: says how. */
#include "smtpd/smtpd.h"

int smtpd_howto(struct session *s, struct slice args)
{
    smtpd_reply(s, "250 2.0.0 Like %.*s", SLICE_ARG(args));
    return 0;
}
""")
    tree.append("smtpd/commands.def", "COMMAND(XHOWTO, smtpd_howto, CMD_JUNK | CMD_LAST)\n")
    assert len(tree.touched()) == promised("An SMTP, IMAP or POP3 command")
    tree.build("smtpd")
    i = running("smtpd")
    s = Smtp(i.port["smtp"])
    assert s.cmd("EHLO client.test")[0] == 250
    assert s.cmd("XHOWTO this") == (250, "2.0.0 Like this")
    assert s.cmd("QUIT")[0] == 221
    i.log.wait(r"disconnect from .* ehlo=1 quit=1 xhowto=1 commands=3$")


def accounts():
    passwd = f"ann:{{PLAIN}}secret:{VMAIL}:{VMAIL}::\n"
    return dict(users={"ann": "secret"}, files={"passwd": passwd}, login_trusted_networks="127.0.0.0/8", disable_plaintext_auth="no", session_minimum_uid=1)


def test_an_imap_command(tree, running):
    tree.write("imapd/imap_howto.c", """/* imap_howto.c - XHOWTO: says how. */
#include "imapd/imap_state.h"

enum imap_verdict imap_howto(struct imap *s, struct imap_cursor *c)
{
    if (!imap_at_end(c))
        return IMAP_MALFORMED;
    imap_say(s, "* XHOWTO like this");
    return imap_ok(s, false, "Shown.");
}
""")
    tree.append("imapd/commands.def", "COMMAND(XHOWTO, imap_howto, STATE_SELECTED, false)\n")
    assert len(tree.touched()) == promised("An SMTP, IMAP or POP3 command")
    tree.build("imapd")
    i = running("imapd", **accounts())
    imaplib.Commands["XHOWTO"] = ("AUTH", "SELECTED")
    m = imaplib.IMAP4("127.0.0.1", i.port["imap"], timeout=LONG)
    m.login("ann", "secret")
    with pytest.raises(imaplib.IMAP4.error, match="No mailbox"):
        m.xatom("XHOWTO")
    m.select("INBOX")
    assert m.xatom("XHOWTO") == ("OK", [b"Shown."])
    assert m.response("XHOWTO")[1] == [b"like this"]
    m.logout()


def test_a_pop3_command(tree, running):
    tree.write("pop3d/howto.c", """/* howto.c - XHOWTO: says how. */
#include "pop3d/session.h"

enum verdict pop3_howto(struct session *s, struct slice args)
{
    session_say(s, "+OK like %.*s", SLICE_ARG(args));
    return FINE;
}
""")
    tree.append("pop3d/commands.def", "COMMAND(XHOWTO, pop3_howto)\n")
    assert len(tree.touched()) == promised("An SMTP, IMAP or POP3 command")
    tree.build("pop3d")
    i = running("pop3d", **accounts())
    p = poplib.POP3("127.0.0.1", i.port["pop3"], timeout=LONG)
    p.user("ann")
    p.pass_("secret")
    assert p._shortcmd("XHOWTO this") == b"+OK like this"
    p.quit()


def test_a_map_type(tree):
    tree.write("lib/map/map_howto.c", """/* map_howto.c - howto:suffix: the key with the suffix behind it. */
#include "lib/map/map_private.h"

static bool howto_open(struct map *m, struct buf *err)
{
    return true;
}

static enum map_status howto_lookup(struct map *m, const char *key, struct buf *out)
{
    buf_printf(out, "%s%s", key, m->name);
    return MAP_FOUND;
}

static void howto_close(struct map *m)
{
}

const struct map_type map_type_howto = {.name = "howto", .open = howto_open, .lookup = howto_lookup, .close = howto_close};
""")
    tree.append("lib/map/types.def", "MAP_TYPE(howto)\n")
    assert len(tree.touched()) == promised("A map type")
    tree.build("postmap", "postconf")
    folder = tree.dir / "build" / "etc"
    folder.mkdir(exist_ok=True)
    for name in ("main.cf", "master.cf"):
        (folder / name).touch()
    p = subprocess.run([tree.dir / "build" / "sbin" / "postmap", "-c", folder, "-q", "key", "howto:-suffix"], capture_output=True, text=True)
    assert (p.returncode, p.stdout) == (0, "key-suffix\n"), p.stderr
    p = subprocess.run([tree.dir / "build" / "sbin" / "postconf", "-c", folder, "-m"], capture_output=True, text=True)
    assert "howto" in p.stdout.split()


def frame(name, fields):
    """A message of strings as it goes over the wire (lib/ipc/schema.c): length, the hash of its name and fields, the fields."""
    def hashed(h, text):
        for b in text.encode():
            h = (h ^ b) * 16777619 & 0xFFFFFFFF
        return h
    h, body = hashed(2166136261, name), b""
    for field, value in fields.items():
        h = hashed(h, field) * 31 & 0xFFFFFFFF
        body += struct.pack("<I", len(value)) + value.encode()
    return struct.pack("<II", len(body), h | 1) + body


def test_a_message_between_daemons(tree, running):
    name = "lib/ipc/messages.h"
    tree.replace(name, "/* The table of all. M(name) */", "/* To anvil: nothing but a greeting. */\n#define MSG_howto(F) F(STR, text, 100)\n\n/* The table of all. M(name) */")
    tree.replace(name, "M(queue_envelope)", "M(howto) M(queue_envelope)")
    tree.replace("support/anvil/main.c", "        struct msg_anvil_request q;\n", """        struct msg_anvil_request q;
        enum ipc_status st;
        if (ipc_next_type(c, &st, DEADLINE_NEVER) == &ipc_type_howto) {
            struct msg_howto howto;
            if (ipc_recv(c, &ipc_type_howto, a, &howto, DEADLINE_NEVER) != IPC_OK)
                break;
            log_info("how-to: %s", howto.text);
            continue;
        }
""")
    assert len(tree.touched()) == promised("A message between daemons")
    tree.build("anvil")
    i = running("anvil")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(i.dir / "queue" / "private" / "anvil"))
        s.sendall(frame("howto", {"text": "like this"}))
        i.log.wait(r"anvil\[\d+\]: how-to: like this")
        s.sendall(frame("howto", {"text": "x" * 101}))  # past its bound
        s.settimeout(LONG)
        assert s.recv(1) == b""
