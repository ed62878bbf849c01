"""The messages of the comparison: valid, of every shape. (Odd ones are in interop/mime_corpus.py.)"""


def text(subject, **fields):
    body = fields.pop("body", b"hello\r\n")
    head = {"Date": b"Mon, 7 Feb 1994 21:52:25 -0800 (PST)", "From": b"Fred Foobar <foobar@blurdybloop.test>",
            "To": b"mooch@owatagu.test", "Message-Id": b"<%s@x.test>" % subject.replace(b" ", b".").lower()}
    head["Subject"] = subject
    for name, value in fields.items():
        head[name.replace("_", "-")] = value
    lines = [name.encode() + b": " + value for name, value in head.items() if value is not None]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def mime(subject, kind, body, **fields):
    return text(subject, MIME_Version=b"1.0", Content_Type=kind, body=body, **fields)


LEAF = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=C3=A9 au lait=20\r\n"
HTML = b"Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<p>na\xefve <b>words</b></p>\r\n"
PICTURE = (b"Content-Type: image/png; name=\"dot.png\"\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <dot@x>\r\n"
           b"Content-Description: a dot\r\nContent-Disposition: attachment; filename=\"dot.png\"\r\n"
           b"Content-Language: en\r\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\n\r\n"
           b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB\r\nCAYAAAAfFcSJAAAADUlEQVR42mNk\r\n")


def parts(boundary, *each):
    out = b"preamble\r\n"
    for one in each:
        out += b"--" + boundary + b"\r\n" + one + b"\r\n"
    return out + b"--" + boundary + b"--\r\nepilogue\r\n"


ALTERNATIVE = b"Content-Type: multipart/alternative; boundary=in\r\n\r\n" + parts(b"in", LEAF, HTML)
INNER = text(b"the inner one", Cc=b"cc@inner.test", body=b"inner body\r\n")
INNER_MIXED = mime(b"inner mixed", b"multipart/mixed; boundary=deep", parts(b"deep", LEAF, PICTURE))
FORWARD = b"Content-Type: message/rfc822\r\nContent-Description: forwarded\r\n\r\n"

MESSAGES = [
    text(b"plain", body=b"hello Joe, do you think we can meet at 3:30 tomorrow?\r\n"),
    text(b"Re: plain", In_Reply_To=b"<plain@x.test>", Date=b"Tue, 8 Feb 1994 21:52:25 +0100"),
    text(b"[list] Re: plain (fwd)", References=b"<plain@x.test> <re:.plain@x.test>", From=b"ann@alpha.test"),
    text(b"second thread", Cc=b"\"Lee, Ann\" <lee@z.test>, bob@y.test", Bcc=b"hidden@q.test", Date=b"Sat, 1 Jan 2000 00:00:00 +0000"),
    text(b"answer to nobody", References=b"<absent@x.test>", Date=b"Fri, 31 Dec 1999 23:30:00 -0500"),
    text(b"another answer", References=b"<absent@x.test>", Date=b"1 Mar 2001 10:00 +0000"),
    text(b"empty body", body=b""),
    text(b"no newline at the end", body=b"last line without end"),
    text(b"=?utf-8?q?caf=C3=A9?= =?iso-8859-1?q?_cr=E8me?=", From=b"=?utf-8?b?SsO2cmc=?= <joerg@x.test>"),
    text(b"folded\r\n subject line", To=b"a@x.test,\r\n b@x.test", X_Custom=b"one", Keywords=b"k1, k2"),
    text(b"group", To=b"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;", Reply_To=b"reply@x.test", Sender=b"sender@x.test"),
    text(b"long", body=b"0123456789 abcdefghij\r\n" * 200),
    mime(b"alternative", b"multipart/alternative; boundary=in", parts(b"in", LEAF, HTML)),
    mime(b"mixed", b"multipart/mixed; boundary=\"out er\"", parts(b"out er", ALTERNATIVE, PICTURE, LEAF)),
    mime(b"forward", b"multipart/mixed; boundary=out", parts(b"out", LEAF, FORWARD + INNER, FORWARD + INNER_MIXED)),
    mime(b"only a message", b"message/rfc822", INNER_MIXED),
    mime(b"only a picture", b"image/gif", b"R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7\r\n", Content_Transfer_Encoding=b"base64"),
    mime(b"digest", b"multipart/digest; boundary=dig", parts(b"dig", b"\r\n" + INNER, b"\r\n" + text(b"digested two"))),
    mime(b"latin1 body", b"text/plain; charset=iso-8859-1", b"gr\xfc\xdfe aus M\xfcnchen\r\n", Content_Transfer_Encoding=b"8bit"),
    mime(b"base64 text", b"text/plain; charset=utf-8", b"U2VjcmV0IHdvcmRzIGluIGEgYm9keTog4oKsCg==\r\n", Content_Transfer_Encoding=b"base64"),
    text(b"plain", **{"Message_Id": b"<plain2@x.test>", "Message-Id": None, "Date": b"Thu, 10 Feb 1994 08:00:00 -0800"}),
    text(b"zebra", From=b"Zoe <zoe@a.test>", To=None),
    text(b"Apple", From=b"aaron@a.test", To=b"zed@x.test, abe@x.test", **{"Message_ID": None}),
    text(b"10 things", Date=b"Mon, 7 Feb 1994 21:52:25 -0900", Importance=b"high"),
]
DATES = [b"\"17-Jul-1996 02:44:25 -0700\"", b"\" 1-Jan-2000 00:00:00 +0000\"", b"\"31-Dec-1999 23:59:59 +0000\"",
         b"\"01-Feb-1994 23:00:00 -0500\"", b"\"29-Feb-2024 12:00:00 +1300\""]


def append(mailbox, number, flags=b"", dated=True):
    message = MESSAGES[number]
    words = [b"APPEND", mailbox]
    if flags:
        words.append(b"(" + flags + b")")
    if dated:
        words.append(DATES[number % len(DATES)])
    return b" ".join(words) + b" {%d+}\r\n" % len(message) + message
