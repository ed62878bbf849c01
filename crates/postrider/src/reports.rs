//! `reports`: what other receivers say about mail from our domains.

use crate::admin::{Failure, Outcome, Request, Response, exit};
use clap::Subcommand;
use mail::date::format_rfc3339;
use mail::report::feedback::{Aggregate, Feedback, TlsReport};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write;
use store::Store;

/// `reports`
#[derive(Subcommand)]
pub enum Reports {
    /// List the reports that came, and sum up who sends as a domain
    #[command(after_help = "Example:\n  postrider reports list --domain example.org")]
    List {
        /// Only about this domain
        #[arg(long)]
        domain: Option<String>,
        /// At most so many, the latest; 0 is all
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one report
    #[command(after_help = "Example:\n  postrider reports show 01767311999-1f2e3d4c5b6a7988")]
    Show {
        /// Its name, as the list has it
        name: String,
    },
}

/// The request of a command.
pub fn request(command: Reports) -> Request {
    match command {
        Reports::List { domain, limit } => Request::ReportsList { domain, limit },
        Reports::Show { name } => Request::ReportsShow { name },
    }
}

/// Carries it out.
pub fn execute(store: &Store, request: Request) -> Outcome {
    let kept = store.feedback();
    let kept = kept.map_err(|error| Failure { text: error.to_string(), code: exit::SOFTWARE })?;
    let read = kept.into_iter().filter_map(|kept| {
        let report = serde_json::from_slice(&kept.octets).ok()?;
        Some((kept.name, report))
    });
    let mut reports: Vec<(String, Feedback)> = read.collect();
    match request {
        Request::ReportsList { domain, limit } => {
            if let Some(domain) = domain.map(|domain| domain.to_ascii_lowercase()) {
                reports.retain(|(_, report)| report.domains().contains(&domain.as_str()));
            }
            if limit > 0 {
                reports.drain(..reports.len().saturating_sub(limit));
            }
            Ok(list(&reports))
        }
        Request::ReportsShow { name } => {
            let found = reports.into_iter().find(|(other, _)| *other == name);
            let nothing = || Failure {
                text: format!("there is no report {name}\nSee: postrider reports list"),
                code: exit::NO_USER,
            };
            let (_, report) = found.ok_or_else(nothing)?;
            let value = serde_json::to_value(&report).unwrap_or_default();
            Ok(Response { value, text: show(&report) })
        }
        _ => Err(Failure { text: "not a command about reports".into(), code: exit::SOFTWARE }),
    }
}

/// Passed and failed.
type Counts = (u64, u64);

fn add(to: &mut Counts, (good, bad): Counts) {
    *to = (to.0.saturating_add(good), to.1.saturating_add(bad));
}

/// Messages by domain and source, of all DMARC reports together.
fn sources(reports: &[(String, Feedback)]) -> BTreeMap<(String, String), Counts> {
    let mut sources: BTreeMap<(String, String), Counts> = BTreeMap::new();
    for (_, report) in reports {
        let Feedback::Dmarc(report) = report else { continue };
        for row in &report.rows {
            let key = (report.domain.clone(), row.source.clone());
            let counts = if row.passes() { (row.count, 0) } else { (0, row.count) };
            add(sources.entry(key).or_default(), counts);
        }
    }
    sources
}

/// TLS failures by server and kind, of all TLS reports together.
fn tls_failures(reports: &[(String, Feedback)]) -> BTreeMap<(String, String), u64> {
    let mut failures: BTreeMap<(String, String), u64> = BTreeMap::new();
    for (_, report) in reports {
        let Feedback::Tls(report) = report else { continue };
        for detail in report.policies.iter().flat_map(|policy| &policy.details) {
            let count = failures.entry((detail.mx.clone(), detail.result.clone())).or_default();
            *count = count.saturating_add(detail.count);
        }
    }
    failures
}

fn list(reports: &[(String, Feedback)]) -> Response {
    let mut text = String::new();
    for (name, report) in reports {
        let (head, (good, bad)) = (report.head(), report.counts());
        let what = if report.kind() == "tls" { "TLS sessions" } else { "messages" };
        let mut domains = report.domains();
        domains.dedup();
        let _ = writeln!(
            text,
            "{name}  {}  {}  {}: {good} {what} passed, {bad} failed",
            format_rfc3339(head.end),
            head.organization,
            domains.join(", "),
        );
    }
    let (sources, failures) = (sources(reports), tls_failures(reports));
    if !sources.is_empty() {
        text.push_str("\nWho sent mail, and what of it passed DMARC:\n");
    }
    for ((domain, source), (good, bad)) in &sources {
        let _ = writeln!(text, "{domain}  {source}  {good} passed, {bad} failed");
    }
    if !failures.is_empty() {
        text.push_str("\nWhy TLS failed:\n");
    }
    for ((mx, result), count) in &failures {
        let _ = writeln!(text, "{mx}  {result}  {count}");
    }
    if reports.is_empty() {
        text.push_str("no reports yet");
    }
    let listed = reports.iter().map(|(name, report)| {
        let (head, (good, bad)) = (report.head(), report.counts());
        json!({
            "name": name, "kind": report.kind(), "organization": head.organization,
            "begin": head.begin, "end": head.end, "domains": report.domains(),
            "passed": good, "failed": bad,
        })
    });
    let listed: Vec<_> = listed.collect();
    let sources = sources.iter().map(|((domain, source), (good, bad))| {
        json!({ "domain": domain, "source": source, "passed": good, "failed": bad })
    });
    let failures = failures
        .iter()
        .map(|((mx, result), count)| json!({ "mx": mx, "result": result, "sessions": count }));
    let value = json!({
        "reports": listed,
        "sources": sources.collect::<Vec<_>>(),
        "tls_failures": failures.collect::<Vec<_>>(),
    });
    Response { value, text: text.trim_end().to_owned() }
}

fn show(report: &Feedback) -> String {
    let head = report.head();
    let mut text = format!(
        "{} by {}, {} to {}\n",
        head.id,
        head.organization,
        format_rfc3339(head.begin),
        format_rfc3339(head.end)
    );
    match report {
        Feedback::Dmarc(report) => show_dmarc(report, &mut text),
        Feedback::Tls(report) => show_tls(report, &mut text),
    }
    text.trim_end().to_owned()
}

fn show_dmarc(report: &Aggregate, text: &mut String) {
    let _ = writeln!(text, "{}, policy {}", report.domain, report.policy);
    let word = |passed| if passed { "pass" } else { "fail" };
    for row in &report.rows {
        let _ = writeln!(
            text,
            "{}  {} messages from {}: DKIM {}, SPF {}, {}",
            row.source,
            row.count,
            row.header_from,
            word(row.dkim),
            word(row.spf),
            row.disposition
        );
    }
    if report.omitted > 0 {
        let _ = writeln!(text, "and {} messages in rows that are not kept", report.omitted);
    }
}

fn show_tls(report: &TlsReport, text: &mut String) {
    for policy in &report.policies {
        let (good, bad) = (policy.successes, policy.failures);
        let (domain, kind) = (&policy.domain, &policy.policy);
        let _ = writeln!(text, "{domain}, policy {kind}: {good} sessions passed, {bad} failed");
        for detail in &policy.details {
            let (result, mx, source) = (&detail.result, &detail.mx, &detail.source);
            let _ = writeln!(text, "  {result}  {mx}  from {source}  {}", detail.count);
        }
    }
}
