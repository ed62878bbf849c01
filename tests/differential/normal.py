"""Answers of an IMAP server, brought into a form in which those of two servers can be compared.

What a server may choose is left out: texts, UIDVALIDITY, MODSEQ (only that there is one), the order of
what has none, FLAGS and PERMANENTFLAGS (which keywords a server offers), \\Recent."""
import email.utils, re

NUMBERED = (b"EXISTS", b"RECENT", b"EXPUNGE", b"FETCH")
CODE = re.compile(rb"\[([A-Z0-9/-]+)(?: ([^\]]*))?\]", re.I)
KEPT = {b"APPENDUID", b"COPYUID", b"MODIFIED", b"UNSEEN", b"UIDNEXT", b"READ-ONLY", b"READ-WRITE", b"TRYCREATE",
        b"NOMODSEQ", b"CLOSED", b"NONEXISTENT", b"ALREADYEXISTS", b"CANNOT", b"BADCHARSET",
        b"PARSE", b"UNKNOWN-CTE", b"NOTSAVED", b"UIDNOTSTICKY"}


def numbers(text):
    """A set of UIDs or sequence numbers as the sorted tuple of its members."""
    found = set()
    for part in bytes(text).split(b","):
        low, _, high = part.partition(b":")
        low, high = int(low), int(high or low)
        found.update(range(min(low, high), max(low, high) + 1))
    return tuple(sorted(found))


def code_of(text):
    """The response code of a status response: (name, what it says), or None."""
    found = CODE.match(text)
    if not found:
        return None
    name, rest = found.group(1).upper(), found.group(2) or b""
    if name == b"PERMANENTFLAGS" or name == b"UIDVALIDITY" or name == b"HIGHESTMODSEQ":
        return name, ()
    if name in (b"APPENDUID", b"COPYUID"):
        return name, tuple(numbers(one) for one in rest.split(b" ")[1:])
    if name == b"MODIFIED":
        return name, numbers(rest)
    return name, (rest,)


def flags(value):
    return tuple(sorted(bytes(one).lower() for one in value if bytes(one).lower() != b"\\recent"))


def folded(value):
    """A structure without case, parameters as they are."""
    if isinstance(value, list):
        return tuple(folded(one) for one in value)
    return value if value is None else bytes(value).upper()


def item(name, value):
    if name == b"FLAGS":
        return flags(value)
    if name == b"MODSEQ":
        return "modseq"
    if name == b"SAVEDATE":
        return "date" if value else value
    if name == b"INTERNALDATE":
        return email.utils.mktime_tz(email.utils.parsedate_tz(value.decode()))
    if name in (b"BODY", b"BODYSTRUCTURE"):
        return folded(value)
    return deep(value)


def deep(value):
    if isinstance(value, list):
        return tuple(deep(one) for one in value)
    return value if value is None else bytes(value)


def name_of(value):
    value = bytes(b"NIL" if value is None else value)
    return b"INBOX" + value[5:] if value.upper() == b"INBOX" or value.upper().startswith(b"INBOX/") else value


CHILDREN = {b"\\haschildren", b"\\hasnochildren"}


def listed(parts):
    attributes = {bytes(one).lower() for one in parts[2]} - {b"\\marked", b"\\unmarked"}
    if parts[1].upper() == b"LSUB":
        attributes &= {b"\\noselect"}
    extra = sorted((bytes(parts[5][n]).upper(), deep(parts[5][n + 1])) for n in range(0, len(parts[5]), 2)) \
        if len(parts) > 5 else ()
    return bytes(parts[1]).upper(), tuple(sorted(attributes)), deep(parts[3]), name_of(parts[4]), tuple(extra)


def status(parts):
    found = {}
    for n in range(0, len(parts[3]), 2):
        name = bytes(parts[3][n]).upper()
        found[name] = "some" if name in (b"UIDVALIDITY", b"HIGHESTMODSEQ") else deep(parts[3][n + 1])
    return b"STATUS", name_of(parts[2]), tuple(sorted(found.items()))


def esearch(parts):
    """ESEARCH (correlator) UID NAME value …; RFC 4466 §2.6.2."""
    rest, out = parts[2:], []
    if rest and isinstance(rest[0], list):
        out.append(("tag", deep(rest[0])[:1]))
        rest = rest[1:]
    if rest and bytes(rest[0]).upper() == b"UID":
        out.append(("uid", True))
        rest = rest[1:]
    for n in range(0, len(rest) - 1, 2):
        name, value = bytes(rest[n]).upper(), rest[n + 1]
        if name == b"ALL":
            value = numbers(value)
        else:
            value = "modseq" if name == b"MODSEQ" else deep(value)
        out.append((name, value))
    return b"ESEARCH", tuple(sorted(out, key=repr))


