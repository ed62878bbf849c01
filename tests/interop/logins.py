"""EXTERNAL and XOAUTH2 with Python's own libraries.
Usage: logins.py CA CERT KEY TOKEN-FILE SUBMISSION IMAPS POP3S
"""
import imaplib, poplib, smtplib, ssl, sys

ca, cert, key, token = sys.argv[1:5]
submission, imaps, pop3s = map(int, sys.argv[5:8])
token = open(token).read()
with_cert = ssl.create_default_context(cafile=ca)
with_cert.load_cert_chain(cert, key)
without = ssl.create_default_context(cafile=ca)
bearer = f"user=alice@here.test\x01auth=Bearer {token}\x01\x01"

for context, mechanism, response in [
    (with_cert, "EXTERNAL", ""),
    (with_cert, "EXTERNAL", "alice@here.test"),
    (without, "XOAUTH2", bearer),
]:
    with smtplib.SMTP("localhost", submission) as smtp:
        smtp.starttls(context=context)
        smtp.ehlo()
        assert mechanism in smtp.esmtp_features["auth"], smtp.esmtp_features
        code, said = smtp.auth(mechanism, lambda challenge=None: response)
        assert code == 235, said
        mail = "From: alice@here.test\r\nTo: alice@here.test\r\nSubject: by Python\r\n\r\nhi\r\n"
        smtp.sendmail("alice@here.test", ["alice@here.test"], mail)
    with imaplib.IMAP4_SSL("localhost", imaps, ssl_context=context) as imap:
        assert f"AUTH={mechanism}" in imap.capabilities, imap.capabilities
        imap.authenticate(mechanism, lambda _: response.encode())
        assert imap.select()[0] == "OK"
    pop3 = poplib.POP3_SSL("localhost", pop3s, context=context)
    assert mechanism in pop3.capa()["SASL"]
    assert pop3._shortcmd(f"AUTH {mechanism}").startswith(b"+ ")
    import base64
    assert pop3._shortcmd(base64.b64encode(response.encode()).decode()).startswith(b"+OK")
    pop3.quit()

with imaplib.IMAP4_SSL("localhost", imaps, ssl_context=without) as imap:
    assert "AUTH=EXTERNAL" not in imap.capabilities
    try:
        imap.authenticate("EXTERNAL", lambda _: b"alice@here.test")
        raise SystemExit("EXTERNAL without a certificate")
    except imaplib.IMAP4.error as error:
        print(error)
