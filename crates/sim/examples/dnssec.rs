//! Asks a DNS server, and says what DNSSEC makes of the answer, for comparing with other
//! validators: `dnssec ADDRESS:PORT ANCHORS < QUESTIONS`, each `NAME TYPE`, of type MX, A or TLSA.

#![allow(clippy::unwrap_used, reason = "it fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use sys::dnssec::{DnssecResolver, ValidatingResolver};
use sys::resolver::{DnsError, DnsResolver};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let servers = [arguments[1].parse().unwrap()];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let plain = Arc::new(DnsResolver::new(&servers).unwrap());
        let resolver =
            DnssecResolver::new(&servers, Some(Path::new(&arguments[2])), plain).unwrap();
        for line in std::io::stdin().lines() {
            let line = line.unwrap();
            let (name, kind) = line.split_once(' ').unwrap();
            let said = match kind {
                "MX" => resolver.mx(name).await.map(|answer| format!("{answer:?}")),
                "A" => resolver.addresses(name).await.map(|answer| format!("{answer:?}")),
                _ => resolver.tlsa(name).await.map(|found| format!("{} proven", found.len())),
            };
            match said {
                Ok(said) => println!("{line}: {said}"),
                Err(DnsError::Temporary(why)) => println!("{line}: fails: {why}"),
                Err(error) => println!("{line}: {error:?}"),
            }
        }
    });
}
