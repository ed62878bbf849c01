//! FETCH. RFC 3501 §6.4.5; CHANGEDSINCE and VANISHED of RFC 7162, PARTIAL of RFC 9394, BINARY of
//! RFC 3516, PREVIEW of RFC 8970, ANNOTATION of RFC 5257,
//! EMAILID and THREADID of RFC 8474.

use super::annotate;
use super::returns::Partial;
use crate::imap::grammar::{Bad, Cursor, Read, SequenceSet};

/// Items of one FETCH.
const ITEMS_MAX: usize = 1000;
/// Numbers in the name of a part.
const PATH_MAX: usize = 200;

/// FETCH. RFC 3501 §6.4.5.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetch {
    /// UID FETCH
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// What of them.
    pub items: Vec<Item>,
    /// UID is among what was asked for.
    pub names_uid: bool,
    /// CHANGEDSINCE. RFC 7162 §3.1.4.1.
    pub changed_since: Option<u64>,
    /// VANISHED. RFC 7162 §3.2.6.
    pub vanished: bool,
    /// PARTIAL. RFC 9394 §3.3.
    pub partial: Option<Partial>,
}

/// A FETCH item.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the RFC's names")]
pub enum Item {
    Flags,
    Uid,
    InternalDate,
    Rfc822Size,
    Envelope,
    Body,
    BodyStructure,
    ModSeq,
    EmailId,
    ThreadId,
    SaveDate,
    /// And whether it is LAZY.
    Preview(bool),
    Section(Section),
    /// `BINARY[…]<…>`
    Binary(Section),
    /// `BINARY.SIZE[…]`
    BinarySize(Section),
    Annotation(annotate::Wanted),
}

/// `BODY[…]<…>`, or an RFC822 item that stands for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// How the response names it, up to and including `]`.
    pub label: String,
    /// `\Seen` stays as it is.
    pub peek: bool,
    /// Part numbers.
    pub path: Vec<u32>,
    /// What of the part.
    pub text: SectionText,
    /// First octet and how many.
    pub partial: Option<(u64, u64)>,
}

impl Section {
    /// The whole message.
    pub fn is_all(&self) -> bool {
        self.path.is_empty() && self.text == SectionText::All
    }
    /// The message's own header, or some of its fields.
    pub fn is_header(&self) -> bool {
        let header = matches!(self.text, SectionText::Header | SectionText::HeaderFields(..));
        header && self.path.is_empty()
    }
}

/// What of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the RFC's names")]
pub enum SectionText {
    All,
    Header,
    /// Which, and whether it is HEADER.FIELDS.NOT.
    HeaderFields(FieldNames, bool),
    Text,
    Mime,
}

/// Names of header fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldNames(Vec<Vec<u8>>);

impl FieldNames {
    /// In lower case, short ones first, each once: so they are looked up, and not for each field of
    /// each message looked through.
    fn put_in_order(&mut self) {
        self.0.iter_mut().for_each(|name| name.make_ascii_lowercase());
        self.0.sort_unstable_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        self.0.dedup();
    }

    /// It is one of them, in whatever case.
    pub fn contains(&self, name: &[u8]) -> bool {
        let lower = || name.iter().map(u8::to_ascii_lowercase);
        let order = |known: &Vec<u8>| {
            known.len().cmp(&name.len()).then_with(|| known.iter().copied().cmp(lower()))
        };
        self.0.binary_search_by(order).is_ok()
    }
}

/// FETCH, behind the verb.
pub(super) fn fetch(from: &mut Cursor<'_>, uid: bool) -> Read<Fetch> {
    let set = from.sequence_set()?;
    from.space()?;
    let items = items(from)?;
    let names_uid = items.contains(&Item::Uid);
    let (changed_since, vanished, partial) = (None, false, None);
    let mut fetch = Fetch { uid, set, items, names_uid, changed_since, vanished, partial };
    if from.more() {
        modifiers(from, &mut fetch)?;
    }
    if fetch.changed_since.is_some() {
        fetch.items.push(Item::ModSeq);
    }
    if uid {
        fetch.items.insert(0, Item::Uid);
    }
    fetch.items = once(fetch.items);
    Ok(fetch)
}

/// An item, or several in parentheses.
pub(super) fn items(from: &mut Cursor<'_>) -> Read<Vec<Item>> {
    let mut items = Vec::new();
    if from.peek() == Some(b'(') {
        from.list(|from| item(from, &mut items))?;
    } else {
        item(from, &mut items)?;
    }
    if items.is_empty() { Err(Bad("a FETCH item")) } else { Ok(once(items)) }
}

/// Each item once. At most `ITEMS_MAX` of them, so looking through them is bounded.
fn once(items: Vec<Item>) -> Vec<Item> {
    let mut once: Vec<Item> = Vec::new();
    for item in items {
        if !once.contains(&item) {
            once.push(item);
        }
    }
    once
}

