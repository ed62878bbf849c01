"""Large messages by IMAP in little memory, and COMPRESS=DEFLATE that never stalls: CA-FILE IMAPS SERVER-PID.

50 MB go in by APPEND and out by FETCH, as they are and decoded, compressed and not, while the server's
resident memory grows by less than 8 MB. A client that stops reading holds nobody up."""
import base64, hashlib, random, socket, ssl, sys, zlib

ca, port, pid = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ALLOWED = 8 << 20


def memory(key):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(key))


def measured(what, work):
    """What the resident memory grows by, at most, during some work. The server does its own housekeeping now
    and then; so the least of three tries counts."""
    for _ in range(3):
        with open(f"/proc/{pid}/clear_refs", "w") as file:
            file.write("5")     # VmHWM begins anew
        before = memory("VmRSS")
        work()
        grown = memory("VmHWM") - before
        print(f"{what}: {grown >> 10} KB")
        if grown < ALLOWED:
            return
    sys.exit(f"{what}: {grown >> 10} KB more")


class Client:
    def __init__(self, user="ella@here.test"):
        context = ssl.create_default_context(cafile=ca)
        self.sock = context.wrap_socket(socket.create_connection(("localhost", port)), server_hostname="localhost")
        self.sock.settimeout(60)
        self.inflate = self.deflate = None
        self.buffer, self.tag = bytearray(), 0
        self.line()
        self.command(f"LOGIN {user} secret".encode())

    def send(self, octets):
        if self.deflate:
            octets = self.deflate.compress(octets) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        self.sock.sendall(octets)

    def more(self):
        octets = self.sock.recv(1 << 16)
        assert octets, "the server hung up"
        self.buffer += self.inflate.decompress(octets) if self.inflate else octets

    def line(self):
        while (at := self.buffer.find(b"\r\n")) < 0:
            self.more()
        line = bytes(self.buffer[:at])
        del self.buffer[:at + 2]
        return line

    def octets(self, count):
        """Digest and number of NULs of so many octets."""
        digest, left = hashlib.sha256(), count
        while left:
            if not self.buffer:
                self.more()
            piece = bytes(self.buffer[:left])
            del self.buffer[:left]
            digest.update(piece)
            left -= len(piece)
        return digest.hexdigest()

    def command(self, text, wait=True):
        self.tag += 1
        self.send(b"t%d %s\r\n" % (self.tag, text))
        return self.answer() if wait else None

    def answer(self):
        """The digests of the literals."""
        found = []
        while True:
            line = self.line()
            if line.startswith(b"t%d " % self.tag):
                assert line.startswith(b"t%d OK" % self.tag), line
                return found
            if line.endswith(b"}"):
                found.append(self.octets(int(line[line.rindex(b"{") + 1:-1])))

    def compress(self):
        self.command(b"COMPRESS DEFLATE")
        self.deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        self.inflate = zlib.decompressobj(-15)


# Octets that do not compress, in base64 lines: a message of just under 50 MB.
source = random.Random(4978)
raw = source.randbytes(57 * 640_000)
lines = base64.b64encode(raw)
body = b"".join(lines[at:at + 76] + b"\r\n" for at in range(0, len(lines), 76))
head = (b"Subject: large\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/x\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n")
message = head + body + b"--b--\r\n"
assert len(message) < 50_000_000
whole, decoded = hashlib.sha256(message).hexdigest(), hashlib.sha256(raw).hexdigest()

client = Client()
client.command(b"SELECT INBOX")


def append(octets, mailbox=b"INBOX"):
    client.tag += 1
    client.send(b"t%d APPEND %s {%d+}\r\n" % (client.tag, mailbox, len(octets)))
    for at in range(0, len(octets), 1 << 20):
        client.send(octets[at:at + (1 << 20)])
    client.send(b"\r\n")
    client.answer()


def fetch(items, *expected):
    found = client.command(b"FETCH 1 " + items)
    assert found == list(expected), (items, found)


def unread():
    """A client that asks for 50 MB and does not read them; another goes on; then the first reads all."""
    client.command(b"FETCH 1 BODY.PEEK[]", wait=False)
    for _ in range(50):
        other.command(b"UID FETCH 1 (FLAGS RFC822.SIZE)")
    assert client.answer() == [whole]


# What is touched for the first time counts for nobody.
append(message[:2_000_000], b"Drafts")
measured(f"APPEND of {len(message)} octets", lambda: append(message))
measured("FETCH BODY[]", lambda: fetch(b"BODY.PEEK[]", whole))
measured("FETCH BINARY[1], decoded", lambda: fetch(b"BINARY.PEEK[1]", decoded))
measured("FETCH BINARY.SIZE[1] BODYSTRUCTURE", lambda: fetch(b"(BINARY.SIZE[1] BODYSTRUCTURE)"))
fetch(b"BINARY.PEEK[1]<1000000.3>", hashlib.sha256(raw[1000000:1000003]).hexdigest())

client.compress()
for _ in range(200):
    # Each answer comes whole though nothing follows it.
    client.command(b"NOOP")
client.tag += 1
for octet in b"t%d CAPABILITY\r\n" % client.tag:
    client.send(bytes([octet]))
client.answer()
measured("FETCH BODY[], compressed", lambda: fetch(b"BODY.PEEK[]", whole))
measured("APPEND, compressed", lambda: append(message))
other = Client()
other.command(b"SELECT INBOX")
measured("a client that does not read", unread)
other.command(b"STORE 1:* +FLAGS.SILENT (\\Deleted)")
other.command(b"EXPUNGE")
for each in (client, other):
    each.command(b"LOGOUT")
