#!/usr/bin/env python3
"""Compares what DNSSEC makes of answers with BIND's delv, over random signed zones that BIND serves, and
once more behind a server that fails when it is asked for NS within zones, as those of large providers do.

Usage: dnssec.py PATH-TO-THE-EXAMPLE-dnssec PORT FOLDER [SEED] [QUESTIONS]. Everything stays on 127.0.0.1;
the next port is taken too.
"""

import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time

example, port, folder = os.path.abspath(sys.argv[1]), sys.argv[2], os.path.abspath(sys.argv[3])
seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
questions = int(sys.argv[5]) if len(sys.argv) > 5 else 300
chance = random.Random(seed)
os.makedirs(f"{folder}/cache", exist_ok=True)
os.chdir(folder)

HEAD = "$TTL 300\n@ IN SOA ns.test. admin.test. 1 3600 600 86400 300\n@ IN NS ns.test.\n"
# Zone: algorithm and how it is signed; None is not signed at all.
ZONES = {
    "nsec.test": ("ECDSAP256SHA256", []),
    "nsec3.test": ("ECDSAP256SHA256", ["-3", "-"]),
    "salted.test": ("ECDSAP384SHA384", ["-3", "aabbccdd", "-H", "5"]),
    "optout.test": ("ED25519", ["-3", "-", "-A"]),
    "rsa.test": ("RSASHA256", []),
    "child.nsec.test": ("ECDSAP256SHA256", []),
    "plain.nsec3.test": (None, []),
    "plain.test": (None, []),
    "deep.plain.test": (None, []),
    # Signed, but nobody above says so.
    "island.plain.test": ("ECDSAP256SHA256", []),
    "bad.test": ("ECDSAP256SHA256", []),
}
LABELS = ["a", "b", "*", "x-y", "z0"]


def names(zone):
    """Some names of a zone, with holes, wildcards and names below names."""
    made = set()
    for _ in range(14):
        depth = chance.choice([1, 1, 2, 3])
        labels = [chance.choice([label for label in LABELS if label != "*"]) for _ in range(depth)]
        # Below unsigned delegations that nobody can deny, a wildcard that an alias leads to may be told
        # apart or not (RFC 5155 section 9.2): its records are the zone's own in either case.
        if chance.random() < 0.35 and zone != "optout.test":
            labels[0] = "*"
        made.add(".".join(labels))
    return sorted(made)


NAMES = {zone: names(zone) for zone in ZONES}


def target(zones=tuple(ZONES)):
    zone = chance.choice(zones)
    name = chance.choice(NAMES[zone]).replace("*", chance.choice(["q", "a", "q.r"]))
    return f"{name}.{zone}."


def records(zone):
    lines = [HEAD, "@ A 127.0.0.9", "@ MX 10 a"]
    # Aliases lead on, so that none leads back to itself.
    onwards = list(ZONES)[list(ZONES).index(zone) + 1:]
    for name in NAMES[zone]:
        kind = chance.random()
        if kind < 0.3 and onwards:
            lines.append(f"{name} CNAME {target(onwards)}")
        elif kind < 0.36 and "*" not in name:
            lines.append(f"{name}.d DNAME {chance.choice(onwards or list(ZONES)[:1])}.")
        else:
            lines.append(f"{name} A 127.0.0.{chance.randrange(1, 250)}")
            if chance.random() < 0.7:
                lines.append(f"{name} MX 10 {target()}")
            if chance.random() < 0.5:
                lines.append(f"{name} TLSA 3 1 1 {'ab' * 32}")
    for other in ZONES:
        if other.endswith("." + zone):
            lines.append(f"{other}. NS ns.test.")
            if os.path.exists(f"dsset-{other}.") and ZONES[zone][0]:
                lines.append(open(f"dsset-{other}.").read())
    return "\n".join(lines) + "\n"


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def sign(zone, algorithm, options, text):
    file = "root" if zone == "." else zone
    with open(f"{file}.zone", "w") as out:
        out.write(text)
    if not algorithm:
        os.replace(f"{file}.zone", f"{file}.signed")
        return
    os.makedirs(f"keys.{file}", exist_ok=True)
    for flag in (["-f", "KSK"], []):
        run("dnssec-keygen", "-q", "-K", f"keys.{file}", "-a", algorithm, *flag, zone)
    run("dnssec-signzone", "-q", "-K", f"keys.{file}", "-S", "-o", zone, "-f", f"{file}.signed", *options, f"{file}.zone")


for zone in sorted(ZONES, key=lambda name: -name.count(".")):
    sign(zone, *ZONES[zone], records(zone))
