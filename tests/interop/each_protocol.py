"""What submission, IMAP and POP3 say to the same login."""
import imaplib, poplib, smtplib, socket

RIGHT = ["235", "OK", "+OK"]

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


class Server:
    def __init__(self, smtp, submission, imap, pop3):
        self.smtp_port, self.submission_port, self.imap_port, self.pop3_port = smtp, submission, imap, pop3

    def submit(self, user, password):
        """What submission says to a login."""
        smtp = smtplib.SMTP("127.0.0.1", self.submission_port, source_address=(next(sources), 0))
        smtp.ehlo()
        assert smtp.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"], smtp.esmtp_features["auth"]
        smtp.user, smtp.password = user, password
        try:
            return str(smtp.auth("PLAIN", smtp.auth_plain)[0])
        except smtplib.SMTPAuthenticationError as error:
            return f"{error.smtp_code} {error.smtp_error.decode()}"

    def login(self, user, password):
        """What each protocol says to a login."""
        said = [self.submit(user, password)]
        imap = Imap("127.0.0.1", self.imap_port)
        try:
            imap.login(user, password)
            said.append("OK")
        except imaplib.IMAP4.error as error:
            said.append(str(error))
        pop3 = Pop3("127.0.0.1", self.pop3_port)
        try:
            pop3.user(user)
            pop3.pass_(password)
            said.append("+OK")
        except poplib.error_proto as error:
            said.append(str(error))
        return said

    def refuses(self, user, password):
        """Each protocol says that the login is wrong, not that it cannot tell."""
        said = self.login(user, password)
        assert said[0].startswith("535 5.7.8"), (user, said)
        assert "[AUTHENTICATIONFAILED]" in said[1] and "[AUTH]" in said[2], (user, said)

    def cannot_tell(self, user, password):
        """Each protocol says that it cannot tell now (451, [UNAVAILABLE]), never that the login is wrong."""
        said = self.login(user, password)
        assert said[0].startswith("454 4.7.0"), said
        assert "[UNAVAILABLE]" in said[1] and "[SYS/TEMP]" in said[2], said

    def rcpt(self, *addresses):
        """What port 25 says to each recipient: code and the start of the text."""
        smtp = smtplib.SMTP("127.0.0.1", self.smtp_port)
        smtp.ehlo("else.test")
        smtp.mail("x@else.test")
        replies = [smtp.rcpt(address) for address in addresses]
        return [f"{code} {text.decode()[:5]}" for code, text in replies]
