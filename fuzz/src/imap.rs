//! IMAP: sessions in any split, responses that a client reads back, messages, mailbox names.

use super::{run, same_in_any_split};
use mail::header::decode_words;
use mail::mime::encode::{Carries, Plan, Rewrite};
use mail::mime::transfer::Decoder;
use mail::mime::{Parser, Part, PartBody, preview, summary_of, text};
use mail::stored;
use mail::summary::{Envelope, EnvelopeAddress as Address, Summary};
use protocol::imap::command::{self, Command};
use protocol::imap::grammar::{Charset, Cursor};
use protocol::imap::session::{Answer, Offer, Options, Question, Session, State};
use protocol::imap::{response, utf7};
use protocol::machine::Security;
use protocol::sasl::{Client, Offered};

/// A whole session; the first octet says of which port, and how far it is.
pub fn session(data: &[u8]) {
    let Some((kind, octets)) = data.split_first() else { return };
    let offer = Offer {
        starttls: kind & 1 == 1,
        plaintext_auth: kind & 2 == 2,
        sasl: Offered { bearer: kind & 16 == 16, scram: true },
        message_octets_max: 2000,
        hidden: Vec::new(),
        options: Options { uid_only: kind & 32 == 32, ..Options::default() },
    };
    let before: &[u8] = match kind & 12 {
        0 => b"",
        4 => b"l LOGIN a b\r\n",
        _ => b"l LOGIN a b\r\ns SELECT INBOX\r\n",
    };
    same_in_any_split(&[before, octets].concat(), |split| {
        let session = Session::new(offer.clone(), Security::Clear);
        run(session, &[before, octets].concat(), split, |question| match question {
            Question::Authenticate(_) => Answer::Welcome(vec!["MOVE".to_owned()]),
            Question::Sasl(Client::Begins(_, None)) => Answer::Challenge(vec![1]),
            Question::Sasl(Client::Responds(text)) if text.len() % 2 == 1 => {
                Answer::Welcome(Vec::new())
            }
            Question::Sasl(_) => Answer::No("no".to_owned()),
            Question::Append(_, size) if size % 5 == 4 => Answer::No("no".to_owned()),
            Question::Append(..) | Question::Idle => Answer::Go(Vec::new()),
            Question::Command(command) => answer(command),
            _ => Answer::Ok("done".to_owned()),
        })
    });
}

fn answer(command: &Command) -> Answer {
    let done = "done".to_owned();
    match command {
        Command::Select(_) => Answer::OkIn(State::Selected, done),
        Command::Close | Command::Unselect => Answer::OkIn(State::Authenticated, done),
        Command::Unauthenticate => Answer::OkIn(State::NotAuthenticated, done),
        Command::Noop => Answer::NoDeselected(done),
        _ => Answer::Ok(done),
    }
}

/// One command behind its tag: names and sets that were read are what may be kept.
pub fn command(text: &[u8]) {
    for charset in [Charset::Ascii, Charset::Utf8] {
        match command::command(text, charset) {
            Ok(Command::Copy { set, mailbox: Ok(name), .. }) => {
                assert!(set.ranges(1000).iter().all(|(from, to)| from <= to));
                assert!(!name.as_str().contains(char::is_control));
            }
            Ok(Command::Login { user, .. }) => assert!(text.len() >= user.len()),
            _ => {}
        }
    }
}

/// A URL: what a token is of is the URL's own beginning.
pub fn url(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let Some(url) = protocol::imap::url::url(&text) else { return };
    assert!(url.uid > 0);
    if let Some(ticket) = url.ticket {
        let rump = text.get(..ticket.rump);
        assert!(rump.is_some_and(|rump| rump.to_ascii_lowercase().contains(";urlauth=")));
        let again = protocol::imap::url::url(rump.unwrap_or_default());
        assert!(again.and_then(|url| url.ticket).is_some_and(|t| t.verifier.is_none()));
    }
}

/// Mailbox names in modified UTF-7, both ways. RFC 3501 §5.1.3.
pub fn mutf7(octets: &[u8]) {
    let name = String::from_utf8_lossy(octets);
    let encoded = utf7::encode(&name);
    assert!(encoded.bytes().all(|b| (b' '..=b'~').contains(&b)), "{encoded:?}");
    assert_eq!(utf7::decode(&encoded).as_deref(), Some(&*name));
    if let Some(decoded) = utf7::decode(&name) {
        assert_eq!(utf7::decode(&utf7::encode(&decoded)), Some(decoded));
    }
    for charset in [Charset::Ascii, Charset::Utf8] {
        // Names hold no control characters (`mail::MailboxName`).
        let name: String = name.chars().filter(|c| !c.is_control()).collect();
        let mut out = Vec::new();
        response::mailbox(&name, charset, &mut out);
        let mut reader = Reader(&out);
        let told = reader.astring().and_then(|told| String::from_utf8(told).ok());
        assert!(reader.0.is_empty(), "{}", out.escape_ascii());
        let told = told.unwrap_or_default();
        let told = if charset == Charset::Ascii { utf7::decode(&told) } else { Some(told) };
        assert_eq!(told.as_deref(), Some(&*name));
    }
}

