"""dkimpy signs and we verify; we sign and dkimpy verifies: random messages, all canonicalisations.

Usage: dkimpy.py PROGRAM (crates/sim/examples/dkim.rs). SEED=n repeats a run.
"""

import base64
import json
import os
import random
import subprocess
import sys

import dkim
from nacl.signing import SigningKey as Ed25519

seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
rng = random.Random(seed)
NAMES = ["Subject", "To", "Cc", "Date", "X-Odd", "MIME-Version", "Content-Type", "Received", "Reply-To"]


def words(octets):
    alphabet = b"abc def\tXYZ 0=;:,.\"()<>@\xc3\xa9" + bytes(octets)
    return bytes(rng.choice(alphabet) for _ in range(rng.randrange(30)))


def message():
    lines = [b"From: Fred <fred@signer.test>"]
    for _ in range(rng.randrange(8)):
        value = words(b"")
        if rng.random() < 0.3:
            value += b"\r\n" + rng.choice([b" ", b"\t", b"  "]) + (words(b"").strip() or b"x")
        blank = rng.choice([b"", b" ", b"  ", b"\t"])
        lines.append(rng.choice(NAMES).encode() + b":" + blank + value)
    rng.shuffle(lines)
    body = b"".join(words(b" ") + rng.choice([b"\r\n", b"\r\n", b"\r\n\r\n", b" \r\n", b""])
                    for _ in range(rng.randrange(12)))
    # By SMTP a body ends with a line break; dkimpy keeps blanks at the end of a line without one.
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def damaged(text):
    """One letter of the last line that has one is another."""
    at = max(text.rfind(c) for c in (b"a", b"b", b"c", b"d", b"e"))
    return text[:at] + b"Q" + text[at + 1:]


rsa = subprocess.run(["openssl", "genrsa", "-traditional", "1024"], capture_output=True, check=True).stdout
public = subprocess.run(["openssl", "rsa", "-pubout", "-outform", "DER"], input=rsa, capture_output=True,
                        check=True).stdout
ed = Ed25519(bytes(rng.randrange(256) for _ in range(32)))
records = {
    "r._domainkey.signer.test": "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode(),
    "e._domainkey.signer.test": "v=DKIM1; k=ed25519; p=" + base64.b64encode(bytes(ed.verify_key)).decode(),
}
program = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def ask(question):
    program.stdin.write(json.dumps(question).encode() + b"\n")
    program.stdin.flush()
    return json.loads(program.stdout.readline())


def b64(octets):
    return base64.b64encode(octets).decode()


count = 0
for n in range(300):
    text = message()
    selector, algorithm, key = rng.choice(
        [(b"r", b"rsa-sha256", rsa), (b"e", b"ed25519-sha256", base64.b64encode(bytes(ed)))])
    canon = tuple(rng.choice([b"simple", b"relaxed"]) for _ in range(2))
    length = rng.random() < 0.2
    signature = dkim.sign(text, selector, b"signer.test", key, canonicalize=canon, signature_algorithm=algorithm,
                          length=length)
    signed = signature + text
    got = ask({"verify": b64(signed), "keys": records})["results"]
    assert got == ["pass"], (seed, n, canon, algorithm, got, signed)
    if damaged(text) != text and not length:
        wrong = signature + damaged(text)
        ours = ask({"verify": b64(wrong), "keys": records})["results"][0].split()[0]
        theirs = dkim.verify(wrong, dnsfunc=lambda name, **_: records[name.decode().rstrip(".")].encode())
        assert (ours == "pass") == theirs, (seed, n, ours, theirs, wrong)
    answer = ask({"sign": b64(text)})
    made = base64.b64decode(answer["message"])
    theirs = answer["keys"]
    for index in (0, 1):
        fine = dkim.DKIM(made).verify(idx=index, dnsfunc=lambda name, **_: theirs[name.decode().rstrip(".")].encode())
        assert fine, (seed, n, index, made)
    count += 1
print(f"{count} messages each way, seed {seed}")
