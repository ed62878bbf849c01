"""Two-way synchronisation of an account with a Maildir. MODE CA-FILE IMAPS MAILDIR.
fill: makes messages on the server. change: changes flags, deletes and adds on both sides.
equal: both sides hold the same messages with the same flags."""
import hashlib, imaplib, os, random, ssl, sys, time

mode, ca, port, root = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
imap = imaplib.IMAP4_SSL("localhost", port, ssl_context=ssl.create_default_context(cafile=ca))
imap.login("erna@here.test", "secret")
FOLDERS = {"INBOX": "INBOX", "Archive": "Archive", "Projects/2026": "Projects/2026"}
FLAGS = {"\\Seen": "S", "\\Answered": "R", "\\Flagged": "F", "\\Draft": "D"}
dice = random.Random(11)


def message(n):
    lines = [f"Message-ID: <{n}@twoway.test>", f"Subject: number {n} =?utf-8?q?=C3=A4?=",
             "From: a@twoway.test", "To: erna@here.test", "MIME-Version: 1.0", ""]
    lines += ["x" * dice.randrange(1, 70) for _ in range(dice.randrange(1, 60))]
    return ("\r\n".join(lines) + "\r\n").encode()


def digest(text):
    text = text.replace(b"\r\n", b"\n")
    # mbsync adds its own header field.
    lines = [l for l in text.split(b"\n") if not l.startswith(b"X-TUID:")]
    number = next(l for l in lines if l.startswith(b"Message-ID:")).decode()
    return number, hashlib.sha256(b"\n".join(lines)).hexdigest()


def far():
    found = {}
    for name in FOLDERS:
        assert imap.select(f'"{name}"', readonly=True)[0] == "OK"
        for part in imap.fetch("1:*", "(FLAGS BODY.PEEK[])")[1] or []:
            if not isinstance(part, tuple):
                continue
            flags = "".join(sorted(FLAGS[f.decode()] for f in imaplib.ParseFlags(part[0])
                                   if f.decode() in FLAGS))
            found[(name,) + digest(part[1])] = flags
    return found


def folder(name):
    return os.path.join(root, FOLDERS[name])


def files(name):
    return [os.path.join(folder(name), sub, f) for sub in ("cur", "new")
            for f in os.listdir(os.path.join(folder(name), sub))]


def near():
    found = {}
    for name in FOLDERS:
        for path in files(name):
            flags = path.rpartition(":2,")[2] if ":2," in path else ""
            found[(name,) + digest(open(path, "rb").read())] = "".join(
                sorted(f for f in flags if f in "SRFD"))
    return found


if mode == "fill":
    imap.create("Projects/2026")
    for n in range(400):
        name = dice.choice(list(FOLDERS))
        flags = "(" + " ".join(f for f in FLAGS if dice.random() < 0.3) + ")"
        when = imaplib.Time2Internaldate(1_700_000_000 + n * 3600)
        assert imap.append(f'"{name}"', flags, when, message(n))[0] == "OK"
elif mode == "change":
    # Far: flags, deletions, moves, new messages.
    imap.select("INBOX")
    count = int(imap.search(None, "ALL")[1][0].split()[-1])
    imap.store(f"1:{count // 4}", "+FLAGS", "(\\Flagged)")
    imap.store(f"{count // 4}:{count // 2}", "-FLAGS", "(\\Seen)")
    imap.store(f"{count - 9}:{count - 5}", "+FLAGS", "(\\Deleted)")
    imap.expunge()
    imap._simple_command("MOVE", "1:5", "Archive")
    for n in range(1000, 1020):
        imap.append("INBOX", "(\\Seen)", imaplib.Time2Internaldate(time.time()), message(n))
    # Near: flags and deletions in another mailbox, new messages.
    for n, path in enumerate(sorted(files("Projects/2026"))):
        base = os.path.basename(path).partition(":")[0]
        target = os.path.join(folder("Projects/2026"), "cur", base)
        if n < 10:
            os.rename(path, target + ":2,T")
        elif n < 40:
            os.rename(path, target + ":2,FRS")
    for n in range(2000, 2020):
        with open(os.path.join(folder("Archive"), "cur", f"{n}.new.host:2,S"), "wb") as f:
            f.write(message(n).replace(b"\r\n", b"\n"))
elif mode == "equal":
    there, here = far(), near()
    assert len(there) > 300, len(there)
    only = [f"far only {k}" for k in there.keys() - here.keys()]
    only += [f"near only {k}" for k in here.keys() - there.keys()]
    only += [f"{k}: far {there[k]}, near {here[k]}" for k in there.keys() & here.keys()
             if there[k] != here[k]]
    assert not only, "\n".join(only[:10])
imap.logout()
