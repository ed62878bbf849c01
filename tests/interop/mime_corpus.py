"""Odd messages: Python's own email test data where it is installed, and seeded ones of every kind."""
import glob, os, random

CRLF = b"\r\n"
DATA = "/usr/lib/python3*/test/test_email/data/msg_*.txt"
PYTHON_DATA = [os.environ.get("PYTHON_AT", "/") + DATA, DATA.replace("/usr", "/usr/local")]

ADDRESSES = [
    b"a@x.test", b"<a@x.test>", b"Ann <a@x.test>", b'"Q, Public" <q@x.test>', b"a@x.test (Ann)",
    b"=?utf-8?q?J=C3=B6rg?= <j@x.test>", b"J\xc3\xb6rg <j@x.test>", b"J\xf6rg <j@x.test>", b"<>", b"",
    b"undisclosed-recipients:;", b"A Group:Ed <c@a.test>,joe@w.test,John <j@o.test>;", b"friends: a@x.test",
    b"just a name", b"@x.test", b"a@", b"a@b@c.test", b"<@r1.test,@r2.test:a@x.test>", b'"a b"@x.test',
    b"a.b.@x.test", b"a@[192.0.2.1]", b"Ann\r\n <a@x.test>,\r\n\tBob <b@x.test>", b"a@x.test, , b@y.test,",
    b"Ann (c(nested)c) <a@x.test>", b'"un\\"quoted" <a@x.test>', b'"never closed <a@x.test>',
    b"Ann <a@x.test", b"a@x.test;b@y.test", b"Ann A. <a@x.test>", b"a @ x . test", b"<a@x.test> Ann",
    b"a@x.test b@y.test", b"(only a comment)", b"group: inner: a@x.test;;", b"mailto:a@x.test",
    b'""@x.test', b'"" <a@x.test>', b"a\\@b@x.test", b"Ann <mailto:a@x.test>", b"<<a@x.test>>",
]
SUBJECTS = [
    b"plain", b"", b" ", b"=?iso-8859-1?q?caf=E9?=", b"=?utf-8?b?Y2Fmw6k=?= =?utf-8?b?w6k=?=", b"caf\xc3\xa9",
    b"caf\xe9", b"folded\r\n line", b"folded\r\n\ttab\r\n  two", b'quotes " and \\ back', b"trailing \t ",
    b"=?bad", b"=?utf-8?q?never", b"x" * 1200, b"tab\tinside", b"(parens) {braces} %per", b"\x01ctl\x7f",
]
DATES = [b"Fri, 21 Nov 1997 09:55:06 -0600", b"", b"not a date", b"21 Nov 97 09:55 GMT",
         b"Fri, 21 Nov\r\n 1997 09:55:06 -0600 (a comment)"]
IDS = [b"<1@x.test>", b"", b"no angles", b"<a@b> <c@d>", b"<1@x.test>\r\n <2@x.test>", b"<caf\xc3\xa9@x>"]
TYPES = [
    b"text/plain", b"TEXT/HTML; charset=utf-8", b"text/plain; charset=\"us-ascii\"; format=flowed", b"text",
    b"text/", b"/plain", b"", b"image/png; name=\"a b.png\"", b"image/png; name=a b.png", b"application/x-y",
    b"text/plain; charset", b"text/plain; charset=", b"text/plain; =x", b"text/plain;;; a=b;", b"text/plain; a=\"b",
    b"text/plain; name*=utf-8''caf%C3%A9.txt", b"text/plain; name*0=\"a\"; name*1=\"b\"",
    b"text/plain; name*0*=utf-8''%41; name*1=b", b"text/plain; name==?utf-8?q?caf=C3=A9?=",
    b"text/plain (comment); charset (c) = (d) utf-8 (e)", b"text/plain; a=1; a=2; A=3", b"text / plain ; a = b",
    b"text/plain\r\n ;\r\n\tcharset=utf-8", b"text/plain; name=caf\xc3\xa9", b"x-foo/bar.baz+q; z='single'",
    b"text/plain charset=utf-8", b"text/plain; name=\"a\\\"b\\\\c\"", b"application/octet-stream; n=" + b"v" * 1100,
    b"text/plain; a@b=c", b"text/plain, text/html", b"text/x plain", b"\"text/plain\"", b"text//plain",
    b"message/delivery-status", b"message/partial; id=x; number=1; total=2", b"text/plain; charset=utf-8,",
    b"message/external-body; access-type=anon-ftp; name=x", b"audio/*", b"text/plain; a=\"\"",
]
ENCODINGS = [None, b"7bit", b"8BIT", b"base64", b"quoted-printable", b"Quoted-Printable (c)", b"x-uuencode",
             b"", b"base64; x=y", b"\"base64\"", b"binary", b"quoted printable"]
