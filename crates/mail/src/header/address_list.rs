//! Address lists: From, To, Cc and their kin. RFC 5322 §3.4, with the obsolete forms of §4.4.
//!
//! Total and linear: whatever stands there, something sensible comes out. Comments nest at most
//! [`COMMENT_DEPTH_MAX`] deep; at most [`ADDRESSES_MAX`] addresses come out.

use crate::limits::{ADDRESSES_MAX, COMMENT_DEPTH_MAX};
use crate::summary::EnvelopeAddress;

/// The addresses in the value of a field.
pub fn address_list(value: &[u8]) -> Vec<EnvelopeAddress> {
    let mut out = Vec::new();
    each_address(value, ADDRESSES_MAX, |address| out.push(address));
    out
}

/// Gives the addresses in the value of a field, so many at most.
pub fn each_address(value: &[u8], room: usize, out: impl FnMut(EnvelopeAddress)) {
    read(value, room, out);
}

/// The hosts of addresses with another one right behind them, as `b` in `<a@b> <c@d>`: the last one
/// counts here, and the first one perhaps for somebody else.
pub fn passed_over(value: &[u8]) -> Vec<Vec<u8>> {
    read(value, ADDRESSES_MAX, drop)
}

/// Gives the addresses; the hosts of those that were passed over for the one behind them.
fn read(value: &[u8], room: usize, out: impl FnMut(EnvelopeAddress)) -> Vec<Vec<u8>> {
    let mut reader = Reader { rest: value, out, room, in_group: false };
    let mut passed_over = Vec::new();
    let mut item = Item::default();
    while let Some((&byte, rest)) = reader.rest.split_first() {
        if reader.room == 0 {
            return passed_over;
        }
        reader.rest = rest;
        match byte {
            b',' => reader.flush(&mut item),
            b';' => {
                // Outside of a group it is what some write for a comma.
                reader.flush(&mut item);
                if std::mem::take(&mut reader.in_group) {
                    reader.give(EnvelopeAddress::GroupEnd);
                }
            }
            b':' if !reader.in_group && item.at.is_none() => {
                let name = phrase(std::mem::take(&mut item).text);
                reader.give(EnvelopeAddress::GroupStart(name));
                reader.in_group = true;
            }
            b'<' => {
                let before = item.angle.replace(reader.angle());
                let host = before.map(|(_, _, host)| host).filter(|host| !host.is_empty());
                passed_over.extend(host.filter(|_| passed_over.len() < ADDRESSES_MAX));
            }
            // One too many.
            b'>' => {}
            b'(' => item.comment = Some(reader.comment()),
            b'"' => {
                let text = reader.quoted();
                item.word(&text);
            }
            b' ' | b'\t' | b'\r' | b'\n' => item.blank = true,
            b'@' => item.at_sign(),
            byte => item.word(&[byte]),
        }
    }
    reader.flush(&mut item);
    if reader.in_group {
        reader.give(EnvelopeAddress::GroupEnd);
    }
    passed_over
}

/// What has been read since the last comma.
#[derive(Default)]
struct Item {
    /// Words with one line feed between them, which no word holds: a display name, or an address
    /// without `<>`. It may be long, so there is one of it.
    text: Vec<u8>,
    /// Where in `text` the last `@` stood.
    at: Option<usize>,
    blank: bool,
    angle: Option<Angle>,
    comment: Option<Vec<u8>>,
}

impl Item {
    fn word(&mut self, text: &[u8]) {
        if std::mem::take(&mut self.blank) && !self.text.is_empty() {
            self.text.push(b'\n');
        }
        self.text.extend(text.iter().copied().filter(|b| *b != b'\n'));
    }

    fn at_sign(&mut self) {
        self.word(b"@");
        self.at = Some(self.text.len() - 1);
    }
}

/// What stands between `<` and `>`: a route, a local part, a host.
type Angle = (Option<Vec<u8>>, Vec<u8>, Vec<u8>);

/// Words with single blanks between them.
fn phrase(mut text: Vec<u8>) -> Vec<u8> {
    text.iter_mut().filter(|b| **b == b'\n').for_each(|b| *b = b' ');
    text
}

/// Words with nothing between them.
fn compact(mut text: Vec<u8>) -> Vec<u8> {
    text.retain(|b| *b != b'\n');
    text
}

struct Reader<'a, F> {
    rest: &'a [u8],
    out: F,
    /// So many more may come out.
    room: usize,
    in_group: bool,
}

