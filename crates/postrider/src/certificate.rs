//! A certificate that changes while the server runs is used without a restart (users.md D-07).

use crate::config::Tls;
use mail::date::format_rfc3339;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use sys::clock::Clock;
use sys::tls::{Pair, TlsServer};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often the files are looked at.
const CHECK: Duration = Duration::from_secs(20);
/// How often it is said that a certificate expires.
const WARN_AGAIN: Duration = Duration::from_secs(86_400);
/// How long before; for one that lives a short time it is less.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// The files of the certificates, most wanted first.
pub fn pairs(root: &Path, tls: &Tls) -> Vec<Pair> {
    let mut pairs = vec![Pair { cert: root.join(&tls.certificate), key: root.join(&tls.key) }];
    if !tls.second_certificate.as_os_str().is_empty() {
        let (cert, key) = (root.join(&tls.second_certificate), root.join(&tls.second_key));
        pairs.push(Pair { cert, key });
    }
    pairs
}

/// What is to be said of a certificate that holds from when to when; `None` when nothing is. Who
/// renews in time does so long before: with a third of its life left, as a rule.
pub fn trouble(validity: &Range<i64>, now: i64) -> Option<String> {
    let soon = ((validity.end - validity.start) / 6).min(SOON.as_secs() as i64);
    let end = format_rfc3339(validity.end);
    if now >= validity.end {
        return Some(format!("the TLS certificate expired at {end}: clients refuse it"));
    }
    if now < validity.start {
        let start = format_rfc3339(validity.start);
        return Some(format!("the TLS certificate is not valid before {start}: clients refuse it"));
    }
    (validity.end - now < soon).then(|| format!("the TLS certificate expires soon, at {end}"))
}

fn warn(tls: &TlsServer, clock: &dyn Clock) {
    let told = tls.validity().and_then(|validity| trouble(&validity, clock.unix_seconds()));
    if let Some(told) = told {
        tracing::warn!("{told}");
    }
}

/// Looks at the files from time to time, and at once on SIGHUP.
pub async fn watch(
    tls: Arc<TlsServer>,
    clock: Arc<dyn Clock>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut told = signal(SignalKind::hangup()).ok();
    let mut warned = clock.monotonic();
    warn(&tls, &*clock);
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
            Ok(false) if clock.monotonic() - warned < WARN_AGAIN => continue,
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the new certificate cannot be read"),
        }
        warned = clock.monotonic();
        warn(&tls, &*clock);
    }
}

#[cfg(test)]
mod tests {
    use super::trouble;

    #[test]
    fn certificates_are_told_of_before_they_expire() {
        let day = 86_400;
        let told = |lives: i64, now: i64| trouble(&(0..lives * day), now * day);
        assert_eq!(told(90, 75), None);
        assert!(told(90, 77).unwrap().contains("expires soon, at 1970-04-01T00:00:00Z"));
        assert!(told(90, 90).unwrap().contains("expired"));
        assert!(told(90, -1).unwrap().contains("not valid before 1970-01-01T00:00:00Z"));
        // One that lives for six days is renewed after four.
        assert_eq!(told(6, 4), None);
        assert!(trouble(&(0..6 * day), 5 * day + 1).is_some());
    }
}
