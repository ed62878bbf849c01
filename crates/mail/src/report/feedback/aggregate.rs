//! DMARC aggregate reports. RFC 7489 Appendix C, RFC 9990 §3.1.
//!
//! Read event by event, nothing is built but what is kept. Elements of other namespaces are
//! extensions (RFC 9990 §3.2) and passed over.

use super::{Aggregate, Head, NoReport, Row, shown, time};
use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};
use std::collections::HashMap;
use std::net::IpAddr;

/// Depth of elements; reports have six levels.
const DEPTH_MAX: usize = 16;
/// Octets of a text that are looked at.
const TEXT_OCTETS_MAX: usize = 1024;
/// Elements and texts; the largest reports have some 20 for each row.
const EVENTS_MAX: usize = 2_000_000;
/// Rows that are kept.
const ROWS_MAX: usize = 1_000;

/// The octets look like a report: its element is among the first ones.
pub fn is_feedback(octets: &[u8]) -> bool {
    let start = octets.get(..octets.len().min(4096)).unwrap_or_default();
    start.windows(8).any(|eight| eight == b"feedback")
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    report: Aggregate,
    begin: Option<i64>,
    end: Option<i64>,
    row: Row,
    /// Where a row of that source and fate is.
    places: HashMap<(String, String, bool, bool, String), usize>,
}

/// Reads a report.
pub fn read(octets: &[u8]) -> Result<Aggregate, NoReport> {
    const NOT_XML: NoReport = NoReport::Wrong("it is not well-formed XML");
    let octets = String::from_utf8_lossy(octets);
    let mut reader = Reader::from_str(&octets);
    let mut reading = Reading::default();
    let mut path: Vec<String> = Vec::new();
    // The prefix of the report's own elements, with its colon.
    let mut prefix = String::new();
    let mut text = String::new();
    for _ in 0..EVENTS_MAX {
        match reader.read_event().map_err(|_| NOT_XML)? {
            Event::Start(tag) => {
                let name = tag.name().as_ref().to_owned();
                if path.is_empty() {
                    let colon = name.rfind(':').map_or(0, |at| at + 1);
                    prefix = name.get(..colon).unwrap_or_default().to_owned();
                }
                if path.len() >= DEPTH_MAX {
                    return Err(NoReport::Wrong("its elements are nested too deeply"));
                }
                path.push(own(&name, &prefix));
                text.clear();
                reading.start(&path);
            }
            Event::End(_) => {
                reading.end(&path, &text);
                path.pop();
                text.clear();
                if path.is_empty() {
                    return reading.finish();
                }
            }
            Event::Text(more) => add(&mut text, more.as_ref()),
            Event::CData(more) => add(&mut text, more.as_ref()),
            Event::GeneralRef(reference) => add(&mut text, &character(&reference)?),
            Event::DocType(_) => return Err(NoReport::Wrong("it has a document type")),
            Event::Eof => return Err(NOT_XML),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    Err(NoReport::TooLarge)
}

/// The name of one of the report's own elements, without the prefix; others keep theirs.
fn own(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).chars().take(64).collect()
}

fn add(text: &mut String, more: &str) {
    let room = TEXT_OCTETS_MAX.saturating_sub(text.len());
    text.push_str(more.get(..more.floor_char_boundary(room)).unwrap_or_default());
}

/// XML 1.0 §4.1, §4.6: a character by number, or one of the five that need no document type.
fn character(reference: &BytesRef<'_>) -> Result<String, NoReport> {
    const UNKNOWN: NoReport = NoReport::Wrong("it has an entity that XML does not define");
    if let Some(c) = reference.resolve_char_ref().map_err(|_| UNKNOWN)? {
        return Ok(c.to_string());
    }
    let known = match reference.as_ref() {
        "lt" => "<",
        "gt" => ">",
        "amp" => "&",
        "quot" => "\"",
        "apos" => "'",
        _ => return Err(UNKNOWN),
    };
    Ok(known.to_owned())
}

impl Reading {
    fn start(&mut self, path: &[String]) {
        if let [_, record] = path
            && record == "record"
        {
            self.row = Row::default();
        }
    }

    fn end(&mut self, path: &[String], text: &str) {
        let path: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
        let passes = || text.trim().eq_ignore_ascii_case("pass");
        match path.as_slice() {
            ["report_metadata", "org_name"] => self.report.head.organization = shown(text),
            ["report_metadata", "report_id"] => self.report.head.id = shown(text),
            ["report_metadata", "date_range", "begin"] => self.begin = time(text),
            ["report_metadata", "date_range", "end"] => self.end = time(text),
            ["policy_published", "domain"] => {
                self.report.domain = shown(text).to_ascii_lowercase();
            }
            ["policy_published", "p"] => self.report.policy = shown(text),
            ["record", "row", "source_ip"] => {
                // What is no address is shown as it is.
                let text = shown(text);
                let address = text.parse::<IpAddr>().map(|address| address.to_canonical());
                self.row.source = address.map_or(text, |address| address.to_string());
            }
            ["record", "row", "count"] => self.row.count = text.trim().parse().unwrap_or(0),
            ["record", "row", "policy_evaluated", "disposition"] => {
                self.row.disposition = shown(text);
            }
            ["record", "row", "policy_evaluated", "dkim"] => self.row.dkim = passes(),
            ["record", "row", "policy_evaluated", "spf"] => self.row.spf = passes(),
            ["record", "identifiers", "header_from"] => {
                self.row.header_from = shown(text).to_ascii_lowercase();
            }
            ["record"] => self.keep(),
            _ => {}
        }
    }

    /// Puts the row to those that are like it.
    fn keep(&mut self) {
        let row = std::mem::take(&mut self.row);
        let key = (
            row.source.clone(),
            row.header_from.clone(),
            row.dkim,
            row.spf,
            row.disposition.clone(),
        );
        let rows = &mut self.report.rows;
        let place = self.places.get(&key).copied();
        if let Some(same) = place.and_then(|at| rows.get_mut(at)) {
            same.count = same.count.saturating_add(row.count);
        } else if rows.len() < ROWS_MAX {
            self.places.insert(key, rows.len());
            rows.push(row);
        } else {
            self.report.omitted = self.report.omitted.saturating_add(row.count);
        }
    }

    fn finish(self) -> Result<Aggregate, NoReport> {
        let (Some(begin), Some(end)) = (self.begin, self.end) else {
            return Err(NoReport::Wrong("the dates of the DMARC report cannot be read"));
        };
        if self.report.domain.is_empty() {
            return Err(NoReport::Wrong("the DMARC report names no domain"));
        }
        Ok(Aggregate { head: Head { begin, end, ..self.report.head }, ..self.report })
    }
}
