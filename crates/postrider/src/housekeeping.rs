//! Work that is done while the server runs: space of deleted messages comes back, and everything
//! stored is checked against its checksum in turn.

use directory::Directory;
use std::time::Duration;
use store::Store;
use sys::clock::Clock;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

/// Octets that a round of housekeeping moves or checks.
const HOUSE_OCTETS: u64 = 4 << 20;
/// Between two rounds, when there is little to do; so about 35 GB are checked a day.
const HOUSE_PAUSE: Duration = Duration::from_secs(10);
/// Between two rounds, when there is much to do: 20 MB a second are moved at most.
const HOUSE_PAUSE_BUSY: Duration = Duration::from_millis(200);

/// Between two times that last uses of app passwords are written down.
const USES_PAUSE: Duration = Duration::from_secs(60);

/// Writes down when app passwords were used last and whom accounts wrote to, now and then and at
/// the end.
pub async fn write_uses(directory: Directory, mut shutdown: watch::Receiver<bool>) {
    loop {
        let ended = tokio::time::timeout(USES_PAUSE, shutdown.wait_for(|down| *down)).await.is_ok();
        directory.write_uses().await;
        directory.write_correspondents().await;
        if ended {
            return;
        }
    }
}

/// Between two times that sessions of people who left the other directory are ended.
const GONE_PAUSE: Duration = Duration::from_secs(300);

/// Ends sessions of people who are not in LDAP or SQL any more.
pub async fn end_sessions(directory: Directory, mut shutdown: watch::Receiver<bool>) {
    if !directory.is_external() {
        return;
    }
    while tokio::time::timeout(GONE_PAUSE, shutdown.wait_for(|down| *down)).await.is_err() {
        directory.end_sessions_of_gone().await;
    }
}

/// Octets of messages that are read for a search index in one go.
const INDEX_OCTETS: u64 = 1 << 20;

/// So long is nothing done for who has just opened a mailbox: mail programs ask for much then.
const OPENING: Duration = Duration::from_secs(3);

/// Makes the search indexes that are wanted, in half of one processor's time at most and when
/// nobody else wants it. For a thread of its own.
pub fn index(
    store: &Store,
    clock: &dyn Clock,
    runtime: &Handle,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut next = |goes_on: bool| {
        let wanted = async {
            store.search_index_wanted(false).await;
            if !goes_on {
                let _ = timeout(OPENING, store.search_index_wanted(true)).await;
            }
        };
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|down| *down) => false,
                () = wanted => true,
            }
        })
    };
    let mut goes_on = false;
    while next(goes_on) {
        let began = clock.monotonic();
        let done = store.make_search_index(INDEX_OCTETS);
        goes_on = matches!(done, Ok(true));
        let pause = match done {
            Ok(_) => clock.monotonic().saturating_sub(began),
            Err(error) => {
                tracing::warn!(%error, "making a search index");
                HOUSE_PAUSE
            }
        };
        std::thread::sleep(pause);
    }
}

/// Housekeeping of the store: often while there is much to do, else now and then.
pub async fn keep(store: Store, mut shutdown: watch::Receiver<bool>) {
    let mut pause = HOUSE_PAUSE;
    loop {
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = match store.keep_house(HOUSE_OCTETS).await {
            Ok(done) => {
                if !done.removed.is_empty() {
                    tracing::info!(segments = ?done.removed, "space of expunged messages is free");
                }
                if done.more { HOUSE_PAUSE_BUSY } else { HOUSE_PAUSE }
            }
            Err(error) => {
                tracing::warn!(%error, "housekeeping");
                HOUSE_PAUSE
            }
        }
    }
}
