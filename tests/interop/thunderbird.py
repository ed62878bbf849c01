"""Thunderbird without a window, driven over Marionette: CA-FILE IMAPS WORK-FOLDER.

An account is set up, synchronised, a message marked read and another moved; then the server is asked."""
import imaplib, json, os, pathlib, signal, socket, ssl, subprocess, sys, time

ca, port, work = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
user, secret, marionette = "tina@here.test", "secret", port - 1
profile = work / "thunderbird"
profile.mkdir()
prefs = {"marionette.port": marionette, "mail.rights.version": 1, "mailnews.start_page.enabled": False,
         "datareporting.policy.dataSubmissionEnabled": False, "app.update.enabled": False, "mail.provider.suppress_dialog_on_startup": True,
         "toolkit.telemetry.enabled": False, "network.captive-portal-service.enabled": False,
         "network.connectivity-service.enabled": False, "services.settings.server": "", "mail.spotlight.firstRunDone": True,
         "extensions.getAddons.cache.enabled": False, "mail.shell.checkDefaultClient": False}
(profile / "user.js").write_text("".join(f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in prefs.items()))


def imap():
    client = imaplib.IMAP4_SSL("localhost", port, ssl_context=ssl.create_default_context(cafile=ca))
    client.login(user, secret)
    return client


server = imap()
for n in range(20):
    text = f"From: Ann <a@x.test>\r\nTo: {user}\r\nSubject: bird {n}\r\nDate: Thu, 1 Jan 2026 10:00:{n:02} +0000\r\n" \
           f"Message-ID: <bird{n}@x.test>\r\n\r\nbody {n}\r\n"
    assert server.append("INBOX", None, None, text.encode())[0] == "OK"


class Marionette:
    """The remote protocol: JSON lists behind their lengths."""

    def __init__(self, process):
        for _ in range(600):
            try:
                self.sock = socket.create_connection(("127.0.0.1", marionette))
                break
            except OSError:
                assert process.poll() is None, "Thunderbird ended"
                time.sleep(0.1)
        self.sock.settimeout(90)
        self.buffer, self.count = b"", 0
        self.receive()
        self.ask("WebDriver:NewSession", {})
        self.ask("Marionette:SetContext", {"value": "chrome"})
        self.ask("WebDriver:SetTimeouts", {"script": 80_000})

    def receive(self):
        while b":" not in self.buffer:
            self.more()
        length, _, self.buffer = self.buffer.partition(b":")
        while len(self.buffer) < int(length):
            self.more()
        text, self.buffer = self.buffer[:int(length)], self.buffer[int(length):]
        return json.loads(text)

    def more(self):
        octets = self.sock.recv(1 << 16)
        assert octets, "Thunderbird hung up"
        self.buffer += octets

    def ask(self, name, arguments):
        self.count += 1
        text = json.dumps([0, self.count, name, arguments]).encode()
        self.sock.sendall(b"%d:%s" % (len(text), text))
        _, _, error, result = self.receive()
        assert error is None, error
        return result

    def run(self, script, *arguments):
        """The value of an async function's body."""
        body = "const [...given] = arguments; const done = given.pop(); (async () => {" + COMMON + script + \
            "})().then((value) => done({value}), (error) => done({error: String(error) + (error.stack || '')}));"
        found = self.ask("WebDriver:ExecuteAsyncScript", {"script": body, "args": list(arguments)})["value"]
        assert "error" not in found, found["error"]
        return found.get("value")


COMMON = """
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const sleep = (ms) => new Promise((go) => window.setTimeout(go, ms));
const until = async (what, test) => {
  for (let n = 0; n < 600; n++) { const found = await test(); if (found) return found; await sleep(100); }
  throw new Error("waited in vain for " + what);
};
const root = () => MailServices.accounts.accounts.map((a) => a.incomingServer).find((s) => s.type === "imap").rootFolder;
const inbox = () => root().getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
const headers = (folder) => [...folder.messages];
"""
SETUP = """
const [user, secret, port, certificate] = given;
const cert = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).constructX509FromBase64(certificate);
Cc["@mozilla.org/security/certoverride;1"].getService(Ci.nsICertOverrideService)
  .rememberValidityOverride("localhost", port, {}, cert, false);
const server = MailServices.accounts.createIncomingServer(user, "localhost", "imap");
server.port = port;
server.socketType = 3;      // SSL
server.authMethod = 3;      // a password
server.password = secret;
const identity = MailServices.accounts.createIdentity();
identity.email = user;
const account = MailServices.accounts.createAccount();
account.incomingServer = server;
account.addIdentity(identity);
server.valid = true;
server.performExpand(null);
await until("the INBOX", () => inbox());
inbox().updateFolder(null);
await until("the messages", () => { inbox().updateFolder(null); return headers(inbox()).length === 20; });
const names = () => root().subFolders.map((folder) => folder.name).sort();
await until("the other mailboxes", () => ["Archive", "Drafts", "Sent", "Trash"].every((name) => names().includes(name)));
return names();
"""
CHANGE = """
const named = (subject) => headers(inbox()).find((header) => header.subject === subject);
inbox().markMessagesRead([named("bird 3")], true);
inbox().markMessagesFlagged([named("bird 4")], true);
const archive = root().subFolders.find((folder) => folder.name.startsWith("Archive"));
MailServices.copy.copyMessages(inbox(), [named("bird 5")], archive, true, null, null, false);
await until("the move", () => !named("bird 5"));
return headers(inbox()).length;
"""

environment = dict(os.environ, HOME=str(work), MOZ_HEADLESS="1")
process = subprocess.Popen(["thunderbird", "--headless", "--marionette", "--remote-allow-system-access", "--no-remote",
                            "--profile", str(profile)], env=environment, stdout=subprocess.DEVNULL,
                           stderr=open(work / "thunderbird.log", "w"), start_new_session=True)
try:
    bird = Marionette(process)
    certificate = "".join(line for line in open(ca).read().split("-----END")[0].splitlines() if "-----" not in line)
    print(bird.run(SETUP, user, secret, port, certificate))
    assert bird.run(CHANGE) == 19
    for _ in range(100):
        server.select("INBOX")
        seen, flagged = (server.search(None, key)[1][0].split() for key in ("SEEN", "FLAGGED"))
        server.select("Archive")
        archived = server.search(None, "SUBJECT", "bird")[1][0].split()
        if len(seen) == 1 and len(flagged) == 1 and len(archived) == 1:
            break
        time.sleep(0.1)
    assert len(seen) == 1 and len(flagged) == 1 and len(archived) == 1, (seen, flagged, archived)
    # New mail is there without asking: it idles.
    server.append("INBOX", None, None, b"Subject: bird news\r\n\r\nx\r\n")
    bird.run('await until("the news", () => headers(inbox()).some((header) => header.subject === "bird news"));')
finally:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