DISPOSITIONS = [b"inline", b"attachment; filename=\"a.txt\"", b"ATTACHMENT; filename=a b.txt; size=3",
                b"attachment; filename*=utf-8''%C3%A9", b"", b"; filename=x", b"attachment;", b"attachment; x",
                b"attachment; filename=caf\xc3\xa9", b"\"inline\"", b"attachment (c); filename = \"x\"",
                b"attachment; filename*0=a; filename*1=b; creation-date=\"Wed, 12 Feb 1997 16:29:51 -0500\""]
OTHERS = [
    lambda r: b"Content-ID: " + r.choice(IDS), lambda r: b"Content-Description: " + r.choice(SUBJECTS),
    lambda r: b"Content-MD5: " + r.choice([b"Q2hlY2sgSW50ZWdyaXR5IQ==", b"", b"x y"]),
    lambda r: b"Content-Language: " + r.choice([b"en", b"en, de", b"i-mingo (c)", b"", b"en,,de,", b"en de"]),
    lambda r: b"Content-Location: " + r.choice([b"http://x.test/a b", b"", b"x\r\n y"]),
    lambda r: b"X-Other: y", lambda r: b"no colon here", lambda r: b"Content-Type : text/html",
    lambda r: b"content-transfer-encoding:base64", lambda r: b": no name", lambda r: b"X Y: blank in name",
    lambda r: b"MIME-Version: 1.0", lambda r: b"MIME-Version: 2.7 (odd)",
]
BODIES = [b"", b"one line", b"one line\r\n", b"two\r\nlines\r\n", b"\r\n", b"\r\n\r\n\r\n", b"aGVsbG8=\r\n",
          b"caf=C3=A9 =\r\nsoft\r\n", b"caf\xe9\r\n", b"-- \r\nsig\r\n", b"--\r\n", b"--x\r\n", b"From a\r\n",
          b"x" * 3000 + b"\r\n", b"aGVs bG8\r\n=\r\n", b"a=3D=zz=\r\n", b"....\r\n.\r\n", b"=41=\r\n",
          b"YWJj*ZGVm\r\n", b"YQ==YQ==\r\n", b"tail \r\n \r\n"]


