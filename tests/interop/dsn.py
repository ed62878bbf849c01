"""Reports of success through Postfix with and without DSN. Usage: dsn.py CA SUBMISSION IMAPS"""
import imaplib, smtplib, ssl, sys, time

ca, submission, imaps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
context = ssl.create_default_context(cafile=ca)
smtp = smtplib.SMTP("localhost", submission)
smtp.starttls(context=context)
smtp.login("alice@here.test", "secret")
message = "From: alice@here.test\r\nSubject: who has it\r\n\r\nhello\r\n"
for to in ["dave@nodsn.test", "dave@peer.test"]:
    smtp.sendmail("alice@here.test", [to], message, mail_options=["ENVID=" + to.replace("@", "+40"), "RET=HDRS"],
                  rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;" + to])
smtp.quit()


def reports():
    imap = imaplib.IMAP4_SSL("localhost", imaps, ssl_context=context)
    imap.login("alice@here.test", "secret")
    imap.select(readonly=True)
    found = []
    for number in imap.search(None, "HEADER", "Content-Type", "multipart/report")[1][0].split():
        found.append(imap.fetch(number, "(BODY.PEEK[])")[1][0][1].decode(errors="replace"))
    imap.logout()
    return found


def told(by, action, to):
    """Whoever lacks DSN cannot tell, so we do; whoever has it does."""
    wanted = [f"Reporting-MTA: dns; {by}", f"Action: {action}", f"Original-Envelope-Id: {to}", f"Original-Recipient: rfc822;{to}"]
    return any(all(line in text for line in wanted) for text in reports())


deadline = time.monotonic() + 20
while not (told("localhost", "relayed", "dave@nodsn.test") and told("postfix.peer.test", "delivered", "dave@peer.test")):
    assert time.monotonic() < deadline, "\n\n".join(reports())
    time.sleep(0.2)
assert not told("localhost", "relayed", "dave@peer.test")
