//! IMAP: sessions in any split, responses that a client reads back, messages, mailbox names.

use super::{run, same_in_any_split};
use mail::header::decode_words;
use mail::mime::encode::{Carries, Plan, Rewrite};
use mail::mime::transfer::Decoder;
use mail::mime::{Parser, Part, PartBody, preview, summary_of, text};
use mail::stored::{self, Content, StoredAddress as Address, StoredList as List};
use mail::summary::{Envelope, Summary};
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
        let content = part.content();
        let named =
            content.media_type == b"message" && matches!(content.subtype, b"rfc822" | b"global");
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
        let made = [1, 2, 3, 7, usize::MAX].map(|split| {
            let mut out = Vec::new();
            if let Some(mut decoder) = Decoder::new(encoding) {
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

fn text_or_nil(text: Option<&[u8]>) -> Told {
    text.map_or(Told::Nil, |text| Told::Text(text.to_vec()))
}

fn upper(text: &[u8]) -> Told {
    Told::Text(text.to_ascii_uppercase())
}

fn list_or_nil(list: Vec<Told>) -> Told {
    if list.is_empty() { Told::Nil } else { Told::List(list) }
}

fn envelope_of(envelope: &Envelope) -> Told {
    let envelope = envelope.read();
    let [from, sender, reply_to, to, cc, bcc] = envelope.lists;
    let or_from = |list: List<'_>| addresses(if list.is_empty() { from } else { list });
    Told::List(vec![
        text_or_nil(envelope.date),
        text_or_nil(envelope.subject),
        addresses(from),
        or_from(sender),
        or_from(reply_to),
        addresses(to),
        addresses(cc),
        addresses(bcc),
        text_or_nil(envelope.in_reply_to),
        text_or_nil(envelope.message_id),
    ])
}

fn addresses(list: List<'_>) -> Told {
    let one = |address: Address<'_>| match address {
        Address::Mailbox(name, route, local, host) => Told::List(vec![
            text_or_nil(name),
            text_or_nil(route),
            Told::Text(local.to_vec()),
            Told::Text(if host.is_empty() { b"unknown.invalid" } else { host }.to_vec()),
        ]),
        Address::GroupStart(name) => {
            Told::List(vec![Told::Nil, Told::Nil, Told::Text(name.to_vec()), Told::Nil])
        }
        Address::GroupEnd => Told::List(vec![Told::Nil, Told::Nil, Told::Nil, Told::Nil]),
    };
    list_or_nil(list.addresses().map(one).collect())
}

fn parameters(list: List<'_>) -> Told {
    let pairs = list.pairs().flat_map(|(name, value)| [upper(name), Told::Text(value.to_vec())]);
    list_or_nil(pairs.collect())
}

/// The fields of `body-ext-1part` and `body-ext-mpart` that both have.
fn extension(content: &Content<'_>) -> [Told; 3] {
    let disposition = content
        .disposition
        .map_or(Told::Nil, |(kind, list)| Told::List(vec![upper(kind), parameters(list)]));
    let language = content.language.texts().map(|tag| Told::Text(tag.to_vec())).collect();
    [disposition, list_or_nil(language), text_or_nil(content.location)]
}

fn part_of(part: &Part, extended: bool) -> Told {
    let (mut told, content) = (Vec::new(), part.content());
    if let PartBody::Multipart(inner) = &part.body {
        told.extend(inner.iter().map(|inner| part_of(inner, extended)));
        told.push(upper(content.subtype));
        if extended {
            told.push(parameters(content.parameters));
            told.extend(extension(&content));
        }
        return Told::List(told);
    }
    let is_text = content.media_type == b"text";
    let given = match is_text && content.parameters.is_empty() {
        true => Told::List(vec![upper(b"charset"), upper(b"us-ascii")]),
        false => parameters(content.parameters),
    };
    told.extend([upper(content.media_type), upper(content.subtype), given]);
    told.extend([text_or_nil(content.id), text_or_nil(content.description)]);
    told.extend([upper(content.encoding), Told::Number(part.octets())]);
    if let PartBody::Message(envelope, root) = &part.body {
        told.extend([envelope_of(envelope), part_of(root, extended)]);
    }
    if is_text || matches!(part.body, PartBody::Message(..)) {
        told.push(Told::Number(part.lines));
    }
    if extended {
        told.push(text_or_nil(content.md5));
        told.extend(extension(&content));
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