class Answer:
    """What came for one command: `status` (OK, NO, BAD, BYE), `code`, `data` (sorted), `raw`."""

    def __init__(self, tag, responses, parsed):
        self.raw, self.data, self.status, self.code = responses, [], "NONE", None
        self.modseqs, self.highest, gone = {}, None, []
        fetched, exists = {}, 0
        for parts in responses:
            first = parts[0]
            word = first.split(b" ", 2)
            if word[0] == tag:
                self.status = word[1].decode()
                self.code = code_of(word[2] if len(word) > 2 else b"")
                if self.code and self.code[0] == b"HIGHESTMODSEQ":
                    self.highest, self.code = int(CODE.match(word[2]).group(2)), None
                continue
            if word[0] == b"+":
                self.data.append(("+",))
                continue
            kind = word[1].upper() if len(word) > 1 else b""
            if kind in (b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"):
                code = code_of(word[2] if len(word) > 2 else b"")
                if code and code[0] == b"HIGHESTMODSEQ":
                    self.highest = int(CODE.match(word[2]).group(2))
                    continue
                if kind != b"OK" or code and code[0] in KEPT:
                    self.data.append((kind, code))
                continue
            if kind in (b"CAPABILITY", b"FLAGS", b"ID"):
                continue
            read = parsed(parts)
            if kind in (b"LIST", b"LSUB"):
                self.data.append(listed(read))
            elif kind == b"STATUS":
                self.data.append(status(read))
            elif kind == b"SEARCH":
                found = [one for one in read[2:] if not isinstance(one, list)]
                self.data.append((b"SEARCH", tuple(sorted(int(one) for one in found)), len(found) != len(read) - 2))
            elif kind == b"SORT":
                self.data.append((b"SORT", tuple(int(one) for one in read[2:] if not isinstance(one, list))))
            elif kind == b"ESEARCH":
                self.data.append(esearch(read))
            elif kind == b"METADATA":
                pairs = [(bytes(read[3][n]).lower(), deep(read[3][n + 1])) for n in range(0, len(read[3]), 2)]
                self.data.append((b"METADATA", name_of(read[2]), tuple(sorted(set(pairs), key=repr))))
            elif kind.isdigit() and read[2].upper() == b"FETCH":
                items = {bytes(read[3][n]).upper().replace(b'"', b""): read[3][n + 1] for n in range(0, len(read[3]), 2)}
                if b"MODSEQ" in items:
                    self.modseqs[int(kind)] = int(items[b"MODSEQ"][0])
                seen = fetched.setdefault(originals(gone + [int(kind)], True), {})
                seen.update({name: item(name, value) for name, value in items.items()})
            elif kind.isdigit() and read[2].upper() == b"EXPUNGE":
                gone.append(int(kind))
                exists -= 1
            elif kind == b"VANISHED":
                earlier = isinstance(read[2], list)
                self.data.append((b"VANISHED", earlier, numbers(read[-1])))
                exists -= 0 if earlier else len(numbers(read[-1]))
            elif kind.isdigit():
                exists = int(kind) if read[2].upper() == b"EXISTS" else exists
                self.data.append((bytes(read[2]).upper(), int(kind)))
            else:
                self.data.append(deep(read[1:]))
        for number, items in fetched.items():
            self.data.append((b"FETCH", number, tuple(sorted(items.items()))))
        self.data += [(b"EXPUNGE", number) for number in originals(gone)]
        # How many there are is told once or twice; what counts is how many there are in the end.
        if any(one[0] == b"EXISTS" for one in self.data):
            self.data = [one for one in self.data if one[0] != b"EXISTS"] + [(b"EXISTS", exists)]
        self.data = sorted((one for one in self.data if one[0] != b"RECENT"), key=repr)
        if self.code and (self.code[0] not in KEPT or self.code[0] in (b"NONEXISTENT", b"ALREADYEXISTS", b"CANNOT")):
            self.code = None

    def whole(self):
        return self.status, self.code, self.data


def originals(gone, last=False):
    """The sequence numbers before all of these EXPUNGE responses, whatever order they came in; or only that of the last."""
    found, number = [], 0
    for number in gone:
        for earlier in sorted(found):
            if earlier <= number:
                number += 1
        found.append(number)
    return number if last else tuple(sorted(found))
