//! Authentication-Results: what we found out, for whoever reads the message. RFC 8601.

use crate::dkim::Verified;
use crate::dmarc::{DmarcResult, Finding};
use mail::header::Field;
use mail::{Address, Domain};

/// The header field with what was found, without an end that is not ours to say.
#[derive(Debug)]
pub struct Results {
    text: String,
}

impl Results {
    /// An empty one of this server. RFC 8601 §2.5.
    pub fn new(authserv_id: &Domain) -> Results {
        Results { text: format!("Authentication-Results: {authserv_id}") }
    }

    fn add(&mut self, method: &str, result: &str, why: &str) {
        self.text.push_str(&format!(";\r\n\t{method}={result}"));
        if !why.is_empty() {
            self.text.push_str(&format!("\r\n\t reason={}", quoted(why)));
        }
    }

    fn property(&mut self, name: &str, value: &str) {
        self.text.push_str(&format!("\r\n\t {name}={value}"));
    }

    /// SPF of MAIL FROM, or of HELO. RFC 8601 §2.7.2.
    pub fn spf(&mut self, result: &str, why: &str, sender: Option<&Address>, helo: &str) {
        self.add("spf", result, why);
        match sender {
            Some(sender) => self.property("smtp.mailfrom", &quoted(&sender.to_string())),
            None => self.property("smtp.helo", &quoted(helo)),
        }
    }

    /// A DKIM signature. RFC 8601 §2.7.1, RFC 6008 §4.
    pub fn dkim(&mut self, found: &Verified) {
        self.add("dkim", found.result.as_str(), &found.why);
        if let Some(domain) = &found.domain {
            self.property("header.d", &quoted(domain.as_str()));
        }
        if !found.selector.is_empty() {
            self.property("header.s", &quoted(&found.selector));
            self.property("header.a", found.algorithm);
            self.property("header.b", &quoted(&found.mark));
        }
    }

    /// DMARC of an author. RFC 9989 §9.
    pub fn dmarc(&mut self, found: &Finding) {
        self.add("dmarc", found.result.as_str(), &found.why);
        if found.result != DmarcResult::Pass {
            self.property("policy.dmarc", found.policy.as_str());
        }
        self.property("header.from", &quoted(found.author.as_str()));
    }

    /// Something that can only be said in words.
    pub fn note(&mut self, method: &str, result: &str, why: &str) {
        self.add(method, result, why);
    }

    /// The field; `none` if nothing was done. RFC 8601 §2.2.
    pub fn finish(mut self) -> String {
        if !self.text.contains(';') {
            self.text.push_str("; none");
        }
        self.text.push_str("\r\n");
        self.text
    }
}

/// A value: as it is where it can be, else quoted, without what cannot stand in a header.
/// RFC 2045 §5.1 token; UTF-8 stays (RFC 8616 §3).
fn quoted(value: &str) -> String {
    let token = |c: char| c.is_ascii_graphic() && !"()<>,;:\\\"/[]?=".contains(c);
    if !value.is_empty() && value.chars().all(token) {
        return value.to_owned();
    }
    let mut out = String::from("\"");
    for c in value.chars().filter(|c| !c.is_control()).take(200) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// The field pretends to be ours, or is of a version that nobody can read. RFC 8601 §5.
pub fn is_forged(field: &Field<'_>, authserv_id: &Domain) -> bool {
    if !field.name.eq_ignore_ascii_case(b"Authentication-Results") {
        return false;
    }
    let value = String::from_utf8_lossy(field.value);
    let head = without_comments(value.split(';').next().unwrap_or_default());
    let mut words = head.split_ascii_whitespace();
    let id = words.next().unwrap_or_default().trim_matches('"').trim_end_matches('.');
    let version = words.next();
    let id = Domain::parse(id).ok().and_then(|id| id.to_ascii());
    (id.is_some() && id == authserv_id.to_ascii()) || version.is_some_and(|version| version != "1")
}

/// Comments become blanks; so do line breaks. RFC 5322 §3.2.2.
fn without_comments(text: &str) -> String {
    let mut depth = 0u32;
    let mut escaped = false;
    let mut out = String::new();
    for c in text.chars() {
        let literal = std::mem::take(&mut escaped);
        match c {
            _ if literal && depth == 0 => out.push(c),
            _ if literal => {}
            '\\' => escaped = true,
            '(' => depth += 1,
            ')' if depth > 0 => {
                depth -= 1;
                out.push(' ');
            }
            _ if depth == 0 => out.push(if c.is_whitespace() { ' ' } else { c }),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::header::split_field;

    #[test]
    fn fields_that_pretend_to_be_ours_are_known_in_all_spellings() {
        let ours = Domain::parse("mail.example.org").unwrap();
        let forged = |text: &str| is_forged(&split_field(text.as_bytes()), &ours);
        for text in [
            "Authentication-Results: mail.example.org; spf=pass\r\n",
            "authentication-results:MAIL.example.ORG;none\r\n",
            "Authentication-Results : (hi (you)) \r\n\tmail.example.org 1 (x); none\r\n",
            "Authentication-Results: \"mail.example.org\"; none\r\n",
            "Authentication-Results: \"mail.\\example.org\"; none\r\n",
            "Authentication-Results: mail.example.org\r\n",
            "Authentication-Results: mail.example.org.; none\r\n",
            "Authentication-Results: else.test 2; none\r\n",
        ] {
            assert!(forged(text), "{text}");
        }
        for text in [
            "Authentication-Results: mx.else.test; spf=pass\r\n",
            "Authentication-Results: mx.else.test 1; spf=pass (mail.example.org)\r\n",
            "X-Authentication-Results: mail.example.org; spf=pass\r\n",
            "ARC-Authentication-Results: i=1; mail.example.org; spf=pass\r\n",
        ] {
            assert!(!forged(text), "{text}");
        }
    }

    #[test]
    fn values_cannot_break_out() {
        let id = Domain::parse("mail.example.org").unwrap();
        let mut results = Results::new(&id);
        results.spf("none", "a \"b\"\r\nX: y", None, "h;\r\n dkim=pass");
        let wanted = "Authentication-Results: mail.example.org;\r\n\tspf=none\r\n\t \
            reason=\"a \\\"b\\\"X: y\"\r\n\t smtp.helo=\"h; dkim=pass\"\r\n";
        assert_eq!(results.finish(), wanted);
        assert!(Results::new(&id).finish().ends_with(" mail.example.org; none\r\n"));
    }
}
