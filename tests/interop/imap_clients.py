"""imapclient, imap-tools and aioimaplib against a running server: CA-FILE IMAPS.

Each makes mail, looks at it in the ways its users do, and checks what comes back."""
import asyncio, datetime, ssl, sys

ca, port = sys.argv[1], int(sys.argv[2])
context = ssl.create_default_context(cafile=ca)
user, secret = "bob@here.test", "secret"
message = b"From: a@x.test\r\nTo: bob@here.test\r\nSubject: Caf\xc3\xa9 %d\r\nDate: Thu, 1 Jan 2026 10:00:00 +0000\r\nMessage-ID: <c%d@x.test>\r\n\r\nbody %d\r\n"


def with_imapclient():
    import imapclient
    with imapclient.IMAPClient("localhost", port=port, ssl_context=context) as client:
        client.login(user, secret)
        assert client.has_capability("QRESYNC") and client.has_capability("SORT")
        assert client.namespace().personal[0][1] == "/"
        client.id_({"name": "test"})
        client.enable("CONDSTORE")
        name = "Entw\u00fcrfe & so"
        client.create_folder(name)
        assert name in [folder for _, _, folder in client.list_folders()]
        when = datetime.datetime(2020, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
        for n in range(5):
            client.append(name, message % (n, n, n), flags=[b"\\Seen"], msg_time=when)
        client.multiappend(name, [message % (n, n, n) for n in (5, 6)])
        info = client.select_folder(name)
        assert info[b"EXISTS"] == 7 and info[b"UIDNEXT"] == 8, info
        assert client.search(["SUBJECT", "CAF\u00c9"], charset="UTF-8") == [1, 2, 3, 4, 5, 6, 7]
        assert client.search(["SUBJECT", "caf\u00e9 3"], "UTF-8") == [4]
        assert client.sort(["REVERSE SUBJECT"]) == [7, 6, 5, 4, 3, 2, 1]
        assert len(client.thread("REFERENCES")) == 7
        got = client.fetch([1, 7], ["ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "FLAGS", "BODY.PEEK[TEXT]"])
        assert got[1][b"INTERNALDATE"].astimezone(datetime.timezone.utc) == when, got[1]
        assert got[1][b"BODY[TEXT]"] == b"body 0\r\n" and got[1][b"FLAGS"] == (b"\\Seen",) + got[1][b"FLAGS"][1:]
        assert got[7][b"ENVELOPE"].message_id == b"<c6@x.test>"
        assert client.add_flags([1, 2], [b"\\Flagged", b"$Forwarded"])[2]
        client.copy([1, 2], "Archive")
        client.move([3], "Trash")
        client.delete_messages([4])
        client.uid_expunge([4])
        assert client.search() == [1, 2, 5, 6, 7]
        assert client.folder_status(name, ["MESSAGES", "UNSEEN", "HIGHESTMODSEQ"])[b"MESSAGES"] == 5
        client.idle()
        client.idle_check(timeout=0.05)
        client.idle_done()
        client.unselect_folder()
        client.rename_folder(name, "Renamed/Deeper")
        assert client.folder_exists("Renamed/Deeper")
        client.delete_folder("Renamed/Deeper")
        client.delete_folder("Renamed")


def with_imap_tools():
    from imap_tools import MailBox, MailMessageFlags, AND
    with MailBox("localhost", port=port, ssl_context=context).login(user, secret) as box:
        box.folder.create("Tools")
        box.append(message % (1, 1, 1), "Tools", flag_set=[MailMessageFlags.SEEN])
        box.append(message % (2, 2, 2), "Tools")
        box.folder.set("Tools")
        assert len(box.numbers()) == 2 and len(box.uids(AND(seen=False))) == 1
        found = list(box.fetch(AND(subject="Caf\u00e9 2"), charset="UTF-8", mark_seen=False))
        assert [m.text.strip() for m in found] == ["body 2"], found
        box.flag(found[0].uid, "$Label", True)
        assert len(box.uids(AND(keyword="$Label"))) == 1
        box.move(found[0].uid, "Archive")
        assert len(box.numbers()) == 1
        box.folder.set("INBOX")
        box.folder.delete("Tools")
        assert not box.folder.exists("Tools")
        assert box.folder.status("INBOX")["UIDNEXT"] > 0


async def with_aioimaplib():
    import aioimaplib
    watcher = aioimaplib.IMAP4_SSL("localhost", port, ssl_context=context)
    writer = aioimaplib.IMAP4_SSL("localhost", port, ssl_context=context)
    for client in (watcher, writer):
        await client.wait_hello_from_server()
        assert (await client.login(user, secret)).result == "OK"
    assert (await watcher.select("INBOX")).result == "OK"
    idle = await watcher.idle_start(timeout=20)
    assert (await writer.append(message % (9, 9, 9), "INBOX", "\\Seen")).result == "OK"
    news = await watcher.wait_server_push(timeout=5)
    assert any(b"EXISTS" in line for line in news), news
    watcher.idle_done()
    await asyncio.wait_for(idle, 5)
    found = await watcher.uid_search("SUBJECT 9")
    uid = found.lines[0].split()[-1].decode()
    assert (await watcher.uid("fetch", uid, "(FLAGS BODY.PEEK[])")).result == "OK"
    assert (await watcher.uid("store", uid, "+FLAGS.SILENT", "(\\Deleted)")).result == "OK"
    assert (await watcher.expunge()).result == "OK"
    for client in (watcher, writer):
        await client.logout()


with_imapclient()
with_imap_tools()
asyncio.run(with_aioimaplib())
