"""dkimpy verifies our signatures where messages have arrived. Usage: signed.py KEYS FOLDER-OR-FILE...

KEYS is the output of 'domain dkim show DOMAIN --json'. In each place there must be a signed message, and
every signature of every signed message must hold.
"""
import json
import pathlib
import sys

import dkim

zone = {key["name"]: key["text"].encode() for key in json.load(open(sys.argv[1]))["keys"]}
answers = lambda name, **_: zone.get(name.decode().rstrip(".").lower())
for place in map(pathlib.Path, sys.argv[2:]):
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    found = 0
    for path in files:
        message = path.read_bytes()
        head = message.replace(b"\r\n", b"\n").split(b"\n\n")[0]
        ours = head.count(b"\nDKIM-Signature: v=1; a=") if b"d=here.test" in head else 0
        assert ours in (0, 1), (path, head)
        for index in range(ours):
            assert dkim.DKIM(message).verify(idx=index, dnsfunc=answers), (str(path), index, message)
        found += ours
    assert found, f"nothing signed in {place}: {len(files)} files"
    print(place, found)
