"""Commands of every kind by a seed. An episode is a list of (session, command); each has its own account."""
from messages import MESSAGES, append

ALL = list(range(len(MESSAGES)))
FLAGS = [b"\\Seen", b"\\Answered", b"\\Flagged", b"\\Deleted", b"\\Draft", b"$Forwarded", b"kw1", b"Kw2", b"$Junk"]


def some_flags(r, most=3):
    return b" ".join(r.sample(FLAGS, r.randrange(most + 1)))


def fill(r, mailbox, numbers):
    return [(0, append(mailbox, n, some_flags(r))) for n in numbers]


def quoted(r, name):
    """A name as an atom, a quoted string or a literal."""
    kind = r.randrange(4)
    if kind == 0:
        return b"{%d+}\r\n" % len(name) + name
    if kind == 1 and name and not any(c in b' "\\(){%*]' for c in name):
        return name
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


NAMES = [b"a", b"b", b"a/b", b"a/b/c", b"A", b"a b", b"a/b/c/d", b"b/x", b"Entw&APw-rfe", b"a&-b", b"INBOX/x", b"inbox/x",
         b"INBOX/x/y", b"inboxes", b"x.y", b"a#b", b"-"]
ODD_NAMES = [b"", b"/", b"/a", b"a//b", b"a/", b"a//", b"&", b"&AGE-", b"a&b", b"&APw", b"a*", b"a%", b"INBOX", b"inbox",
             b"Inbox", b"INBOX/", b".", b"..", b"a/../b", b"~", b"~a", b"a\\b", b'a"b', b"&2D0-", b"&2AA-", b"a\x01b", b"\x7f"]
PATTERNS = [b"", b"*", b"%", b"%/%", b"*/%", b"%/*", b"a%", b"a*", b"*b", b"%b", b"a/%", b"a/*", b"%/b", b"%%", b"**", b"*%", b"%*",
            b"a", b"A", b"INBOX", b"inbox", b"iNb%", b"in*", b"%X", b"*x", b"/", b"/%", b"a/", b"a//b", b"&APw-*", b"Entw*", b"x.%", b"%.y",
            b"%/%/%", b"a/%/c", b"*/*/*/*", b"a b", b"nothing", b"INBOX/%", b"inbox/%", b"INBOX*", b"inbox%"]
REFERENCES = [b"", b"", b"", b"", b"a", b"a/", b"b/", b"INBOX", b"inbox/", b"/", b"nothing/", b"A/", b"a%", b"a*"]
STATUS = [b"MESSAGES", b"RECENT", b"UIDNEXT", b"UIDVALIDITY", b"UNSEEN", b"SIZE", b"HIGHESTMODSEQ"]


def statuses(r):
    return b"(" + b" ".join(r.sample(STATUS, 1 + r.randrange(4))) + b")"


def a_list(r):
    verb = r.choice([b"LIST", b"LIST", b"LSUB"])
    reference, pattern = quoted(r, r.choice(REFERENCES)), quoted(r, r.choice(PATTERNS))
    if r.random() < 0.2 and b"{" not in pattern:
        pattern = r.choice([b"%", b"*", b"a%", b"*b", b"INBOX"])
    if verb == b"LSUB" or r.random() < 0.4:
        return b" ".join([verb, reference, pattern])
    words = [b"LIST"]
    if r.random() < 0.7:
        options = r.sample([b"SUBSCRIBED", b"REMOTE", b"RECURSIVEMATCH", b"SPECIAL-USE"], r.randrange(4))
        if b"RECURSIVEMATCH" in options and b"SUBSCRIBED" not in options and r.random() < 0.8:
            options.append(b"SUBSCRIBED")
        words.append(b"(" + b" ".join(options) + b")")
    words.append(reference)
    if r.random() < 0.4:
        pattern = b"(" + b" ".join(quoted(r, r.choice(PATTERNS)) for _ in range(1 + r.randrange(3))) + b")"
    words.append(pattern)
    if r.random() < 0.6:
        returns = r.sample([b"SUBSCRIBED", b"CHILDREN", b"SPECIAL-USE", b"STATUS " + statuses(r)], r.randrange(4))
        words.append(b"RETURN (" + b" ".join(returns) + b")")
    return b" ".join(words)


