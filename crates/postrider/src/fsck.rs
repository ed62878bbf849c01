//! `postrider fsck`: the store's own check, told to a person or a script.

use crate::admin::{Failure, exit};
use crate::config::Config;
use crate::progress::progress;
use crate::{say, serve};
use std::path::Path;
use std::sync::Arc;
use store::fsck::{Report, fsck};
use store::{Store, StoreError};
use sys::clock::{Clock as _, SystemClock};
use sys::disk::RealDisk;

/// Checks the store of a root folder, or the one in `folder`, and mends it with `repair`.
pub fn run(root: &Path, folder: Option<&Path>, repair: bool, json: bool) -> Result<(), Failure> {
    let folder = match folder {
        // Of a backup, its `store` is meant.
        Some(folder) => {
            let candidates = [folder.to_owned(), folder.join("store")];
            candidates.into_iter().find(|folder| Store::is_in(folder)).ok_or_else(|| {
                let text = format!("there is no store in {}", folder.display());
                Failure { text, code: exit::NO_INPUT }
            })?
        }
        None => {
            let config = Config::load(root).map_err(|text| Failure { text, code: exit::CONFIG })?;
            serve::has_store(root, &config)?;
            root.join(&config.store.folder)
        }
    };
    let now = SystemClock::new().unix_seconds();
    let report = fsck(&folder, repair, Arc::new(RealDisk), now, &mut progress());
    let report = report.map_err(|error| match error {
        StoreError::Locked(who) => Failure {
            text: format!("the data folder is in use by {who}; stop the server first"),
            code: exit::TEMPORARY,
        },
        other => Failure { text: other.to_string(), code: exit::SOFTWARE },
    })?;
    if json {
        say(&as_json(&report).to_string());
    } else {
        tell(&report);
    }
    if report.problems.is_empty() || report.repaired {
        return Ok(());
    }
    let text = format!("{} problems; mend them with --repair", report.problems.len());
    Err(Failure { text, code: exit::DATA })
}

fn as_json(report: &Report) -> serde_json::Value {
    serde_json::json!({
        "problems": report.problems,
        "repaired": report.repaired,
        "messages": report.messages,
        "damaged": report.damaged,
        "put_back": report.put_back,
    })
}

fn tell(report: &Report) {
    for problem in &report.problems {
        say(problem);
    }
    say(&format!("{} messages in all mailboxes", report.messages));
    if report.damaged > 0 {
        say(&format!("{} messages are damaged and taken out", report.damaged));
    }
    if report.put_back > 0 {
        say(&format!("{} messages are put back from the segments", report.put_back));
    }
    say(match (report.problems.is_empty(), report.repaired) {
        (true, _) => "All is well",
        (false, true) => "All of it is mended",
        (false, false) => "Nothing was changed",
    });
}
