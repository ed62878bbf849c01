"""The same commands to two IMAP servers; every difference must be explained.

BINARY ROOT IMAPS-PORT CA-FILE FOLDER [SEEDS [FIRST-SEED [KIND …]]]: a running Postrider, and a folder for Dovecot.
SHOW=class prints the differences of one class, SHOW=all an example of each."""
import collections, os, random, sys, time

from explained import explain
from generate import KINDS
from peers import Session, dovecot, postrider

# When news is told is a server's choice, but a NOOP has it told.
MORE = dict.fromkeys(["change", "resync", "sync", "idle"], b"NOOP")


def play(peer, account, steps, more):
    """The answers of one server to the steps of an episode."""
    sessions, answers = {}, []
    for at, text in steps:
        if at not in sessions or sessions[at].over:
            sessions[at] = Session(peer, account)
        if text.startswith(b"\1"):
            answers.append(sessions[at].idle() if text.endswith(b"IDLE") else sessions[at].done(more))
        elif text.startswith(b"\0"):
            answers.append(sessions[at].wild(text[1:]))
        else:
            answers.append(sessions[at].ask(text, more))
    for session in sessions.values():
        session.close()
    return answers


def prepared(peer, account):
    """A new account has INBOX only."""
    session = Session(peer, account)
    for parts in session.ask(b'LIST "" *').data:
        if parts[3] != b"INBOX":
            session.ask(b'DELETE "' + parts[3] + b'"')
    for parts in session.ask(b'LSUB "" *').data:
        session.ask(b'UNSUBSCRIBE "' + parts[3] + b'"')
    session.close()


def main():
    binary, root, port, ca, folder = sys.argv[1:6]
    seeds = int(sys.argv[6]) if len(sys.argv) > 6 else 3
    first = int(sys.argv[7]) if len(sys.argv) > 7 else 1
    kinds = sys.argv[8:] or list(KINDS)
    prefix = "d%d" % int(time.time() % 1e6)
    ours, theirs = postrider(binary, root, int(port), ca, prefix), dovecot(folder, prefix)
    classes, commands = collections.Counter(), 0
    examples, unexplained = {}, []
    for seed in range(first, first + seeds):
        for kind in kinds:
            steps = KINDS[kind](random.Random(f"{kind} {seed}"))
            account = f"{kind}{seed}"
            for peer in (ours, theirs):
                prepared(peer, account)
            mine, other = (play(peer, account, steps, MORE.get(kind, b"")) for peer in (ours, theirs))
            for (at, text), a, b in zip(steps, mine, other):
                commands += 1
                found = explain(kind, text, a, b)
                if found is None:
                    continue
                if found:
                    classes[found] += 1
                    examples.setdefault(found, []).append((kind, seed, at, text, a, b))
                    if found.startswith("stop"):
                        break
                else:
                    unexplained.append((kind, seed, at, text, a, b))
                    if os.environ.get("HISTORY"):
                        history(steps, mine, other, (at, text))
                    if kind != "wild":
                        break
    show = os.environ.get("SHOW")
    for name, count in sorted(classes.items()):
        print(f"{name}: {count}")
        if show in ("all", name):
            for one in examples[name][:1 if show == "all" else 20]:
                tell(*one)
    for one in unexplained[:int(os.environ.get("MOST", 15))]:
        print("UNEXPLAINED")
        tell(*one)
    print(f"{commands} commands, {sum(classes.values())} differences explained, {len(unexplained)} not")
    sys.exit(1 if unexplained else 0)


def history(steps, mine, other, last):
    """What came before a difference."""
    for step, a, b in zip(steps, mine, other):
        print(f"{step[0]} {step[1][:150]!r}\n    {a.raw!r:.400}\n    {b.raw!r:.400}")
        if step is last or step == last and a is not None and a.whole() != b.whole():
            return


def tell(kind, seed, at, text, a, b):
    print(f"  {kind} seed {seed}, session {at}: {text[:300]!r}")
    for name, one in (("ours  ", a), ("theirs", b)):
        if isinstance(one, tuple):
            print(f"    {name} {one[0]} {one[1]!r:.600}")
        else:
            other = b if one is a else a
            print(f"    {name} {one.status} {one.code}")
            for data in one.data:
                if data not in other.data:
                    print(f"           {data!r:.500}")
            print(f"           last: {one.raw[-1]!r:.200}")


main()
