"""ENVELOPE, BODYSTRUCTURE, BODY[...] and BINARY.SIZE of odd messages beside Dovecot's:
CA-FILE IMAPS WORK-FOLDER DOVECOT'S-IMAP [COUNT].

Every difference must be of a class that docs/mime.md explains; one that is of none is an error.
SHOW=1 prints the classes with an example of each, SHOW=name all of one."""
import collections, os, pathlib, sys

from imap_raw import Imap
from mime_corpus import corpus
from mime_classes import classify

PARTS_MAX = 30


class Server:
    """A server that may hang up: Dovecot does on base64 that is cut short. Then it is opened again."""

    def __init__(self, connect):
        self.connect = connect
        self.imap = connect()
        self.imap.command(b"CREATE odd")

    def binary_size(self, section):
        try:
            name = b"BINARY.SIZE[%s]" % section
            return int(self.imap.fetch(1, name)[name])
        except RuntimeError:
            return "NO"
        except EOFError:
            self.imap = self.connect()
            self.imap.command(b"SELECT odd")
            return "NO"


ENVELOPE = "date subject from sender reply-to to cc bcc in-reply-to message-id".split()


def upper(value):
    return value.upper() if isinstance(value, (bytes, bytearray)) else value


def parameters(values):
    """Names in upper case, in one order: that says nothing. RFC 2045 §5.1."""
    if not isinstance(values, list):
        return values
    return sorted((upper(values[n]), values[n + 1]) for n in range(0, len(values), 2))


def envelope(values, where, out):
    for name, value in zip(ENVELOPE, values):
        out[f"{where}{name}"] = value
    assert len(values) == len(ENVELOPE), values


def is_message(part):
    return upper(part[0]) == b"MESSAGE" and len(part) > 8 and isinstance(part[7], list) and len(part[7]) == 10


def flat(part, number, out, inner=""):
    """What a structure says of each part, by its section number. Types, encodings and names have no case."""
    where = ".".join(map(str, number or (1,)))
    if isinstance(part[0], list):
        count = next(n for n, child in enumerate(part) if not isinstance(child, list))
        for n, child in enumerate(part[:count]):
            flat(child, number + (n + 1,), out)
        where = ".".join(map(str, number)) + inner or "top"
        out[f"{where} type"] = (b"MULTIPART", upper(part[count]))
        rest = part[count + 1:]
        if rest:
            out[f"{where} parameters"] = parameters(rest[0])
        rest = rest[1:]
    else:
        number = number or (1,)
        out[f"{where} type"] = (upper(part[0]), upper(part[1]))
        found = parameters(part[2])
        if found and len(found) == 1 and found[0][0] == b"CHARSET" and upper(found[0][1]) == b"US-ASCII":
            found = None
        out[f"{where} parameters"] = found
        out[f"{where} id"], out[f"{where} description"] = part[3], part[4]
        out[f"{where} encoding"], out[f"{where} octets"] = upper(part[5]), int(part[6])
        rest = part[7:]
        if is_message(part):
            envelope(rest[0], f"{where} envelope ", out)
            flat(rest[1], number + (() if isinstance(rest[1][0], list) else (1,)), out, ".TEXT")
            rest = rest[2:]
        if is_message(part) or upper(part[0]) == b"TEXT":
            out[f"{where} lines"] = int(rest[0])
            rest = rest[1:]
        if rest:
            out[f"{where} md5"] = rest[0]
        rest = rest[1:]
    for name, value in zip(("disposition", "language", "location"), rest):
        if name == "disposition" and isinstance(value, list):
            value = (upper(value[0]), parameters(value[1]))
        if name == "language" and isinstance(value, bytes):
            value = [value]
        out[f"{where} {name}"] = value


def parts_of(structure, number=()):
    """The section numbers of a structure, with what can be fetched of each."""
    if isinstance(structure[0], list):
        for n, child in enumerate(structure):
            if not isinstance(child, list) or not child:
                break
            yield from parts_of(child, number + (n + 1,))
            if not isinstance(structure[n + 1], list):
                break
        if number:
            yield number, False
        return
    number = number or (1,)
    yield number, is_message(structure)
    if is_message(structure):
        inner = structure[8]
        yield from parts_of(inner, number + (() if isinstance(inner[0], list) else (1,)))


