"""smtplib, imaplib and poplib against a running server: CA-FILE SUBMISSION IMAPS POP3S."""
import imaplib, poplib, smtplib, ssl, sys

ca, submission, imaps, pop3s = sys.argv[1], *map(int, sys.argv[2:])
context = ssl.create_default_context(cafile=ca)

with smtplib.SMTP("localhost", submission) as smtp:
    smtp.starttls(context=context)
    smtp.login("alice@here.test", "secret")
    smtp.sendmail("alice@here.test", ["bob@here.test"], "Subject: by python\r\n\r\nn\u00e9edle\r\n".encode(), ["BODY=8BITMIME"])

imap = imaplib.IMAP4_SSL("localhost", imaps, ssl_context=context)
imap.login("bob@here.test", "secret")
assert imap.enable("CONDSTORE")[0] == "OK"
assert imap.select("INBOX")[0] == "OK"
(found,) = imap.search(None, "SUBJECT", "python")[1]
number = found.split()[0]
data = imap.fetch(number, "(FLAGS RFC822.SIZE BODY.PEEK[])")[1][0]
size = int(data[0].split(b"RFC822.SIZE ")[1].split()[0])
assert size == len(data[1]), (size, len(data[1]))
assert "n\u00e9edle".encode() in data[1]
assert imap.store(number, "+FLAGS", "(\\Seen $Label)")[0] == "OK"
assert b"$Label" in imap.fetch(number, "(FLAGS)")[1][0]
assert imap.copy(number, "Archive")[0] == "OK"
assert imap.append("Drafts", "(\\Draft)", None, b"Subject: draft\r\n\r\nx\r\n")[0] == "OK"
assert imap.create("Projects/2026")[0] == "OK"
assert any(b"Projects/2026" in row for row in imap.list()[1])
assert imap.delete("Projects/2026")[0] == "OK"
assert imap.logout()[0] == "BYE"

pop3 = poplib.POP3_SSL("localhost", pop3s, context=context)
pop3.user("bob@here.test"); pop3.pass_("secret")
count, octets = pop3.stat()
lines = [pop3.retr(n + 1) for n in range(count)]
assert sum(size for _, _, size in lines) == octets
assert len(set(row.split()[1] for row in pop3.uidl()[1])) == count
assert "TOP" in pop3.capa()
pop3.quit()
