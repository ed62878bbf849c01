"""Logins that PAM proves. Usage: pam.py up|down USER SMTP SUBMISSION IMAP POP3"""
import imaplib, poplib, smtplib, sys

state, unix = sys.argv[1:3]
smtp_port, submission, imap_port, pop3_port = map(int, sys.argv[3:])


def login(user, password):
    """What each protocol says to a login."""
    said = []
    smtp = smtplib.SMTP("127.0.0.1", submission)
    smtp.ehlo()
    assert smtp.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"], smtp.esmtp_features["auth"]
    smtp.user, smtp.password = user, password
    try:
        said.append(str(smtp.auth("PLAIN", smtp.auth_plain)[0]))
    except smtplib.SMTPAuthenticationError as error:
        said.append(f"{error.smtp_code} {error.smtp_error.decode()}")
    imap = imaplib.IMAP4("127.0.0.1", imap_port)
    try:
        imap.login(user, password)
        said.append("OK")
    except imaplib.IMAP4.error as error:
        said.append(str(error))
    pop3 = poplib.POP3("127.0.0.1", pop3_port)
    try:
        pop3.user(user)
        pop3.pass_(password)
        said.append("+OK")
    except poplib.error_proto as error:
        said.append(str(error))
    return said


def rcpt(address):
    smtp = smtplib.SMTP("127.0.0.1", smtp_port)
    smtp.ehlo("else.test")
    smtp.mail("x@else.test")
    return smtp.rcpt(address)[0]


right = ["235", "OK", "+OK"]
own = f"{unix}@here.test"
if state == "up":
    assert rcpt(own) == 550, "no login yet, so no account"
    assert login(own, "pampw") == right, login(own, "pampw")
    assert login(unix.upper(), "pampw") == right
    assert rcpt(own) == 250
    for user, password in [(own, "wrong"), ("nobody-here@here.test", "pampw"), (f"{unix}@else.test", "pampw")]:
        said = login(user, password)
        assert said[0].startswith("535 5.7.8"), (user, said)
        assert "[AUTHENTICATIONFAILED]" in said[1] and "[AUTH]" in said[2], (user, said)
    assert login("bob@here.test", "secret") == right, "who is here goes first"
else:
    said = login(own, "pampw")
    assert said[0].startswith("454 4.7.0"), said
    assert "[UNAVAILABLE]" in said[1] and "[SYS/TEMP]" in said[2], said
    assert login("bob@here.test", "secret") == right
    assert rcpt(own) == 250, "who is known gets mail"
