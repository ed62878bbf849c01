//! A certificate that changes while the server runs is used without a restart (users.md D-07).

use std::sync::Arc;
use std::time::Duration;
use sys::tls::TlsServer;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often the files are looked at.
const CHECK: Duration = Duration::from_secs(20);

/// Looks at the files from time to time, and at once on SIGHUP.
pub async fn watch(tls: Arc<TlsServer>, mut shutdown: watch::Receiver<bool>) {
    let mut told = signal(SignalKind::hangup()).ok();
    loop {
        let hangup = async {
            match told.as_mut() {
                Some(told) => drop(told.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            () = hangup => {}
            () = tokio::time::sleep(CHECK) => {}
        }
        match tls.reload() {
            Ok(true) => tracing::info!("a new certificate is in use"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the new certificate cannot be read"),
        }
    }
}
