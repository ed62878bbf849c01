"""Mail programs may resume their TLS sessions, other servers may not. By Python's ssl.

Usage: resume.py CA SMTP SUBMISSIONS IMAPS POP3S
"""
import socket
import ssl
import sys

ca, smtp, submissions, imaps, pop3s = sys.argv[1], *map(int, sys.argv[2:])


def visit(port, context, session, starttls=False):
    """One connection; whether it was resumed, and the session for the next."""
    with socket.create_connection(("localhost", port), timeout=10) as clear:
        if starttls:
            for line in (b"", b"EHLO client.test\r\n", b"STARTTLS\r\n"):
                clear.sendall(line)
                clear.recv(4096)
        with context.wrap_socket(clear, server_hostname="localhost", session=session) as sock:
            # Tickets of TLS 1.3 come after the handshake.
            if starttls:
                sock.sendall(b"NOOP\r\n")
            sock.recv(4096)
            return sock.session_reused, sock.session


for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
    for port in submissions, imaps, pop3s, smtp:
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = context.maximum_version = version
        _, session = visit(port, context, None, port == smtp)
        reused, _ = visit(port, context, session, port == smtp)
        assert reused == (port != smtp), f"{version.name}, port {port}: resumed is {reused}"
