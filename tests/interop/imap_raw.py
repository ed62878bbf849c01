"""A small IMAP client that reads responses as they are: nested lists, strings as bytes, NIL as None."""
import socket, ssl, subprocess


class Imap:
    def __init__(self, read, write, close=None):
        self.stream, self.write, self.tag, self.buffer = read, write, 0, b""
        self.close = close
        self.greeting = self.line()

    @staticmethod
    def tls(port, ca):
        context = ssl.create_default_context(cafile=ca)
        sock = context.wrap_socket(socket.create_connection(("localhost", port)), server_hostname="localhost")
        file = sock.makefile("rb")
        return Imap(file, sock.sendall, lambda: sock.shutdown(socket.SHUT_RDWR))

    @staticmethod
    def program(command, **options):
        run = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)

        def write(octets):
            run.stdin.write(octets)
            run.stdin.flush()
        return Imap(run.stdout, write, run.kill)

    def line(self):
        """A whole response with its literals, as a list of bytes and (literal,)."""
        parts = []
        while True:
            line = self.stream.readline()
            if not line.endswith(b"\n"):
                raise EOFError(line)
            line = line.rstrip(b"\r\n")
            at = line.rfind(b"{")
            if line.endswith(b"}") and at >= 0 and line[at + 1:-1].isdigit():
                parts.append(line[:at].removesuffix(b"~"))
                parts.append((self.stream.read(int(line[at + 1:-1])),))
            else:
                parts.append(line)
                return parts

    def command(self, text, literal=None):
        """The untagged responses; an error unless the command is OK."""
        self.tag += 1
        tag = b"t%d" % self.tag
        octets = tag + b" " + text
        if literal is not None:
            octets += b" {%d+}\r\n" % len(literal) + literal
        self.write(octets + b"\r\n")
        found = []
        while True:
            parts = self.line()
            if parts[0].startswith(tag + b" "):
                self.last = parts[0]
                if not parts[0].startswith(tag + b" OK"):
                    raise RuntimeError(f"{text[:200]!r}: {parts!r}")
                return found
            found.append(parts)

    def fetch(self, number, items):
        """Item names (upper case) and what they are."""
        for parts in self.command(b"FETCH %d (%s)" % (number, items)):
            if b" FETCH (" in parts[0]:
                return pairs(parsed(parts)[3])
        raise RuntimeError(f"no FETCH response: {items!r}")


def pairs(flat):
    return {bytes(flat[n]).upper(): flat[n + 1] for n in range(0, len(flat), 2)}


def parsed(parts):
    """A response as nested lists: atoms as bytearray, strings as bytes, NIL as None."""
    stack = [[]]
    for part in parts:
        if isinstance(part, tuple):
            stack[-1].append(part[0])
            continue
        at = 0
        while at < len(part):
            c = part[at:at + 1]
            if c == b" ":
                at += 1
            elif c == b"(":
                stack.append([])
                at += 1
            elif c == b")":
                done = stack.pop()
                stack[-1].append(done)
                at += 1
            elif c == b'"':
                text, at = bytearray(), at + 1
                while part[at:at + 1] != b'"':
                    if part[at:at + 1] == b"\\":
                        at += 1
                    text += part[at:at + 1]
                    at += 1
                stack[-1].append(bytes(text))
                at += 1
            else:
                end, inside = at, False
                while end < len(part) and (inside or part[end:end + 1] not in (b" ", b"(", b")")):
                    inside = (inside or part[end:end + 1] == b"[") and part[end:end + 1] != b"]"
                    end += 1
                atom = part[at:end]
                stack[-1].append(None if atom.upper() == b"NIL" else bytearray(atom))
                at = end
    return stack[0]