def names(r):
    """CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE and LIST in all its forms."""
    out, there = [], {b"INBOX"}

    def existing():
        return r.choice(sorted(there)) if r.random() < 0.9 else r.choice(NAMES)
    for _ in range(60):
        pool = NAMES if r.random() < 0.93 else ODD_NAMES
        one, two = r.choice(pool), r.choice(NAMES if r.random() < 0.93 else ODD_NAMES)
        kind = r.randrange(20) if len(there) > 3 else r.randrange(5)
        if kind < 5:
            there.add(one)
        elif kind < 12:
            one = existing()
        if 7 <= kind < 9:
            there.add(two)
        if 5 <= kind < 9:
            there.discard(one)
            there.add(b"INBOX")
        if kind < 5:
            levels = one.split(b"/")
            if all(levels):
                # Those above it are made one by one: servers make different things of them.
                for n in range(1, len(levels)):
                    out += [b'CREATE "' + b"/".join(levels[:n]) + b'"', b'SUBSCRIBE "' + b"/".join(levels[:n]) + b'"']
            out.append(b"CREATE " + quoted(r, one))
            out.append(b"SUBSCRIBE " + quoted(r, one))
        elif kind < 7:
            out.append(b"DELETE " + quoted(r, one))
        elif kind < 9:
            levels = two.split(b"/")
            if all(levels):
                for n in range(1, len(levels)):
                    out += [b'CREATE "' + b"/".join(levels[:n]) + b'"', b'SUBSCRIBE "' + b"/".join(levels[:n]) + b'"']
            out.append(b"RENAME " + quoted(r, one) + b" " + quoted(r, two))
            out.append(b"SUBSCRIBE " + quoted(r, two))
        elif kind < 11:
            out.append(r.choice([b"SUBSCRIBE ", b"SUBSCRIBE ", b"UNSUBSCRIBE "]) + quoted(r, one))
        elif kind < 12:
            out.append(b"STATUS " + quoted(r, one) + b" " + statuses(r))
        elif kind < 13:
            out.append(r.choice([b"SELECT ", b"EXAMINE "]) + quoted(r, one))
        else:
            out.append(a_list(r))
    return [(0, one) for one in out]


HEADERS = [b"Subject", b"FROM", b"to", b"Cc", b"X-Custom", b"Absent", b"Message-Id", b"MIME-Version", b"Content-Type", b'"Date"']
SECTIONS = [b"", b"1", b"2", b"3", b"1.1", b"1.2", b"2.1", b"2.2", b"3.1", b"3.2", b"1.1.1", b"2.1.1", b"9", b"1.9", b"2.1.2.1"]


def section(r, binary=False):
    base = r.choice(SECTIONS)
    if binary:
        return base
    text = r.choice([b"", b"", b"HEADER", b"TEXT", b"MIME", b"HEADER.FIELDS", b"HEADER.FIELDS.NOT"])
    if text == b"MIME" and not base:
        text = b"TEXT"
    if text.startswith(b"HEADER.F"):
        text += b" (" + b" ".join(r.sample(HEADERS, 1 + r.randrange(3))) + b")"
    if r.random() < 0.2:
        text = text.lower()
    return base + (b"." if base and text else b"") + text


def partial(r):
    if r.random() < 0.6:
        return b""
    return b"<%d.%d>" % (r.choice([0, 0, 1, 10, 50, 5000, 100000]), r.choice([1, 2, 10, 100, 10000]))


