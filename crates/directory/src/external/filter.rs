//! Filters of LDAP, with an address put into them. RFC 4515.

use mail::Address;

/// Puts the address in the places of `{address}`, `{local}` and `{domain}`. What is put in can only
/// be a value: every octet that is not a letter or digit of ASCII is escaped (RFC 4515 §3).
pub fn filled(filter: &str, address: &Address) -> String {
    let mut out = String::with_capacity(filter.len() + 64);
    let mut rest = filter;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let value = match after.split_once('}') {
            Some(("address", left)) => Some((address.to_string(), left)),
            Some(("local", left)) => Some((address.local().to_owned(), left)),
            Some(("domain", left)) => Some((address.domain().as_str().to_owned(), left)),
            _ => None,
        };
        match value {
            Some((value, left)) => {
                out.push_str(&escaped(&value));
                rest = left;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() => out.push(char::from(b)),
            b => out.push_str(&format!("\\{b:02x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// security.md AU-4: whatever somebody calls himself, the filter keeps its shape.
    #[test]
    fn au_4_values_cannot_leave_their_place() {
        let whole = "(&(objectClass=person)(|(mail={address})(uid={local})(dc={domain})({x}=*)))";
        let made = |text: &str| filled(whole, &Address::parse(text).unwrap());
        assert_eq!(
            made("a.b@example.org"),
            "(&(objectClass=person)(|(mail=a\\2eb\\40example\\2eorg)(uid=a\\2eb)(dc=example\\2eorg)({x}=*)))"
        );
        for hostile in ["\"*)(uid=*\"", "\"a)(|(x=*\"", "\"\\\\2a\"", "\"{domain}\"", "*", "ü"] {
            let made = made(&format!("{hostile}@example.org"));
            let count = |c: char| made.matches(c).count();
            assert_eq!((count('('), count(')'), count('*')), (7, 7, 1), "{made}");
        }
    }
}
