//! A certificate that changes while the server runs is used without a restart (users.md D-07).

use crate::config::Tls;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use sys::tls::{Pair, TlsServer};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often the files are looked at.
const CHECK: Duration = Duration::from_secs(20);

/// The files of the certificates, most wanted first.
pub fn pairs(root: &Path, tls: &Tls) -> Vec<Pair> {
    let mut pairs = vec![Pair { cert: root.join(&tls.certificate), key: root.join(&tls.key) }];
    if !tls.second_certificate.as_os_str().is_empty() {
        let (cert, key) = (root.join(&tls.second_certificate), root.join(&tls.second_key));
        pairs.push(Pair { cert, key });
    }
    pairs
}

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