def fetch_item(r):
    kind = r.randrange(16)
    if kind < 6:
        return r.choice([b"BODY", b"BODY.PEEK", b"body.peek"]) + b"[" + section(r) + b"]" + partial(r)
    if kind < 8:
        return r.choice([b"BINARY", b"BINARY.PEEK"]) + b"[" + section(r, True) + b"]" + partial(r)
    if kind < 9:
        return b"BINARY.SIZE[" + section(r, True) + b"]"
    return r.choice([b"UID", b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE", b"BODY", b"BODYSTRUCTURE", b"RFC822",
                     b"RFC822.HEADER", b"RFC822.TEXT", b"MODSEQ", b"SAVEDATE"])


def sequence_set(r, most):
    def one():
        number = b"%d" % (1 + r.randrange(most))
        return r.choice([number, number, number, b"*"])
    return b",".join(one() if r.random() < 0.6 else one() + b":" + one() for _ in range(1 + r.randrange(3)))


def fetches(r):
    """Every FETCH item over every message."""
    out = fill(r, b"INBOX", ALL) + [(0, r.choice([b"SELECT INBOX", b"EXAMINE INBOX", b"SELECT INBOX (CONDSTORE)"]))]
    for _ in range(70):
        verb = r.choice([b"FETCH ", b"FETCH ", b"UID FETCH "])
        what = sequence_set(r, len(ALL) + 2) if r.random() < 0.3 else b"%d" % (1 + r.randrange(len(ALL)))
        kind = r.random()
        if kind < 0.1:
            items = r.choice([b"ALL", b"FAST", b"FULL", b"full"])
        elif kind < 0.5:
            items = fetch_item(r)
        else:
            items = b"(" + b" ".join(fetch_item(r) for _ in range(1 + r.randrange(4))) + b")"
        out.append((0, verb + what + b" " + items))
        if r.random() < 0.1:
            out.append((0, r.choice([b"NOOP", b"STORE 1:* -FLAGS.SILENT (\\Seen)", b"STORE 1:3 +FLAGS (kw9)", b"CHECK"])))
    return out


DAYS = [b"7-Feb-1994", b"08-Feb-1994", b'" 1-Jan-2000"', b'"31-Dec-1999"', b"1-Mar-2001", b"17-Jul-1996", b"29-Feb-2024", b"1-Jan-1970", b"1-jan-2038"]
WORDS = [b"plain", b"PLAIN", b"hello", b"caf\xc3\xa9", b"a", b"", b"words", b"secret", b"foobar", b"x.test", b"Ann", b"re", b"inner", b"image/png",
         b"gr\xc3\xbc\xc3\x9fe", b"M\xc3\x9cNCHEN", b"au lait", b"line", b"no such word", b"subject", b"<plain@x.test>", b"\xe2\x82\xac", b"epilogue"]


def string(r, word):
    if any(c > 127 for c in word) or r.random() < 0.2:
        return b"{%d+}\r\n" % len(word) + word
    if word and r.random() < 0.4 and b" " not in word:
        return word
    return b'"' + word + b'"'


