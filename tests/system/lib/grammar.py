"""Random SMTP sessions from a seed: mostly a plain session with one thing odd in it, sometimes many."""
import base64, random

LOCALPARTS = """alice bob carol postmaster root nosuch o'brien perm-user temp-user alice+tag alice+ +tag alice-x ALICE Alice abuse double-bounce MAILER-DAEMON a.b .a a. a..b a%b.test
a%example.test b.test!a a!b x%y%z "alice" "alice"+tag "a_b" "a@b" "a\\"b" a\\b "" "al"ice alice" a(b)c a,b a;b a:b a<b a>b [a] a=b a/b a|b a*b a$b a{b a~b a`b a^b a? a#b -alice --x a& \\alice
list-a prep-a xy blocked act-1 user evil x one two mb sales user1 moved old al1 alist short caf\xc3\xa9 \xff\xfe a\x01b a\x7fb""".split()
LOCALPARTS = [l.replace("_", " ") if l.startswith('"') else l for l in LOCALPARTS] + ["", " ", "a b", "l" * 64, "l" * 65, "l" * 255, "l" * 1000]
DOMAINS = """example.test example.test example.test EXAMPLE.TEST mx.example.test localhost relay.test sub.relay.test remote.test remote.test client.test example.test. example.test.. example..test
.example.test -bad.test bad-.test ex_ample.test unqual 127.0.0.1 [127.0.0.1] [127.0.0.2] [10.1.1.1] [IPv6:::1] [ipv6:2001:db8::1] [IPv6:x] [999.1.1.1] [127.0.0.1 127.0.0.1] [] [foo] [mx.example.test]
[127.0.0.01] [1.2.3] [IPv4:1.2.3.4] [::1] example.test:25 example.test,x exam(ple.test "example.test" a@example.test \xc3\xbc.test xn--tda.test x%y foo.example.test va.test vm.test err.test disc.test retry.test
x!y 1.2.3.4.5 1 0x7f.1 a.b.c.d.e.f example.test/ example.test\\ *.test spam.test sub.dotted.test dotted.test err2.test gone.test unqual. test com""".split()
DOMAINS += ["", " ", "d" * 63 + ".test", "d" * 64 + ".test", ".".join(["d" * 60] * 4) + ".test", ".".join(["d" * 60] * 5) + ".test", "exam ple.test"]
MAPPED = """one@va.test two@va.test chain@va.test loop1@va.test selfref@va.test ext+x@va.test extplus+spec@va.test extplus+y@va.test local1@example.test local1+e@example.test fwd+tag@example.test
any@catch.va.test deadend@va.test grow@va.test many@va.test quoted@va.test bare@va.test x@dommap.test nosuch@va.test mb@vm.test mb+x@vm.test nosuch@vm.test any@catchvm.test bob@relay.test nosuch@relay.test
moved@relay.test moved@example.test moved+x@example.test moveuser@example.test x@gone.test x@disc.test x@err.test x@err2.test x@retry.test user1@remote.test user1+t@remote.test a@b.wild.test a@wild.test bob+ext@remote.test
bob@trans.test old@example.test old+x@example.test who@oldco.test s-old@client.test r-old@example.test r-ext+e@example.test alice@host.example.test root@host.example.test x@keep.example.test x@a.keep.example.test short short@example.test
bob+x@example.test al1@example.test al1+x@example.test alist@example.test carol@example.test carol+x@example.test bccme@client.test x@bccdom.test cmd@va.test empty2@va.test alice-x@example.test bob-list@example.test alice+x@example.test
vip@client.test user@elsewhere.test plus+x@client.test a@sub.spam.test a@spam.test shared@example.test bob-x-y@example.test u@single va.test!alice alice%va.test""".split()
HELOS = """client.example.net localhost mx.example.test single [127.0.0.1] [IPv6:::1] [foo] 127.0.0.1 a_b.test -bad-.test a..b .a.test a.test. h\xc3\xa9.test bad.test x.sub.test sub.test x<y a@b "q" [1.2.3.4
1.2.3 a,b ; *** under_score.test""".split() + ["", " ", "two words", "x" * 64 + ".test", "x" * 300, "client.example.net\t", "\x01", "a b c"]
MAIL_PARAMS = """SIZE=100 SIZE=0 SIZE= SIZE SIZE=abc SIZE=-1 SIZE=99999999 SIZE=10240001 SIZE=0100 SIZE=4294967296 SIZE=18446744073709551616 SIZE=99999999999999999999999 size=10 SIZE=0x10 SIZE=1.5 SIZE=+5 BODY=7BIT BODY=8BITMIME
BODY=BINARYMIME BODY= BODY=8bitmime BODY=x BODY SMTPUTF8 smtputf8 SMTPUTF8=1 RET=FULL RET=HDRS RET=full RET= RET=x RET ENVID=abc ENVID=a+2Bb ENVID=a+zz ENVID=a+2b ENVID= ENVID=a+0A ENVID=a=b ENVID=a+20b ENVID
AUTH=<> AUTH= AUTH=x@y.test AUTH=a+40b AUTH=a+0 AUTH FOO FOO=bar NOTIFY=NEVER ORCPT=rfc822;a X=Y=Z =x SIZE=1000000 HOLDFOR=1 MT-PRIORITY=3 REQUIRETLS BY=1;R TRANSID=x xtext=1 <x> ( SIZE==5 BODY==7BIT size=1000000000 AUTH=a+3Db
ENVID=\xc3\xa9 ENVID=+ ENVID=+3 ENVID=a+7F""".split() + ["ENVID=" + "e" * 100, "ENVID=" + "e" * 101, "ENVID=" + "e" * 200, "ENVID=" + "+2B" * 60, "AUTH=" + "a" * 500]
RCPT_PARAMS = """NOTIFY=SUCCESS NOTIFY=FAILURE NOTIFY=DELAY NOTIFY=NEVER NOTIFY=SUCCESS,FAILURE NOTIFY=SUCCESS,FAILURE,DELAY NOTIFY=NEVER,SUCCESS NOTIFY=SUCCESS,NEVER NOTIFY= NOTIFY=x NOTIFY=SUCCESS,SUCCESS NOTIFY=success NOTIFY=,SUCCESS
NOTIFY=SUCCESS, NOTIFY ORCPT=rfc822;a@b.test ORCPT=rfc822;a+40b.test ORCPT=a@b.test ORCPT=rfc822; ORCPT=;a ORCPT= ORCPT=utf-8;a@b ORCPT=x-y;z ORCPT=RFC822;A@B ORCPT=rfc822;a+4 ORCPT=rfc822;a+g0 ORCPT=r!;x ORCPT=r_c;x ORCPT rfc822;x
SIZE=5 RET=FULL FOO FOO=BAR BODY=7BIT ORCPT=rfc822;a;b ORCPT=rfc822;a=b ORCPT=rfc822;a+0Ab ORCPT=rfc822;a+20b ORCPT=rfc822;+ ORCPT=utf-8;caf\\x{e9}@x ORCPT=utf-8;caf\xc3\xa9@x NOTIFY=NEVER,NEVER notify=failure,DELAY orcpt=rfc822;q@r.test
ORCPT=rfc822;a+7F""".split() + ["ORCPT=rfc822;" + "o" * 490, "ORCPT=rfc822;" + "o" * 600, "ORCPT=rfc822;" + "o" * 1500]
FORMS = ["<%s>"] * 6 + ["%s", "< %s >", " <%s>", "  <%s>", "\t<%s>", "<%s", "%s>", "<<%s>>", "<@a.test:%s>", "<@a.test,@b.test:%s>", "<@a.test>%s", "Name <%s>", '"N" <%s>', "(c)<%s>", "<%s>(c)", "<%s>,<x@y.test>",
         "<%s>,", "<%s;>", "g: %s;", "<%s> <x@y.test>", "'%s'", "<(c)%s>", "<%s(c)>", "<%s>x", "<>%s", "%s %s", "[%s]", "<%s\\>", "<\"%s\">", "<%s>>", "=?x?q?%s?=", "< >", "<>", "<@>", "<@a.test>", "<@a.test:>", "<:%s>", "", " ",
         "\"%s\"", "<%s>\t", "<%s >", "<\t%s>", "mailto:%s", "<mailto:%s>", "<SMTP:%s>", "<%s> ", "< >%s", "<%s,x@y.test>", "<@a@b:%s>", "<a@b:%s>", "<@@%s>", "<@%s>", "\"unclosed <%s>", "<%s> (c) SIZE=5"]
