//! Reports as their senders write them, and as nobody should.

use super::*;
use crate::mime::{summary_of, text::in_memory};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use std::io::Write;

/// After RFC 7489 Appendix C.
const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<feedback>\n <report_metadata>\n\
    <org_name>Receiver &amp; Sons</org_name><email>r@receiver.example</email>\n\
    <report_id>2026.1</report_id>\n<date_range><begin>1767225600</begin><end>1767311999</end>\n\
    </date_range></report_metadata>\n<policy_published><domain>Example.org</domain><p>reject</p>\n\
    </policy_published>\n<record><row><source_ip>192.0.2.1</source_ip><count>2</count>\n\
    <policy_evaluated><disposition>none</disposition><dkim>fail</dkim><spf>pass</spf>\n\
    </policy_evaluated></row><identifiers><header_from>example.org</header_from></identifiers>\n\
    <auth_results><spf><domain>example.org</domain><result>pass</result></spf></auth_results>\n\
    </record><record><row><source_ip>198.51.100.7</source_ip><count>5</count>\n\
    <policy_evaluated><disposition>reject</disposition><dkim>fail</dkim><spf>fail</spf>\n\
    </policy_evaluated></row><identifiers><header_from>example.org</header_from></identifiers>\n\
    </record></feedback>\n";

/// After RFC 8460 Appendix B, with dates as Microsoft writes them.
const JSON: &str = r#"{"organization-name":"Company-X","date-range":{"start-datetime":
    "2026-01-01T00:00:00","end-datetime":"2026-01-01 23:59:59"},"contact-info":"x@company-x.example",
    "report-id":"5065427c","policies":[{"policy":{"policy-type":"sts","policy-string":["version: STSv1"],
    "policy-domain":"Example.org","mx-host":["*.example.org"]},"summary":{
    "total-successful-session-count":5326,"total-failure-session-count":303},"failure-details":[
    {"result-type":"certificate-expired","sending-mta-ip":"2001:db8::1","receiving-mx-hostname":
    "mail.example.org","failed-session-count":100}]},{"policy":{"policy-type":"no-policy-found",
    "policy-domain":"b.example"},"summary":{"total-successful-session-count":1,
    "total-failure-session-count":0}}]}"#;

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

/// An archive of one file; its local header may leave lengths to the directory.
fn zip(octets: &[u8], streamed: bool) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(octets).unwrap();
    let data = encoder.finish().unwrap();
    let name = b"a.xml";
    let u16s = |values: &[u16]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let u32s = |values: &[u32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let (packed, whole) = (data.len() as u32, octets.len() as u32);
    let flags = if streamed { 8 } else { 0 };
    let lengths = if streamed { [0, 0, 0] } else { [0, packed, whole] };
    let mut out = b"PK\x03\x04".to_vec();
    out.extend(u16s(&[20, flags, 8, 0, 0]));
    out.extend(u32s(&lengths));
    out.extend(u16s(&[name.len() as u16, 0]));
    out.extend(name);
    out.extend(&data);
    let directory = out.len() as u32;
    out.extend(b"PK\x01\x02");
    out.extend(u16s(&[20, 20, flags, 8, 0, 0]));
    out.extend(u32s(&[0, packed, whole]));
    out.extend(u16s(&[name.len() as u16, 0, 0, 0, 0]));
    out.extend(u32s(&[0, 0]));
    out.extend(name);
    let size = out.len() as u32 - directory;
    out.extend(b"PK\x05\x06");
    out.extend(u16s(&[0, 0, 1, 1]));
    out.extend(u32s(&[size, directory]));
    out.extend(u16s(&[0]));
    out
}

fn base64(octets: &[u8]) -> String {
    let text = STANDARD.encode(octets);
    let lines: Vec<&str> =
        text.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join("\r\n")
}

fn found(message: &str) -> Result<Feedback, NoReport> {
    find(&summary_of(message.as_bytes()).root, in_memory::<()>(message.as_bytes())).unwrap()
}