def key(r, depth=0):
    kind = r.randrange(30 if depth < 4 else 22)
    if kind < 5:
        name = r.choice([b"ANSWERED", b"DELETED", b"DRAFT", b"FLAGGED", b"SEEN", b"UNANSWERED", b"UNDELETED", b"UNDRAFT", b"UNFLAGGED", b"UNSEEN", b"ALL"])
        return name if r.random() < 0.8 else name.lower()
    if kind < 6:
        return r.choice([b"KEYWORD ", b"UNKEYWORD "]) + r.choice([b"kw1", b"KW1", b"Kw2", b"$Forwarded", b"absent"])
    if kind < 9:
        return r.choice([b"BEFORE ", b"ON ", b"SINCE ", b"SENTBEFORE ", b"SENTON ", b"SENTSINCE "]) + r.choice(DAYS)
    if kind < 13:
        return r.choice([b"FROM ", b"TO ", b"CC ", b"BCC ", b"SUBJECT "]) + string(r, r.choice(WORDS))
    if kind < 15:
        return r.choice([b"BODY ", b"TEXT "]) + string(r, r.choice(WORDS))
    if kind < 17:
        return b"HEADER " + r.choice([b"Subject", b"x-custom", b"Message-ID", b"Content-Type", b"Absent", b"To", b"Keywords"]) + b" " + string(r, r.choice(WORDS))
    if kind < 18:
        return r.choice([b"LARGER ", b"SMALLER "]) + r.choice([b"0", b"200", b"300", b"1000", b"4294967295"])
    if kind < 20:
        return r.choice([b"", b"UID "]) + sequence_set(r, len(ALL) + 3)
    if kind < 21:
        return r.choice([b"YOUNGER ", b"OLDER "]) + r.choice([b"10000", b"1", b"4294967295"])
    if kind < 22:
        return r.choice([b"NEW ", b"OLD ", b"RECENT "]).strip() if r.random() < 0.1 else r.choice([b"MODSEQ 1", b"1:*", b"*", b"UID *", b"UID 5:*", b"UID 900:*"])
    if kind < 25:
        return b"NOT " + key(r, depth + 1)
    if kind < 27:
        return b"OR " + key(r, depth + 1) + b" " + key(r, depth + 1)
    return b"(" + b" ".join(key(r, depth + 1) for _ in range(1 + r.randrange(3))) + b")"


def program(r):
    out = b" ".join(key(r) for _ in range(1 + r.randrange(3)))
    return out


def searches(r):
    """SEARCH by every key, nested; ESEARCH, SEARCHRES, SORT, THREAD."""
    out = fill(r, b"INBOX", ALL) + [(0, r.choice([b"SELECT INBOX", b"EXAMINE INBOX"]))]
    for _ in range(80):
        uid = r.choice([b"", b"", b"UID "])
        kind = r.randrange(12)
        what = program(r)
        if r.random() < 0.1:
            what = r.choice([b"$", b"UID $", b"NOT $", b"$ SEEN", b"OR $ FLAGGED", b"UNSEEN UID $"])
        charset = b"UTF-8 " if any(c > 127 for c in what) else r.choice([b"UTF-8 ", b"US-ASCII "])
        if kind < 4:
            words = uid + b"SEARCH " + (b"CHARSET " + charset if b"UTF" in charset or r.random() < 0.3 else b"") + what
        elif kind < 8:
            returns = r.sample([b"MIN", b"MAX", b"ALL", b"COUNT", b"SAVE", b"min"], r.randrange(4))
            if b"SAVE" in returns and any(word in what for word in (b"BODY", b"TEXT")) and b"ALL" not in returns:
                # What differs in `$` has to be seen.
                returns.append(b"ALL")
            words = uid + b"SEARCH RETURN (" + b" ".join(returns) + b") " + (b"CHARSET " + charset) + what
        elif kind < 10:
            keys = r.sample([b"ARRIVAL", b"CC", b"DATE", b"FROM", b"SIZE", b"SUBJECT", b"TO", b"DISPLAYFROM", b"DISPLAYTO"], 1 + r.randrange(2))
            keys = [b"REVERSE " + one if r.random() < 0.3 else one for one in keys]
            returns = b"RETURN (" + b" ".join(r.sample([b"MIN", b"MAX", b"ALL", b"COUNT"], r.randrange(3))) + b") " if r.random() < 0.3 else b""
            words = uid + b"SORT " + returns + b"(" + b" ".join(keys) + b") " + charset + what
        elif kind < 11:
            words = uid + b"THREAD " + r.choice([b"REFERENCES ", b"ORDEREDSUBJECT ", b"REFS "]) + charset + what
        else:
            words = r.choice([b"FETCH $ FLAGS", b"UID FETCH $ UID", b"FETCH 1,$ UID", b"STORE $ FLAGS ()", b"SEARCH $", b"COPY $ nowhere"])
        out.append((0, words))
    return out


