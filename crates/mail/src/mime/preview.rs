//! A few words that tell what a message says. RFC 8970 §4.

use super::structure::{Part, PartBody};
use crate::html::without_tags;

/// Characters of a preview. RFC 8970 §3.2: at most 200 should be, 256 must be.
pub const PREVIEW_CHARS: usize = 200;

/// The part a preview is made of: the first plain text that is no attachment, else the first HTML.
pub fn part(root: &Part) -> Option<&Part> {
    let mut open = vec![root];
    let mut html = None;
    while let Some(part) = open.pop() {
        match &part.body {
            PartBody::Multipart(parts) => open.extend(parts.iter().rev()),
            PartBody::Message(..) => {}
            PartBody::Leaf => {
                let content = part.content();
                let attached = content.disposition.is_some_and(|(kind, _)| kind == b"attachment");
                if attached || content.media_type != b"text" {
                    continue;
                }
                if content.subtype == b"html" {
                    html = html.or(Some(part));
                } else {
                    return Some(part);
                }
            }
        }
    }
    html
}

/// The preview of a text: one line, no quoted lines, no markup.
pub fn preview(text: &str, is_html: bool) -> String {
    let plain =
        if is_html { without_tags(text, &["style", "script", "title"]) } else { text.to_owned() };
    let lines = plain.lines().filter(|line| is_html || !line.starts_with('>'));
    let words = lines.flat_map(str::split_whitespace);
    let mut out = String::new();
    let mut left = PREVIEW_CHARS;
    for word in words {
        let blank = usize::from(!out.is_empty());
        if left <= blank {
            break;
        }
        if blank > 0 {
            out.push(' ');
            left -= 1;
        }
        let visible = word.chars().filter(|c| !c.is_control() && *c != '\u{feff}');
        for c in visible.take(left) {
            out.push(c);
            left -= 1;
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::{summary_of, text};

    #[test]
    fn previews_say_what_matters() {
        assert_eq!(preview("> quoted\r\nHello\r\n  you\t there\r\n", false), "Hello you there");
        let html = "<html><style>p { x }</style><!-- no --><p>One<br>two &amp; &lt;three&gt;</p>";
        assert_eq!(preview(html, true), "One two & <three>");
        assert_eq!(preview("\r\n \r\n", false), "");
        assert_eq!(preview(&"\u{e9}".repeat(500), false).chars().count(), PREVIEW_CHARS);
        for hostile in ["<", "&", "<!--", "<style", "<title>"] {
            preview(&hostile.repeat(3000), true);
        }
    }

    #[test]
    fn plain_text_comes_before_html() {
        let message = b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>h\r\n--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n--b--\r\n";
        let summary = summary_of(message);
        let found = part(&summary.root).unwrap();
        let body = message.get(found.body_start as usize..found.end as usize).unwrap();
        assert_eq!(preview(&text::text_of(found, body), false), "plain");
    }
}