def look(server, octets):
    """Everything that is compared, of one message."""
    imap = server.imap
    imap.command(b"APPEND odd", octets)
    imap.command(b"SELECT odd")
    got = imap.fetch(1, b"ENVELOPE BODY BODYSTRUCTURE RFC822.SIZE BODY.PEEK[HEADER] BODY.PEEK[TEXT]")
    found = {name.decode(): got[name] for name in (b"BODY[HEADER]", b"BODY[TEXT]")}
    found["size"] = int(got[b"RFC822.SIZE"])
    envelope(got[b"ENVELOPE"], "envelope ", found)
    flat(got[b"BODYSTRUCTURE"], (), found)
    short = {}
    flat(got[b"BODY"], (), short)
    wrong = {name: value for name, value in short.items() if found.get(name) != value}
    found["BODY as BODYSTRUCTURE"] = wrong
    parts = dict(sorted(parts_of(got[b"BODYSTRUCTURE"]))[:PARTS_MAX])
    found["shape"] = sorted(parts)
    for number, message in parts.items():
        n = b".".join(b"%d" % one for one in number)
        items = [b"BODY.PEEK[%s]" % n, b"BODY.PEEK[%s.MIME]" % n]
        if message:
            items += [b"BODY.PEEK[%s.HEADER]" % n, b"BODY.PEEK[%s.TEXT]" % n]
        for name, value in imap.fetch(1, b" ".join(items)).items():
            found[name.decode()] = value
        found[f"BINARY.SIZE[{n.decode()}]"] = server.binary_size(n)
        imap = server.imap
    imap.command(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    imap.command(b"CLOSE")
    return found


def differences(ours, theirs):
    """(what, ours, theirs) wherever two answers differ; where the parts do, only that."""
    if ours["shape"] != theirs["shape"]:
        yield "shape", [n for n in ours["shape"] if n not in theirs["shape"]], \
            [n for n in theirs["shape"] if n not in ours["shape"]]
        ours = {name: value for name, value in ours.items() if name.startswith("envelope") or name == "size"}
    for name in ours:
        if name != "shape" and ours[name] != theirs.get(name, "absent"):
            yield name, ours[name], theirs.get(name, "absent")


def main():
    ca, port, work, program = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3]), sys.argv[4:5]
    count = int(sys.argv[5]) if len(sys.argv) > 5 else 600

    def login():
        imap = Imap.tls(port, ca)
        imap.command(b"LOGIN fred@here.test secret")
        return imap
    ours, theirs = Server(login), Server(lambda: Imap.program(program[0].split()))
    classes, unexplained, messages = collections.defaultdict(list), [], 0
    for name, octets in corpus(count):
        messages += 1
        a, b = look(ours, octets), look(theirs, octets)
        found = list(differences(a, b))
        for path, mine, other in found:
            kind = classify(name, octets, path, mine, other, a, b)
            (classes[kind] if kind else unexplained).append((name, path, mine, other, octets))
    show = os.environ.get("SHOW")
    for kind, items in sorted(classes.items()):
        print(f"{kind}: {len(items)} in {len({item[0] for item in items})} messages")
        if show == "1" or show == kind:
            for name, path, mine, other, octets in items[:1 if show == "1" else 40]:
                print(f"    {name} {path}\n      ours   {mine!r:.300}\n      theirs {other!r:.300}")
    for name, path, mine, other, octets in unexplained[:int(os.environ.get("MOST", 25))]:
        print(f"UNEXPLAINED {name} {path}\n  ours   {mine!r:.600}\n  theirs {other!r:.600}")
        (work / ("odd-" + name.replace(" ", "_").replace("/", "_"))).write_bytes(octets)
    print(f"{messages} messages, {sum(map(len, classes.values()))} differences explained, {len(unexplained)} not")
    sys.exit(1 if unexplained or messages < 500 else 0)


main()
