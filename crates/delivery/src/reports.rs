//! Reports about mail from our domains, as they come in: read while their message is accepted, and
//! kept in the same commit. users.md S-23. `mail::report::feedback` reads them.

use crate::accept::Incoming;
use crate::limits::{REPORT_KEPT_OCTETS_MAX, REPORT_MAIL_OCTETS_MAX};
use crate::{Settings, Shared};
use mail::Address;
use mail::report::feedback::{self, Feedback, NoReport};
use mail::summary::Summary;
use store::{Spool, StoreError, Writing};
use sys::hands;

/// Where reports come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reports {
    /// The address, with any plus-tag.
    pub address: Address,
    /// They are delivered as well.
    pub deliver: bool,
}

/// A report that is to be kept.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    end: i64,
    number: u64,
    octets: Vec<u8>,
}

impl Kept {
    /// Keeps it.
    pub fn keep(&self, w: &mut Writing<'_>) -> Result<(), StoreError> {
        w.keep_feedback(self.end, self.number, &self.octets)
    }
}

/// A recipient is the address of reports, with whatever plus-tag.
fn is_for_reports(settings: &Settings, incoming: &Incoming) -> bool {
    let Some(reports) = &settings.reports else { return false };
    incoming.recipients.iter().any(|recipient| {
        let (here, there) = (recipient.address.local(), reports.address.local());
        let plain = here.split_once('+').map_or(here, |(plain, _)| plain);
        let same = |local: &str| local.eq_ignore_ascii_case(there);
        recipient.address.domain().is_same(reports.address.domain()) && (same(here) || same(plain))
    })
}

/// The report in a message that is complete. What is none is mail like any other.
pub(crate) async fn read(
    shared: &Shared,
    incoming: &Incoming,
    summary: &Summary,
    spool: &Spool,
) -> Option<Kept> {
    if !is_for_reports(&shared.settings, incoming) {
        return None;
    }
    let (found, id) = (find(shared, summary, spool).await, incoming.message);
    match found {
        Ok(Ok(report)) => {
            let head = report.head();
            tracing::info!(%id, kind = report.kind(), from = head.organization, "a report came");
            Some(kept(report))
        }
        Ok(Err(why)) => {
            tracing::info!(%id, %why, "mail for the address of reports has no report in it");
            None
        }
        Err(error) => {
            tracing::warn!(%id, %error, "a report cannot be read");
            None
        }
    }
}

/// Reading takes a while where it is large: no session waits for another's.
async fn find(
    shared: &Shared,
    summary: &Summary,
    spool: &Spool,
) -> Result<Result<Feedback, NoReport>, StoreError> {
    if spool.len() > REPORT_MAIL_OCTETS_MAX {
        return Ok(Err(NoReport::TooLarge));
    }
    let (octets, root) = (spool.read(0..u64::MAX)?, summary.root.clone());
    let read = move || {
        let range = |range: std::ops::Range<u64>| {
            let octets = octets.get(range.start as usize..range.end as usize);
            Ok::<_, StoreError>(octets.unwrap_or_default().to_vec())
        };
        feedback::find(&root, range)
    };
    let found = hands::blocking(&*shared.world.hands, read).await;
    found.map_err(StoreError::Engine)?
}

fn kept(mut report: Feedback) -> Kept {
    let head = report.head();
    let (end, name) = (head.end, format!("{} {} {}", report.kind(), head.organization, head.id));
    // The same report may come twice.
    let number = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let mut octets = encode(&report);
    while octets.len() > REPORT_KEPT_OCTETS_MAX && shorten(&mut report) {
        octets = encode(&report);
    }
    Kept { end, number, octets }
}

fn encode(report: &Feedback) -> Vec<u8> {
    serde_json::to_vec(report).unwrap_or_default()
}

/// Leaves out the second half of the details; whether there was one.
fn shorten(report: &mut Feedback) -> bool {
    match report {
        Feedback::Dmarc(report) => {
            let rest = report.rows.split_off(report.rows.len() / 2);
            report.omitted += rest.iter().map(|row| row.count).sum::<u64>();
            !rest.is_empty()
        }
        Feedback::Tls(report) => {
            let longest = report.policies.iter_mut().max_by_key(|policy| policy.details.len());
            let rest = longest.map(|policy| policy.details.split_off(policy.details.len() / 2));
            rest.is_some_and(|rest| !rest.is_empty())
                || !report.policies.split_off(report.policies.len() / 2).is_empty()
        }
    }
}
