//! Bans outlive the server: a file in the data folder has them, with the time they end.

use policy::guard::{Ban, Guard, Source};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use sys::clock::Clock;
use tokio::sync::watch;

/// The file's name in the data folder.
const FILE: &str = "bans.json";
/// How long a new ban may be in memory only.
const CHECK: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Row {
    address: IpAddr,
    failures: u32,
    /// Seconds since 1970.
    until: i64,
}

/// The bans of a guard, and where they are kept.
pub struct Bans {
    guard: Arc<Guard>,
    clock: Arc<dyn Clock>,
    file: PathBuf,
}

impl Bans {
    /// Takes the bans of the last run over. A file that cannot be read is told of, and is no reason
    /// not to start.
    pub fn restore(guard: Arc<Guard>, clock: Arc<dyn Clock>, folder: &Path) -> Bans {
        let bans = Bans { guard, clock, file: folder.join(FILE) };
        match bans.read() {
            Ok(rows) => bans.guard.restore(&rows, bans.clock.monotonic()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(%error, file = %bans.file.display(), "bans are lost"),
        }
        bans
    }

    fn read(&self) -> io::Result<Vec<Ban>> {
        let rows: Vec<Row> = serde_json::from_slice(&fs::read(&self.file)?)?;
        let now = self.clock.unix_seconds();
        let left = |row: &Row| u64::try_from(row.until - now).ok().filter(|left| *left > 0);
        let ban = |row: Row| {
            let left = Duration::from_secs(left(&row)?);
            Some(Ban { source: Source::from(row.address), failures: row.failures, left })
        };
        Ok(rows.into_iter().filter_map(ban).collect())
    }

    /// The old file or the new one is there, whatever happens meanwhile.
    fn write(&self) -> io::Result<()> {
        let (now, unix) = (self.clock.monotonic(), self.clock.unix_seconds());
        let row = |ban: Ban| Row {
            address: ban.source.address(),
            failures: ban.failures,
            until: unix + ban.left.as_secs().min(u64::from(u32::MAX)) as i64,
        };
        let rows: Vec<Row> = self.guard.bans(now).into_iter().map(row).collect();
        let new = self.file.with_extension("new");
        fs::write(&new, serde_json::to_vec(&rows)?)?;
        fs::File::open(&new)?.sync_all()?;
        fs::rename(&new, &self.file)
    }

    /// Writes them down whenever they change, until `shutdown`.
    pub async fn keep(self, mut shutdown: watch::Receiver<bool>) {
        let mut written = self.guard.changes();
        loop {
            let down = tokio::select! {
                _ = shutdown.wait_for(|down| *down) => true,
                () = tokio::time::sleep(CHECK) => false,
            };
            let changes = self.guard.changes();
            if changes != written {
                match self.write() {
                    Ok(()) => written = changes,
                    Err(error) => tracing::warn!(%error, "cannot write bans down"),
                }
            }
            if down {
                return;
            }
        }
    }
}
