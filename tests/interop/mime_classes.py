"""Why Dovecot's answer differs: the class of a difference, as docs/mime.md explains it; None for an error of ours."""
import re
from urllib.parse import unquote_to_bytes

DAMAGED = (b"MISSING_MAILBOX", b"MISSING_DOMAIN", b"SYNTAX_ERROR")


def fields(octets, name):
    """Values of all fields of that name, in the whole message: enough to tell what is odd about it."""
    return re.findall(rb"(?im)^" + name + rb"[ \t]*:((?:.*\r?\n[ \t])*.*)\r?$", octets)


def eight_bit(octets):
    return any(octet > 126 or octet < 32 and octet not in b"\t\r\n" for octet in octets)


def squeezed(text):
    """Without what unfolding and trimming change."""
    return b" ".join(text.split()) if isinstance(text, bytes) else text or b""


def as_crlf(text):
    return re.sub(rb"\r?\n", b"\r\n", text) if isinstance(text, bytes) else text


def texts(value):
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, bytes) else []


def encoded(ours, theirs):
    """Ours are encoded-words where theirs have 8 bits; both mean the same, or theirs are no UTF-8."""
    mine, other = texts(ours), texts(theirs)
    return any(map(eight_bit, other)) and any(b"=?UTF-8?B?" in text for text in mine)


def classify(name, octets, what, ours, theirs, all_ours, all_theirs):
    where, _, leaf = what.rpartition(" ")
    part = where.removesuffix(" envelope").strip()
    bare = re.search(rb"(?<!\r)\n|\r(?!\n)", octets)
    if bare and (what in ("size", "BODY[HEADER]", "BODY[TEXT]") or leaf in ("octets", "lines") or what.startswith("B")):
        if isinstance(ours, (int, str)) or as_crlf(ours) == theirs or as_crlf(ours) == as_crlf(theirs) or \
                len(texts([ours])) and as_crlf(ours).rstrip() == theirs.rstrip():
            return "bare LF"
    if leaf in ("from", "sender", "reply-to", "to", "cc", "bcc"):
        return of_addresses(ours, theirs)
    if "envelope" in what:
        if squeezed(ours) == squeezed(theirs) or squeezed(ours).replace(b" ", b"") == squeezed(theirs).replace(b" ", b""):
            return "unfolding"
        if len(fields(octets, leaf.encode())) > 1:
            return "a field twice"
        if encoded(ours, theirs):
            return "8 bits"
        return None
    return of_parts(octets, what, part, leaf, ours, theirs, all_ours, all_theirs)


def of_addresses(ours, theirs):
    mine, other = ours or [], theirs or []
    if encoded(mine, other):
        return "8 bits"
    known = [a for a in other if not set(a[2:]) & set(DAMAGED)]
    if len(known) < len(other) or any(b"unknown.invalid" in texts(a) for a in mine):
        return "broken address"
    if len(known) < len(mine) or known != mine:
        # What follows a mistake is read here, and not there.
        return "broken address" if all(a in mine or a[2] in texts(mine) or a[0] is None for a in known) else None
    return None