def change(r, most):
    what = sequence_set(r, most)
    uid = r.choice([b"", b"UID "])
    kind = r.randrange(20)
    if kind < 7:
        silent = r.choice([b"", b"", b".SILENT"])
        sign = r.choice([b"+", b"-", b""])
        listed = b"(" + some_flags(r) + b")" if r.random() < 0.8 else r.choice(FLAGS)
        unchanged = b"(UNCHANGEDSINCE " + r.choice([b"$m1$", b"$m2$", b"$m3$", b"$highest$", b"0", b"1"]) + b") " if r.random() < 0.25 else b""
        return uid + b"STORE " + what + b" " + unchanged + sign + b"FLAGS" + silent + b" " + listed
    if kind < 9:
        return uid + b"COPY " + what + b" " + r.choice([b"box", b"box", b"INBOX", b"nowhere"])
    if kind < 11:
        return uid + b"MOVE " + what + b" " + r.choice([b"box", b"box", b"INBOX", b"nowhere"])
    if kind < 13:
        return r.choice([b"EXPUNGE", b"UID EXPUNGE " + what, b"UID EXPUNGE 1:*"])
    if kind < 15:
        return append(r.choice([b"INBOX", b"box"]), r.randrange(len(MESSAGES)), some_flags(r))
    if kind < 18:
        return uid + b"FETCH " + what + b" " + r.choice([b"FLAGS", b"UID", b"(UID FLAGS)", b"BODY[HEADER.FIELDS (Subject)]", b"(FLAGS BODY.PEEK[1])"])
    return uid + b"SEARCH " + r.choice([b"ALL", b"SEEN", b"DELETED", b"KEYWORD kw1", what])


QUIET = [b"NOOP", b"NOOP", b"CHECK", b"STATUS box (MESSAGES UNSEEN UIDNEXT)", b"STATUS INBOX (MESSAGES)", b"LIST \"\" box"]


def changes(r):
    """Two sessions that change the same mailboxes, and are told about each other's changes."""
    out = [(0, b"ENABLE CONDSTORE")] + fill(r, b"INBOX", r.sample(ALL, 8)) + [(0, b"CREATE box")]
    extra = r.choice([b"", b"", b" (CONDSTORE)"])
    for n in (0, 1):
        out.append((n, b"SELECT INBOX" + extra))
        if extra:
            out.append((n, b"FETCH 1:* (UID MODSEQ)"))
    for _ in range(60):
        n = r.randrange(2)
        kind = r.random()
        if kind < 0.2:
            out.append((n, r.choice(QUIET)))
        elif kind < 0.25:
            out.append((n, r.choice([b"SELECT INBOX", b"SELECT box", b"EXAMINE INBOX", b"CLOSE", b"UNSELECT", b"SELECT nowhere"])))
        else:
            out.append((n, change(r, 9)))
    return out


def resyncs(r):
    """A second session looks away, and comes back with CONDSTORE or QRESYNC."""
    out = [(0, b"ENABLE QRESYNC"), (1, b"ENABLE QRESYNC")] + fill(r, b"INBOX", r.sample(ALL, 8))
    out += [(0, b"CREATE box"), (0, b"SELECT INBOX")]
    # Each gets a MODSEQ of its own.
    out += [(0, b"STORE %d +FLAGS.SILENT (kw0)" % n) for n in range(1, 9)] + [(1, b"SELECT INBOX")]
    for _ in range(8):
        out += [(1, b"FETCH 1:* (UID FLAGS MODSEQ)"), (1, r.choice([b"UNSELECT", b"CLOSE", b"SELECT box"]))]
        for _ in range(r.randrange(5)):
            out.append((0, change(r, 9)))
        known = r.choice([b"", b" 1:*", b" 1:5", b" 3,5:20"])
        if known.endswith(b"*"):
            known = b" 1:30"
        out.append((1, b"SELECT INBOX (QRESYNC ($validity$ $highest$" + known + b"))"))
        out.append((1, r.choice([b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE $highest$ VANISHED)", b"UID FETCH 1:20 (FLAGS) (CHANGEDSINCE $m1$)",
                                 b"SEARCH MODSEQ $highest$", b"SEARCH RETURN (ALL) MODSEQ $m2$", b"NOOP"])))
        for _ in range(r.randrange(3)):
            out.append((r.randrange(2), change(r, 9)))
    return out