impl<F: FnMut(EnvelopeAddress)> Reader<'_, F> {
    fn give(&mut self, address: EnvelopeAddress) {
        if let Some(left) = self.room.checked_sub(1) {
            self.room = left;
            (self.out)(address);
        }
    }

    fn flush(&mut self, item: &mut Item) {
        let item = std::mem::take(item);
        let some = |text: Vec<u8>| (!text.is_empty()).then_some(text);
        let (name, (route, local, host)) = match (item.angle, item.at) {
            (Some(angle), _) => (some(phrase(item.text)).or(item.comment), angle),
            (None, Some(at)) => {
                let mut local = item.text;
                let host = compact(local.split_off(at)).split_off(1);
                (item.comment.and_then(some), (None, compact(local), host))
            }
            (None, None) if item.text.is_empty() => return,
            // Words without an address are somebody's name.
            (None, None) if item.text.contains(&b'\n') => {
                (some(phrase(item.text)), Angle::default())
            }
            (None, None) => (item.comment.and_then(some), (None, item.text, Vec::new())),
        };
        if local.is_empty() && host.is_empty() && name.is_none() {
            return;
        }
        self.give(EnvelopeAddress::Mailbox { name, route, local, host });
    }

    /// After `<`: an addr-spec, perhaps behind a source route, up to `>`.
    fn angle(&mut self) -> Angle {
        let mut route = None;
        let mut text = Vec::new();
        let mut at = None;
        while let Some((&byte, rest)) = self.rest.split_first() {
            self.rest = rest;
            match byte {
                b'>' => break,
                b'<' if text.is_empty() => {}
                b'(' => drop(self.comment()),
                b'"' => text.append(&mut self.quoted()),
                b' ' | b'\t' | b'\r' | b'\n' => {}
                // The end of a route, RFC 5322 §4.4 obs-route.
                b':' if text.first() == Some(&b'@') => {
                    route = Some(std::mem::take(&mut text));
                    at = None;
                }
                b'@' => {
                    at = Some(text.len());
                    text.push(byte);
                }
                byte => text.push(byte),
            }
        }
        match at {
            Some(at) => {
                let (local, host) = text.split_at(at);
                (route, local.to_vec(), host.get(1..).unwrap_or_default().to_vec())
            }
            None => (route, text, Vec::new()),
        }
    }

    /// After `"`: the text up to the closing quote, backslashes resolved, line breaks dropped.
    fn quoted(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        while let Some((&byte, rest)) = self.rest.split_first() {
            self.rest = rest;
            match byte {
                b'"' => break,
                b'\\' => {
                    if let Some((&escaped, rest)) = self.rest.split_first() {
                        self.rest = rest;
                        text.push(escaped);
                    }
                }
                b'\r' | b'\n' => {}
                byte => text.push(byte),
            }
        }
        text
    }

    /// After `(`: the text up to the matching `)`.
    fn comment(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut depth = 1usize;
        while let Some((&byte, rest)) = self.rest.split_first() {
            self.rest = rest;
            match byte {
                b'(' if depth < COMMENT_DEPTH_MAX => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            match byte {
                b'\\' => {
                    if let Some((&escaped, rest)) = self.rest.split_first() {
                        self.rest = rest;
                        text.push(escaped);
                    }
                }
                b'\r' | b'\n' => {}
                byte => text.push(byte),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(value: &str) -> String {
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let one = |address: &EnvelopeAddress| match address {
            EnvelopeAddress::Mailbox { name, route, local, host } => {
                let name = name.as_deref().map_or("-".to_owned(), text);
                let route = route.as_deref().map_or(String::new(), |route| text(route) + "|");
                format!("{name}|{route}{}|{}", text(local), text(host))
            }
            EnvelopeAddress::GroupStart(name) => format!("{}:", text(name)),
            EnvelopeAddress::GroupEnd => ";".to_owned(),
        };
        address_list(value.as_bytes()).iter().map(one).collect::<Vec<_>>().join(" , ")
    }

    #[test]
    fn examples_of_the_rfc() {
        // RFC 5322 Appendix A.1.2, A.1.3, A.5, A.6.1.
        assert_eq!(
            show("\"Joe Q. Public\" <john.q.public@example.com>"),
            "Joe Q. Public|john.q.public|example.com"
        );
        assert_eq!(
            show("Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>"),
            "Mary Smith|mary|x.test , -|jdoe|example.org , Who?|one|y.test"
        );
        assert_eq!(
            show("A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;"),
            "A Group: , Ed Jones|c|a.test , -|joe|where.test , John|jdoe|one.test , ;"
        );
        assert_eq!(show("Undisclosed recipients:;"), "Undisclosed recipients: , ;");
        assert_eq!(
            show("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>"),
            "Pete|pete|silly.test"
        );
        assert_eq!(
            show("Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example"),
            "Mary Smith|@node.test|mary|example.net , -|jdoe|test.example"
        );
    }

    #[test]
    fn odd_ones_give_something() {
        assert_eq!(show("a@b (The Name)"), "The Name|a|b");
        assert_eq!(show("just a name"), "just a name||");
        assert_eq!(show("root"), "-|root|");
        assert_eq!(show("<<a@b>>"), "-|a|b");
        assert_eq!(show("a@b;c@d;"), "-|a|b , -|c|d");
        assert_eq!(show("g: i: a@b;;"), "g: , -|i:a|b , ;");
        assert_eq!(show("\"a@b\"@c"), "-|a@b|c");
        assert_eq!(show("<>"), "");
        assert_eq!(show(""), "");
        assert_eq!(show("((((((("), "");
        assert_eq!(show("x <y"), "x|y|");
        assert_eq!(show("<@a.test, @b.test:c@d>"), "-|@a.test,@b.test|c|d");
        assert_eq!(show("<@a:@b:c@d>"), "-|@b|c|d");
        assert_eq!(show("<@a:>"), "");
        assert_eq!(passed_over(b"<a@b> <c@d>, <<e@f>>, \"<\" <g@h> i@j"), [b"b"]);
    }
}