def of_parts(octets, what, part, leaf, ours, theirs, all_ours, all_theirs):
    kind = all_ours.get(f"{part} type"), all_theirs.get(f"{part} type")
    number = re.search(r"\[([\d.]+)", what)
    if number:
        part = number.group(1).rstrip(".")
        kind = all_ours.get(f"{part} type"), all_theirs.get(f"{part} type")
    if what == "shape":
        return of_shape(octets, ours, theirs, all_ours, all_theirs)
    if what == "BODY as BODYSTRUCTURE":
        return None
    if hollow(part, all_ours, all_theirs):
        return "multipart without parts"
    if all_theirs.get(f"BODY[{part}]") == all_theirs.get(f"BODY[{part}.MIME]") == b"":
        # The one part that Dovecot makes up where it finds no delimiter.
        return "boundary that is odd"
    header = all_ours.get(f"BODY[{part}.MIME]")
    header = all_ours.get("BODY[HEADER]") if part in ("1", "top") and not header else header
    header = header if isinstance(header, bytes) else b""
    if leaf == "type":
        odd = fields(header, b"Content-Type")
        return "invalid type" if b"" in (theirs if isinstance(theirs, tuple) else ()) else \
            "a field twice" if len(odd) > 1 else None
    if what.startswith("BINARY"):
        if theirs == "NO":
            # One part that cannot be decoded, and Dovecot gives up on all.
            return "damaged encoding" if b"content-transfer-encoding" in octets.lower() else None
        if kind[1] and kind[1][0] in (b"MULTIPART", b"MESSAGE"):
            return "BINARY of what is no leaf"
        if all_ours.get(f"{part} encoding") != all_theirs.get(f"{part} encoding"):
            return of_encoding(header)
        if all_ours.get(f"BODY[{part}]") != all_theirs.get(f"BODY[{part}]"):
            return of_parts(octets, f"BODY[{part}]", part, "", all_ours.get(f"BODY[{part}]"),
                            all_theirs.get(f"BODY[{part}]"), all_ours, all_theirs)
        text = all_ours.get(f"BODY[{part}]")
        if all_ours.get(f"{part} encoding") == b"BASE64" and isinstance(text, bytes):
            return "damaged encoding"
        if all_ours.get(f"{part} encoding") == b"QUOTED-PRINTABLE" and isinstance(text, bytes) and \
                re.search(rb"=(?![0-9A-F]{2}|\r\n)|[ \t]\r\n|[ \t]$", text):
            return "damaged encoding"
        return None
    if isinstance(ours, bytes) and isinstance(theirs, bytes) and what.startswith("BODY"):
        if theirs == ours + b"\r\n" or ours == theirs + b"\r\n":
            return "line break before a delimiter"
        return None
    if leaf in ("octets", "lines"):
        if theirs == "absent" or ours == "absent":
            return "invalid type" if b"" in (kind[1] or ()) else None
        if abs(ours - theirs) <= (2 if leaf == "octets" else 1):
            return "line break before a delimiter"
        return None
    if not re.search(rb"(?im)^content-type[ \t]*:", header) and leaf in (
            "encoding", "disposition", "id", "md5", "language", "location", "description"):
        return "no Content-Type"
    if leaf == "encoding":
        return of_encoding(header)
    if leaf == "parameters":
        return of_parameters(header, ours, theirs)
    if leaf == "disposition":
        if isinstance(ours, tuple) and isinstance(theirs, tuple) and ours[0] == theirs[0]:
            return of_parameters(header, ours[1], theirs[1])
        if len(fields(header, b"Content-Disposition")) > 1:
            return "a field twice"
        return "invalid disposition" if isinstance(theirs, tuple) and theirs[0] == b"" else None
    if squeezed(ours) == squeezed(theirs):
        return "unfolding"
    if len(fields(header, b"Content-" + leaf.encode())) > 1:
        return "a field twice"
    if encoded(ours, theirs):
        return "8 bits"
    if leaf == "language":
        return "invalid language"
    return None


def hollow(part, all_ours, all_theirs):
    """What is one text here is a multipart with one empty part there."""
    for above in (part.rpartition(".")[0] or "top", part.removesuffix(".TEXT") + ".TEXT", part,
                  part.rpartition(".")[0] + ".TEXT"):
        if all_theirs.get(f"{above} type", (b"",))[0] == b"MULTIPART" and f"{above} type" not in all_ours:
            return all_theirs.get(f"BODY[{part.removesuffix('.TEXT')}.1]") == b"" or all_theirs.get(f"BODY[{part}]") == b""
    return False


def of_encoding(header):
    values = fields(header, b"Content-Transfer-Encoding")
    if not re.search(rb"(?im)^content-type[ \t]*:", header):
        return "no Content-Type"
    if len(values) > 1:
        return "a field twice"
    value = values[0].strip() if values else b""
    return None if re.fullmatch(rb"[A-Za-z0-9-]+", value) else "invalid encoding"


def of_parameters(header, ours, theirs):
    mine, other = dict(ours or []), dict(theirs or [])
    default = other.get(b"CHARSET") == b"us-ascii" and b"CHARSET" not in mine
    if default:
        other.pop(b"CHARSET")
        if mine == other:
            return "default charset"
    if len(fields(header, b"Content-Type")) > 1:
        return "a field twice"
    for key, value in mine.items():
        if key.endswith(b"*") and key in other and unquote_to_bytes(value) == unquote_to_bytes(other[key]):
            mine[key] = other[key]
    if mine == other:
        return "RFC 2231"
    if encoded(list(mine.values()), list(other.values())):
        return "8 bits"
    # Dovecot stops at the first thing that is no parameter, and keeps names and values that are none.
    same = all(mine.get(key) == value or mine.get(key, b"").startswith(value) or not value or not key
               for key, value in other.items())
    return "invalid parameter" if same else None


def of_shape(octets, less, more, all_ours, all_theirs):
    less, more = set(less), set(more)

    def at(answer, number):
        return answer.get(".".join(map(str, number)) + " type") or ()
    if re.search(rb"(?i)boundary\*", octets) and less:
        return "RFC 2231"
    if b"message/global" in octets.lower() and less:
        return "message/global"
    if re.search(rb'boundary=(""|[ \t]*\r?\n|;)', octets):
        return "boundary that is odd"
    if less and b"multipart/digest" in octets.lower():
        return "invalid type"
    none = all(number[-1] == 1 and at(all_ours, number[:-1]) in ((b"TEXT", b"PLAIN"), ()) for number in more)
    if none and not less:
        return "multipart without parts"
    return None
