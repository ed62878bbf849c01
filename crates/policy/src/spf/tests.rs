//! SPF by the examples of RFC 7208; `tests/interop/spf.py` runs the openspf suite.

use super::macros::{MacroString, Values};
use super::record::Record;
use super::*;

fn request(ip: &str) -> Request<'static> {
    Request {
        ip: ip.parse().unwrap(),
        domain: "email.example.com",
        sender: "strong-bad@email.example.com",
        helo: "mx.example.org",
        receiver: "mail.example.org",
        now: 1,
    }
}

fn expanded(text: &str, ip: &str) -> String {
    let request = request(ip);
    let values = Values {
        request: &request,
        sender: request.sender,
        domain: request.domain,
        validated: "mx.example.org",
    };
    MacroString::parse(text, true).unwrap().expand(&values)
}

/// RFC 7208 §7.4.
#[test]
fn macros_expand_as_the_rfc_shows() {
    let cases = [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d3}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
        ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
        ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
        ("%%%_%-%{S}", "% %20strong-bad%40email.example.com"),
        ("%{p} %{c} %{r} %{t} %{H}", "mx.example.org 192.0.2.3 mail.example.org 1 mx.example.org"),
    ];
    for (text, value) in cases {
        assert_eq!(expanded(text, "192.0.2.3"), value, "{text}");
    }
    let v6 = "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com";
    assert_eq!(expanded("%{ir}.%{v}._spf.%{d2}", "2001:db8::cb01"), v6);
}

#[test]
fn records_are_right_or_wrong() {
    let right = [
        "v=spf1",
        "V=SPF1 A MX -ALL",
        "v=spf1 a:b.example/24//64 mx//48 ?ptr:b.example ~exists:%{ir}.x.example.",
        "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 include:_spf.%{d} exp=e.%{d} moo=x:/y",
        "v=spf1 a:foo:bar/baz.e4 redirect=b.example",
    ];
    for text in right {
        assert!(Record::parse(text.as_bytes()).is_ok(), "{text}");
    }
    let wrong = [
        "v=spf1 all:x",
        "v=spf1 a:",
        "v=spf1 a/",
        "v=spf1 a/33",
        "v=spf1 a/024",
        "v=spf1 a//129",
        "v=spf1 a:museum",
        "v=spf1 a:b.example:8080",
        "v=spf1 a:b.111",
        "v=spf1 ip4:192.0.2",
        "v=spf1 ip4:192.0.2.1/33",
        "v=spf1 ip6:2001::g",
        "v=spf1 include",
        "v=spf1 exists:%(x)",
        "v=spf1 exists:%{d0}.x",
        "v=spf1 exists:%{c}.x",
        "v=spf1 redirect=a.b redirect=a.b",
        "v=spf1 moo",
        "v=spf1 exp=",
        "v=spf1 -all a:%",
        "v=spf1 x=%{",
        "v=spf1 \u{e9}",
    ];
    for text in wrong {
        assert!(Record::parse(text.as_bytes()).is_err(), "{text}");
    }
    assert!(is_record(b"v=spf1") && !is_record(b"v=spf10 all") && !is_record(b"v=spf1\tall"));
}