fn dmarc(report: Result<Feedback, NoReport>) -> Aggregate {
    match report {
        Ok(Feedback::Dmarc(report)) => report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn s_23_reports_are_found_however_they_are_labelled_and_packed() {
    let expected = dmarc(of_octets(XML.as_bytes()));
    assert_eq!(expected.head.organization, "Receiver & Sons");
    assert_eq!((expected.head.begin, expected.head.end), (1_767_225_600, 1_767_311_999));
    assert_eq!((expected.domain.as_str(), expected.policy.as_str()), ("example.org", "reject"));
    assert_eq!(expected.rows.len(), 2);
    assert!(expected.rows[0].passes() && !expected.rows[1].passes());
    assert_eq!(Feedback::Dmarc(expected.clone()).counts(), (2, 5));
    let xml = XML.as_bytes();
    let packed = [xml.to_vec(), gzip(xml), zip(xml, false), zip(xml, true)];
    let types = [
        "application/gzip",
        "application/zip",
        "text/xml",
        "application/octet-stream",
        "application/x-zip-compressed; name=\"x!y!1!2.zip\"",
        "text/plain",
        "odd",
    ];
    for octets in &packed {
        for kind in types {
            let head = format!("Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n");
            let single = format!("From: a@b.example\r\n{head}{}\r\n", base64(octets));
            assert_eq!(dmarc(found(&single)), expected, "{kind}");
            let several = format!(
                "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nThis is a report.\r\n\
                 --b\r\nContent-Type: text/html\r\n\r\n<html>feedback</html>\r\n\
                 --b\r\n{head}{}\r\n--b--\r\n",
                base64(octets)
            );
            assert_eq!(dmarc(found(&several)), expected, "{kind}");
        }
    }
    // Not encoded at all, in a forwarded message.
    let forwarded = format!("Content-Type: message/rfc822\r\n\r\nSubject: r\r\n\r\n\u{feff}{XML}");
    assert_eq!(dmarc(found(&forwarded)), expected);
}

#[test]
fn s_23_tls_reports_are_read_with_odd_dates() {
    let message = format!("Content-Type: application/tlsrpt+json\r\n\r\n{JSON}\r\n");
    let Ok(Feedback::Tls(report)) = found(&message) else { panic!("{:?}", found(&message)) };
    assert_eq!((report.head.begin, report.head.end), (1_767_225_600, 1_767_311_999));
    assert_eq!(report.policies.len(), 2);
    assert_eq!(report.policies[0].domain, "example.org");
    let failure = &report.policies[0].details[0];
    let told = (failure.result.as_str(), failure.mx.as_str(), failure.count);
    assert_eq!(told, ("certificate-expired", "mail.example.org", 100));
    assert_eq!(Feedback::Tls(report).counts(), (5327, 303));
    for (text, expected) in [
        ("2026-01-01T00:00:00Z", Some(1_767_225_600)),
        ("2026-01-01T01:00:00+01:00", Some(1_767_225_600)),
        ("2026-01-01T00:00:00.123", Some(1_767_225_600)),
        ("2026-01-01", Some(1_767_225_600)),
        (" 1767225600 ", Some(1_767_225_600)),
        ("1767225600000", Some(1_767_225_600)),
        ("-5", None),
        ("yesterday", None),
    ] {
        assert_eq!(time(text), expected, "{text}");
    }
}

#[test]
fn s_23_hostile_reports_are_refused() {
    let wrong = |octets: &[u8]| of_octets(octets).unwrap_err();
    let with = |what: &str| XML.replacen("<feedback>", what, 1);
    let entities = "<!DOCTYPE f [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><feedback>";
    assert_eq!(wrong(with(entities).as_bytes()), NoReport::Wrong("it has a document type"));
    let entity = XML.replace("&amp;", "&xxe;");
    assert!(matches!(wrong(entity.as_bytes()), NoReport::Wrong(_)));
    let deep = format!("<feedback>{}", "<a>".repeat(1_000_000));
    assert!(matches!(wrong(deep.as_bytes()), NoReport::Wrong(_)));
    let cut = &XML[..XML.len() - 30];
    assert!(matches!(wrong(cut.as_bytes()), NoReport::Wrong(_)));
    // Bombs.
    for packed in [gzip(&vec![b' '; 64 << 20]), zip(&vec![b' '; 64 << 20], true)] {
        assert!(packed.len() < 100_000);
        assert_eq!(wrong(&packed), NoReport::TooLarge);
    }
    let half = gzip(XML.as_bytes());
    assert_eq!(wrong(&half[..half.len() / 2]), NoReport::Damaged);
    let archive = zip(XML.as_bytes(), true);
    for len in 0..archive.len() - 2 {
        assert!(of_octets(&archive[..len]).is_err());
    }
    let nested = format!("{{\"policies\":{}", "[".repeat(1 << 19));
    assert!(matches!(wrong(nested.as_bytes()), NoReport::Wrong(_)));
    let large = format!("{{\"policies\":[{}]}}", "{},".repeat(1 << 20));
    assert_eq!(wrong(large.as_bytes()), NoReport::TooLarge);
    assert_eq!(
        found("Subject: hello\r\n\r\n<p>feedback</p>").unwrap_err(),
        NoReport::Wrong("the dates of the DMARC report cannot be read")
    );
    assert_eq!(found("Subject: hello\r\n\r\nhello\r\n"), Err(NoReport::NotThere));
}

#[test]
fn s_23_rows_are_put_together_and_bounded() {
    let (start, rest) = XML.split_once("<record>").unwrap();
    let end = "</feedback>";
    let record = |n: usize| {
        format!("<record>{}", rest.split_once("</record>").unwrap().0)
            .replace("192.0.2.1", &format!("10.0.{}.{}", n / 200, n % 200))
            + "</record>"
    };
    let many: String = (0..3_000).map(|n| record(n % 1_500)).collect();
    let report = dmarc(of_octets(format!("{start}{many}{end}").as_bytes()));
    assert_eq!((report.rows.len(), report.omitted), (1_000, 2_000));
    assert!(report.rows.iter().all(|row| row.count == 4));
    // Prefixes are names of the same thing; what has another one is an extension.
    let named = XML.replace("</", "</d:").replace('<', "<d:").replace("<d:/d:", "</d:");
    let named = named
        .replace("<d:?xml", "<?xml")
        .replace("<d:record>", "<x:record><x:row/></x:record><d:record>");
    let named =
        named.replace("<d:feedback>", "<d:feedback xmlns:d=\"urn:ietf:params:xml:ns:dmarc-2.0\">");
    assert_eq!(dmarc(of_octets(named.as_bytes())), dmarc(of_octets(XML.as_bytes())));
}
