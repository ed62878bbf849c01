//! The checks of the fuzz targets, on what the clients of all transcripts say and on mutations
//! of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../fuzz/src/lib.rs"]
mod checks;
#[path = "../../../fuzz/src/exchange.rs"]
mod exchange;

#[path = "../../../fuzz/src/speaking.rs"]
mod speaking;

use sim::script::{Captures, Line, Script, expand, expand_raw};
use sim::world::SimRandom;
use std::path::Path;
use sys::random::Random;

/// Mutations of each seed.
const MUTATIONS: u32 = 6;

/// What the clients say in the transcripts of a folder.
fn seeds(folder: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(folder);
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let script = Script::parse(&text).unwrap();
        let mut said = Vec::new();
        for (_, line) in script.lines {
            match line {
                Line::Says(who, text) if who.starts_with('C') => {
                    said.extend(expand(&text, &Captures::new()));
                    said.extend_from_slice(b"\r\n");
                }
                Line::Sends(_, text) => said.extend(expand_raw(&text, &Captures::new())),
                _ => {}
            }
        }
        said.truncate(8000);
        seeds.push(said);
    }
    seeds
}

/// Octets changed, taken away, doubled, and what attackers like put in.
fn mutate(seed: &[u8], random: &SimRandom) -> Vec<u8> {
    const ODD: [&[u8]; 19] = [
        b"\r",
        b"\n",
        b"\0",
        b"\r\n.\r\n",
        b"\r\n",
        b".",
        b"<",
        b"\xff",
        b"BDAT 5\r\n",
        b"*\r\n",
        b"{3}\r\n",
        b"{4+}\r\n",
        b"\"",
        b"(",
        b")",
        b"\\",
        b"&",
        b"\r\n--b\r\n",
        b"=?",
    ];
    let mut octets = seed.to_vec();
    for _ in 0..=random.u32() % 4 {
        let at = random.u32() as usize % (octets.len() + 1);
        let to = (at + random.u32() as usize % 20).min(octets.len());
        match random.u32() % 4 {
            0 => drop(octets.drain(at..to)),
            1 => {
                let odd = ODD[random.u32() as usize % ODD.len()];
                octets.splice(at..at, odd.iter().copied());
            }
            2 => {
                let again: Vec<u8> = octets[at..to].to_vec();
                octets.splice(at..at, again);
            }
            _ => {
                if let Some(octet) = octets.get_mut(at) {
                    *octet = random.u32() as u8;
                }
            }
        }
    }
    octets
}

fn replay(seeds: &[Vec<u8>], check: impl Fn(&[u8])) {
    replay_times(seeds, MUTATIONS, check);
}

fn replay_times(seeds: &[Vec<u8>], mutations: u32, check: impl Fn(&[u8])) {
    let random = SimRandom::new(42);
    for seed in seeds {
        check(seed);
        for _ in 0..mutations {
            check(&mutate(seed, &random));
        }
    }
}

#[test]
fn smtp_sessions() {
    for kind in [0, 1, 2, 6, 7] {
        replay(&seeds("smtp"), |octets| checks::smtp_session(&[&[kind], octets].concat()));
    }
}

#[test]
fn smtp_data_and_commands() {
    let seeds = seeds("smtp");
    replay(&seeds, checks::smtp_data);
    let lines = |octets: &[u8]| octets.split(|b| *b == b'\n').for_each(checks::smtp_command);
    replay(&seeds, lines);
}

#[test]
fn pop3_sessions() {
    replay(&seeds("pop3"), checks::pop3_session);
}

#[test]
fn sasl_messages() {
    replay(&seeds("smtp"), checks::sasl);
    let messages: [&[u8]; 4] = [
        b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        b"p=tls-exporter,a=user,n=user,r=x",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDp,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"\0tim\0tanstaaftanstaaf",
    ];
    let messages: Vec<Vec<u8>> = messages.map(<[u8]>::to_vec).into();
    replay_times(&messages, 100, checks::sasl);
}

/// A line that is too long is refused in one piece as it is octet by octet.
#[test]
fn imap_lines_about_the_limit() {
    for octets in [16 * 1024 - 2, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 17_000] {
        let line = [&vec![b'a'; octets], b"\r\nb NOOP\r\n".as_slice()].concat();
        checks::imap::session(&[&[0], line.as_slice()].concat());
    }
    for octets in [62, 63, 64, 65, 66, 200] {
        let idle = [b"i IDLE\r\n".as_slice(), &vec![b'D'; octets], b"\r\nb NOOP\r\n"].concat();
        checks::imap::session(&[&[12], idle.as_slice()].concat());
    }
}

#[test]
fn imap_sessions() {
    let seeds = seeds("imap");
    for kind in [0, 3, 7, 11] {
        replay(&seeds, |octets| checks::imap::session(&[&[kind], octets].concat()));
    }
}

#[test]
fn imap_commands_strings_and_names() {
    let seeds = seeds("imap");
    let commands = |octets: &[u8]| {
        for line in octets.split(|b| *b == b'\n') {
            let space = line.iter().position(|b| *b == b' ').map_or(0, |at| at + 1);
            checks::imap::command(&line[space..]);
            checks::imap::response(line);
            checks::imap::mutf7(line);
        }
        checks::imap::command(octets);
        checks::imap::response(octets);
    };
    replay(&seeds, commands);
    let names = ["~peter/mail/&U,BTFw-/&ZeVnLIqe-", "Entw\u{fc}rfe", "a&b\u{1f600}", "&-&AOk-", ""];
    let names: Vec<Vec<u8>> = names.map(|name| name.as_bytes().to_vec()).into();
    replay_times(&names, 1000, checks::imap::mutf7);
}