PLAIN = [b"CAPABILITY", b"NOOP", b"ID NIL", b"ID (\"name\" \"x\")", b"ENABLE CONDSTORE", b"NAMESPACE", b"LIST \"\" *", b"LSUB \"\" *",
         b"STATUS INBOX (MESSAGES)", b"SELECT INBOX", b"EXAMINE INBOX", b"CREATE INBOX", b"DELETE nowhere", b"RENAME nowhere elsewhere",
         b"SUBSCRIBE INBOX", b"UNSUBSCRIBE INBOX", b"CHECK", b"FETCH 1 FLAGS", b"FETCH 1 (UID BODY.PEEK[1]<0.10>)", b"UID FETCH 1 BODY.PEEK[HEADER.FIELDS (To)]",
         b"FETCH 1:* (FLAGS) (CHANGEDSINCE 5)", b"STORE 1 +FLAGS (\\Seen)", b"STORE 1 (UNCHANGEDSINCE 9) FLAGS.SILENT (a b)", b"UID STORE 1 -FLAGS \\Seen",
         b"SEARCH ALL", b"SEARCH CHARSET UTF-8 FROM x", b"SEARCH RETURN (ALL COUNT) OR SEEN (UNSEEN DELETED)", b"UID SEARCH UID 1:*", b"COPY 1 zz", b"UID COPY 1 zz",
         b"MOVE 9999 zz", b"EXPUNGE", b"UID EXPUNGE 1", b"SORT (DATE) UTF-8 ALL", b"THREAD REFERENCES UTF-8 ALL", b"UNSELECT", b"CLOSE", b"SELECT INBOX (CONDSTORE)",
         b"SELECT INBOX (QRESYNC (1 1))", b"SEARCH BEFORE 1-Jan-2000", b"SEARCH HEADER Subject x", b"LIST (SUBSCRIBED) \"\" (a b) RETURN (CHILDREN)",
         b"APPEND INBOX (\\Seen) \"17-Jul-1996 02:44:25 -0700\" {3+}\r\nabc", b"LOGIN a b", b"STARTTLS", b"AUTHENTICATE PLAIN"]
JUNK = [b" ", b"  ", b"(", b")", b"()", b"\"", b"\\", b"*", b"%", b"{", b"}", b"{3}", b"[", b"]", b"<", b"1", b"0", b"-1", b"4294967296", b"99999999999999999999", b",", b":", b"1:", b"NIL",
        b"\x01", b"\x80", b"\xc3\xa9", b"\t", b"+", b"$", b"~", b"1:*:2", b"foo", b"\"\"", b".", b"BODY[", b"()()", b"32-Jan-2000", b"1-Foo-2000", b"\\Foo", b"\\*", b"\\Recent"]


def wilds(r):
    """Commands with mistakes: what is said, and whether the connection is kept."""
    out = [(0, append(b"INBOX", 0)), (0, append(b"INBOX", 1))]
    for n in range(60):
        # What one of them understood may have closed the mailbox. Dovecot hangs up after some mistakes: a
        # new connection now and then.
        out.append((n - n % 8, b"SELECT INBOX"))
        words = r.choice(PLAIN)
        kind = r.randrange(6)
        pieces = words.split(b" ")
        if kind == 0:
            at = r.randrange(len(words) + 1)
            words = words[:at] + r.choice(JUNK) + words[at:]
        elif kind == 1:
            pieces[r.randrange(len(pieces))] = r.choice(JUNK)
            words = b" ".join(pieces)
        elif kind == 2:
            words = b" ".join(pieces[:r.randrange(len(pieces) + 1)])
        elif kind == 3:
            words = words + b" " + r.choice(JUNK)
        elif kind == 4:
            at = r.randrange(len(words))
            words = words[:at] + words[at + 1:]
        if b"LOGOUT" in words or b"\r\n" in words and kind != 5:
            continue
        out.append((n - n % 8, b"\0x1 " + words))
    return out