COMMANDS = """NOOP|NOOP x|NOOP x y z|noop|RSET|RSET x|rset|HELP|HELP x|VRFY|VRFY alice|VRFY <alice@example.test>|VRFY nosuch@example.test|VRFY x@remote.test|VRFY a b|VRFY <>|VRFY "alice"|VRFY alice@example.test|VRFY bob@|VRFY @x|VRFY alice,bob
VRFY Alice <alice@example.test>|VRFY postmaster|VRFY caf\xc3\xa9|VRFY alice@[127.0.0.1]|VRFY x@disc.test|EXPN|EXPN list|ETRN|ETRN relay.test|ETRN example.test|ETRN remote.test|ETRN @relay.test|ETRN #x|ETRN a b|ETRN ..|ETRN [1.2.3.4]|etrn relay.test|ETRN -x
ETRN sub.relay.test|ETRN RELAY.TEST|ETRN relay.test.|ETRN \xff|ETRN relay|ETRN @|ETRN a_b.test
FOO|foo bar|X|||\t|EHLO|EHLO client.example.net|HELO|HELO client.example.net|HELO x y|EHLO a b|DATA|DATA x|QUIT|QUIT x|quit|MAIL|RCPT|MAIL FROM|RCPT TO|MAIL FROM:|RCPT TO:|MAIL FROM:<a@b.test>|RCPT TO:<alice@example.test>|STARTTLS|STARTTLS x|AUTH|AUTH PLAIN
AUTH LOGIN|AUTH FOO|AUTH PLAIN =|BDAT|BDAT x|BDAT 0|BDAT 0 LAST|BDAT 0 x|BDAT -1|BDAT 0 LAST x|BDAT +0|BDAT 00 last|BDAT 99999999999999999999|XCLIENT|XCLIENT NAME=x|XFORWARD|XFORWARD NAME=x|SEND FROM:<a@b.test>|SOML|SAML|TURN|LHLO x|XEXCH50|CONNECT|GET / HTTP/1.0
POST /x|GET|Subject: x|From: x|Received: from|subject:|FROM:<x>|TO:<x>|foo: bar|MAILFROM:<a@b.test>|MAIL:<a@b.test>|RCPTTO:<alice@example.test>|MAIL FROM=<a@b.test>|Mail From:<a@b.test>|PING|PONG x|NOOP\x00|\x00|\xff\xfe|DATA\x00|<a@b>|a:b|:|A:|123|-|EHLO\tclient.example.net
STARTTLS\t|NOOP \xff|RSET \t| NOOP|\tNOOP|VERB|AUTH PLAIN *|AUTH login|BDAT 5x|FOO NOOP|ping|XFOO:|MAIL FROM:<>|RCPT TO:<>|MAIL FROM:<a@b.test> SIZE=5 BODY=8BITMIME|XCLIENT ADDR=1.2.3.4|X: y|a b: c|(x|"|\\|\x7f|RCPT TO:<bob@example.test>,<x@y>|STEAL
ETRN relay.test x|VRFY  alice  |NOOP  |EHLO  client.example.net  |HELO [127.0.0.1]|HELO [IPv6:::1]""".replace("\n", "|").split("|")
AUTHS = ["AUTH PLAIN @p", "AUTH PLAIN", "AUTH PLAIN =", "AUTH LOGIN", "AUTH LOGIN @u", "AUTH PLAIN @bad", "AUTH FOO", "AUTH", "AUTH PLAIN x y", "AUTH PLAIN @@@", "AUTH LOGIN =", "auth plain @p", "AUTH  PLAIN  @p", "AUTH PLAIN @later", "AUTH CRAM-MD5",
         "AUTH PLAIN \xff", "AUTH LOGIN @u x", "AUTH PLAIN @p @p", "AUTH PLAIN " + "A" * 700]
