//! The text of HTML, for previews and for words; nothing is rendered.

/// HTML without tags, comments and the content of `hidden` elements; each entity that is a
/// character is that, since words are hidden behind them. Time grows with the length only.
pub fn without_tags(html: &str, hidden: &[&str]) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        if let Some(tag) = tail.strip_prefix('<') {
            rest = after_tag(tag, hidden);
            // Tags that stand within words are used to hide these; those that part words have
            // blanks or breaks beside them, or are about lines.
            if !is_within_line(tag) {
                out.push(' ');
            }
        } else {
            let (c, after) = entity(tail);
            out.push(c);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// A tag that may stand in the middle of a word.
fn is_within_line(tag: &str) -> bool {
    const WITHIN: [&str; 8] = ["b", "i", "u", "em", "span", "font", "strong", "!--"];
    let name = tag.strip_prefix('/').unwrap_or(tag);
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '!' && c != '-');
    let name = name.get(..end.unwrap_or(name.len())).unwrap_or_default();
    name.starts_with("!--") || WITHIN.iter().any(|within| name.eq_ignore_ascii_case(within))
}

/// What follows a tag, or an element whose content is not shown.
fn after_tag<'a>(tag: &'a str, hidden: &[&str]) -> &'a str {
    let after = |text: &'_ str, end: &str| text.find(end).map(|at| at + end.len());
    if let Some(comment) = tag.strip_prefix("!--") {
        return after(comment, "-->").and_then(|at| comment.get(at..)).unwrap_or_default();
    }
    let hidden = hidden
        .iter()
        .find(|name| tag.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)));
    let mut rest = tag;
    if let Some(name) = hidden {
        loop {
            let Some(at) = after(rest, "</") else { return "" };
            rest = rest.get(at..).unwrap_or_default();
            if rest.get(..name.len()).is_some_and(|end| end.eq_ignore_ascii_case(name)) {
                break;
            }
        }
    }
    after(rest, ">").and_then(|at| rest.get(at..)).unwrap_or_default()
}

/// The character that an entity at the front stands for, and what follows.
fn entity(text: &str) -> (char, &str) {
    const KNOWN: [(&str, char); 6] =
        [("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\''), ("nbsp", ' ')];
    let rest = text.get(1..).unwrap_or_default();
    // The longest that there are have ten characters or so.
    let end = rest.bytes().take(12).position(|b| b == b';');
    let Some((name, after)) = end.and_then(|at| Some((rest.get(..at)?, rest.get(at + 1..)?)))
    else {
        return ('&', rest);
    };
    let number = name.strip_prefix('#').and_then(|n| match n.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => n.parse().ok(),
    });
    let known = KNOWN.iter().find(|(known, _)| *known == name).map(|(_, c)| *c);
    match number.and_then(char::from_u32).or(known) {
        Some(c) => (c, after),
        None => (' ', after),
    }
}