/// RFC 7162 §3.2.6: VANISHED only with UID and CHANGEDSINCE; RFC 9394 §3.3: PARTIAL only with UID.
fn modifiers(from: &mut Cursor<'_>, fetch: &mut Fetch) -> Read<()> {
    from.list(|from| {
        match from.keyword()?.as_str() {
            "CHANGEDSINCE" => {
                from.space()?;
                fetch.changed_since = Some(from.mod_sequence()?);
            }
            "VANISHED" if fetch.uid => fetch.vanished = true,
            "PARTIAL" if fetch.uid => {
                from.space()?;
                fetch.partial = Some(Partial::read(from)?);
            }
            _ => return Err(Bad("CHANGEDSINCE, VANISHED or PARTIAL")),
        }
        Ok(())
    })?;
    match fetch.vanished && fetch.changed_since.is_none() {
        true => Err(Bad("CHANGEDSINCE beside VANISHED")),
        false => Ok(()),
    }
}

fn item(from: &mut Cursor<'_>, items: &mut Vec<Item>) -> Read<()> {
    use Item::*;
    if items.len() > ITEMS_MAX {
        return Err(Bad("fewer FETCH items"));
    }
    let word = from.keyword()?;
    let section = |label: &str, peek, text| {
        Item::Section(self::Section {
            label: label.to_owned(),
            peek,
            path: Vec::new(),
            text,
            partial: None,
        })
    };
    match word.as_str() {
        "ALL" => items.extend([Flags, InternalDate, Rfc822Size, Envelope]),
        "FAST" => items.extend([Flags, InternalDate, Rfc822Size]),
        "FULL" => items.extend([Flags, InternalDate, Rfc822Size, Envelope, Body]),
        "FLAGS" => items.push(Flags),
        "UID" => items.push(Uid),
        "INTERNALDATE" => items.push(InternalDate),
        "RFC822.SIZE" => items.push(Rfc822Size),
        "ENVELOPE" => items.push(Envelope),
        "BODYSTRUCTURE" => items.push(BodyStructure),
        "MODSEQ" => items.push(ModSeq),
        "EMAILID" => items.push(EmailId),
        "THREADID" => items.push(ThreadId),
        "SAVEDATE" => items.push(SaveDate),
        "ANNOTATION" => {
            from.space()?;
            items.push(Annotation(annotate::wanted(from)?));
        }
        "PREVIEW" => items.push(Preview(lazy(from)?)),
        "BINARY" => items.push(Binary(binary_section(from, "BINARY", false)?)),
        "BINARY.PEEK" => items.push(Binary(binary_section(from, "BINARY", true)?)),
        "BINARY.SIZE" => items.push(BinarySize(binary_section(from, "BINARY.SIZE", true)?)),
        "RFC822" => items.push(section("RFC822", false, SectionText::All)),
        "RFC822.PEEK" => items.push(section("RFC822", true, SectionText::All)),
        "RFC822.HEADER" => items.push(section("RFC822.HEADER", true, SectionText::Header)),
        "RFC822.TEXT" => items.push(section("RFC822.TEXT", false, SectionText::Text)),
        "BODY" if from.peek() != Some(b'[') => items.push(Body),
        "BODY" => items.push(Item::Section(body_section(from, false)?)),
        "BODY.PEEK" => items.push(Item::Section(body_section(from, true)?)),
        _ => return Err(Bad("a FETCH item")),
    }
    Ok(())
}

/// `(LAZY)` after PREVIEW. RFC 8970 §3.1.
fn lazy(from: &mut Cursor<'_>) -> Read<bool> {
    let mut probe = *from;
    if !probe.eat(b' ') || probe.peek() != Some(b'(') {
        return Ok(false);
    }
    let mut lazy = false;
    let read = probe.list(|from| match from.keyword()?.as_str() {
        "LAZY" => {
            lazy = true;
            Ok(())
        }
        _ => Err(Bad("LAZY")),
    });
    if read.is_ok() && lazy {
        *from = probe;
    }
    Ok(lazy)
}

/// `[part]<partial>`; BINARY.SIZE has no partial. RFC 3516 §4.2.
fn binary_section(from: &mut Cursor<'_>, verb: &str, peek: bool) -> Read<Section> {
    from.expect(b'[', "a section")?;
    let path = part_numbers(from)?;
    from.expect(b']', "a closing bracket")?;
    let partial = if verb == "BINARY" { range(from)? } else { None };
    let words: Vec<String> = path.iter().map(u32::to_string).collect();
    let label = format!("{verb}[{}]", words.join("."));
    Ok(Section { label, peek, path, text: SectionText::All, partial })
}

