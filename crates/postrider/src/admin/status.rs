//! `postrider status`: how the server is.
//!
//! Invariant: it only looks.

use super::{Outcome, Response, exit, fail};
use crate::access::Live;
use crate::certificate;
use serde_json::json;
use store::{Health, Store};

/// How the store is, which messages are damaged, until when the certificate holds, which block
/// lists are of no use, how many domains say by MTA-STS who gets their mail, and whether DNSSEC
/// works.
pub(super) fn status(store: &Store, live: Option<&Live>) -> Outcome {
    let (word, why) = match store.health() {
        Health::Fine => ("fine", None),
        Health::Full => ("full", None),
        Health::Failed(why) => ("failed", Some(why)),
    };
    let (pid, version) = (std::process::id(), env!("CARGO_PKG_VERSION"));
    if let Some(why) = why {
        let text = format!("pid {pid} runs, but its store stopped writing: {why}");
        return Err(fail(exit::IO, format!("{text}\nCheck the disk, then start it again")));
    }
    let damaged: Vec<String> = store.damaged().iter().map(ToString::to_string).collect();
    let mut text = format!("Postrider {version} runs as pid {pid}");
    if word == "full" {
        text += "; the disk is nearly full: no new messages";
    }
    if !damaged.is_empty() {
        text += &format!("; messages are damaged: {}; see postrider fsck", damaged.len());
    }
    let expires = live.and_then(|live| Some((live, live.tls.validity()?)));
    if let Some((live, validity)) = &expires {
        let told = certificate::trouble(validity, live.clock.unix_seconds());
        text += &told.map_or(String::new(), |told| format!("; {told}"));
    }
    let lists = live.map(|live| live.lists.disabled(live.clock.monotonic())).unwrap_or_default();
    for (zone, why) in &lists {
        text += &format!("; the block list {zone} is not asked: {why}");
    }
    let policies = live.and_then(|live| live.delivery.policies_in_force().ok()).unwrap_or(0);
    if policies > 0 {
        text += &format!("; MTA-STS policies in force: {policies}");
    }
    let dnssec = live.and_then(|live| live.delivery.dnssec());
    if dnssec == Some(false) {
        text += "; the DNS servers do not hand on what DNSSEC needs: there is no DANE";
    }
    let zones: Vec<&String> = lists.iter().map(|(zone, _)| zone).collect();
    let value = json!({
        "running": true, "pid": pid, "version": version, "store": word, "damaged": damaged,
        "certificate_expires": expires.map(|(_, validity)| validity.end),
        "block_lists_disabled": zones, "mta_sts_policies": policies, "dnssec": dnssec,
    });
    Ok(Response { value, text })
}