# Somebody changes what was signed: addresses, and nothing else.
signed = open("bad.test.signed").read()
open("bad.test.signed", "w").write(re.sub(r"127\.0\.0\.(\d)", r"127.0.1.\1", signed))
below = [zone for zone in ZONES if zone.count(".") == 1]
tld = HEAD + "ns A 127.0.0.1\n" + "".join(f"{zone}. NS ns.test.\n" for zone in below)
tld += "".join(open(f"dsset-{zone}.").read() for zone in below if ZONES[zone][0])
sign("test", "ECDSAP256SHA256", ["-3", "-", "-A"], tld)
root = HEAD.replace("@", ".", 1) + "test. NS ns.test.\nns.test. A 127.0.0.1\n" + open("dsset-test.").read()
sign(".", "ECDSAP256SHA256", [], root)
key = next(f"keys.root/{name}" for name in os.listdir("keys.root") if name.endswith(".key") and " 257 3 " in open(f"keys.root/{name}").read())
anchor = next(line for line in open(key) if not line.startswith(";"))
open("anchors", "w").write(anchor)
fields = anchor.split()
at = fields.index("DNSKEY")
open("anchors.delv", "w").write('trust-anchors { . initial-key %s %s %s "%s"; };\n' % (*fields[at + 1:at + 4], "".join(fields[at + 4:])))
served = "".join(f'zone "{zone}" {{ type primary; file "{folder}/{"root" if zone == "." else zone}.signed"; }};\n' for zone in [".", "test", *ZONES])
open("named.conf", "w").write(f'options {{ directory "{folder}/cache"; pid-file "{folder}/pid"; session-keyfile "{folder}/cache/key"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; check-names primary ignore; }};\ncontrols {{ }};\n{served}')
server = subprocess.Popen(["named", "-c", f"{folder}/named.conf", "-g"], stdout=subprocess.DEVNULL, stderr=open("named.log", "w"))


def answers():
    return subprocess.run(["dig", "+time=1", "+tries=1", "@127.0.0.1", "-p", port, "test", "SOA"], stdout=subprocess.DEVNULL).returncode == 0


def pass_on(listener, query, client):
    """Hands a question to BIND, unless it is for NS within a zone."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
        at += 1 + query[at]
    name, kind = ".".join(labels), struct.unpack(">H", query[at + 1:at + 3])[0]
    if kind == 2 and name not in ("", "test", *ZONES):
        # SERVFAIL.
        answer = query[:2] + b"\x81\x82" + query[4:6] + bytes(6) + query[12:at + 5]
    else:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as towards:
            towards.settimeout(5)
            towards.sendto(query, ("127.0.0.1", int(port)))
            answer = towards.recv(65535)
    listener.sendto(answer, client)


def pass_on_long(client):
    """What does not fit into a datagram."""
    with client, socket.create_connection(("127.0.0.1", int(port))) as towards:
        threading.Thread(target=copy, args=(towards, client), daemon=True).start()
        copy(client, towards)


def copy(one, other):
    try:
        while octets := one.recv(65535):
            other.sendall(octets)
    except OSError:
        pass


def be_odd():
    long = socket.create_server(("127.0.0.1", int(port) + 1))
    threading.Thread(target=lambda: [pass_on_long(long.accept()[0]) for _ in iter(int, 1)], daemon=True).start()
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", int(port) + 1))
    while True:
        query, client = listener.recvfrom(65535)
        threading.Thread(target=pass_on, args=(listener, query, client), daemon=True).start()


def ours_by(server, lines):
    """What the example says of each question."""
    done = subprocess.run([example, f"127.0.0.1:{server}", "anchors"], input=lines, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


def worth(got):
    """In delv's words."""
    if got.startswith("fails: "):
        return "bogus"
    if got in ("NoRecord", "NoSuchName"):
        return "nothing"
    return "secure" if ", secure: true" in got or "proven" in got else "insecure"


try:
    while not answers():
        assert server.poll() is None, open("named.log").read()
        time.sleep(0.1)
    asked = []
    while len(asked) < questions:
        name, kind = target().rstrip("."), chance.choice(["A", "MX", "A", "TLSA"])
        if chance.random() < 0.25:
            name = chance.choice(["nope", "q.q", "a.d", "b.a.d"]) + "." + name
        if len(name) < 200 and (name, kind) not in asked:
            asked.append((name, kind))
    lines = "".join(f"{name} {kind}\n" for name, kind in asked)
    ours = ours_by(port, lines)
    threading.Thread(target=be_odd, daemon=True).start()
    odd = ours_by(int(port) + 1, lines)
    differ, kinds = 0, {}
    for name, kind in asked:
        command = ["delv", "@127.0.0.1", "-p", port, "-a", "anchors.delv", "+root=.", name, kind]
        theirs = subprocess.run(command, capture_output=True, text=True)
        theirs = theirs.stdout + theirs.stderr
        got = ours[f"{name} {kind}"]
        has = re.search(rf"IN\s+{kind}\s", theirs) is not None and "negative response" not in theirs
        if re.search(r"resolution failed: (?!ncache)", theirs):
            expected = "bogus"
        elif "negative response" in theirs or "ncache" in theirs or not has:
            expected = "nothing"
        else:
            expected = "insecure" if "unsigned answer" in theirs else "secure"
        if kind == "TLSA" and expected == "insecure":
            expected = "nothing"
        kinds[expected] = kinds.get(expected, 0) + 1
        for got in {got, odd[f"{name} {kind}"]}:
            if worth(got) == expected:
                continue
            differ += 1
            print(f"{name} {kind}: here {got}\n  delv: {expected}\n    " + theirs.strip().replace("\n", "\n    "))
    print(f"seed {seed}: {questions} questions, {differ} differ; {kinds}")
    assert min(kinds.get(word, 0) for word in ("secure", "insecure", "nothing", "bogus")) > 0, kinds
    sys.exit(1 if differ else 0)
finally:
    server.terminate()
    server.wait()