/// `1.2.3`, perhaps with a dot and more behind it, perhaps nothing.
fn part_numbers(from: &mut Cursor<'_>) -> Read<Vec<u32>> {
    let mut path = Vec::new();
    while from.peek().is_some_and(|b| b.is_ascii_digit()) {
        let number = u32::try_from(from.number()?).map_err(|_| Bad("a part number"))?;
        path.push(number);
        if path.len() > PATH_MAX || number == 0 {
            return Err(Bad("a part number"));
        }
        // RFC 3501 §9 `section-part`: no dot is its last.
        if from.rest().starts_with(b".]") || !from.eat(b'.') {
            break;
        }
    }
    Ok(path)
}

/// `<first.count>`
fn range(from: &mut Cursor<'_>) -> Read<Option<(u64, u64)>> {
    if !from.eat(b'<') {
        return Ok(None);
    }
    let first = from.number()?;
    from.expect(b'.', "a range")?;
    let count = from.number()?;
    from.expect(b'>', "a range")?;
    // RFC 3501 §9: the count is an nz-number.
    if count == 0 { Err(Bad("a range that is not empty")) } else { Ok(Some((first, count))) }
}

/// `[section]<partial>`. RFC 3501 §6.4.5.
fn body_section(from: &mut Cursor<'_>, peek: bool) -> Read<Section> {
    from.expect(b'[', "a section")?;
    let before = from.rest();
    let path = part_numbers(from)?;
    let mut text = SectionText::All;
    if from.peek() != Some(b']') {
        text = match from.keyword()?.as_str() {
            "HEADER" => SectionText::Header,
            "TEXT" => SectionText::Text,
            "MIME" if !path.is_empty() => SectionText::Mime,
            "HEADER.FIELDS" => SectionText::HeaderFields(field_names(from)?, false),
            "HEADER.FIELDS.NOT" => SectionText::HeaderFields(field_names(from)?, true),
            _ => return Err(Bad("HEADER, HEADER.FIELDS, TEXT or MIME")),
        };
    }
    let len = before.len() - from.rest().len();
    let spec = before.get(..len).unwrap_or_default();
    let label = format!("BODY[{}]", String::from_utf8_lossy(spec).replace(['\r', '\n'], " "));
    from.expect(b']', "a closing bracket")?;
    let partial = range(from)?;
    let label = label_of(&path, &text).unwrap_or(label);
    if let SectionText::HeaderFields(names, _) = &mut text {
        names.put_in_order();
    }
    Ok(Section { label, peek, path, text, partial })
}

/// The canonical name of a section; names of fields in their simplest form.
fn label_of(path: &[u32], text: &SectionText) -> Option<String> {
    let mut words: Vec<String> = path.iter().map(u32::to_string).collect();
    match text {
        SectionText::All => {}
        SectionText::Header => words.push("HEADER".to_owned()),
        SectionText::Text => words.push("TEXT".to_owned()),
        SectionText::Mime => words.push("MIME".to_owned()),
        SectionText::HeaderFields(names, not) => {
            let plain =
                |n: &Vec<u8>| n.iter().all(|b| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(b));
            if !names.0.iter().all(plain) {
                return None;
            }
            let names: Vec<_> = names.0.iter().map(|n| String::from_utf8_lossy(n)).collect();
            let verb = if *not { "HEADER.FIELDS.NOT" } else { "HEADER.FIELDS" };
            words.push(format!("{verb} ({})", names.join(" ")));
        }
    }
    Some(format!("BODY[{}]", words.join(".")))
}

fn field_names(from: &mut Cursor<'_>) -> Read<FieldNames> {
    from.space()?;
    let mut names = Vec::new();
    from.list(|from| {
        names.push(from.astring()?);
        Ok(())
    })?;
    if names.is_empty() { Err(Bad("a field name")) } else { Ok(FieldNames(names)) }
}

/// A section by its specification, as URLs have it. RFC 5092 §5.
pub fn section(spec: &str) -> Option<Section> {
    let text = format!("[{spec}]");
    let mut from = Cursor::new(text.as_bytes());
    let section = body_section(&mut from, true).ok()?;
    from.at_end().then_some(section)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_dot_is_the_last_of_a_part() {
        assert!(section("1.").is_none() && section("1.MIME").is_some() && section("1.2").is_some());
        let read = |text: &[u8]| items(&mut Cursor::new(text));
        assert!(read(b"BINARY[1.]").is_err() && read(b"BINARY[1.2]").is_ok());
    }

    #[test]
    fn names_of_fields_are_known_in_any_case() {
        let section = section("HEADER.FIELDS (Subject to \"X-Long-Name\" TO cc)").unwrap();
        assert_eq!(section.label, "BODY[HEADER.FIELDS (Subject to X-Long-Name TO cc)]");
        let SectionText::HeaderFields(names, false) = section.text else { panic!() };
        for known in ["to", "Cc", "SUBJECT", "x-long-name"] {
            assert!(names.contains(known.as_bytes()), "{known}");
        }
        for other in ["", "t", "Tp", "subjects", "x-long-namf"] {
            assert!(!names.contains(other.as_bytes()), "{other}");
        }
    }
}
