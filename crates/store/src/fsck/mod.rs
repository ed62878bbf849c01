//! `fsck`: what is primary is checked, what is derived from it is checked against it and, on
//! demand, made anew.
//!
//! Primary are the records of the segments and the rows that say who has what. Derived are
//! counters, sizes, numbers of holders, summaries, octets of segments. A message whose bytes are
//! damaged is taken out of its mailboxes; a mailbox that lost rows gets back what the segments know
//! of it, under a new UIDVALIDITY, since its clients can no longer trust what they remember.
//! Invariant: bytes are given out only for the content that their own record names.

mod annotations;
mod mailboxes;
mod scan;

use crate::backup::Progress;
use crate::caches::Caches;
use crate::error::Result;
use crate::limits::MEMORY_LIMIT;
use crate::open::{io_error, lock};
use crate::packed::{decode_contents, unseal};
use crate::recover::look_through;
use crate::rows::ContentRow;
use crate::search;
use crate::segment::Segments;
use crate::sqlite::{self, Sqlite};
use crate::txn::Durability;
use crate::unit::Unit;
use mail::ContentId;
use scan::Scan;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use sys::disk::Disk;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What is or was wrong, one sentence each.
    pub problems: Vec<String>,
    /// Everything in `problems` was mended.
    pub repaired: bool,
    /// Messages in all mailboxes.
    pub messages: u64,
    /// Messages taken out because their bytes are damaged.
    pub damaged: u64,
    /// Messages put back from the segments.
    pub put_back: u64,
}

/// A check in progress.
struct Check<'a> {
    unit: &'a mut Unit,
    segments: &'a Segments,
    scan: Scan,
    report: Report,
    /// Rows were lost.
    salvaged: bool,
    /// Where contents are, those that can be read.
    contents: BTreeMap<ContentId, ContentRow>,
    /// How many hold each content.
    holders: BTreeMap<ContentId, u32>,
    now: i64,
}

/// Checks the store in a data folder that no process has open. With `repair`, mends it. `progress`
/// hears how much of the segments has been read, which takes nearly all of the time.
pub fn fsck(
    folder: &Path,
    repair: bool,
    disk: Arc<dyn Disk>,
    now: i64,
    progress: Progress<'_>,
) -> Result<Report> {
    let _lock = lock(folder)?;
    let mut report = Report::default();
    let path = folder.join("meta.db");
    let wrong = sqlite::check(&path);
    let salvaged = !wrong.is_empty();
    report.problems.extend(wrong.iter().map(|line| format!("database: {line}")));
    if salvaged {
        if !repair {
            return Ok(report);
        }
        let aside = put_aside(&path, now)?;
        let rows = sqlite::salvage(&aside, &path)?;
        report.problems.push(format!(
            "database: {rows} rows could be read; the damaged file is kept as {}",
            aside.display()
        ));
    }
    if repair {
        // What is repaired may give numbers of contents out again. Indexes are made anew.
        search::clear(folder, &*disk);
    }
    let segments = Segments::new(&folder.join("segments"), disk);
    let caches = Caches::of(MEMORY_LIMIT);
    let mut unit = Unit::new(Box::new(Sqlite::open(&path, caches.engine)?), caches);
    unit.begin(Durability::Synced)?;
    let scan = scan::scan(&segments, progress)?;
    let mut check = Check {
        unit: &mut unit,
        segments: &segments,
        scan,
        report,
        salvaged,
        contents: BTreeMap::new(),
        holders: BTreeMap::new(),
        now,
    };
    check.all()?;
    let mut report = check.report;
    if repair {
        unit.flush()?;
        unit.commit()?;
        report.repaired = true;
    } else {
        unit.rollback();
    }
    unit.tidy(true)?;
    Ok(report)
}

/// Renames the files of a database that cannot be used.
fn put_aside(path: &Path, now: i64) -> Result<PathBuf> {
    let name = |end: &str| {
        let mut name = path.to_owned().into_os_string();
        name.push(end);
        PathBuf::from(name)
    };
    let aside = name(&format!(".damaged-{now}"));
    for end in ["-wal", ""] {
        let from = name(end);
        let mut to = aside.clone().into_os_string();
        to.push(end);
        if from.exists() {
            std::fs::rename(&from, &to).map_err(|error| io_error(&from, &error))?;
        }
    }
    let _ = std::fs::remove_file(name("-shm"));
    Ok(aside)
}

