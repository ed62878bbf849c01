"""Other servers as peers: CA-FILE SUBMISSION IMAPS NAME:PORT:MAILDIR...
They send to us and we to them, each message once and whole, whatever line breaks somebody tries."""
import imaplib, pathlib, re, smtplib, ssl, sys, time

ca, submission, imaps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
peers = [(n, int(p), pathlib.Path(d)) for n, p, d in (a.split(":") for a in sys.argv[4:])]
context = ssl.create_default_context(cafile=ca)
anybody = ssl._create_unverified_context()
BREAKS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n\0.\r\n", b"\r\n.\r\r\n"]
SMUGGLED = b"MAIL FROM:<x@smuggled.test>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n"


def wait(what, done):
    until = time.time() + 20
    while not done():
        if time.time() > until:
            sys.exit(f"not seen: {what}")
        time.sleep(0.05)


def ours():
    smtp = smtplib.SMTP("localhost", submission)
    smtp.starttls(context=context)
    smtp.login("alice@here.test", "secret")
    return smtp


def inbox(user):
    imap = imaplib.IMAP4_SSL("localhost", imaps, ssl_context=context)
    imap.login(user, "secret")
    imap.select("INBOX", readonly=True)
    return imap


def raw(smtp, sender, recipient, octets, options=()):
    """The reply to a message whose octets are not touched, up to CRLF.CRLF."""
    smtp.ehlo_or_helo_if_needed()
    if smtp.mail(sender)[0] != 250 or smtp.rcpt(recipient, options)[0] not in (250, 251):
        raise smtplib.SMTPException("envelope")
    assert smtp.docmd("DATA")[0] == 354
    smtp.send(octets + b"\r\n.\r\n")
    return smtp.getreply()[0]


def theirs(folder):
    for file in [*folder.glob("new/*"), *folder.glob("cur/*")]:
        try:
            yield file.read_bytes().replace(b"\r\n", b"\n")
        except FileNotFoundError:
            pass


def with_subject(folder, subject):
    line = re.compile(rb"(?m)^Subject: " + subject.encode() + rb"$")
    return [m for m in theirs(folder) if line.search(m.split(b"\n\n")[0])]


for name, port, folder in peers:
    def up():
        try:
            smtplib.SMTP("127.0.0.1", port, timeout=5).quit()
            return True
        except OSError:
            return False
    wait(f"{name} up", up)

    # We to them: a line of dots, a long line, and every odd line break. One message each.
    smtp = ours()
    for n, odd in enumerate(BREAKS):
        to = f"dave@{name}"
        text = b"From: alice@here.test\r\nSubject: hop %d\r\n\r\n..first\r\n.\x2e\r\n%s\r\nx" % (n, b"y" * 900)
        text += odd + SMUGGLED % to.encode()
        # Two dots here are one dot and its stuffing.
        code = raw(smtp, "alice@here.test", to, text)
        assert code in (250, 550), (name, odd, code)
        if code == 550:
            smtp = ours()
        else:
            wait(f"hop {n} at {name}", lambda: with_subject(folder, f"hop {n}"))
            message = with_subject(folder, f"hop {n}")[0]
            assert b"\n\n.first\n.\n" in message, message
    smtp.quit()
    marker = ours()
    marker.sendmail("alice@here.test", [f"dave@{name}"], "From: alice@here.test\r\nSubject: last\r\n\r\nlast\r\n")
    wait(f"last at {name}", lambda: with_subject(folder, "last"))
    for n, _ in enumerate(BREAKS):
        assert len(with_subject(folder, f"hop {n}")) <= 1, (name, n)
    assert not with_subject(folder, "smuggled"), f"smuggled through us into {name}"
    secure = all(b"with esmtps" in m for m in with_subject(folder, "last"))
    assert secure or name == "os.test", "without TLS"

    def to_them():
        smtp = smtplib.SMTP("127.0.0.1", port)
        if secure:
            smtp.starttls(context=anybody)
        return smtp

    # They to us, two hops: what they sent, and nothing that they did not send. An odd line break that
    # they pass on is refused and ends their connection, so it comes last.
    smtp = to_them()
    plain = b"From: x@%s\r\nSubject: back plain %s\r\n\r\n..dots\r\n%s\r\nend" % (name.encode(), name.encode(), b"l" * 900)
    assert raw(smtp, f"x@{name}", "bob@here.test", plain) == 250

    def search(*what):
        return inbox("bob@here.test").search(None, *what)[1][0].split()
    wait(f"a message from {name}", lambda: search("SUBJECT", f'"back plain {name}"'))
    imap = inbox("bob@here.test")
    found = search("SUBJECT", f'"back plain {name}"')
    assert len(found) == 1, found
    text = imap.fetch(found[0], "(BODY.PEEK[])")[1][0][1]
    assert b"\r\n\r\n.dots\r\n" in text and b"l" * 900 in text and b"with ESMTPS" in text, text
    for n, odd in enumerate(BREAKS):
        smtp = to_them()
        text = b"From: x@%s\r\nSubject: back %d %s\r\n\r\n..dots\r\nx" % (name.encode(), n, name.encode())
        try:
            raw(smtp, f"x@{name}", "bob@here.test", text + odd + SMUGGLED % b"bob@here.test")
        except smtplib.SMTPException:
            pass

    # NOTIFY=SUCCESS: from a server with DSN its own report, or ours that it went on without.
    smtp = ours()
    other = smtplib.SMTP("127.0.0.1", port)
    other.ehlo()
    has_dsn = other.has_extn("dsn")
    smtp.ehlo_or_helo_if_needed()
    code = raw(smtp, "alice@here.test", f"told@{name}", b"From: alice@here.test\r\nSubject: told\r\n\r\nx", ["NOTIFY=SUCCESS"])
    assert code == 250

    def reports():
        imap = inbox("alice@here.test")
        found = imap.search(None, "BODY", f'"told@{name}"')[1][0].split()
        return [imap.fetch(n, "(BODY.PEEK[])")[1][0][1] for n in found]
    if not has_dsn:
        wait(f"the report of {name}", reports)
        assert len(reports()) == 1 and b"Action: relayed" in reports()[0], reports()

for name, _, _ in peers:
    assert not search("SUBJECT", "smuggled")
    for n, _ in enumerate(BREAKS):
        assert len(search("SUBJECT", f'"back {n} {name}"')) <= 1, (name, n)
print("fine")
