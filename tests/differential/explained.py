"""Which differences from Dovecot 2.3 are as they should be, and why: docs/imap.md has a row for each class.

A class that begins with `stop` leaves the two with different mailboxes: the episode ends there."""
import email, re
from email.utils import parsedate_to_datetime

from messages import MESSAGES
from normal import CHILDREN

EXTRA = {b"MODSEQ", b"UID", b"FLAGS"}
# Kinds with two sessions.
TWO = ("change", "resync", "sync", "idle")


def remaining(ours, theirs):
    """What only one of them said."""
    mine, other = list(ours.data), list(theirs.data)
    for one in ours.data:
        if one in other:
            other.remove(one)
            mine.remove(one)
    return mine, other


def fetches(mine, other):
    """The FETCH responses of the same message, as (ours, theirs)."""
    for a in [one for one in mine if one[0] == b"FETCH"]:
        for b in [one for one in other if one[0] == b"FETCH" and one[1] == a[1]]:
            yield a, b


def same(name, x, y):
    """A value of an item, or why it differs: a class."""
    if x == y:
        return None
    if name.startswith((b"BODY[", b"BINARY[")) and x is None and y == b"":
        return "a part that is not there"
    if re.match(rb"BODY\[[0-9.]*HEADER.FIELDS .*]<1>$", name) and (x, y) == (b"\n", b"\r"):
        return "the end of a header without fields"
    if re.match(rb"(BODY|BINARY)\[[0-9.]*\.1[^0-9]", name) and x is None:
        return "part 1 of a leaf"
    if name.startswith(b"BINARY.SIZE[") and x == b"0" and re.search(rb"\.1]", name):
        return "part 1 of a leaf"
    if name == b"PREVIEW" and x == b"":
        return "PREVIEW of a message inside"
    if name == b"BODYSTRUCTURE" and x[:2] == (b"TEXT", b"PLAIN") and isinstance(y[0], tuple) and len(y[0]) > 6 and y[0][6] == b"0":
        return "a multipart without parts"
    if name.startswith((b"BINARY.SIZE[", b"BINARY[")) and x is not None:
        return "BINARY of what is no leaf"
    return ""


def items_of(mine, other):
    """Pairs of FETCH responses that differ only in what may be told at any time, or in an explained way."""
    classes = set()
    for a, b in fetches(mine, other):
        x, y = dict(a[2]), dict(b[2])
        found = {same(name, x[name], y[name]) for name in x.keys() & y.keys()} - {None}
        if x.keys() ^ y.keys() <= EXTRA and "" not in found:
            mine.remove(a)
            other.remove(b)
            classes |= found
    return classes


def flags_only(responses):
    return all(one[0] == b"FETCH" and {name for name, _ in one[2]} <= EXTRA for one in responses)


def unordered(threads):
    """Threads whose order, and that of siblings, is left out."""
    return repr(sorted(unordered(one) for one in threads)) if isinstance(threads, tuple) else repr(threads)


# When the messages of an episode that has all of them in their order were sent.
SENT = [parsedate_to_datetime(email.message_from_bytes(one)["Date"]) for one in MESSAGES]


def sent(thread):
    """What a thread is sorted by among its siblings; without a first message it is that of its first child."""
    return (SENT[int(thread[0]) - 1], int(thread[0])) if isinstance(thread[0], bytes) else sent(thread[0])


def by_date(threads):
    """Threads, and the siblings within each, are in the order of RFC 5256 §3."""
    siblings = [one for one in threads if isinstance(one, tuple)]
    return siblings == sorted(siblings, key=sent) and all(by_date(one) for one in siblings)


def notify(ours, theirs, mine, other):
    """What is different about NOTIFY."""
    if (ours.status, theirs.status) in (("BAD", "OK"), ("NO", "BAD")):
        return "events of NOTIFY"
    told = {mailbox: set(items) for name, mailbox, items in (one for one in other if one[0] == b"STATUS")}
    if ours.status == theirs.status and len(told) == len(other) and \
            all(set(items) <= told.get(mailbox, set()) for _, mailbox, items in mine):
        return "STATUS with NOTIFY"
    return ""


def wild(text, ours, theirs):
    if ours[0] == theirs[0]:
        return None
    if theirs[0].endswith("BYE") and not ours[0].endswith("BYE"):
        return "the connection is kept"
    if ours[0] == "BAD" and theirs[0] in ("OK", "NO"):
        return "grammar that is kept more strictly"
    if b"BADCHARSET" in ours[1][0][0]:
        return "BADCHARSET"
    if b"SUBSCRIBE" in text and (ours[0], theirs[0]) == ("OK", "NO"):
        return "SUBSCRIBE to what is not there"
    if re.search(rb"STORE .*FLAGS", text) and (ours[0], theirs[0]) == ("OK", "BAD"):
        return "a flag that nobody knows"
    if ours[0] == "OK" and b"Invalid mailbox name" in theirs[1][0][0]:
        return "a name that Dovecot does not like"
    if b"No messages found" in theirs[1][0][0]:
        return "COPY of nothing to nowhere"
    if (text.endswith(b" ") or b"  " in text) and theirs[0] == "BAD":
        return "blanks too many"
    return ""