ANSWERS = ["@p", "@u", "@w", "@bad", "*", "", "=", "@@@", "* x", "@later", " *", "QUIT", "A" * 700, "\xff", "@p="]
B64 = {"@p": base64.b64encode(b"\0alice\0secret").decode(), "@u": base64.b64encode(b"alice").decode(), "@w": base64.b64encode(b"secret").decode(),
       "@bad": base64.b64encode(b"\0alice\0wrong").decode(), "@later": base64.b64encode(b"\0later\0secret").decode()}
HEADERS = """From: alice|From: Alice <alice@host.example.test>|From:|From: <>|From: a@b.test (((|From: a@b, c@d|From: =?utf-8?q?x?= <x@y.test>|To: bob|To: who@oldco.test, bare, x!y, a%b.test|To: undisclosed-recipients:;|To: g: a@b, c@d;, e@f|To: "a b"@c.test|To: <@a.test:b@c.test>
To: Old <old@example.test>|To: caf\xc3\xa9@x|Cc: r-old@example.test|Cc: a@b.test,|Cc: ,,a@b.test|Cc: a b c <d@e.test>|Cc: a@[127.0.0.1]|Cc: a@b.test b@c.test|Cc: (only comment)|Bcc: x@y.test|bcc: a|Reply-To: s-old@client.test|Sender: root@host.example.test|Errors-To: x@y|Return-Path: <x@y.test>
Return-Receipt-To: alice|Resent-From: bob|Resent-To: x@y.test|Resent-Date: x|Resent-Message-ID: <r@s>|Resent-Bcc: c@d|Resent-Cc: bob|Resent-Sender: x|Resent-Reply-To: y|Message-ID: <hdr@x>|Message-Id: <a@b>|message-id: none|Date: Mon, 1 Jan 2024 00:00:00 +0000|Date:|Subject: x|Subject:x|Subject : x|Subject:
Subject: reject-me|Subject: reject-dsn|Subject: reject-4|Subject: reject-bare|Subject: discard-me|Subject: hold-me|Subject: redirect-me|Subject: redirect-bad|Subject: prepend-me|Subject: prepend-bad|Subject: prepend-empty|Subject: replace-me b|Subject: replace-to|Subject: replace-bad|Subject: ignore-me
Subject: strip-me|Subject: warn-me|Subject: bcc-me|Subject: filter-me|Subject: filter-bad|Subject: pass-me|Subject: bogus-me|X-After: y|X-Multi: a~ second|X-Multi: a|X-If: a|X-If: b|X-Info: x|X-Dunno: x|To: reject-to|X-A: b|X-Fold: a~ b~\tc|X-Fold:~ b|x:y|X-Long: %L|X-Empty:|X Y: z|NoColon
: x|X-8: \xc3\xa9|X-8: \xff|X-NUL: a\x00b|X-Ctl: \x01\x02|Content-Length: 5|Content-Type: text/plain|Content-Type: text/plain; charset=utf-8|Content-Transfer-Encoding: 8bit|Content-Transfer-Encoding: 7bit|Content-Transfer-Encoding: base64|Content-Transfer-Encoding: x-foo|Received: from a by b; x
Delivered-To: alice@example.test|X-Original-To: x|Apparently-To: x@y|Disposition-Notification-To: old@example.test|Mail-Followup-To: alice|X-Drop: y|From_: x|>From x|From x Mon Jan|List-Id: x|X-CR: a\rb|X-Blank:    |To: alice (comment (nested)) <alice>|To: "q\\"x" <bob>|To: a@b.test;c@d.test|To: :;|To: <a@b.test|To: a@b.test>
To: one@va.test, x@keep.example.test|Cc: "unclosed|Cc: a@b@c|To: a,b,c,d,e,f,g,h,i|To: a @ b . test|Cc: user+ext@example.test, old+x@example.test|MIME-Version: 1.0""".replace("\n", "|").split("|")
BODY = """hello|.|..|.x|From x|body-reject|body-discard|body-replace|body-ignore|body-prepend|body-hold|body-redirect|body-bcc|body-empty|body-strip|body-warn|body-filter|body-pass|body-dsn||\xc3\xa9|\xff|a\x00b|a\rb|\r|tab\t|trailing |%L|--b|--b--|%X|\x01|\x02z|. |.\t|-- |end""".split("|")
TYPES = ["multipart/mixed; boundary=b", 'multipart/mixed; boundary="b"', "multipart/mixed", "multipart/digest; boundary=b", "message/rfc822", "message/partial", "message/delivery-status", "message/global", "text/plain", "multipart/alternative; x=y; boundary=b",
         "Multipart/Mixed; BOUNDARY=b", "multipart/mixed; boundary=", "multipart/mixed; boundary=" + "b" * 60, "message/external-body", "text/html; charset=utf-8", "", ";", "multipart/mixed; boundary=b; boundary=c", "multipart/signed; boundary=b (c)", "multipart/mixed;~ boundary=b",
         "message/rfc822; x", "text/plain; name=a.vbs"]