def syncs(r):
    """Two sessions with QRESYNC that change the same mailbox: VANISHED, and HIGHESTMODSEQ with what takes messages out."""
    out = [(0, b"ENABLE QRESYNC"), (1, b"ENABLE QRESYNC")] + fill(r, b"INBOX", r.sample(ALL, 8)) + [(0, b"CREATE box")]
    for n in (0, 1):
        out += [(n, b"SELECT INBOX"), (n, b"FETCH 1:* (UID MODSEQ)")]
    for _ in range(50):
        n = r.randrange(2)
        out.append((n, r.choice(QUIET) if r.random() < 0.2 else change(r, 9)))
    return out


def idles(r):
    """One session idles while another changes the mailbox, and is told of it by its NOOP at the latest."""
    out = fill(r, b"INBOX", r.sample(ALL, 8)) + [(0, b"CREATE box"), (0, b"SELECT INBOX (CONDSTORE)"), (1, b"SELECT INBOX (CONDSTORE)")]
    for _ in range(12):
        out.append((1, IDLE))
        out += [(0, change(r, 9)) for _ in range(r.randrange(4))]
        out.append((1, DONE))
        if r.random() < 0.4:
            out += [(1, change(r, 9)), (0, b"NOOP")]
    return out


IDLE, DONE = b"\1IDLE", b"\1DONE"


def url(r, mailbox):
    base = b"/" + mailbox + r.choice([b"", b"", b";UIDVALIDITY=1"])
    tail = b"/;UID=%d" % (1 + r.randrange(10))
    sections = [b"", b"/;SECTION=HEADER", b"/;SECTION=TEXT", b"/;section=1", b"/;SECTION=9"]
    # What was put together in `box` may be a multipart without parts, which has a part 1 here and none there.
    return base + tail + r.choice(sections + ([] if mailbox == b"box" else [b"/;SECTION=1.MIME"]))


def contents(r):
    """Several messages at once, messages put together, and what is shown of each in a list."""
    out = fill(r, b"INBOX", r.sample(ALL, 8)) + [(0, b"CREATE box"), (0, b"SELECT INBOX")]
    for _ in range(30):
        kind = r.randrange(8)
        if kind < 2:
            words = append(r.choice([b"INBOX", b"box", b"nowhere"]), r.randrange(len(ALL)), some_flags(r))
            for _ in range(1 + r.randrange(3)):
                words += append(b"", r.randrange(len(ALL)), some_flags(r))[len(b"APPEND "):]
            out.append((0, words))
        elif kind < 5:
            parts = []
            for _ in range(1 + r.randrange(3)):
                text = r.choice([b"Subject: put together\r\n\r\n", b"more\r\n", b"x"])
                word = r.choice([b"TEXT {%d+}\r\n" % len(text) + text, b'URL "' + url(r, r.choice([b"INBOX", b"box"])) + b'"', b"URL " + url(r, b"INBOX")])
                parts.append(word if r.random() < 0.95 else r.choice([b"URL /", b"URL x", b"TEXT x", b'URL "imap://nowhere.test/INBOX/;UID=1"']))
            flags = b"(" + some_flags(r) + b") " if r.random() < 0.5 else b""
            out.append((0, b"APPEND " + r.choice([b"INBOX", b"box"]) + b" " + flags + b"CATENATE (" + b" ".join(parts) + b")"))
        elif kind < 6:
            out.append((0, b"FETCH %d (RFC822.SIZE PREVIEW)" % (1 + r.randrange(8))))
        elif kind < 7:
            out.append((0, b"FETCH * (UID RFC822.SIZE BODY.PEEK[] ENVELOPE BODYSTRUCTURE)"))
        else:
            out.append((0, b"STATUS box (MESSAGES UNSEEN SIZE)"))
    return out


