"""After mbsync: one message is flagged and seen, one is gone. CA-FILE IMAPS COUNT."""
import imaplib, ssl, sys

context = ssl.create_default_context(cafile=sys.argv[1])
imap = imaplib.IMAP4_SSL("localhost", int(sys.argv[2]), ssl_context=context)
imap.login("bob@here.test", "secret")
exists = int(imap.select("INBOX", readonly=True)[1][0])
assert exists == int(sys.argv[3]), (exists, sys.argv[3])
assert len(imap.search(None, "FLAGGED", "SEEN")[1][0].split()) == 1
imap.logout()
