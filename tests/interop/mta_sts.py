#!/usr/bin/env python3
"""MTA-STS (RFC 8461): who gets mail under a policy of a real web server. Usage: mta_sts.py POSTRIDER
FOLDER, in a network namespace; FOLDER has certificates and Postfix's configuration (mta_sts.sh)."""
import http.server
import json
import pathlib
import shutil
import smtplib
import ssl
import subprocess
import sys
import threading
import time

postrider, at = sys.argv[1], pathlib.Path(sys.argv[2])
root = at / "r"
policy, asked = {"text": ""}, []


def run(*command, fails=False, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    assert fails or done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout if not fails else (done.returncode, done.stderr)


def ours(*command, **how):
    return run(postrider, "--root", root, *command, **how)


def until(true, what, seconds=20):
    for _ in range(seconds * 10):
        if true():
            return
        time.sleep(0.1)
    log = (at / "serve.log").read_text()
    raise AssertionError(f"never: {what}\n{ours('queue', 'list')}\n{log[-3000:]}")


class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append((self.headers["Host"], self.path))
        text = policy["text"].encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def names(mx, mode="enforce"):
    policy["text"] = f"version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: 604800\r\n"


def web():
    server = http.server.ThreadingHTTPServer(("127.0.0.80", 443), Web)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(at / "mta-sts.pem", at / "mta-sts.key")
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def dns():
    (at / "named").mkdir()
    (at / "named/zone").write_text(
        "$TTL 60\n@ SOA ns.example.net. a.example.net. 1 60 60 60 60\n@ NS ns\nns A 127.0.0.53\n"
        "@ MX 10 mx\nmx A 127.0.0.10\nmta-sts A 127.0.0.80\n_mta-sts TXT \"v=STSv1; id=1\"\n"
    )
    (at / "named/conf").write_text(
        f'options {{ directory "{at}/named"; pid-file "{at}/named/pid"; session-keyfile none;\n'
        "listen-on port 53 { 127.0.0.53; }; listen-on-v6 { none; }; recursion no;\n"
        "dnssec-validation no; };\ncontrols { };\n"
        f'zone "example.net" {{ type primary; file "{at}/named/zone"; }};\n'
    )
    return subprocess.Popen(
        ["named", "-g", "-c", at / "named/conf"], stdout=subprocess.DEVNULL, stderr=open(at / "named.log", "w")
    )


def postfix(certificate):
    """Begins anew with this certificate: no connection is left from before."""
    run("postfix", "-c", at / "postfix", "stop", fails=True)
    shutil.copy(at / f"{certificate}.pem", at / "smtpd.pem")
    shutil.copy(at / f"{certificate}.key", at / "smtpd.key")
    run("postfix", "-c", at / "postfix", "start")


def send(subject):
    tls = ssl.create_default_context(cafile=root / "tls/cert.pem")
    with smtplib.SMTP_SSL("localhost", 465, context=tls) as client:
        client.login("alice@here.test", "secret")
        client.sendmail("alice@here.test", "bob@example.net", f"Subject: {subject}\r\n\r\nx\r\n")


def came(subject):
    for file in (at / "pfmail").rglob("*"):
        if file.is_file() and f"\nSubject: {subject}\n" in file.read_text():
            return "with ESMTPS" in file.read_text()
    return False


def waiting(why):
    """A message waits, and `queue show` tells why."""
    ids = [row["id"] for row in json.loads(ours("queue", "list", "--json"))]
    return any(why in ours("queue", "show", id) for id in ids)


def attempts():
    """How often the message that waits was tried."""
    rows = json.loads(ours("queue", "list", "--json"))
    return max((each["attempts"] for row in rows for each in row["recipients"]), default=0)


def main():
    ours(
        "setup", "--yes", "--hostname", "localhost", "--listen", "127.0.0.1", "--password-stdin",
        "--set", "auth.hash_memory_kib=1024", "--set", "relay.retry_seconds=[1]",
        "--set", 'dns.servers=["127.0.0.53:53"]', "--set", f"relay.authorities={at}/ca.pem",
        "alice@here.test", text="secret\n",
    )
    log = open(at / "serve.log", "w")
    server = subprocess.Popen(
        [postrider, "--root", root, "serve"], stdout=open(at / "serve.out", "w"), stderr=log
    )
    started.append(server)
    until(lambda: "ready" in (at / "serve.out").read_text(), "the server is ready")
    assert ours("mta-sts", "list") == "none\n", "nobody's policy is known"
    assert ours("mta-sts", "remove", "example.net", fails=True)[0] == 67

    names("mx.example.net")
    postfix("mx")
    send("right")
    until(lambda: came("right"), "mail under the policy arrives, under TLS")
    assert asked == [("mta-sts.example.net", "/.well-known/mta-sts.txt")], asked
    [kept] = json.loads(ours("mta-sts", "list", "--json"))
    assert (kept["domain"], kept["mode"], kept["mx"]) == ("example.net", "enforce", ["mx.example.net"])
    assert kept["in_force"] and kept["until"] - kept["fetched"] == 604800, kept
    assert ours("mta-sts", "list").startswith("example.net  enforce  until "), ours("mta-sts", "list")
    assert json.loads(ours("status", "--json"))["mta_sts_policies"] == 1
    assert "MTA-STS policies in force: 1" in ours("status")

    postfix("other")
    send("wrong")
    until(lambda: waiting("MTA-STS: mail for there must not go to mx.example.net"), "it waits")
    until(lambda: attempts() >= 3, "it is tried again")
    assert not came("wrong")
    postfix("mx")
    until(lambda: came("wrong"), "it goes once the certificate is mended")

    # The policy names another server, until it is mended and the old one is forgotten.
    names("elsewhere.example.net")
    ours("mta-sts", "rm", "example.net")
    send("unnamed")
    until(lambda: waiting("MTA-STS: the domain's policy does not name mx.example.net"), "it waits")
    assert not came("unnamed")
    names("*.example.net", "testing")
    ours("mta-sts", "rm", "example.net")
    until(lambda: came("unnamed"), "it goes once the policy is mended")
    assert len(asked) == 3, asked
    server.terminate()
    assert server.wait(20) == 0

    # Without a server it is the store that is asked.
    [kept] = json.loads(ours("mta-sts", "list", "--json"))
    assert kept["mode"] == "testing"
    ours("mta-sts", "rm", "EXAMPLE.net")
    assert json.loads(ours("mta-sts", "list", "--json")) == []


web()
started = [dns()]
try:
    main()
finally:
    run("postfix", "-c", at / "postfix", "stop", fails=True)
    for process in started:
        process.terminate()
