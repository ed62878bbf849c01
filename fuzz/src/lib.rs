//! What must hold of any octets: nothing panics, and any split gives the same steps.
//!
//! The fuzz targets call these; `crates/sim/tests/fuzz.rs` calls them in plain `cargo test` with what
//! the clients of all transcripts say, and with mutations of it.

pub mod imap;
pub mod judge;
mod reference;

use protocol::line::{Input, Line};
use protocol::machine::{Machine, Security, Step};
use protocol::pop3;
use protocol::sasl::{self, Client, Offered, bearer, plain, scram};
use protocol::smtp::Command;
use protocol::smtp::body::{Bare, DataReader};
use protocol::smtp::{reply, server as smtp};
use reference::reference;
use std::fmt::Debug;

/// What a machine did: what it said, asked and took, in the order of each.
#[derive(Default, PartialEq, Eq)]
struct Done {
    said: Vec<u8>,
    asked: Vec<String>,
    taken: Vec<u8>,
    ended: bool,
    /// TLS was to begin, and more in clear was still to come.
    clear_behind_tls: bool,
}

impl Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Done { said, asked, taken, ended, .. } = self;
        let (said, taken) = (said.escape_ascii(), taken.escape_ascii());
        write!(f, "said {said}\nasked {asked:?}\ntaken {taken}, ended {ended}")
    }
}

fn run<M: Machine>(
    mut machine: M,
    octets: &[u8],
    split: usize,
    answer: impl Fn(&M::Question) -> M::Answer,
) -> Done
where
    M::Question: Debug,
{
    let mut done = Done::default();
    let mut current = Vec::new();
    let mut received = 0;
    for piece in octets.chunks(split.max(1)) {
        machine.receive(piece);
        received += piece.len();
        loop {
            match machine.next() {
                Step::Ask(question) => {
                    let asked = format!("{question:?}");
                    match asked.as_str() {
                        // How much of a refused message was handed on is nobody's business.
                        aborts if aborts.starts_with("Abort") => current.clear(),
                        ends if ends == "End" || ends.starts_with("AppendEnd") => {
                            done.taken.append(&mut current);
                        }
                        _ => {}
                    }
                    done.asked.push(asked);
                    machine.answer(answer(&question));
                }
                Step::Body(octets) => current.extend(octets),
                Step::Read => break,
                Step::Flush => {}
                step @ (Step::StartTls | Step::Deflate | Step::EndDeflate | Step::Close) => {
                    let starts = matches!(step, Step::StartTls);
                    done.clear_behind_tls = starts && received < octets.len();
                    done.ended = true;
                    done.said.append(machine.output());
                    return done;
                }
            }
        }
    }
    done.said.append(machine.output());
    done
}

fn same_in_any_split(octets: &[u8], run: impl Fn(usize) -> Done) {
    let whole = run(octets.len());
    for split in [1, 2, 7] {
        let done = run(split);
        if done.clear_behind_tls {
            // What came together with STARTTLS is refused instead: security.md SM-4.
            let end = done.said.strip_suffix(b"\r\n").unwrap_or_default();
            let last = end.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            assert!(whole.said.starts_with(&end[..last]), "{}", octets.escape_ascii());
            assert!(whole.ended && (&whole.asked, &whole.taken) == (&done.asked, &done.taken));
            continue;
        }
        assert_eq!(done, whole, "split by {split}: {}", octets.escape_ascii());
    }
    let lines = whole.said.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or_default();
        assert!(!line.is_empty() && !line.contains(&b'\r'), "{}", whole.said.escape_ascii());
    }
}

/// A whole SMTP session; the first octet says of which port.
pub fn smtp_session(data: &[u8]) {
    let Some((kind, octets)) = data.split_first() else { return };
    let offer = smtp::Offer {
        hostname: "mail.example.org".to_owned(),
        size_max: 2000,
        recipients_max: 5,
        tls_required: kind & 64 == 64,
        starttls: kind & 1 == 1,
        login: kind & 2 == 2,
        plaintext_auth: kind & 4 == 4,
        sasl: Offered { bearer: kind & 16 == 16, scram: true },
        lmtp: kind & 8 == 8,
        future_release: Some(smtp::FutureRelease { seconds: 3600, until: 1_800_000_000 }),
        xclient: kind & 32 == 32,
        strict: false,
    };
    same_in_any_split(octets, |split| {
        let session = smtp::Session::new(offer.clone(), Security::Clear);
        run(session, octets, split, |question| match question {
            smtp::Question::Sasl(Client::Begins(_, None)) => smtp::Answer::Challenge(vec![1]),
            smtp::Question::Sasl(Client::Responds(text)) if text.len() % 2 == 1 => {
                smtp::Answer::Reply(reply::WRONG_PASSWORD)
            }
            smtp::Question::Url(url, most) if url.len() as u64 <= *most => {
                smtp::Answer::Octets(url.len() as u64)
            }
            smtp::Question::Url(..) => smtp::Answer::Reply(reply::URL_FAILED),
            smtp::Question::End => smtp::Answer::Reply(reply::MESSAGE_ACCEPTED),
            _ => smtp::Answer::Yes,
        })
    });
}

