//! What must hold of reports about our mail, and of what messages are judged by.

use mail::limits::{TOKEN_CHARS_MAX, TOKENS_MAX};
use mail::mime::{summary_of, text::in_memory};
use mail::report::feedback::{Feedback, of_octets};
use mail::tokens;
use std::collections::HashSet;

/// A report, packed or not: what is kept of it is bounded and can be shown.
pub fn report(octets: &[u8]) {
    let Ok(report) = of_octets(octets) else { return };
    let safe = |text: &str| {
        assert!(!text.contains(char::is_control) && text.chars().count() <= 255, "{text:?}");
    };
    safe(&report.head().organization);
    safe(&report.head().id);
    report.domains().into_iter().for_each(safe);
    let (_, _) = report.counts();
    match &report {
        Feedback::Dmarc(report) => {
            assert!(report.rows.len() <= 1000);
            for row in &report.rows {
                [&row.source, &row.header_from, &row.disposition]
                    .into_iter()
                    .for_each(|text| safe(text));
            }
        }
        Feedback::Tls(report) => {
            for detail in report.policies.iter().flat_map(|policy| &policy.details) {
                [&detail.mx, &detail.result, &detail.source]
                    .into_iter()
                    .for_each(|text| safe(text));
            }
        }
    }
}

/// It is a report.
pub fn reads(octets: &[u8]) -> bool {
    of_octets(octets).is_ok()
}

/// A message: its tokens are few, different, short, and the same each time.
pub fn tokens(octets: &[u8]) {
    let summary = summary_of(octets);
    let of = || tokens::tokens(&summary, in_memory::<()>(octets)).unwrap_or_default();
    let tokens = of();
    assert!(tokens.len() <= TOKENS_MAX);
    assert_eq!(tokens.iter().collect::<HashSet<_>>().len(), tokens.len(), "{tokens:?}");
    let short = |token: &String| token.chars().count() <= TOKEN_CHARS_MAX + 16;
    assert!(tokens.iter().all(short), "{tokens:?}");
    assert_eq!(of(), tokens);
}
