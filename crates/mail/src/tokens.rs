//! What a message is made of, for those who compare messages: the words of its decoded text and
//! some of what its header says, each once. Spam filters count them.
//!
//! The same message gives the same tokens always; what is counted can be taken back. Only the
//! start of a message is looked at. A token is a word in lower case (`money`), or has in front
//! where it is from: `subject:money`, `from:@example.com`, `url:example.com`, `file:.zip`.

use crate::header::{self, decode_words};
use crate::html::without_tags;
use crate::limits::{TOKEN_CHARS_MAX, TOKEN_HEADER_OCTETS_MAX, TOKEN_TEXT_OCTETS_MAX, TOKENS_MAX};
use crate::mime::text::text_of;
use crate::mime::{Part, PartBody};
use crate::search::{Run, runs};
use crate::stored::{StoredAddress, StoredList};
use crate::summary::Summary;
use std::collections::HashSet;
use std::ops::Range;

/// Shorter words say little.
const WORD_CHARS_MIN: usize = 3;
/// Fields whose words are tokens, and what these begin with. What servers on the way put in is left
/// out, ours above all: a filter must not learn what it said itself.
const FIELDS: [(&[u8], &str); 4] = [
    (b"X-Mailer", "mailer:"),
    (b"User-Agent", "mailer:"),
    (b"List-Id", "list:"),
    (b"Organization", "organization:"),
];

/// The tokens of a message, in the order of their first place. `read` gives its octets.
pub fn tokens<E>(
    summary: &Summary,
    mut read: impl FnMut(Range<u64>) -> Result<Vec<u8>, E>,
) -> Result<Vec<String>, E> {
    let mut tokens = Tokens::default();
    let head = read(0..summary.root.body_start.min(TOKEN_HEADER_OCTETS_MAX))?;
    tokens.header(summary, &head);
    let mut left = TOKEN_TEXT_OCTETS_MAX;
    let mut open = vec![&summary.root];
    while let Some(part) = open.pop() {
        match &part.body {
            PartBody::Multipart(parts) => open.extend(parts.iter().rev()),
            PartBody::Message(_, inner) => open.push(inner),
            PartBody::Leaf => {
                tokens.part(part);
                if part.content().media_type == b"text" && left > 0 && tokens.has_room() {
                    let to = part.end.min(part.body_start.saturating_add(left));
                    let body = read(part.body_start..to.max(part.body_start))?;
                    left = left.saturating_sub(body.len() as u64);
                    tokens.text(&text_of(part, &body), part.content().subtype == b"html");
                }
            }
        }
    }
    Ok(tokens.found)
}

/// It has more than so many characters.
fn is_longer(word: &str, chars: usize) -> bool {
    // No character has more than four octets.
    word.len() > chars && (word.len() > chars * 4 || word.chars().nth(chars).is_some())
}

#[derive(Default)]
struct Tokens {
    found: Vec<String>,
    /// Hashes of those: most words come again, and need not be made for that.
    known: HashSet<u64>,
}

impl Tokens {
    fn has_room(&self) -> bool {
        self.found.len() < TOKENS_MAX
    }

