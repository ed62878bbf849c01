//! Annotations of messages in FETCH, STORE, APPEND, SEARCH and SORT. RFC 5257 §5.

use crate::imap::grammar::{Bad, Cursor, Read};
use mail::annotation::{is_entry, is_pattern};
use mail::{Annotation, Scope};

/// Entries, and attributes of each, in one list.
const ENTRIES_MAX: usize = 100;

/// ANNOTATION of FETCH. RFC 5257 §4.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Names of entries; those with `*` or `%` are patterns.
    pub entries: Vec<String>,
    /// What of them, each once.
    pub attributes: Vec<(Attribute, Scope)>,
}

/// An attribute of an entry. RFC 5257 §3.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// `value`
    Value,
    /// `size`: octets of the value.
    Size,
}

impl Attribute {
    /// Its name without suffix.
    pub fn name(self) -> &'static str {
        match self {
            Attribute::Value => "value",
            Attribute::Size => "size",
        }
    }
}

/// `(entries attribs)`, behind ANNOTATION of FETCH.
pub(super) fn wanted(from: &mut Cursor<'_>) -> Read<Wanted> {
    from.expect(b'(', "entries and attributes")?;
    let mut entries = Vec::new();
    one_or_list(from, |from| {
        entries.push(pattern(from)?);
        if entries.len() > ENTRIES_MAX { Err(Bad("fewer entries")) } else { Ok(()) }
    })?;
    from.space()?;
    let mut attributes = Vec::new();
    one_or_list(from, |from| {
        // RFC 5257 §3.2: names of attributes have case.
        let (attribute, scope) = attribute(&from.text()?)?;
        for scope in Scope::BOTH.into_iter().filter(|one| scope.is_none_or(|scope| scope == *one)) {
            if !attributes.contains(&(attribute, scope)) {
                attributes.push((attribute, scope));
            }
        }
        Ok(())
    })?;
    from.expect(b')', "a closing parenthesis")?;
    match entries.is_empty() || attributes.is_empty() {
        true => Err(Bad("entries and attributes")),
        false => Ok(Wanted { entries, attributes }),
    }
}

fn one_or_list(
    from: &mut Cursor<'_>,
    mut read: impl FnMut(&mut Cursor<'_>) -> Read<()>,
) -> Read<()> {
    if from.peek() == Some(b'(') { from.list(read) } else { read(from) }
}

/// `entry-match`
fn pattern(from: &mut Cursor<'_>) -> Read<String> {
    let name = from.match_text()?;
    let fine = if name.contains(['*', '%']) { is_pattern(&name) } else { is_entry(&name) };
    if fine { Ok(name) } else { Err(Bad("the name of an entry")) }
}

/// `entry`
fn entry(from: &mut Cursor<'_>) -> Read<String> {
    let name = from.text()?;
    if is_entry(&name) { Ok(name) } else { Err(Bad("the name of an entry")) }
}

/// An attribute and perhaps a suffix.
fn attribute(name: &str) -> Read<(Attribute, Option<Scope>)> {
    let scope = Scope::BOTH.into_iter().find(|scope| name.ends_with(scope.suffix()));
    let plain = scope.and_then(|scope| name.strip_suffix(scope.suffix())).unwrap_or(name);
    let attribute = [Attribute::Value, Attribute::Size].into_iter().find(|a| a.name() == plain);
    attribute.map(|attribute| (attribute, scope)).ok_or(Bad("value or size"))
}

/// `(entry (attribute value …) …)`, behind ANNOTATION of STORE and APPEND. RFC 5257 §4.5, §4.7.
pub(super) fn annotations(from: &mut Cursor<'_>) -> Read<Vec<Annotation>> {
    let mut all = Vec::new();
    from.list(|from| {
        let name = entry(from)?;
        from.space()?;
        let before = all.len();
        from.list(|from| {
            let scope = match attribute(&from.text()?)? {
                (Attribute::Value, Some(scope)) => scope,
                // RFC 5257 §3.2.2: the size follows from the value; §3.3: it must be said whose.
                _ => return Err(Bad("value.priv or value.shared")),
            };
            from.space()?;
            let value = from.value()?;
            all.push(Annotation { entry: name.clone(), scope, value });
            if all.len() > ENTRIES_MAX { Err(Bad("fewer entries")) } else { Ok(()) }
        })?;
        if all.len() == before { Err(Bad("an attribute and its value")) } else { Ok(()) }
    })?;
    if all.is_empty() { Err(Bad("an entry")) } else { Ok(all) }
}

/// `entry-match att-search`, behind ANNOTATION of SEARCH: a pattern, and whose values.
/// RFC 5257 §4.8.
pub(super) fn searched(from: &mut Cursor<'_>) -> Read<(String, Option<Scope>)> {
    let pattern = pattern(from)?;
    from.space()?;
    Ok((pattern, searched_attribute(from)?))
}

/// `entry att-sort`, behind ANNOTATION of SORT. RFC 5257 §4.9.
pub(super) fn sorted(from: &mut Cursor<'_>) -> Read<(String, Scope)> {
    let name = entry(from)?;
    from.space()?;
    let scope = searched_attribute(from)?;
    scope.map(|scope| (name, scope)).ok_or(Bad("value.priv or value.shared"))
}

/// Here the grammar names the attributes, so that case does not matter.
fn searched_attribute(from: &mut Cursor<'_>) -> Read<Option<Scope>> {
    match attribute(&from.text()?.to_ascii_lowercase())? {
        (Attribute::Value, scope) => Ok(scope),
        _ => Err(Bad("value, value.priv or value.shared")),
    }
}

#[cfg(test)]
mod tests {
    use crate::imap::command::command;
    use crate::imap::grammar::Charset;

    #[test]
    fn annotations_are_read() {
        let reads = |text: &[u8]| command(text, Charset::Ascii).is_ok();
        for text in [
            b"SELECT INBOX (ANNOTATE CONDSTORE)".as_slice(),
            b"UID FETCH 1123 (UID ANNOTATION (/* (value.priv size.priv)))",
            b"FETCH 1 (ANNOTATION ((/comment \"/%\") value))",
            b"STORE 1 (UNCHANGEDSINCE 5) ANNOTATION (/comment (value.priv ~{3}\r\na\0b))",
            b"STORE 1 ANNOTATION (/comment (value.priv \"x\" value.shared NIL) /a (value.priv \"\"))",
            b"SEARCH ANNOTATION * VALUE.priv \"IMAP4\"",
            b"SORT (REVERSE ANNOTATION /altsubject value.shared) UTF-8 ALL",
        ] {
            assert!(reads(text), "{}", String::from_utf8_lossy(text));
        }
        for text in [
            b"FETCH 1 ANNOTATION (/comment)".as_slice(),
            b"FETCH 1 ANNOTATION (() value)",
            b"STORE 1 ANNOTATION (/comment (value.priv {3}\r\na\0b))",
            b"STORE 1 ANNOTATION.SILENT (/comment (value.priv NIL))",
            b"STORE 1 ANNOTATION (/comment ())",
            b"SORT (ANNOTATION /* value.shared) UTF-8 ALL",
        ] {
            assert!(!reads(text), "{}", String::from_utf8_lossy(text));
        }
    }
}