/// A message: the same in any split, whole within its octets, stored and read back.
pub fn message(octets: &[u8]) {
    let summary = summary_of(octets);
    for split in [1, 3, 100] {
        let mut parser = Parser::new();
        octets.chunks(split).for_each(|piece| parser.feed(piece));
        assert_eq!(parser.finish(), summary, "split by {split}: {}", octets.escape_ascii());
    }
    assert_eq!(Summary::decode(&summary.encode()), Some(summary.clone()));
    let mut parts = vec![(&summary.root, 0, octets.len() as u64)];
    while let Some((part, from, to)) = parts.pop() {
        let (body_start, end) = (part.body_start, part.end);
        let order = [from, part.header_start, body_start, end, to];
        assert!(order.is_sorted(), "{order:?} {}", octets.escape_ascii());
        let named =
            part.media_type == b"message" && matches!(&*part.subtype, b"rfc822" | b"global");
        assert_eq!(named, matches!(part.body, PartBody::Message(..)), "{part:?}");
        match &part.body {
            PartBody::Multipart(inner) => {
                assert!(!inner.is_empty());
                parts.extend(inner.iter().map(|inner| (inner, body_start, end)));
            }
            PartBody::Message(_, inner) => parts.push((inner, body_start, end)),
            PartBody::Leaf => {}
        }
    }
    for text in text::texts(&summary.root, text::in_memory::<()>(octets)).unwrap_or_default() {
        preview::preview(&text, text.len() % 2 == 1);
    }
    response_of(&summary);
    encoded(octets, &summary.root);
    decoded_in_any_split(octets, &summary.root);
}

/// The body of the first part, in each encoding.
fn decoded_in_any_split(octets: &[u8], root: &Part) {
    let part = root.section(&[1]).unwrap_or(root);
    let body = octets.get(part.body_start as usize..part.end as usize).unwrap_or_default();
    for encoding in [b"base64".as_slice(), b"quoted-printable", b"8bit"] {
        let part = Part { encoding: encoding.to_vec(), ..Part::default() };
        let made = [1, 2, 3, 7, usize::MAX].map(|split| {
            let mut out = Vec::new();
            if let Some(mut decoder) = Decoder::of(&part) {
                body.chunks(split).for_each(|piece| decoder.decode(piece, &mut out));
                decoder.finish(&mut out);
            }
            out
        });
        assert!(made.iter().all(|other| *other == made[0]), "{}", body.escape_ascii());
        assert!(made[0].len() <= body.len());
    }
}

/// The message as lines: the same in any split, and each part decodes to what it was.
fn encoded(octets: &[u8], root: &Part) {
    let read = |range: std::ops::Range<u64>| {
        let range = range.start as usize..range.end as usize;
        octets.get(range).map(<[u8]>::to_vec).ok_or(())
    };
    for carries in [Carries::SevenBit, Carries::EightBit] {
        let Ok(plan) = Plan::make(root, carries, read).unwrap_or_else(|()| panic!("a range"))
        else {
            continue;
        };
        let made = [1, 7, 100_000].map(|split| {
            let (mut rewrite, mut out) = (Rewrite::new(plan.clone()), Vec::new());
            while let Some(range) = rewrite.wants() {
                let to = range.end.min(range.start + split);
                rewrite.give(&read(range.start..to).unwrap_or_default(), &mut out);
            }
            out
        });
        assert!(made.iter().all(|other| *other == made[0]), "{}", octets.escape_ascii());
        let (before, after) = (leaves(octets, root), leaves(&made[0], &summary_of(&made[0]).root));
        if carries == Carries::EightBit {
            assert_eq!(before, after, "{}", octets.escape_ascii());
        }
    }
}

/// The octets of each leaf, decoded.
fn leaves(octets: &[u8], root: &Part) -> Vec<Vec<u8>> {
    let (mut found, mut parts) = (Vec::new(), vec![root]);
    while let Some(part) = parts.pop() {
        match &part.body {
            PartBody::Multipart(inner) => parts.extend(inner),
            PartBody::Message(_, inner) => parts.push(inner),
            PartBody::Leaf => {
                let body = octets.get(part.body_start as usize..part.end as usize);
                let (mut out, body) = (Vec::new(), body.unwrap_or_default());
                match Decoder::of(part) {
                    Some(mut decoder) => {
                        decoder.decode(body, &mut out);
                        decoder.finish(&mut out);
                    }
                    None => out.extend_from_slice(body),
                }
                found.push(out);
            }
        }
    }
    found
}

