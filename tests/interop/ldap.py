"""Logins and recipients whose home is LDAP. Usage: ldap.py up|down|hashes SMTP SUBMISSION IMAP POP3"""
import imaplib, poplib, smtplib, socket, sys

state = sys.argv[1]
smtp_port, submission, imap_port, pop3_port = map(int, sys.argv[2:])


# Each login comes from an address of its own, so that none waits for the failures of others.
sources = (f"127.0.{a}.{b}" for a in range(1, 255) for b in range(1, 255))


def connection(port):
    return socket.create_connection(("127.0.0.1", port), source_address=(next(sources), 0))


class Imap(imaplib.IMAP4):
    def _create_socket(self, timeout):
        return connection(self.port)


class Pop3(poplib.POP3):
    def _create_socket(self, timeout):
        return connection(self.port)


def submit(user, password):
    """What submission says to a login."""
    smtp = smtplib.SMTP("127.0.0.1", submission, source_address=(next(sources), 0))
    smtp.ehlo()
    assert smtp.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"], smtp.esmtp_features["auth"]
    smtp.user, smtp.password = user, password
    try:
        return str(smtp.auth("PLAIN", smtp.auth_plain)[0])
    except smtplib.SMTPAuthenticationError as error:
        return f"{error.smtp_code} {error.smtp_error.decode()}"


def login(user, password):
    """What each protocol says to a login."""
    said = [submit(user, password)]
    imap = Imap("127.0.0.1", imap_port)
    try:
        imap.login(user, password)
        said.append("OK")
    except imaplib.IMAP4.error as error:
        said.append(str(error))
    pop3 = Pop3("127.0.0.1", pop3_port)
    try:
        pop3.user(user)
        pop3.pass_(password)
        said.append("+OK")
    except poplib.error_proto as error:
        said.append(str(error))
    return said


def rcpt(*addresses):
    smtp = smtplib.SMTP("127.0.0.1", smtp_port)
    smtp.ehlo("else.test")
    smtp.mail("x@else.test")
    replies = [smtp.rcpt(address) for address in addresses]
    return [f"{code} {text.decode()[:5]}" for code, text in replies]


def count(user, password):
    imap = imaplib.IMAP4("127.0.0.1", imap_port)
    imap.login(user, password)
    return int(imap.select()[1][0])


right = ["235", "OK", "+OK"]
if state == "hashes":
    assert login("ann@here.test", "annpw") == right
    assert "AUTHENTICATIONFAILED" in login("ann@here.test", "evepw")[1]
elif state == "up":
    for user in ["ann@here.test", "ANN@Here.Test", "ann"]:
        assert login(user, "annpw") == right, login(user, "annpw")
    assert login("bob@here.test", "secret") == right, "who is here goes first"
    strangers = [("ann@here.test", "evepw"), ("nobody@here.test", "annpw"), ("eve@else.test", "evepw")]
    for user, password in strangers:
        said = login(user, password)
        assert said[0].startswith("535 5.7.8"), (user, said)
        assert "[AUTHENTICATIONFAILED]" in said[1] and "[AUTH]" in said[2], (user, said)
    for name in ["ann*@here.test", '"*"@here.test', '"ann)(uid=*"@here.test', "*", "ann)(mail=*"]:
        assert submit(name, "annpw").startswith("535 5.7.8"), name
    ours = ["eve@here.test", "eve.e@here.test", "eve+tag@here.test", "team@here.test"]
    assert rcpt(*ours) == ["250 2.1.5"] * 4, rcpt(*ours)
    assert rcpt("nobody@here.test", '"*"@here.test', '"a)(mail=*"@here.test') == ["550 5.1.1"] * 3
    smtp = smtplib.SMTP("127.0.0.1", submission)
    smtp.login("ann@here.test", "annpw")
    assert smtp.mail("eve@here.test")[0] == 553
    mail = "From: ann.a@here.test\r\nTo: team@here.test\r\nSubject: to all\r\n\r\nhi\r\n"
    smtp.rset()
    smtp.sendmail("ann.a@here.test", ["team@here.test", "eve.e@here.test"], mail)
    for user, password in [("ann@here.test", "annpw"), ("eve@here.test", "evepw")]:
        assert count(user, password) == 1, "once each, although eve was named twice"
else:
    said = login("ann@here.test", "annpw")
    assert said[0].startswith("454 4.7.0"), said
    assert "[UNAVAILABLE]" in said[1] and "[SYS/TEMP]" in said[2], said
    assert login("bob@here.test", "secret") == right, "who is here does not need LDAP"
    assert rcpt("never@here.test", "bob@here.test") == ["451 4.3.0", "250 2.1.5"], rcpt("never@here.test", "bob@here.test")
    assert rcpt("ann@here.test") == ["250 2.1.5"], "who is known gets mail"