PART_HEADERS = """Content-Type: text/plain|Content-Type: multipart/mixed; boundary=c|Content-Type: message/rfc822|Content-Disposition: attachment; filename=a.exe|Content-Type: text/plain; name=x.vbs|X-Mime-Part: 1|X-Mime-Pre: 1|X-Mime-Hold: 1|X-Nest: 1|X-Nest2: 1|Subject: nested-bad|Subject: x|Content-Transfer-Encoding: 8bit
Content-Transfer-Encoding: base64|Content-Transfer-Encoding: quoted-printable|Content-Transfer-Encoding: 7bit|NoColon|From: old@example.test|X-8: \xc3\xa9|Received: x|X-Long: %L|Content-Type: multipart/digest; boundary=b|Bcc: x""".replace("\n", "|").split("|")


def enc(s):
    return s if isinstance(s, bytes) else s.encode("latin1")


class Grammar:
    def __init__(self, seed, config):
        self.r = random.Random(f"{config}/{seed}")
        self.config = config
        self.focus = {"maps": 0.5, "canon": 0.6, "strict": 0.5, "catchall": 0.5, "auth": 0.1}.get(config, 0.1)

    def pick(self, items):
        return self.r.choice(items)

    def chance(self, p):
        return self.r.random() < p

    # ---- addresses

    def action(self, what):
        from duel_configs import ACTIONS
        return what % self.r.randrange(len(ACTIONS))

    def address(self, plain):
        r = self.r.random()
        if r < 0.5 - self.focus / 2:
            return plain
        if r < 0.5 + self.focus / 2:
            return self.pick(MAPPED)
        if r < 0.7:
            return f"{self.pick(LOCALPARTS)}@{self.pick(DOMAINS[:12])}"
        if r < 0.85:
            return f"{self.pick(LOCALPARTS[:8])}@{self.pick(DOMAINS)}"
        if r < 0.93:
            return f"{self.pick(LOCALPARTS)}@{self.pick(DOMAINS)}"
        return self.pick([self.pick(LOCALPARTS), "@" + self.pick(DOMAINS), "a@b@c.test", "", "alice@example.test@remote.test", "x@remote.test@example.test"])

    def path(self, plain, odd):
        a = self.address(plain) if odd else plain
        form = self.pick(FORMS) if odd and self.chance(0.4) else "<%s>"
        return form.replace("%s", a)

    def sender(self, odd):
        if self.config in ("restrict", "nodelay", "lists") and self.chance(0.5):
            return f"<{self.action(self.pick(['a%d@act.test', 'd%d@act.test', 'e%d@act.test']))}>"
        if not odd and self.chance(0.15):
            return "<>"
        return self.path(self.pick(["s@client.test"] * 4 + ["perm-s@remote.test"]), odd)

    def recipient(self, odd):
        if self.config in ("restrict", "nodelay", "lists") and self.chance(0.4):
            return f"<{self.action('act-%d@example.test')}>"
        return self.path(self.pick(["alice@example.test"] * 3 + ["bob@example.test", "x@remote.test", "sales@relay.test"]), odd)

    def params(self, items, odd):
        if not odd or self.chance(0.4):
            return ""
        return self.pick([" ", " ", " ", " ", "  ", "\t", ""]) + self.pick([" ", " ", "  ", "\t", ","]).join(self.pick(items) for _ in range(self.pick([1, 1, 1, 2, 2, 3])))

    def mail(self, odd=False):
        key = self.pick(["MAIL FROM:"] * 12 + ["mail from:", "Mail From: ", "MAIL  FROM:", "MAIL FROM :", "MAIL FROM", "MAIL\tFROM:", "MAIL", "MAIL FROM:\t", "MAIL TO:", "SEND FROM:", "MAIL FROM;", "MAIL FROM: \t"]) if odd else "MAIL FROM:"
        return enc(key + self.sender(odd) + self.params(MAIL_PARAMS, odd))

    def rcpt(self, odd=False):
        key = self.pick(["RCPT TO:"] * 12 + ["rcpt to:", "Rcpt To: ", "RCPT  TO:", "RCPT TO :", "RCPT TO", "RCPT\tTO:", "RCPT", "RCPT TO:\t", "RCPT FROM:"]) if odd else "RCPT TO:"
        return enc(key + self.recipient(odd) + self.params(RCPT_PARAMS, odd))

    def greet(self, odd=False):
        if self.config in ("restrict", "nodelay", "lists") and self.chance(0.2):
            return enc("EHLO " + self.action("h%d.act.test"))
        verb = self.pick(["EHLO"] * 4 + ["HELO"]) if not odd else self.pick(["EHLO", "HELO", "ehlo", "Helo", "EHLO\t", "EHLO ", "LHLO"])
        return enc(f"{verb} {self.pick(HELOS) if odd else 'client.example.net'}")

    # ---- content

    def text(self, t):
        if "%L" in t:
            t = t.replace("%L", "y" * self.pick([10, 500, 511, 512, 513, 590, 600, 610, 900, 989, 990, 998, 999, 1000, 1020, 1024, 1030, 2040, 2048, 2049, 2100, 4096, 5000, 30000]))
        t = t.replace("%X", "x" * self.pick([997, 998, 999, 1000, 2046, 2047, 2048, 2049, 3000]))
        return t.replace("~", "\r\n")

    def header(self):
        full = ["From: s@client.test", "To: alice@example.test", "Subject: t", "Date: Mon, 1 Jan 2024 00:00:00 +0000", "Message-ID: <fixed@client.test>"]
        if self.chance(0.4):
            full = [h for h in full if self.chance(0.7)]
        for _ in range(self.pick([0, 0, 1, 1, 1, 2, 3])):
            full.insert(self.r.randrange(len(full) + 1), self.text(self.pick(HEADERS)))
        if self.chance(0.02):
            full += ["Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000"] * self.pick([4, 5, 6, 48, 49, 50, 51])
        return full

    def mime(self):
        out = ["preamble"] if self.chance(0.3) else []
        stack = ["b"]
        for _ in range(self.pick([1, 1, 2, 3, 6])):
            out.append("--" + self.pick(stack + ["b", "c"]))
            out += [self.text(self.pick(PART_HEADERS)) for _ in range(self.pick([0, 1, 1, 2]))]
            out.append(self.pick([""] * 6 + ["text"]))
            out += [self.text(self.pick(BODY + ["--b", "--c--", "Subject: nested-bad", "X-Nest: 1", "Content-Type: text/plain", ""])) for _ in range(self.pick([0, 1, 2]))]
        return out + self.pick([["--b--"], ["--b--", "epilogue"], ["--c--"], []])

    def content(self, stuffed=True):
        head, body = self.header(), [self.text(self.pick(BODY)) for _ in range(self.pick([0, 1, 1, 2, 3]))] if self.chance(0.6) else ["hello"]
        if self.chance(0.25):
            head += ["MIME-Version: 1.0", "Content-Type: " + self.pick(TYPES).replace("~", "\r\n")]
            body = self.mime()
        lines = head + self.pick([[""]] * 12 + [[], [" "], ["", ""]]) + body
        if self.chance(0.03):
            lines = self.pick([[], [""], ["", ""], ["hello world", "second"], [" leading", "Subject: a"], ["Subject: a", " ", "X-A: b", "", "x"], ["From a@b Mon", "Subject: x", "", "b"], [">From x", "Subject: y"]])
        if self.chance(0.03):
            lines += ["z" * self.pick([60, 70, 500])] * self.pick([5, 40, 200])
        if stuffed:
            lines = [("." + l if l.startswith(".") and self.chance(0.9) and l != "." else l) for l in lines if l != "." or self.chance(0.02)]
        return enc("".join(l + "\r\n" for l in lines))

    def data(self):
        return ("data", self.content() + b".\r\n")

    def bdat(self):
        text = self.content(False)
        cuts = sorted(self.r.randrange(len(text) + 1) for _ in range(self.pick([0, 0, 1, 2, 3])))
        pieces = [text[a:b] for a, b in zip([0] + cuts, cuts + [len(text)])]
        return ("bdat", [(len(p), n == len(pieces) - 1, p) for n, p in enumerate(pieces)])

    # ---- sessions

    def transaction(self, odd):
        """Steps of one message; odd: which part is not plain."""
        where = self.pick(["mail", "rcpt", "rcpt", "rcpt2", "data", "bdat", "noise", "noise", "order"]) if odd else ""
        steps = [("cmd", self.mail(where == "mail")), ("cmd", self.rcpt(where == "rcpt"))]
        if where == "rcpt2" or self.chance(0.2):
            steps += [("cmd", self.rcpt(self.chance(0.7))) for _ in range(self.pick([1, 1, 2, 12]))]
        steps.append(self.bdat() if where == "bdat" or self.chance(0.1) else self.data())
        if where == "noise":
            for _ in range(self.pick([1, 1, 2])):
                steps.insert(self.r.randrange(len(steps) + 1), ("cmd", enc(self.pick(COMMANDS))))
        if where == "order":
            self.r.shuffle(steps)
        elif self.chance(0.1) and where != "bdat":
            n = self.pick([2, len(steps) - 1])
            steps = [("pipe", [s[1] for s in steps[:n]])] + steps[n:] if all(s[0] == "cmd" for s in steps[:n]) else steps
        return steps

    def login(self):
        fill = lambda t: enc(" ".join(B64.get(w, w) for w in t.split(" ")))
        return ("login", fill(self.pick(AUTHS)), [fill(self.pick(ANSWERS)) for _ in range(3)])

    def tail(self):
        """Bytes with which a session ends, after the transaction's DATA or before."""
        crs = ["\r\n", "\n", "\r", "\r\r\n", "\n\r"]
        lines = [self.text(self.pick(BODY + ["Subject: x", "", "."])) for _ in range(self.pick([1, 3, 5]))] + ["."] + [
            "MAIL FROM:<smuggled@x.test>", "RCPT TO:<alice@example.test>", "DATA", "x", ".", "QUIT"][:self.pick([0, 3, 6])]
        eol = self.pick(crs)
        raw = "".join(l + (eol if self.chance(0.7) else self.pick(crs)) for l in lines)
        prefix = self.pick(["", "DATA\r\n", "DATA\r\n", "DATA\r\n", "DATA\n", "DATA\r", "BDAT 20 LAST\r\n", "BDAT 5\r\n12345BDAT 3\r\nabcDATA\r\n", "BDAT 100000\r\n", "BDAT 10\n"])
        return ("raw", enc(prefix + raw + self.pick(["\r\n.\r\nQUIT\r\n", "QUIT\r\n", ""])))

    def long_line(self):
        n = self.pick([500, 511, 512, 513, 1000, 2040, 2046, 2047, 2048, 2049, 2050, 4096, 5000, 20000])
        return ("cmd", enc(self.pick(["NOOP ", "MAIL FROM:<s@client.test> ", "RCPT TO:<", "FOO", "EHLO ", "VRFY ", "MAIL FROM:<", "AUTH PLAIN "]) + "x" * n))

    def session(self):
        odd = self.chance(0.9)
        steps = []
        if not (odd and self.chance(0.05)):
            steps.append(("cmd", self.greet(odd and self.chance(0.15))))
        if self.config == "auth":
            if self.chance(0.4):
                steps += [("tls",), ("cmd", self.greet())]
            if self.chance(0.7):
                steps.append(self.login())
        for _ in range(self.pick([1, 1, 1, 2, 3])):
            r = self.r.random()
            if r < 0.75 or not odd:
                steps += self.transaction(odd)
            elif r < 0.85:
                steps += [("cmd", enc(self.pick(COMMANDS))) for _ in range(self.pick([1, 3, 8, 25]))]
            elif r < 0.9:
                steps.append(self.long_line())
            elif r < 0.95:
                lines = [enc(self.pick(COMMANDS)) for _ in range(self.pick([2, 5]))]
                steps.append(("raw", b"".join(l + enc(self.pick(["\r\n"] * 5 + ["\n", "\r\n\r\n"])) for l in lines)))
            else:
                steps.append(self.login() if self.config == "auth" else ("tls",) if self.chance(0.3) else ("cmd", b"QUIT"))
            if steps[-1][0] == "raw":
                break
        if steps[-1][0] != "raw":
            if odd and self.chance(0.12):
                steps += [("cmd", self.mail()), ("cmd", self.rcpt()), self.tail()]
            else:
                steps.append(("cmd", b"QUIT"))
        if any(s[0] == "tls" for s in steps):  # no half-closing there
            steps = [("cmd", b"QUIT") if s[0] == "raw" else s for s in steps]
        source = None
        if self.config in ("restrict", "nodelay", "lists") and self.chance(0.4):
            source = self.action("127.0.1.%d")
        elif self.config in ("relay", "auth", "restrict", "lists", "strict") and self.chance(0.5):
            source = "127.0.0.9"
        return {"steps": steps, "source": source}