class Maker:
    """One seeded maker: each message is made of pieces that go wrong in their own ways."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.boundaries = 0

    def some(self, chance):
        return self.r.random() < chance

    def address_fields(self):
        r, out = self.r, []
        for name in (b"From", b"Sender", b"Reply-To", b"To", b"Cc", b"Bcc"):
            for _ in range(2 if self.some(0.06) else 1):
                if self.some(0.75 if name in (b"From", b"To") else 0.2):
                    value = r.choice(ADDRESSES)
                    if self.some(0.25):
                        value += b", " + r.choice(ADDRESSES)
                    out.append((r.choice([name, name.upper(), name]) if self.some(0.2) else name) + b": " + value)
        return out

    def header(self):
        r = self.r
        out = self.address_fields()
        for name, values in ((b"Subject", SUBJECTS), (b"Date", DATES), (b"Message-ID", IDS),
                             (b"In-Reply-To", IDS), (b"References", IDS)):
            for _ in range(2 if self.some(0.05) else 1):
                if self.some(0.7):
                    out.append(name + r.choice([b": ", b":", b":  ", b" : " if self.some(0.1) else b": "]) + r.choice(values))
        r.shuffle(out)
        return out

    def mime_fields(self, content_type=None):
        r, out = self.r, []
        if content_type is None and self.some(0.75):
            content_type = r.choice(TYPES)
        if content_type is not None:
            out.append(b"Content-Type: " + content_type)
            if self.some(0.04):
                out.append(b"Content-Type: text/html; second=yes")
        encoding = r.choice(ENCODINGS)
        if encoding is not None and self.some(0.8):
            out.append(b"Content-Transfer-Encoding: " + encoding)
        if self.some(0.3):
            out.append(b"Content-Disposition: " + r.choice(DISPOSITIONS))
        while self.some(0.25):
            out.append(r.choice(OTHERS)(r))
        return out

    def boundary(self):
        self.boundaries += 1
        r, n = self.r, b"%d" % self.boundaries
        plain = r.choice([b"b" + n, b"outer", b"b" + n + b"--", b"=_" + n + b"(x)", b"b " + n, b"x" * 70 + n,
                          b"b'" + n + b"?", b"b" + n + b":/"])
        quoted = b'"' + plain + b'"' if self.some(0.7) or any(c in plain for c in b" ()?=:/") else plain
        return plain, quoted

    def leaf(self):
        fields = self.mime_fields()
        return fields, self.r.choice(BODIES)

    def entity(self, depth):
        """Fields and body of a part."""
        pick = self.r.random()
        if depth <= 0 or pick < 0.5:
            return self.leaf()
        if pick < 0.62:
            kind = self.r.choice([b"message/rfc822"] * 5 + [b"message/global", b"MESSAGE/RFC822; x=y"])
            fields = [b"Content-Type: " + kind]
            if self.some(0.2):
                fields.append(b"Content-Transfer-Encoding: " + self.r.choice([b"7bit", b"8bit", b"base64", b"binary"]))
            if self.some(0.3):
                fields.append(b"Content-Disposition: " + self.r.choice(DISPOSITIONS))
            return fields, self.message(depth - 1)
        return self.multipart(depth)

    def multipart(self, depth):
        r = self.r
        plain, quoted = self.boundary()
        kind = r.choice([b"multipart/mixed", b"multipart/alternative", b"multipart/digest", b"Multipart/Related",
                         b"multipart/signed; protocol=\"a/b\"", b"multipart/report; report-type=delivery-status",
                         b"multipart/x-odd", b"multipart/"])
        content_type = kind + b"; boundary=" + quoted
        if self.some(0.06):
            content_type = r.choice([kind, kind + b"; boundary=", kind + b"; boundary=\"\"",
                                     kind + b"; boundary=" + quoted + b"; boundary=other",
                                     kind + b"; Boundary*=us-ascii''" + plain, kind + b"; boundary=\"" + plain])
        fields = [b"Content-Type: " + content_type]
        if self.some(0.2):
            fields += self.mime_fields(b"")[1:]
        body = r.choice([b"", b"preamble\r\n", b"This is a\r\nmultipart.\r\n", b"\r\n"])
        for _ in range(r.choice([0, 1, 1, 2, 2, 3, 4])):
            body += b"--" + plain + r.choice([b"", b"", b"", b" \t", b" trailing"] if self.some(0.3) else [b""]) + CRLF
            if self.some(0.05):
                continue                      # an empty part: the next delimiter ends its header
            inner, text = self.entity(depth - 1)
            body += self.joined(inner, text, self.some(0.06)) + CRLF
        if self.some(0.8):
            body += b"--" + plain + b"--" + r.choice([b"\r\n", b"", b"\r\nepilogue\r\n", b" \r\n"])
        return fields, body

    def joined(self, fields, body, cut=False):
        if cut:
            return CRLF.join(fields)          # no empty line: what follows ends the header
        return b"".join(field + CRLF for field in fields) + CRLF + body

    def message(self, depth=3):
        fields, body = self.entity(depth)
        own = self.header()
        if self.some(0.3):
            own += fields
        else:
            own = fields + own
        return self.joined(own, body, self.some(0.03))

    def one(self):
        octets = self.message(self.r.choice([0, 1, 2, 3, 4]))
        if self.some(0.05):
            octets = octets.replace(CRLF, b"\n")
        elif self.some(0.03):
            octets = octets.replace(CRLF, b"\n", self.r.randint(1, 5))
        if self.some(0.02):
            octets = octets.replace(b"o", b"\r", 2)
        return octets


FIXED = [
    ("no header", b"\r\nbody\r\n"),
    ("no body", b"Subject: x\r\n"),
    ("no line break", b"Subject: x"),
    ("only an empty line", b"\r\n"),
    ("only text", b"just text\r\nmore\r\n"),
    ("header ended by a delimiter", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n--b\r\n\r\nx\r\n--b--\r\n"),
    ("message's header ended by a delimiter", b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: in\r\nFrom: a@b\r\n--b--\r\n"),
    ("nothing between delimiters", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\n--b--\r\n"),
    ("only the closing delimiter", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n"),
    ("delimiter at once", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--b--"),
    ("inner delimiter of the outer", b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\nx\r\n--o\r\n\r\ny\r\n--o--\r\n"),
    ("same boundary inside", b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\r\nx\r\n--o--\r\n--o--\r\n"),
    ("prefix of the outer", b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/mixed; boundary=oo\r\n\r\n--oo\r\n\r\nx\r\n--oo--\r\n--o--\r\n"),
    ("outer is longer", b"Content-Type: multipart/mixed; boundary=oo\r\n\r\n--oo\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\r\nx\r\n--o--\r\n--oo--\r\n"),
    ("text after a delimiter", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--bx\r\n\r\nno\r\n--b x\r\n\r\nno\r\n--b\r\n\r\nyes\r\n--b--x\r\n\r\nno\r\n--b--\r\n"),
    ("parts after the end", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n--b\r\n\r\ny\r\n--b--\r\n"),
    ("message of a message", b"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\nSubject: deep\r\n\r\nx\r\n"),
    ("empty message inside", b"Content-Type: message/rfc822\r\n\r\n"),
    ("message in base64", b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA0KDQp5DQo=\r\n"),
    ("digest", b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: one\r\n\r\nx\r\n--b\r\nContent-Type: text/plain\r\n\r\ny\r\n--b--\r\n"),
    ("huge field", b"Subject: " + b"y" * 100_000 + b"\r\nFrom: a@b\r\n\r\nx\r\n"),
    ("many fields", b"".join(b"X-%d: y\r\n" % n for n in range(3000)) + b"Subject: last\r\n\r\nx\r\n"),
    ("many addresses", b"To: " + b", ".join(b"a%d@x.test" % n for n in range(500)) + b"\r\n\r\nx\r\n"),
    ("field begins with a blank", b" odd: x\r\nSubject: y\r\n\r\nz\r\n"),
    ("colon only", b":\r\n: x\r\nSubject: y\r\n\r\nz\r\n"),
    ("blank line with a blank", b"Subject: a\r\n \r\nFrom: a@b\r\n\r\nx\r\n"),
    ("From line of an mbox", b"From a@b Mon Jan  1 00:00:00 2024\r\nSubject: a\r\n\r\nx\r\n"),
    ("nested 40 deep", b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(40)) + b"\r\nx\r\n"),
    ("bare CR in a header", b"Subject: a\rb\r\n\r\nx\r\n"),
    ("bare LF at the header's end", b"Subject: a\r\n\nx\r\n"),
    ("no MIME-Version", b"Content-Type: text/html\r\n\r\n<p>\r\n"),
    ("sender is empty", b"From: a@x.test\r\nSender:\r\nReply-To: \r\n\r\nx\r\n"),
]


def corpus(count):
    """(name, octets) of all messages: fixed ones, Python's, and so many seeded ones."""
    for name, octets in FIXED:
        yield name, octets
    for pattern in PYTHON_DATA:
        for path in sorted(glob.glob(pattern)):
            with open(path, "rb") as file:
                octets = file.read()
            yield path.rsplit("/", 1)[1], octets.replace(CRLF, b"\n").replace(b"\n", CRLF)
    for seed in range(count):
        yield f"seed {seed}", Maker(seed).one()