/// What a client reads of a response: the grammar of RFC 3501 §9, written here once more.
#[derive(Debug, PartialEq)]
enum Told {
    Nil,
    Number(u64),
    Text(Vec<u8>),
    List(Vec<Told>),
}

/// A client's reader. `None` where the grammar is broken.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn eat(&mut self, word: &[u8]) -> bool {
        let rest = self.0.strip_prefix(word);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn digits(&mut self) -> Option<u64> {
        let end = self.0.iter().position(|b| !b.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    fn told(&mut self) -> Option<Told> {
        match self.0.first()? {
            b'(' => self.list().map(Told::List),
            b'"' => self.quoted().map(Told::Text),
            b'{' => self.literal().map(Told::Text),
            b'0'..=b'9' => self.digits().map(Told::Number),
            _ => self.eat(b"NIL").then_some(Told::Nil),
        }
    }

    /// Blanks stand between all things but two lists: addresses, and the parts of a multipart.
    fn list(&mut self) -> Option<Vec<Told>> {
        let mut all = Vec::new();
        self.eat(b"(");
        while !self.eat(b")") {
            let after_list = matches!(all.last(), Some(Told::List(_)));
            let blank = all.is_empty() || self.eat(b" ");
            (blank || after_list && self.0.starts_with(b"(")).then_some(())?;
            all.push(self.told()?);
        }
        // An empty list is no list anywhere in an envelope or structure.
        (!all.is_empty()).then_some(all)
    }

    fn quoted(&mut self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        self.eat(b"\"");
        while !self.eat(b"\"") {
            let escaped = self.eat(b"\\");
            let (octet, rest) = self.0.split_first()?;
            (!matches!(octet, 0 | b'\r' | b'\n')).then_some(())?;
            (!escaped || matches!(octet, b'"' | b'\\')).then_some(())?;
            text.push(*octet);
            self.0 = rest;
        }
        Some(text)
    }

    /// Quoted, a literal, or an atom.
    fn astring(&mut self) -> Option<Vec<u8>> {
        if let b'"' | b'{' = self.0.first()? {
            return match self.told()? {
                Told::Text(text) => Some(text),
                _ => None,
            };
        }
        let fine = |b: &u8| b.is_ascii_graphic() && !b"(){%*\"\\".contains(b);
        let atom = std::mem::take(&mut self.0);
        atom.iter().all(fine).then(|| atom.to_vec())
    }

    fn literal(&mut self) -> Option<Vec<u8>> {
        self.eat(b"{");
        let octets = usize::try_from(self.digits()?).ok()?;
        self.eat(b"}\r\n").then_some(())?;
        let (text, rest) = self.0.split_at_checked(octets)?;
        self.0 = rest;
        (!text.contains(&0)).then(|| text.to_vec())
    }
}

/// ENVELOPE, BODY and BODYSTRUCTURE are read back as what was meant. RFC 3501 §7.4.2.
fn response_of(summary: &Summary) {
    let stored = summary.encode();
    for charset in [Charset::Ascii, Charset::Utf8] {
        let mut out = Vec::new();
        let envelope = stored::envelope(&stored);
        assert!(envelope.is_some());
        envelope.inspect(|envelope| response::envelope(envelope, charset, &mut out));
        same(&out, &envelope_of(&summary.envelope), charset);
        for extended in [false, true] {
            let mut out = Vec::new();
            let root = stored::structure(&stored);
            let told = root
                .and_then(|mut root| response::structure(&mut root, extended, charset, &mut out));
            assert!(told.is_some());
            same(&out, &part_of(&summary.root, extended), charset);
        }
    }
}

fn same(out: &[u8], meant: &Told, charset: Charset) {
    let mut reader = Reader(out);
    let told = reader.told();
    assert!(reader.0.is_empty(), "{}", out.escape_ascii());
    let is = told.as_ref().is_some_and(|told| agrees(told, meant));
    assert!(is, "{}\ntold  {told:?}\nmeant {meant:?}", out.escape_ascii());
    assert!(charset == Charset::Utf8 || out.is_ascii(), "{}", out.escape_ascii());
    assert!(std::str::from_utf8(out).is_ok(), "{}", out.escape_ascii());
}

/// 8-bit text may come as encoded-words; NUL is left out, since no string may hold it.
fn agrees(told: &Told, meant: &Told) -> bool {
    match (told, meant) {
        (Told::List(told), Told::List(meant)) => {
            told.len() == meant.len() && told.iter().zip(meant).all(|(a, b)| agrees(a, b))
        }
        (Told::Text(told), Told::Text(meant)) => {
            let clean: Vec<u8> = meant.iter().copied().filter(|b| *b != 0).collect();
            let text = String::from_utf8_lossy(&clean);
            *told == clean || told == text.as_bytes() || decode_words(told) == text
        }
        _ => told == meant,
    }
}

fn text_or_nil(text: Option<&Vec<u8>>) -> Told {
    text.map_or(Told::Nil, |text| Told::Text(text.clone()))
}

fn upper(text: &[u8]) -> Told {
    Told::Text(text.to_ascii_uppercase())
}

fn list_or_nil(list: Vec<Told>) -> Told {
    if list.is_empty() { Told::Nil } else { Told::List(list) }
}

fn envelope_of(envelope: &Envelope) -> Told {
    let Envelope { from, sender, reply_to, to, cc, bcc, .. } = envelope;
    let or_from = |list: &[Address]| addresses(if list.is_empty() { from } else { list });
    Told::List(vec![
        text_or_nil(envelope.date.as_ref()),
        text_or_nil(envelope.subject.as_ref()),
        addresses(from),
        or_from(sender),
        or_from(reply_to),
        addresses(to),
        addresses(cc),
        addresses(bcc),
        text_or_nil(envelope.in_reply_to.as_ref()),
        text_or_nil(envelope.message_id.as_ref()),
    ])
}

fn addresses(list: &[Address]) -> Told {
    let one = |address: &Address| match address {
        Address::Mailbox { name, local, host } => Told::List(vec![
            text_or_nil(name.as_ref()),
            Told::Nil,
            Told::Text(local.clone()),
            Told::Text(if host.is_empty() { b"unknown.invalid".to_vec() } else { host.clone() }),
        ]),
        Address::GroupStart(name) => {
            Told::List(vec![Told::Nil, Told::Nil, Told::Text(name.clone()), Told::Nil])
        }
        Address::GroupEnd => Told::List(vec![Told::Nil, Told::Nil, Told::Nil, Told::Nil]),
    };
    list_or_nil(list.iter().map(one).collect())
}

fn parameters(list: &[(Vec<u8>, Vec<u8>)]) -> Told {
    let pairs = list.iter().flat_map(|(name, value)| [upper(name), Told::Text(value.clone())]);
    list_or_nil(pairs.collect())
}

/// The fields of `body-ext-1part` and `body-ext-mpart` that both have.
fn extension(part: &Part) -> [Told; 3] {
    let disposition = part.disposition.as_ref().map_or(Told::Nil, |disposition| {
        Told::List(vec![upper(&disposition.kind), parameters(&disposition.parameters)])
    });
    let language = part.language.iter().cloned().map(Told::Text).collect();
    [disposition, list_or_nil(language), text_or_nil(part.location.as_ref())]
}

fn part_of(part: &Part, extended: bool) -> Told {
    let mut told = Vec::new();
    if let PartBody::Multipart(inner) = &part.body {
        told.extend(inner.iter().map(|inner| part_of(inner, extended)));
        told.push(upper(&part.subtype));
        if extended {
            told.push(parameters(&part.parameters));
            told.extend(extension(part));
        }
        return Told::List(told);
    }
    let is_text = part.media_type == b"text";
    let plain = [(b"charset".to_vec(), b"US-ASCII".to_vec())];
    let given = if is_text && part.parameters.is_empty() { &plain } else { &*part.parameters };
    told.extend([upper(&part.media_type), upper(&part.subtype), parameters(given)]);
    told.extend([text_or_nil(part.id.as_ref()), text_or_nil(part.description.as_ref())]);
    told.extend([upper(&part.encoding), Told::Number(part.octets())]);
    if let PartBody::Message(envelope, root) = &part.body {
        told.extend([envelope_of(envelope), part_of(root, extended)]);
    }
    if is_text || matches!(part.body, PartBody::Message(..)) {
        told.push(Told::Number(part.lines));
    }
    if extended {
        told.push(text_or_nil(part.md5.as_ref()));
        told.extend(extension(part));
    }
    Told::List(told)
}

/// Any octets as a string and as names of flags; numbers as a set.
pub fn response(octets: &[u8]) {
    let clean: Vec<u8> = octets.iter().copied().filter(|b| *b != 0).collect();
    let mut out = Vec::new();
    response::string(&clean, &mut out);
    assert_eq!(Reader(&out).told(), Some(Told::Text(clean)));
    let mut numbers: Vec<u32> = octets.iter().map(|b| u32::from(*b) + 1).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let set = response::set(&numbers);
    let Ok(read) = Cursor::new(set.as_bytes()).sequence_set() else {
        return assert!(numbers.is_empty(), "{set}");
    };
    let read: Vec<u32> = read.ranges(1000).into_iter().flat_map(|(a, b)| a..=b).collect();
    assert_eq!(read, numbers, "{set}");
}