    fn add(&mut self, kind: &str, word: &str) {
        if word.is_empty() || !self.has_room() || is_longer(word, TOKEN_CHARS_MAX) {
            return;
        }
        let octets = kind.bytes().chain(word.bytes());
        // FNV-1a, 64 bits: two tokens of a message do not meet by chance.
        let hash = octets.fold(0xcbf2_9ce4_8422_2325u64, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x100_0000_01b3)
        });
        if self.known.insert(hash) {
            self.found.push([kind, word].concat());
        }
    }

    /// The words of a text. Of languages without blanks, each two characters are a word.
    fn words(&mut self, kind: &str, text: &str) {
        let lower = text.to_lowercase();
        let mut before: Option<(usize, &str)> = None;
        for Run { at, text: run, alone } in runs(&lower) {
            if alone {
                if let Some((start, _)) = before.filter(|(start, text)| start + text.len() == at) {
                    self.add(kind, lower.get(start..at + run.len()).unwrap_or_default());
                }
                before = Some((at, run));
                continue;
            }
            before = None;
            let long_enough = is_longer(run, WORD_CHARS_MIN - 1);
            if long_enough && !run.bytes().all(|b| b.is_ascii_digit()) {
                self.add(kind, run);
            }
            if !self.has_room() {
                return;
            }
        }
    }

    fn header(&mut self, summary: &Summary, head: &[u8]) {
        let envelope = summary.envelope.read();
        let [from, _, reply_to, to, cc, _] = envelope.lists;
        self.words("subject:", &decode_words(envelope.subject.unwrap_or_default()));
        self.addresses("from:", from);
        // The same again says nothing more.
        if reply_to != from {
            self.addresses("reply-to:", reply_to);
        }
        if to.is_empty() && cc.is_empty() {
            self.add("to:", "nobody");
        }
        for field in header::fields(head) {
            let kind = FIELDS.iter().find(|(name, _)| field.name.eq_ignore_ascii_case(name));
            if let Some((_, kind)) = kind {
                self.words(kind, &decode_words(field.value));
            }
        }
    }

    fn addresses(&mut self, kind: &str, list: StoredList<'_>) {
        for address in list.addresses().take(8) {
            let StoredAddress::Mailbox(name, _, local, host) = address else { continue };
            let local = String::from_utf8_lossy(local).to_lowercase();
            let host = String::from_utf8_lossy(host).to_lowercase();
            self.add(kind, &format!("{local}@{host}"));
            self.add(kind, &format!("@{host}"));
            self.words(kind, &decode_words(name.unwrap_or_default()));
        }
    }

    fn part(&mut self, part: &Part) {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).to_lowercase();
        let content = part.content();
        self.add("type:", &format!("{}/{}", text(content.media_type), text(content.subtype)));
        if let Some(charset) = content.parameters.parameter(b"charset").map(text) {
            self.add("charset:", &charset);
        }
        let named = content.disposition.and_then(|(_, list)| list.parameter(b"filename"));
        let named = named.or_else(|| content.parameters.parameter(b"name")).map(text);
        if let Some((_, extension)) = named.as_deref().and_then(|name| name.rsplit_once('.')) {
            self.add("file:.", extension);
        }
    }

    fn text(&mut self, text: &str, is_html: bool) {
        self.hosts(text);
        match is_html {
            true => self.words("", &without_tags(text, &["style", "script"])),
            false => self.words("", text),
        }
    }

    /// The hosts of the URLs in a text, in tags as well, and the domains above them.
    fn hosts(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find("://") {
            rest = rest.get(at + 3..).unwrap_or_default();
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '-' && c != '.');
            let host = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default().to_lowercase();
            self.add("url:", &host);
            if let Some((at, _)) = host.rmatch_indices('.').nth(1) {
                self.add("url:", host.get(at + 1..).unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::{summary_of, text::in_memory};

    fn of(message: &[u8]) -> Vec<String> {
        tokens(&summary_of(message), in_memory::<()>(message)).unwrap()
    }

    #[test]
    fn header_and_text_are_cut_into_tokens() {
        let message = "Received: from secret.example\r\nX-Spam-Status: Yes, viagra\r\n\
            From: =?utf-8?q?J=C3=B6rg_Bank?= <Info@Mail.Example.com>\r\n\
            Subject: Cheap PILLS 4 you\r\nX-Mailer: BulkSender 2000\r\n\
            Content-Type: text/plain; charset=UTF-8\r\n\r\n\
            Buy now at https://Shop.Pills.example/x?y=1 and buy 100 more\r\n\
            \u{65e5}\u{672c}\u{8a9e}\r\n";
        let expected = [
            "subject:cheap",
            "subject:pills",
            "subject:you",
            "from:info@mail.example.com",
            "from:@mail.example.com",
            "from:j\u{f6}rg",
            "from:bank",
            "to:nobody",
            "mailer:bulksender",
            "type:text/plain",
            "charset:utf-8",
            "url:shop.pills.example",
            "url:pills.example",
            "buy",
            "now",
            "https",
            "shop",
            "pills",
            "example",
            "and",
            "more",
            "\u{65e5}\u{672c}",
            "\u{672c}\u{8a9e}",
        ];
        assert_eq!(of(message.as_bytes()), expected);
    }

    #[test]
    fn markup_hides_nothing() {
        let cases = [
            ("vi<b>ag</b>ra", "viagra"),
            ("vi<!-- x > y -->agra", "viagra"),
            ("vi&#97;gr&#x61;", "viagra"),
            ("<STYLE>p { a } </p></Style>one<br>two", "one two"),
            ("<script>if (a</b) c</script>one &amp; two&lt;", "one & two<"),
            ("&nosuch; & &#xffffffff;one", "  &  one"),
            ("<p", " "),
        ];
        for (html, text) in cases {
            assert_eq!(without_tags(html, &["style", "script"]).trim(), text.trim(), "{html}");
        }
        let message =
            b"Content-Type: text/html\r\n\r\n<a href=\"http://bad.example\">click</a>\r\n";
        let found = of(message);
        assert!(found.contains(&"url:bad.example".to_owned()) && !found.contains(&"href".into()));
    }

    #[test]
    fn attachments_are_told_by_kind_and_name() {
        let message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/zip; name=\"a.b.ZIP\"\r\n\r\nxxxx\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nforwarded\r\n--b--\r\n";
        let found = of(message);
        for wanted in ["type:application/zip", "file:.zip", "forwarded"] {
            assert!(found.iter().any(|token| token == wanted), "{wanted} in {found:?}");
        }
        assert!(!found.iter().any(|token| token == "xxxx"));
    }

    #[test]
    fn hostile_texts_cost_little() {
        for hostile in ["<", "&", "<!--", "<!-->", "<style></", "://", "a://a.a.a.a", "x "] {
            let body = hostile.repeat((2 << 20) / hostile.len());
            let message = format!("Content-Type: text/html\r\n\r\n{body}\r\n");
            assert!(of(message.as_bytes()).len() <= TOKENS_MAX);
        }
        let many: String = (0..50_000).map(|n| format!("word{n} ")).collect();
        assert_eq!(of(format!("\r\n{many}").as_bytes()).len(), TOKENS_MAX);
    }
}
