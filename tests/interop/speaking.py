"""Who is speaking, end to end over a real DNS server: dkimpy signs and we judge; we sign, and dkimpy and
authheaders judge what leaves. Usage: speaking.py POSTRIDER PORT_BASE FOLDER
"""

import base64
import imaplib
import json
import queue
import smtplib
import socketserver
import ssl
import subprocess
import sys
import threading

import authheaders
import dkim
from dnslib import QTYPE, RR, TXT, A, RCODE
from dnslib.server import DNSLogger, DNSServer
from nacl.signing import SigningKey

postrider, base, root = sys.argv[1], int(sys.argv[2]), sys.argv[3]
key = SigningKey(b"k" * 32)
zone = {
    "friend.test": ["v=spf1 ip4:127.0.0.1 -all"],
    "_dmarc.friend.test": ["v=DMARC1; p=reject"],
    "s1._domainkey.friend.test": ["v=DKIM1; k=ed25519; p=" + base64.b64encode(bytes(key.verify_key)).decode()],
    "bank.test": ["v=spf1 -all"],
    "_dmarc.bank.test": ["v=DMARC1; p=reject"],
    "_dmarc.shop.test": ["v=DMARC1; p=quarantine"],
    "_dmarc.here.test": ["v=DMARC1; p=reject"],
}
broken = {"_dmarc.broken.test"}


class Zone:
    def resolve(self, request, handler):
        reply, name = request.reply(), str(request.q.qname).rstrip(".").lower()
        if name in broken:
            reply.header.rcode = RCODE.SERVFAIL
        elif name in zone and request.q.qtype == QTYPE.TXT:
            for text in zone[name]:
                pieces = [text[at:at + 255].encode() for at in range(0, len(text), 255)]
                reply.add_answer(RR(name, QTYPE.TXT, rdata=TXT(pieces)))
        elif name not in zone:
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


dns_port = base + 53
for tcp in (False, True):
    DNSServer(Zone(), port=dns_port, address="127.0.0.1", tcp=tcp, logger=DNSLogger(log="-request,-reply,-truncated,-error")).start_thread()

received = queue.Queue()


class Sink(socketserver.StreamRequestHandler):
    """A server that takes everything."""

    def handle(self):
        say = lambda text: self.wfile.write(text.encode() + b"\r\n")
        say("220 sink")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                say("354 go")
                text = b""
                while (line := self.rfile.readline()) != b".\r\n":
                    text += line[1:] if line.startswith(b".") else line
                received.put(text)
                say("250 ok")
            elif verb == b"QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")


sink = socketserver.ThreadingTCPServer(("127.0.0.1", base + 99), Sink)
threading.Thread(target=sink.serve_forever, daemon=True).start()


def run(*words, secret=None):
    return subprocess.run([postrider, "--root", root, *words], input=secret, capture_output=True, text=True, check=True).stdout


run("setup", "--listen", "127.0.0.1", "--port-base", str(base), "--hostname", "mail.here.test", "--set",
    "auth.hash_memory_kib=1024", "--set", f'dns.servers=["127.0.0.1:{dns_port}"]', "--set", "trusted.networks=[]",
    "--password-stdin", "alice@here.test", secret="secret\n")
run("domain", "dkim", "rotate", "here.test", "--ed25519")
run("domain", "dkim", "rotate", "here.test", "--finish")
for record in json.loads(run("domain", "dkim", "show", "here.test", "--json"))["keys"]:
    zone[record["name"]] = [record["text"]]
server = subprocess.Popen([postrider, "--root", root, "serve"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
while "ready" not in server.stdout.readline():
    pass


def give(sender, text):
    with smtplib.SMTP("127.0.0.1", base + 25) as client:
        client.ehlo("mail.friend.test")
        client.mail(sender)
        client.rcpt("alice@here.test")
        code, why = client.data(text)
        return code, why.decode()


def last(mailbox):
    with imaplib.IMAP4_SSL("127.0.0.1", base + 993, ssl_context=ssl._create_unverified_context()) as client:
        client.login("alice@here.test", "secret")
        _, [count] = client.select(mailbox)
        _, data = client.fetch(count, "BODY[]")
        return data[0][1].decode()


def text(author):
    return f"From: {author}\r\nTo: alice@here.test\r\nSubject: from {author}\r\n\r\nhi\r\n".encode()


try:
    assert give("f@friend.test", text("f@friend.test"))[0] == 250
    stored = last("INBOX")
    assert "spf=pass" in stored and "dmarc=pass" in stored, stored
    signed = text("f@friend.test")
    secret = base64.b64encode(bytes(key))
    signed = dkim.sign(signed, b"s1", b"friend.test", secret, signature_algorithm=b"ed25519-sha256") + signed
    assert give("other@bank.test", signed)[0] == 250
    stored = last("INBOX")
    assert "dkim=pass" in stored and "spf=fail" in stored and "dmarc=pass" in stored, stored
    code, why = give("f@friend.test", text("f@bank.test"))
    assert code == 550 and "bank.test" in why, (code, why)
    assert give("f@friend.test", text("f@shop.test"))[0] == 250
    assert "dmarc=fail" in last("Junk")
    code, why = give("f@friend.test", text("f@broken.test"))
    assert code == 451, (code, why)

    run("route", "add", "else.test", f"127.0.0.1:{base + 99}")
    with smtplib.SMTP_SSL("127.0.0.1", base + 465, context=ssl._create_unverified_context()) as client:
        client.login("alice@here.test", "secret")
        client.sendmail("alice@here.test", ["bob@else.test"], text("Alice <alice@here.test>"))
    message = received.get(timeout=30)
    answers = lambda name, **_: next((t.encode() for t in zone.get(name.decode().rstrip(".").lower(), [])), None)
    for index in (0, 1):
        assert dkim.DKIM(message).verify(idx=index, dnsfunc=answers), message
    # It asks for keys in octets, for policies in text.
    by_name = lambda name, *_, **__: answers(name) if isinstance(name, bytes) else zone.get(name.rstrip("."), [None])[0]
    found = authheaders.authenticate_message(message, "mx.else.test", spf=False, dnsfunc=by_name)
    assert "dkim=pass" in found and "dmarc=pass" in found, found
    # This server takes no 8-bit text, so it gets other octets than were signed at first.
    with smtplib.SMTP_SSL("127.0.0.1", base + 465, context=ssl._create_unverified_context()) as client:
        client.login("alice@here.test", "secret")
        client.sendmail("alice@here.test", ["bob@else.test"], "From: alice@here.test\r\nSubject: \u00e4\r\n\r\ngr\u00f6\u00dfer\r\n".encode())
    message = received.get(timeout=30)
    assert b"=C3=9F" in message and message.count(b"DKIM-Signature:") == 2, message
    for index in (0, 1):
        assert dkim.DKIM(message).verify(idx=index, dnsfunc=answers), message
    print("all judged as they should be")
finally:
    server.terminate()
    server.wait()
