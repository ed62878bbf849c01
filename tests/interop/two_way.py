"""mbsync both ways with 2,000 messages and changes on both sides: CA-FILE IMAPS WORK-FOLDER.

In the end both sides hold the same messages with the same flags and dates."""
import email.utils, imaplib, os, pathlib, re, ssl, subprocess, sys, time

ca, port, work = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
context = ssl.create_default_context(cafile=ca)
near = work / "near" / "Big"
for part in ("cur", "new", "tmp"):
    (near / part).mkdir(parents=True)
config = work / "two_way.rc"
config.write_text(f"""
IMAPAccount a
Host localhost
Port {port}
User eva@here.test
Pass secret
SSLType IMAPS
CertificateFile {ca}

IMAPStore far
Account a

MaildirStore near
Path {work}/near/
Inbox {work}/near/INBOX

Channel c
Far :far:
Near :near:
Patterns Big
Create Both
Expunge Both
CopyArrivalDate yes
SyncState *
""")


def sync():
    subprocess.run(["mbsync", "-c", str(config), "-a"], check=True)


def far():
    imap = imaplib.IMAP4_SSL("localhost", port, ssl_context=context)
    imap.login("eva@here.test", "secret")
    assert imap.select("Big")[0] == "OK"
    return imap


def far_state():
    imap = far()
    found = {}
    data = imap.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (X-Number)])")[1]
    for item in data:
        if isinstance(item, tuple):
            number = int(item[1].split(b":")[1])
            flags = {f for f in imaplib.ParseFlags(item[0]) if f in (b"\\Seen", b"\\Flagged", b"\\Answered")}
            found[number] = (flags, int(time.mktime(imaplib.Internaldate2tuple(item[0]))))
    imap.logout()
    return found


def near_state():
    letters = {"S": b"\\Seen", "F": b"\\Flagged", "R": b"\\Answered"}
    found = {}
    for file in [*near.glob("cur/*"), *near.glob("new/*")]:
        number = int(re.search(rb"X-Number: (\d+)", file.read_bytes()).group(1))
        flags = {letters[c] for c in file.name.partition(":2,")[2] if c in letters}
        found[number] = (flags, int(file.stat().st_mtime))
    return found


for n in range(2000):
    date = 1_600_000_000 + n * 1000
    file = near / "cur" / f"{date}.{n}.here:2,{'S' if n % 3 else ''}"
    file.write_text(f"X-Number: {n}\nSubject: big {n}\nDate: {email.utils.formatdate(date)}\n\nbody {n}\n")
    os.utime(file, (date, date))
sync()
state = far_state()
assert len(state) == 2000 and state == near_state(), "after the first sync"

imap = far()
imap.store("1:100", "+FLAGS", "(\\Flagged)")
imap.store("101:200", "+FLAGS.SILENT", "(\\Deleted)")
imap.expunge()
for n in range(2000, 2100):
    imap.append("Big", "(\\Answered)", imaplib.Time2Internaldate(1_700_000_000 + n), b"X-Number: %d\r\n\r\nfar\r\n" % n)
imap.logout()
files = sorted(near.glob("cur/*"), key=lambda file: file.name)
for file in files[1000:1100]:
    file.rename(file.with_name(file.name.partition(":2,")[0] + ":2,RS"))
for file in files[1200:1300]:
    file.unlink()
sync()
state = far_state()
assert len(state) == 2000 + 100 - 200, len(state)
assert state == near_state(), [n for n in state if state[n] != near_state().get(n)][:10]
sync()
assert far_state() == state, "a third sync changes nothing"