def inherited(mine, other):
    """Theirs has values where ours has none, of a mailbox whose name is renamed and made again."""
    if len(mine) != 1 or len(other) != 1 or mine[0][:2] != other[0][:2] or mine[0][1] not in (b"box/sub", b"box/other"):
        return False
    ours, theirs = dict(mine[0][2]), dict(other[0][2])
    return ours.keys() == theirs.keys() and all(ours[entry] in (None, theirs[entry]) for entry in ours)


def explain(kind, text, ours, theirs):
    """None when the answers are the same; the class of the difference; "" when it is of none."""
    found = why(kind, text, ours, theirs)
    # What `$` is from now on differs, too.
    return f"stop: {found}" if found and kind == "search" and b"SAVE" in text and "stop" not in found else found


def why(kind, text, ours, theirs):
    if isinstance(ours, tuple):
        return wild(text, ours, theirs)
    if kind == "wild" and ours.status == theirs.status:
        return None
    if theirs.status == "NONE" and ours.status != "NONE":
        return "stop: Dovecot hangs up"
    mine, other = remaining(ours, theirs)
    if kind in ("resync", "sync"):
        # VANISHED does not tell numbers: what has a UID is known by that.
        for a in [one for one in mine if one[0] == b"FETCH" and b"UID" in dict(one[2])]:
            for b in [one for one in other if one[0] == b"FETCH" and one[2] == a[2]]:
                mine.remove(a)
                other.remove(b)
    if kind in ("annotation", "content"):
        # What Dovecot says of itself when its storage of annotations, or a URL, is not right.
        other = [one for one in other if one != (b"BAD", None)]
    classes = items_of(mine, other)
    same_end = ours.status == theirs.status and ours.code == theirs.code
    if same_end and not mine and not other:
        return classes.pop() if classes else None
    verb = re.sub(rb"^UID ", b"", text).split(b" ")[0].upper()
    said = theirs.raw[-1][0]
    if verb == b"STORE" and same_end and not other and flags_only(mine):
        return "STORE that changes nothing"
    if b"[EXPUNGEISSUED]" in said and ours.status == "OK":
        return "stop: some are expunged"
    if verb == b"LIST" and b"CHILDREN" not in text.upper():
        without = [[(one[0], tuple(set(one[1]) - CHILDREN)) + one[2:] for one in side if one[0] == b"LIST"] for side in (mine, other)]
        if mine and sorted(without[0]) == sorted(without[1]):
            return "children, unasked"
    if verb == b"LIST" and (ours.status, theirs.status) == ("BAD", "OK") and b"RECURSIVEMATCH" in text:
        return "grammar that is kept more strictly"
    if verb == b"LIST" and mine and all(one[0] == b"LIST" and one[3].split(b"/")[0] == b"INBOX" for one in mine + other):
        return "stop: RENAME INBOX"
    if verb == b"APPEND" and b"[BADURL" in ours.raw[-1][0] and theirs.status == "OK":
        return "stop: CATENATE of what is not there"
    if verb == b"APPEND" and kind == "content" and (ours.status, theirs.status) == ("BAD", "NO"):
        return "grammar that is kept more strictly"
    if verb == b"GETMETADATA" and same_end and inherited(mine, other):
        return "stop: METADATA of a mailbox that had the name before"
    if verb == b"SETMETADATA" and ours.status == "BAD":
        return "stop: an entry of one component" if theirs.status == "OK" else "grammar that is kept more strictly"
    if verb == b"STORE" and theirs.code and theirs.code[0] == b"MODIFIED" and b"UNCHANGEDSINCE" in text and \
            re.search(rb" [+-]FLAGS", text):
        return "stop: conditional STORE of other flags"
    if verb == b"NOTIFY":
        return notify(ours, theirs, mine, other)
    if verb == b"SORT" and mine and other and mine[0][0] == b"SORT" == other[0][0] and sorted(mine[0][1]) == sorted(other[0][1]):
        return "SORT of equals"
    if verb == b"RENAME" and b"INBOX" in text.upper():
        return "stop: RENAME INBOX"
    if verb == b"APPEND" and ours.status == "NO" and b"The message is empty" in ours.raw[-1][0]:
        return "stop: an empty message"
    if b"Invalid mailbox name" in said or b"Mailbox name is not valid" in said:
        return "stop: a name that Dovecot does not like"
    if ours.code and ours.code[0] == b"READ-ONLY" and ours.status == "NO" and verb == b"MOVE":
        return "stop: MOVE after EXAMINE"
    if ours.code and ours.code[0] == b"READ-ONLY" and ours.status == "NO":
        return "a change after EXAMINE"
    if any(b"There is no message of that number" in parts[0] for parts in ours.raw):
        return "stop: a sequence number that is not there"
    if b"Invalid messageset" in b"".join(parts[0] for parts in theirs.raw) and b"*" in text:
        return "* of nothing"
    if verb == b"STATUS" and kind in TWO and same_end:
        return "STATUS of the selected mailbox"
    heard = any(one[0] in (b"EXPUNGE", b"VANISHED") for one in ours.data)
    if kind in TWO and verb == b"STORE" and (ours.code and ours.code[0] == b"MODIFIED" or
            heard and theirs.code and theirs.code[0] == b"MODIFIED"):
        return "stop: conditional STORE of what is expunged"
    if verb == b"LSUB" and re.search(rb"[\"\n ]/", text):
        return "a reference, and a pattern that begins with the separator"
    gone = {one[1] for one in ours.data if one[0] == b"EXPUNGE"}
    vanished = any(one[0] == b"VANISHED" for one in ours.data)
    if kind in TWO and verb == b"STORE" and ours.status == "NO" and theirs.status == "OK" and flags_only(mine + other):
        return "flags of what is expunged"
    if kind == "idle" and same_end and flags_only(mine + other) and all(one[1] in gone for one in mine + other):
        return "flags of what is expunged"
    if same_end and not mine and flags_only(other) and kind in TWO and \
            (verb == b"STORE" or vanished or all(one[1] in gone for one in other)):
        return "flags of what is expunged"
    if verb in (b"SEARCH", b"SORT", b"THREAD") and \
            (re.search(rb"\*:2[5-9]|2[5-9]:\*", text) or kind != "search" and b"*" in text):
        return "stop: a range beyond the end"
    if kind in TWO and verb == b"FETCH" and ours.status == "NO" and theirs.status == "OK":
        return "FETCH of what is expunged"
    if kind in TWO and same_end and {one[0] for one in mine + other} <= {b"EXPUNGE", b"EXISTS", b"FETCH"}:
        return "stop: told at another time"
    if kind in TWO and same_end and {one[0] for one in mine + other} <= {b"VANISHED", b"EXISTS", b"FETCH"}:
        # Messages that came and went since the last command, and were never told.
        here, there = ({uid for one in side if one[0] == b"VANISHED" for uid in one[2]} for side in (mine, other))
        if here < there and all(uid > max(here) for uid in there - here):
            return "stop: told at another time"
    if kind == "resync" and (b"$m" in text or b"MODSEQ $highest$" in text):
        return "stop: a MODSEQ for each message"
    if verb == b"LSUB" and {one[1:] if one[0] != b"LSUB" else one[2:] for one in mine} == {one[2:] for one in other}:
        return "LSUB of what is not there"
    if verb == b"SEARCH" and re.search(rb"NOT \((.* )?OR ", text) and mine and other and mine[0][0] == b"SEARCH" and \
            set(mine[0][1]) < set(other[0][1]):
        return "NOT of an OR and others"
    if verb in (b"SEARCH", b"SORT", b"THREAD") and re.search(rb"BODY|TEXT", text, re.I):
        # Messages 15, 16 and 18 have others inside.
        return "header of a message inside"
    if theirs.status == "OK" and b"No messages found" in said and ours.code and ours.code[0] == b"TRYCREATE":
        return "COPY of nothing to nowhere"
    if verb == b"THREAD" and b"REFS" in text.split(b" ")[1:3] and sorted(map(repr, mine[0])) == sorted(map(repr, other[0])):
        return "REFS in order of arrival"
    if verb == b"THREAD" and kind == "search" and mine and other and unordered(mine[0]) == unordered(other[0]) and by_date(mine[0][1:]):
        return "siblings in a thread"
    if re.search(rb"(TO|CC|BCC|SUBJECT|FROM) (\"\"|\{0\+\})", text):
        return "an empty string in a field that is not there"
    if verb in (b"SEARCH", b"SORT", b"THREAD") and b"SENT" in text.upper():
        return "no Date"
    if verb == b"CREATE" and b"exists already" in ours.raw[-1][0] and theirs.status == "OK":
        return "stop: those above a new mailbox"
    if verb == b"SUBSCRIBE" and ours.status == "OK" and b"doesn't exist" in said:
        return "stop: SUBSCRIBE to what is not there"
    if text.startswith(b"LIST") and (b' ""' in text or b"{0+}" in text):
        return "root of a reference"
    return ""
