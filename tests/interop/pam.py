"""Logins that PAM proves. Usage: pam.py up|down USER SMTP SUBMISSION IMAP POP3"""
import sys

from each_protocol import RIGHT, Server

state, unix = sys.argv[1:3]
server = Server(*map(int, sys.argv[3:]))
own = f"{unix}@here.test"
if state == "up":
    assert server.rcpt(own) == ["550 5.1.1"], "no login yet, so no account"
    assert server.login(own, "pampw") == RIGHT, server.login(own, "pampw")
    assert server.login(unix.upper(), "pampw") == RIGHT
    assert server.rcpt(own) == ["250 2.1.5"]
    for user, password in [(own, "wrong"), ("nobody-here@here.test", "pampw"), (f"{unix}@else.test", "pampw")]:
        server.refuses(user, password)
    assert server.login("bob@here.test", "secret") == RIGHT, "who is here goes first"
else:
    server.cannot_tell(own, "pampw")
    assert server.login("bob@here.test", "secret") == RIGHT
    assert server.rcpt(own) == ["250 2.1.5"], "who is known gets mail"