ENTRIES = [b"/private/comment", b"/shared/comment", b"/private/vendor/acme/a", b"/private/vendor/acme/a/b", b"/PRIVATE/Comment",
           b"/shared/vendor/acme/c", b"/private/x/y", b"/comment", b"/private/a//b", b"/private/a/", b"/private/a*", b"/private"]
VALUES = [b"NIL", b'"x"', b'""', b"{5+}\r\na\r\nb ", b'"' + b"v" * 60 + b'"', b'"a \\"quoted\\" one"']


def annotations(r):
    """Annotations of mailboxes."""
    out = [(0, b"CREATE box"), (0, b"CREATE box/sub")]
    for _ in range(50):
        mailbox = r.choice([b"INBOX", b"box", b"box/sub", b"INBOX", b"nowhere"])
        kind = r.randrange(8)
        if kind < 3:
            pairs = [r.choice(ENTRIES[:7] if r.random() < 0.9 else ENTRIES) + b" " + r.choice(VALUES) for _ in range(1 + r.randrange(2))]
            out.append((0, b"SETMETADATA " + mailbox + b" (" + b" ".join(pairs) + b")"))
        elif kind < 7:
            entries = r.sample(ENTRIES[:7] if r.random() < 0.9 else ENTRIES, 1 + r.randrange(3))
            what = entries[0] if len(entries) == 1 else b"(" + b" ".join(entries) + b")"
            options = r.sample([b"MAXSIZE %d" % r.choice([0, 1, 10, 1000]), b"DEPTH " + r.choice([b"0", b"1", b"infinity"])], r.randrange(3))
            words = b"(" + b" ".join(options) + b") " if options else b""
            out.append((0, b"GETMETADATA " + words + mailbox + b" " + what))
        else:
            out.append((0, r.choice([b"RENAME box/sub box/other", b"RENAME box/other box/sub", b"SELECT INBOX", b"DELETE box/other", b"CREATE box/sub"])))
    return out


def group(r):
    filters = [b"selected", b"selected-delayed", b"inboxes", b"personal", b"subscribed", b"subtree box", b"mailboxes INBOX", b"mailboxes (box nowhere)"]
    events = [b"(MessageNew MessageExpunge)", b"(MessageNew MessageExpunge FlagChange)", b"(MailboxName)", b"NONE", b"(SubscriptionChange MailboxName)",
              b"(MessageNew)", b"(FlagChange)", b"(MessageNew (UID FLAGS) MessageExpunge)", b"(Frobbed)", b"()"]
    return b"(" + r.choice(filters) + b" " + r.choice(events[:5] if r.random() < 0.7 else events) + b")"


def notifies(r):
    """What NOTIFY says at once; what it tells later is a matter of time."""
    out = fill(r, b"INBOX", r.sample(ALL, 3)) + [(0, b"CREATE box"), (0, b"CREATE box/sub"), (0, b"SUBSCRIBE box"), (0, b"SUBSCRIBE box/sub")]
    out += fill(r, b"box", r.sample(ALL, 3))
    for _ in range(25):
        if r.random() < 0.2:
            out.append((0, r.choice([b"SELECT INBOX", b"EXAMINE box", b"UNSELECT", b"NOOP"])))
        status = r.choice([b"", b"STATUS "])
        out.append((0, b"NOTIFY SET " + status + b" ".join(group(r) for _ in range(1 + r.randrange(2)))))
        out.append((0, b"NOTIFY NONE"))
    return out


KINDS = {"names": names, "fetch": fetches, "search": searches, "change": changes, "resync": resyncs, "wild": wilds,
         "sync": syncs, "idle": idles, "content": contents, "annotation": annotations, "notify": notifies}
