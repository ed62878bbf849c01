"""Two servers, the same accounts, the same commands."""
import os, pathlib, subprocess, sys, threading

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "interop"))
from imap_raw import Imap, parsed
from normal import Answer


class Peer:
    """A server: `connect(account)` opens a logged-in connection."""

    def __init__(self, name, connect):
        self.name, self.connect = name, connect


class Session:
    """One connection of an account. A command is octets, with LITERAL+ where it has literals."""

    def __init__(self, peer, account):
        self.peer, self.account, self.count, self.over = peer, account, 0, False
        self.imap = peer.connect(account)
        self.known = {b"$m%d$" % n: 1 for n in range(1, 4)} | {b"$highest$": 1, b"$validity$": 1}

    def send(self, octets):
        try:
            self.imap.write(octets)
        except OSError:
            self.over = True

    def until(self, tag):
        """All responses up to that of the tag, or the end of the connection."""
        found = []
        while True:
            try:
                parts = self.imap.line()
            except (EOFError, OSError):
                found.append([b"* BYE"])
                self.over = True
                return found
            found.append(parts)
            if parts[0].startswith(tag + b" ") or parts[0].startswith(tag + b"\r"):
                return found

    def ask(self, text, more=b""):
        """`more` is a second command, to which only untagged responses are looked at."""
        self.count += 1
        tag = b"t%d" % self.count
        for name, value in self.known.items():
            text = text.replace(name, b"%d" % value)
        self.send(tag + b" " + text + b"\r\n")
        found = self.until(tag)
        if more and not self.over:
            self.send(b"more " + more + b"\r\n")
            found += self.until(b"more")[:-1]
        answer = Answer(tag, found, parsed)
        if b"(UID FLAGS MODSEQ)" in text or b"(UID MODSEQ)" in text:
            for number, modseq in answer.modseqs.items():
                self.known[b"$m%d$" % number] = modseq
        if answer.highest and text.startswith((b"SELECT", b"EXAMINE")):
            self.known[b"$highest$"] = answer.highest
        for parts in answer.raw:
            if b"[UIDVALIDITY " in parts[0]:
                self.known[b"$validity$"] = int(parts[0].split(b"[UIDVALIDITY ")[1].split(b"]")[0])
        return answer

    def idle(self):
        """IDLE, up to where the server says that it idles."""
        self.send(b"idle IDLE\r\n")
        found = self.until(b"+")
        return Answer(b"+", found[:-1] + [[b"+ OK"]], parsed)

    def done(self, more):
        """The end of IDLE; what was told meanwhile, or by the command behind it."""
        self.send(b"DONE\r\n")
        found = self.until(b"idle")
        self.send(b"more " + more + b"\r\n")
        return Answer(b"idle", found + self.until(b"more")[:-1], parsed)

    def wild(self, octets):
        """Octets that may be no command at all: whatever is said to them. `x1` is their tag.

        The NOOPs behind them feed what may wait for more, and show that the connection is kept."""
        self.count += 1
        tag = b"sync%d" % self.count
        self.send(octets + b"\r\n" + b"".join(b"%s%s NOOP\r\n" % (tag, n) for n in (b"a", b"b", b"")))
        hangs = threading.Timer(5, self.imap.close)
        hangs.start()
        found = self.until(tag)
        hangs.cancel()
        ours = [one for one in found if one[0].startswith(b"x1 ") or one[0].startswith(b"* BAD")]
        status = ours[0][0].split(b" ")[1].decode() if ours else "NONE"
        if self.over:
            status += " BYE"
        elif not found[-1][0].startswith(tag + b" OK"):
            status += " then " + found[-1][0].decode("latin-1").split(" ")[1]
        return status, found

    def close(self):
        try:
            self.send(b"bye LOGOUT\r\n")
            self.until(b"bye")
        except OSError:
            pass
        self.imap.stream.close()


DOVECOT = """mail_location = sdbox:{home}/%u
log_path = {home}/log
base_dir = {home}/run
state_dir = {home}/run
ssl = no
mail_uid = {owner}
mail_gid = {group}
first_valid_uid = 1
first_valid_gid = 1
default_internal_user = {owner}
default_login_user = {owner}
default_internal_group = {group}
mail_attribute_dict = file:{home}/%u-attributes
namespace inbox {{
  inbox = yes
  separator = /
  prefix =
}}
protocol imap {{
  imap_metadata = yes
  imap_max_line_length = 1M
}}
"""


def dovecot(home, prefix):
    """Dovecot's imap over a pipe, one process for each connection."""
    home = pathlib.Path(home)
    (home / "run").mkdir(parents=True, exist_ok=True)
    root = os.geteuid() == 0
    owner, group = ("nobody", "nogroup") if root else (subprocess.getoutput("id -un"), subprocess.getoutput("id -gn"))
    (home / "conf").write_text(DOVECOT.format(home=home, owner=owner, group=group))
    before = []
    if root:
        before = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
        subprocess.run(["chown", "-R", "nobody:nogroup", str(home)], check=True)

    def connect(account):
        env = ["env", f"USER={prefix}{account}", f"HOME={home}"]
        return Imap.program(before + env + ["/usr/lib/dovecot/imap", "-c", str(home / "conf")],
                            stderr=subprocess.DEVNULL)
    return Peer("Dovecot", connect)


def postrider(binary, root, port, ca, prefix):
    """A running server; an account is made when it is first asked for."""
    made = set()

    def connect(account):
        if account not in made:
            made.add(account)
            subprocess.run([binary, "--root", root, "account", "add", f"{prefix}{account}@here.test",
                            "--password-stdin"], input=b"secret", stdout=subprocess.DEVNULL, check=True)
        imap = Imap.tls(port, ca)
        imap.command(b"LOGIN %s%s@here.test secret" % (prefix.encode(), account.encode()))
        return imap
    return Peer("Postrider", connect)