/// Messages with what the grammar of MIME has.
const MESSAGES: [&[u8]; 4] = [
    b"From: \"A \\\"q\" <a@x.test>, team: b@x.test, c;\r\nTo: undisclosed-recipients:;\r\n\
      Subject: h\xc3\xa9 =?utf-8?q?w=C3=B6rld?=\r\n folded\r\nDate: 1 Jan 2026 00:00:00 +0000\r\n\
      Message-ID: <1@x.test>\r\nIn-Reply-To: <0@x.test>\r\nReferences: <0@x.test>\r\n\
      Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n\r\nhi\r\n--b\r\n\
      Content-Type: image/png; name*0=x; name*1=y\r\nContent-ID: <i@x>\r\n\
      Content-Transfer-Encoding: base64\r\nContent-Language: en, de\r\n\
      Content-Disposition: attachment; filename=\"x \xff.png\"\r\n\r\nAAAA\r\n--b--\r\nepilogue\r\n",
    b"Content-Type: multipart/digest; boundary=\"a b\"\r\n\r\n--a b\r\n\r\n\
      From: x\r\n\
      Content-Type: text/html; charset=iso-8859-1\r\n\
      Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>=E9=\r\n x</p>\r\n--a b\r\n\
      Content-Type: message/rfc822\r\n\r\nFrom: <@>\r\n\r\n\r\n--a b--",
    b"Content-Type: message/rfc822\r\nContent-MD5: x==\r\nContent-Location: http://x\r\n\r\n\
      Content-Type: multipart/alternative; boundary=b\r\nSender: \r\n\r\n--b\r\n\
      Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\n--b--\r\n",
    b"no header here\r\n\r\nbody\0\r\n",
];

#[test]
fn messages_are_taken_apart_and_told() {
    let seeds: Vec<Vec<u8>> = MESSAGES.map(<[u8]>::to_vec).into();
    replay_times(&seeds, 500, checks::imap::message);
    replay_times(&seeds, 500, checks::judge::tokens);
}

/// The odd messages of tests/interop/mime_corpus.py, the short ones.
#[test]
fn odd_messages_are_taken_apart_and_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/mime");
    let files = std::fs::read_dir(folder).unwrap();
    let seeds: Vec<_> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(seeds.len() > 80);
    replay(&seeds, checks::imap::message);
    replay(&seeds, checks::judge::tokens);
}

/// Good beginnings of every mechanism, and noise.
#[test]
fn sasl_exchanges() {
    let messages: [&[u8]; 5] = [
        b"\nn,,n=alice,r=x\nc=biws,r=x,p=AAAA\n",
        b"p=tls-exporter,,n=alice@example.org,r=x\nc=biws,r=x,p=AAAA\n",
        b"\0alice\0secret\n",
        b"\nalice\nsecret\n",
        b"n,a=alice@example.org,\x01auth=Bearer x.y.z\x01\x01\n\x01\n",
    ];
    let seeds: Vec<Vec<u8>> =
        (0..12).flat_map(|kind| messages.map(|message| [&[kind], message].concat())).collect();
    replay_times(&seeds, 20, exchange::exchange);
}

/// Reports as senders write them: fuzz/corpus/report.
#[test]
fn reports_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/report");
    let files = std::fs::read_dir(folder).unwrap();
    let seeds: Vec<_> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(seeds.iter().filter(|seed| checks::judge::reads(seed)).count() >= 4);
    replay_times(&seeds, 2000, checks::judge::report);
}

#[test]
fn imap_urls() {
    let urls = [
        "imap://joe@example.com/INBOX/;uid=20/;section=1.2;urlauth=submit+fred:internal:\
         91354a473744909de610943775f92038",
        "/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER.FIELDS%20(To)/;PARTIAL=0.10",
        "imap://a%40b;AUTH=*@h:1/x%2F/;UID=1;EXPIRE=1985-04-12T23:20:50.52Z;URLAUTH=anonymous",
    ];
    let urls: Vec<Vec<u8>> = urls.map(|url| url.as_bytes().to_vec()).into();
    replay_times(&urls, 3000, checks::imap::url);
}

/// Records and messages by which strangers prove who they are.
#[test]
fn who_is_speaking() {
    let records: [&[u8]; 5] = [
        b"v=spf1 a:%{ir}.%{v}._spf.%{d2}/24//64 mx ptr:b.example ip4:192.0.2.0/24 ~exists:%{l1r-}.x.test exp=e.%{d}",
        b"v=spf1 ip6:2001:db8::/32 include:_spf.x.test redirect=%{d} moo=%{s}%%%_%-",
        b"v=DMARC1; p=reject; sp=quarantine; np=none; adkim=s; aspf=r; psd=n; t=y; rua=mailto:a@x.test!10m",
        b"v=DKIM1; k=ed25519; h=sha256; s=email; t=y:s; n=x; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        b"k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR",
    ];
    let records: Vec<Vec<u8>> = records.map(<[u8]>::to_vec).into();
    replay_times(&records, 3000, speaking::record);
    let example = include_str!("../../policy/src/dkim/rfc8463.eml").replace('\n', "\r\n");
    let forged = "Authentication-Results : (x) \"mail.example.org\" 1; spf=pass\r\n\t(y)\r\n";
    let messages =
        [example.clone(), format!("{forged}{example}"), format!("{forged}From: a@x.test")];
    let messages: Vec<Vec<u8>> = messages.map(String::into_bytes).into();
    replay_times(&messages, 1000, speaking::message);
}
