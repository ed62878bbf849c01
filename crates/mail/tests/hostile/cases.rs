//! Messages made to hurt a MIME parser.

/// A name, and what makes a message of about so many octets.
pub type Case = (&'static str, fn(usize) -> Vec<u8>);

fn repeated(head: &str, piece: &str, octets: usize) -> Vec<u8> {
    let mut out = head.as_bytes().to_vec();
    out.extend(piece.as_bytes().iter().copied().cycle().take(octets / piece.len() * piece.len()));
    out
}

fn numbered(head: &str, piece: impl Fn(usize) -> String, octets: usize) -> Vec<u8> {
    let mut out = head.as_bytes().to_vec();
    for n in 0.. {
        if out.len() >= octets {
            break;
        }
        out.extend(piece(n).into_bytes());
    }
    out
}

const MIXED: &str = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";

pub const CASES: [Case; 29] = [
    ("messages within messages", |n| repeated("", "Content-Type: message/rfc822\r\n\r\n", n)),
    ("multiparts within multiparts", |n| {
        let part = |n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
        numbered("", part, n)
    }),
    ("flat parts", |n| repeated(MIXED, "--b\r\n\r\nx\r\n", n)),
    ("multiparts that are never opened", |n| {
        let part = |n| format!("--b\r\nContent-Type: multipart/mixed; boundary=i{n}\r\n\r\n");
        numbered(MIXED, part, n)
    }),
    ("continued parameters", |n| {
        numbered("Content-Type: text/plain", |n| format!(";\r\n name*{n}=x"), n)
    }),
    ("many fields", |n| numbered("", |n| format!("X-{n}: y\r\n"), n)),
    ("many To fields", |n| numbered("", |n| format!("To: a{n}@x.test\r\n"), n)),
    ("many addresses", |n| numbered("Cc: a@x", |n| format!(", a{n}@x.test"), n)),
    ("nested comments", |n| repeated("From: ", "(", n)),
    ("nested groups", |n| repeated("To: ", "g:", n)),
    ("open multiparts and dashes", |n| {
        let open = |n| format!("Content-Type: multipart/mixed; boundary=o{n}\r\n\r\n--o{n}\r\n");
        let mut out: String = (0..60).map(open).collect();
        out.push_str(&"--\r\n".repeat(n / 4));
        out.into_bytes()
    }),
    ("one long field", |n| repeated("Received: ", "x", n)),
    ("many references", |n| numbered("References:", |n| format!(" <{n}@x>\r\n"), n)),
    ("encoded words", |n| repeated("Subject: ", "=?utf-8?q?a?= ", n)),
    ("encoded words that never end", |n| repeated("Subject: ", "=?utf-8?q?a ", n)),
    ("quotes and backslashes", |n| repeated("From: \"", "\\\"", n)),
    ("angles", |n| repeated("From: ", "<", n)),
    ("long boundaries", |n| {
        let boundary = "x".repeat(60_000);
        let head = format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n");
        numbered(&head, |_| format!("--{boundary}\r\n"), n)
    }),
    ("folded blanks", |n| repeated("Subject: a", "\r\n ", n)),
    ("base64 of base64", |n| {
        let head = "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n";
        repeated(head, "QUFB====", n)
    }),
    // Lines of dashes that delimit nothing, however the boundaries of open multiparts are ordered.
    ("dashes with a letter behind", |n| lines(&open(99, |n| format!("o{n:02}")), "--ox\r\n", n)),
    ("dashes, and boundaries that begin each other", |n| {
        let line = format!("--{}x\r\n", "o".repeat(100));
        lines(&open(99, |n| "o".repeat(n + 1)), &line, n)
    }),
    ("dashes, and boundaries that part at each letter", |n| {
        let line = format!("--{}\r\n", "o".repeat(100));
        lines(&open(99, |n| format!("{}p", "o".repeat(n))), &line, n)
    }),
    ("the smallest parts", |n| repeated(MIXED, "--b\n\n", n)),
    ("the smallest messages", |n| repeated(DIGEST, "--b\n\n\n", n)),
    ("addresses of messages", |n| {
        let message = format!("--b\n\nTo: {}\n\n", "a,".repeat(5_000));
        lines(DIGEST, &message, n)
    }),
    ("parameters and languages of parts", |n| {
        let parameters = ";a=1".repeat(128);
        let languages = "a,".repeat(32);
        let part = format!(
            "--b\nContent-Type: a/b{parameters}\nContent-Disposition: a{parameters}\n\
             Content-Language: {languages}\n\n"
        );
        lines(MIXED, &part, n)
    }),
    ("octets that are no text", |n| [b"\r\n".as_slice(), &vec![0x80; n]].concat()),
    ("fields of messages", |n| {
        let long = "x".repeat(3_000);
        let message = format!("--b\n\nSubject: {long}\nDate: {long}\nMessage-ID: {long}\n\n");
        lines(DIGEST, &message, n)
    }),
];

const DIGEST: &str = "Content-Type: multipart/digest; boundary=b\r\n\r\n";

/// Multiparts within each other, each with its boundary.
fn open(count: usize, boundary: impl Fn(usize) -> String) -> String {
    let head = |b: String| format!("Content-Type: multipart/mixed; boundary={b}\r\n\r\n--{b}\r\n");
    let heads: String = (0..count).map(boundary).map(head).collect();
    heads + "\r\n"
}

/// Whole pieces behind a head, as many as there is room for, or one.
fn lines(head: &str, piece: &str, octets: usize) -> Vec<u8> {
    (head.to_owned() + &piece.repeat((octets / piece.len()).max(1))).into_bytes()
}
