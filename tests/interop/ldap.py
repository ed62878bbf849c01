"""Logins and recipients whose home is LDAP. Usage: ldap.py up|down|hashes SMTP SUBMISSION IMAP POP3"""
import imaplib, smtplib, sys

from each_protocol import RIGHT, Server

state = sys.argv[1]
ports = list(map(int, sys.argv[2:]))
submission, imap_port = ports[1:3]
server = Server(*ports)


def count(user, password):
    imap = imaplib.IMAP4("127.0.0.1", imap_port)
    imap.login(user, password)
    return int(imap.select()[1][0])


if state == "hashes":
    assert server.login("ann@here.test", "annpw") == RIGHT
    assert "AUTHENTICATIONFAILED" in server.login("ann@here.test", "evepw")[1]
elif state == "up":
    for user in ["ann@here.test", "ANN@Here.Test", "ann"]:
        assert server.login(user, "annpw") == RIGHT, server.login(user, "annpw")
    assert server.login("bob@here.test", "secret") == RIGHT, "who is here goes first"
    for user, password in [("ann@here.test", "evepw"), ("nobody@here.test", "annpw"), ("eve@else.test", "evepw")]:
        server.refuses(user, password)
    for name in ["ann*@here.test", '"*"@here.test', '"ann)(uid=*"@here.test', "*", "ann)(mail=*"]:
        assert server.submit(name, "annpw").startswith("535 5.7.8"), name
    ours = ["eve@here.test", "eve.e@here.test", "eve+tag@here.test", "team@here.test"]
    assert server.rcpt(*ours) == ["250 2.1.5"] * 4, server.rcpt(*ours)
    assert server.rcpt("nobody@here.test", '"*"@here.test', '"a)(mail=*"@here.test') == ["550 5.1.1"] * 3
    smtp = smtplib.SMTP("127.0.0.1", submission)
    smtp.login("ann@here.test", "annpw")
    assert smtp.mail("eve@here.test")[0] == 553
    mail = "From: ann.a@here.test\r\nTo: team@here.test\r\nSubject: to all\r\n\r\nhi\r\n"
    smtp.rset()
    smtp.sendmail("ann.a@here.test", ["team@here.test", "eve.e@here.test"], mail)
    for user, password in [("ann@here.test", "annpw"), ("eve@here.test", "evepw")]:
        assert count(user, password) == 1, "once each, although eve was named twice"
else:
    server.cannot_tell("ann@here.test", "annpw")
    assert server.login("bob@here.test", "secret") == RIGHT, "who is here does not need LDAP"
    assert server.rcpt("never@here.test", "bob@here.test") == ["451 4.3.0", "250 2.1.5"], server.rcpt("never@here.test", "bob@here.test")
    assert server.rcpt("ann@here.test") == ["250 2.1.5"], "who is known gets mail"