impl Check<'_> {
    fn problem(&mut self, text: String) {
        self.report.problems.push(text);
    }

    fn all(&mut self) -> Result<()> {
        let hurt = self.check_contents()?;
        for (segment, from, octets) in self.scan.damaged.clone() {
            // Elsewhere nothing is missed: it is the torn end of a batch, or was told before.
            if hurt.contains(&segment) {
                self.problem(format!("segment {segment}: {octets} octets at {from} are no record"));
            }
        }
        self.check_mailboxes()?;
        self.check_annotations()?;
        self.check_queue()?;
        self.check_holders()?;
        self.check_segments()?;
        self.check_summaries()?;
        if self.salvaged {
            // Everything that the segments hold has just been taken into the rows.
            let (segment, end) = self.scan.end;
            self.unit.write_outside().set_applied(segment, end)?;
        }
        self.check_counters()
    }

    /// Every content has a whole record that names it. Returns the segments where one is missed.
    fn check_contents(&mut self) -> Result<BTreeSet<u32>> {
        let mut hurt = BTreeSet::new();
        let (applied, mut next) = (self.unit.rows().applied()?, 0);
        while let Some((number, page)) = self.unit.rows().content_pages(next, 1)?.pop() {
            next = number + 1;
            let rows = match decode_contents(number, &page) {
                Ok(rows) => rows,
                Err(error) => {
                    self.problem(format!("contents {number}: {error}"));
                    self.unit.write_outside().remove_content_page(number)?;
                    continue;
                }
            };
            for row in rows {
                if !self.check_content(row, applied)? {
                    hurt.insert(row.segment);
                }
            }
        }
        Ok(hurt)
    }

    /// Whether its bytes are there.
    fn check_content(&mut self, row: ContentRow, applied: (u32, u64)) -> Result<bool> {
        let same = |other: &ContentRow| {
            (other.segment, other.offset, other.len, other.crc)
                == (row.segment, row.offset, row.len, row.crc)
        };
        let records = self.scan.records.get(&row.id).map(Vec::as_slice).unwrap_or_default();
        if records.iter().any(|record| same(&record.row)) {
            self.contents.insert(row.id, row);
            return Ok(true);
        }
        let before = (row.segment, row.offset) < applied || self.salvaged;
        let other = records.last().map(|record| ContentRow { refs: row.refs, ..record.row });
        match other {
            Some(other) => {
                self.problem(format!("content {}: its row points elsewhere", row.id));
                self.unit.put_content(&other, None)?;
                self.contents.insert(row.id, other);
                Ok(true)
            }
            None if before => {
                self.problem(format!(
                    "content {}: its record in segment {} is damaged or missing",
                    row.id, row.segment
                ));
                self.unit.put_content(&ContentRow { refs: 1, ..row }, None)?;
                self.unit.release(row.id)?;
                Ok(false)
            }
            None => Ok(true),
        }
    }

    /// Every queued message can be read.
    fn check_queue(&mut self) -> Result<()> {
        let mut after = None;
        loop {
            let page = self.unit.rows().queue(after, 500)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.message);
            for queued in page {
                if self.contents.contains_key(&queued.content) {
                    *self.holders.entry(queued.content).or_default() += 1;
                } else {
                    let id = queued.message;
                    self.problem(format!("queue: message {id} cannot be read any more"));
                    self.unit.write_outside().remove_queued(id)?;
                }
            }
        }
    }

    /// The rows count their holders.
    fn check_holders(&mut self) -> Result<()> {
        for (id, row) in std::mem::take(&mut self.contents) {
            let holders = self.holders.get(&id).copied().unwrap_or(0);
            if holders != row.refs {
                self.problem(format!("content {id}: {holders} hold it, its row says {}", row.refs));
            }
            if holders == 0 {
                self.unit.put_content(&ContentRow { refs: 1, ..row }, None)?;
                self.unit.release(id)?;
                continue;
            }
            let counted = ContentRow { refs: holders, ..row };
            if counted != row {
                self.unit.put_content(&counted, None)?;
            }
            self.contents.insert(id, counted);
        }
        Ok(())
    }

    /// The segments' rows sum up what is in them.
    fn check_segments(&mut self) -> Result<()> {
        self.unit.flush_contents()?;
        let mut live: BTreeMap<u32, u64> = BTreeMap::new();
        for row in self.contents.values() {
            *live.entry(row.segment).or_default() += row.len;
        }
        for (segment, total) in self.scan.totals.clone() {
            let living = live.get(&segment).copied().unwrap_or(0);
            let (was, all) = self.unit.rows().segment(segment)?;
            if (was, all) != (living, total) {
                if self.salvaged || was != living {
                    self.problem(format!("segment {segment}: {living} octets live, not {was}"));
                }
                let step = (living as i64 - was as i64, total as i64 - all as i64);
                self.unit.write_outside().add_to_segment(segment, step.0, step.1)?;
            }
        }
        Ok(())
    }

    /// Every content has its summary.
    fn check_summaries(&mut self) -> Result<()> {
        for row in self.contents.values() {
            let stored = self.unit.rows().summary(row.id)?;
            if stored.as_deref().is_some_and(|stored| unseal(stored).is_some()) {
                continue;
            }
            self.report.problems.push(format!("content {}: its summary is lost", row.id));
            let (summary, _) = look_through(self.segments, row)?;
            self.unit.put_summary(row.id, summary);
        }
        Ok(())
    }

    /// What is given out next was never given out before.
    fn check_counters(&mut self) -> Result<()> {
        let content = self.scan.records.keys().next_back().map_or(0, |id| id.0);
        let mailboxes = self.unit.rows().every_mailbox()?;
        let mailbox = mailboxes.iter().map(|row| u64::from(row.id.0)).max().unwrap_or(0);
        let validity = mailboxes.iter().map(|row| u64::from(row.uidvalidity.0.get())).max();
        let accounts = self.unit.rows().accounts()?;
        let account = accounts.iter().map(|row| u64::from(row.id.0)).max().unwrap_or(0);
        let least = [
            ("content", content),
            ("mailbox", mailbox),
            ("account", account),
            ("uidvalidity", validity.unwrap_or(0)),
        ];
        for (name, least) in least {
            let value = self.unit.counter(name)?;
            if value < least {
                self.problem(format!("counter {name}: {value} is less than {least}"));
                self.unit.put_counter(name, least);
            }
        }
        Ok(())
    }
}
