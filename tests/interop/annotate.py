"""Annotations of messages (RFC 5257) by Python's imaplib. Usage: annotate.py CA IMAPS"""
import imaplib, ssl, sys

ca, port = sys.argv[1], int(sys.argv[2])
context = ssl.create_default_context(cafile=ca)


def login(user):
    client = imaplib.IMAP4_SSL("localhost", port, ssl_context=context)
    client.login(user, "secret")
    return client


def ask(client, *words):
    """One command; what came under FETCH, as one line."""
    typ, _ = client._simple_command(*words)
    assert typ == "OK", (words, typ)
    lines = client.untagged_responses.pop("FETCH", [])
    return b" ".join(b"".join(line) if isinstance(line, tuple) else line for line in lines).decode()


client = login("bob@here.test")
assert "ANNOTATE-EXPERIMENT-1" in client.capabilities
client.create("Annotated")
client.append("Annotated", None, None, b"Subject: one\r\n\r\nhi\r\n")
client.append("Annotated", None, None, b"Subject: two\r\n\r\nhi\r\n")
client.select("Annotated")
ask(client, "STORE", "1", 'ANNOTATION (/comment (value.priv "mine" value.shared "ours"))')
read = ask(client, "FETCH", "1", '(ANNOTATION (/comment (value size)))')
for piece in ['value.priv "mine"', 'value.shared "ours"', 'size.priv "4"', 'size.shared "4"']:
    assert piece in read, (piece, read)
assert client.search(None, 'ANNOTATION /comment value.priv "min"') == ("OK", [b"1"])
assert client.search(None, 'ANNOTATION /comment value.priv "else"') == ("OK", [b""])
typ, order = client.sort('(REVERSE ANNOTATION /comment value.shared)', "UTF-8", "ALL")
assert typ == "OK" and sorted(order[0].split()) == [b"1", b"2"], order
client.copy("1", "INBOX")
client.close()
client.select("INBOX")
last = client.untagged_responses["EXISTS"][-1].decode()
read = ask(client, "FETCH", last, '(ANNOTATION (/* value))')
assert '"ours"' in read, "COPY takes annotations along: " + read
client.store(last, "+FLAGS.SILENT", r"\Deleted")
client.expunge()
client.select("Annotated")
ask(client, "STORE", "1", "ANNOTATION (/comment (value.priv NIL value.shared NIL))")
read = ask(client, "FETCH", "1", '(ANNOTATION (/comment value))')
assert '"mine"' not in read and '"ours"' not in read, read
client.close()
client.delete("Annotated")
client.logout()
print("annotations are kept, found, copied, taken away")