/// A whole POP3 session.
pub fn pop3_session(octets: &[u8]) {
    let sasl = Offered { bearer: true, scram: true };
    let offer = pop3::Offer { stls: true, plaintext_auth: true, login_delay_secs: 0, sasl };
    same_in_any_split(octets, |split| {
        let session = pop3::Session::new(offer.clone(), Security::Clear);
        run(session, octets, split, |question| match question {
            pop3::Question::Authenticate(_) => pop3::Answer::Welcome("hello".to_owned()),
            pop3::Question::Sasl(Client::Begins(_, None)) => pop3::Answer::Challenge(vec![1]),
            pop3::Question::Sasl(_) => pop3::Answer::No("no".to_owned()),
            _ => pop3::Answer::Done,
        })
    });
}

/// What the data receiver makes of octets, against [`reference`].
pub fn smtp_data(octets: &[u8]) {
    for bare in [Bare::Refuse, Bare::Repair] {
        let expected = reference(octets, bare);
        for split in [octets.len(), 1, 3] {
            let mut reader = DataReader::new(bare);
            let (mut message, mut used, mut ended) = (Vec::new(), 0, false);
            for piece in octets.chunks(split.max(1)) {
                let (n, end) = reader.read(piece, &mut message);
                used += n;
                if end {
                    ended = true;
                    break;
                }
            }
            let got = ended.then_some((message, reader.tainted, used));
            match (&got, &expected) {
                // Of a refused message only its end and the refusal count.
                (Some((_, true, end)), Some((_, true, expected))) => assert_eq!(end, expected),
                _ => assert_eq!(got, expected, "{} {bare:?}", octets.escape_ascii()),
            }
        }
    }
}

/// One command line: what is read of it holds no control characters.
pub fn smtp_command(line: &[u8]) {
    let Ok(command) = Command::parse(line) else { return };
    let safe = |text: &str| assert!(!text.contains(char::is_control), "{text:?}");
    match command {
        Command::Ehlo(name) | Command::Helo(name) => safe(&name),
        Command::Mail(mail) => {
            safe(&mail.sender.to_string());
            safe(mail.envid.as_deref().unwrap_or_default());
        }
        Command::Rcpt(rcpt) => {
            safe(&rcpt.recipient.map(|address| address.to_string()).unwrap_or_default());
            safe(rcpt.orcpt.as_deref().unwrap_or_default());
        }
        _ => {}
    }
}

/// SASL responses and the messages in them.
pub fn sasl(octets: &[u8]) {
    let mut input = Input::default();
    input.receive(octets);
    while let Line::Whole(line) = input.line(20_000) {
        let _ = sasl::initial(&line);
        if let Ok(message) = sasl::response(&line) {
            messages(&message);
        }
    }
    messages(octets);
}

fn messages(message: &[u8]) {
    if let Some(first) = scram::first(message) {
        assert!(first.bare.contains(&first.nonce) && !first.user.is_empty());
        let whole = format!("{}{}", first.gs2_header, first.bare);
        assert_eq!(whole.as_bytes(), message);
    }
    if let Some(last) = scram::last(message) {
        assert!(message.starts_with(last.without_proof.as_bytes()));
    }
    if let Some(plain) = plain::parse(message) {
        assert!(!plain.authcid.is_empty() && !plain.password.contains('\0'));
    }
    for form in [bearer::Form::OauthBearer, bearer::Form::Xoauth2] {
        if let Some(bearer) = bearer::parse(form, message) {
            let token = bearer.token.as_bytes();
            assert!(!token.contains(&1) && token.len() < message.len());
            assert!(token.is_empty() || message.windows(token.len()).any(|part| part == token));
            assert!(bearer.user.is_none_or(|user| !user.is_empty() && !user.contains('\x01')));
        }
    }
}
