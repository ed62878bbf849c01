//! What Prometheus reads, in its text format: `listen.metrics`. docs/monitoring.md lists the names,
//! which stay as they are.

use crate::access::Live;
use delivery::Delivery;
use server::Shared;
use server::counts::{Counts, Replies, ServiceCounts};
use server::listen::Service;
use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use store::{Health, Store};
use sys::page::Page;

/// The page of all metrics.
pub fn page(shared: Arc<Shared>, live: Live) -> Page {
    Page {
        path: "/metrics",
        media_type: "text/plain; version=0.0.4; charset=utf-8",
        content: Arc::new(move || Box::pin(write(shared.clone(), live.clone()))),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// The page as it grows.
#[derive(Default)]
struct Text(String);

impl Text {
    /// A metric with all its values, each behind its labels, which may be none.
    fn metric<T: Display>(
        &mut self,
        (name, kind): (&str, Kind),
        help: &str,
        values: impl IntoIterator<Item = (String, T)>,
    ) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }

    fn one(&mut self, named: (&str, Kind), help: &str, value: impl Display) {
        self.metric(named, help, [(String::new(), value)]);
    }

    fn by_service(
        &mut self,
        named: (&str, Kind),
        help: &str,
        counts: &Counts,
        value: impl Fn(&ServiceCounts) -> u64,
    ) {
        let each = |service: Service| {
            (format!("{{service=\"{}\"}}", service.name()), value(counts.of(service)))
        };
        self.metric(named, help, Service::ALL.map(each));
    }

    fn by_outcome(&mut self, name: &str, help: &str, outcomes: &[(&str, u64)]) {
        let each = |(outcome, value): &(&str, u64)| (format!("{{outcome=\"{outcome}\"}}"), *value);
        self.metric((name, Kind::Counter), help, outcomes.iter().map(each));
    }
}

async fn write(shared: Arc<Shared>, live: Live) -> String {
    let mut text = Text::default();
    sessions(&mut text, &shared.counts);
    mail(&mut text, &shared.counts, &shared.delivery);
    store(&mut text, &shared.store).await;
    process(&mut text, &live);
    text.0
}

fn sessions(text: &mut Text, counts: &Counts) {
    use Kind::{Counter, Gauge};
    let open = |of: &ServiceCounts| of.begun.get().saturating_sub(of.ended.get());
    let (name, help) = ("postrider_connections", "Connections that are open.");
    text.by_service((name, Gauge), help, counts, open);
    let (name, help) = ("postrider_connections_total", "Connections that were taken.");
    text.by_service((name, Counter), help, counts, |of| of.begun.get());
    let name = "postrider_connections_turned_away_total";
    let help = "Connections that were turned away: too many, or from an address that is banned.";
    text.by_service((name, Counter), help, counts, |of| of.turned_away.get());
    let (name, help) = ("postrider_tls_failures_total", "TLS handshakes that failed.");
    text.by_service((name, Counter), help, counts, |of| of.tls_failed.get());
    let (name, help) = ("postrider_panics_total", "Sessions that a fault of the server ended.");
    text.by_service((name, Counter), help, counts, |of| of.panicked.get());
    let (name, help) = ("postrider_logins_total", "Logins.");
    text.by_service((name, Counter), help, counts, |of| of.logins.get());
    let (name, help) = ("postrider_logins_refused_total", "Logins that were refused.");
    text.by_service((name, Counter), help, counts, |of| of.logins_refused.get());
}

fn mail(text: &mut Text, counts: &Counts, delivery: &Delivery) {
    let replies = |replies: &Replies| {
        let Replies { accepted, deferred, refused } = replies;
        [("accepted", accepted.get()), ("deferred", deferred.get()), ("refused", refused.get())]
    };
    let name = "postrider_messages_total";
    let help = "Messages that came in by SMTP, submission and LMTP, by what was answered.";
    text.by_outcome(name, help, &replies(&counts.messages));
    let [_, rest @ ..] = replies(&counts.recipients);
    let help = "Recipients that were not taken, by what was answered.";
    text.by_outcome("postrider_recipients_refused_total", help, &rest);
    let attempted = delivery.attempted();
    let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let outcomes = [
        ("delivered", get(&attempted.delivered)),
        ("deferred", get(&attempted.deferred)),
        ("failed", get(&attempted.failed)),
    ];
    let help = "Recipients that it was tried to send to from the queue, by what came of it.";
    text.by_outcome("postrider_relayed_recipients_total", help, &outcomes);
}

async fn store(text: &mut Text, store: &Store) {
    use Kind::Gauge;
    let health = store.health();
    let is = |yes: bool| u8::from(yes);
    let help = "1 while changes can be written; 0 after a write or a sync failed.";
    let writes = !matches!(health, Health::Failed(_));
    text.one(("postrider_store_writable", Gauge), help, is(writes));
    let help = "1 while there is too little room for new messages.";
    text.one(("postrider_store_full", Gauge), help, is(health == Health::Full));
    let help = "Messages that were found not to be as they were stored.";
    text.one(("postrider_store_damaged_messages", Gauge), help, store.damaged().len());
    // Without them it is seen that something is wrong; the log says what.
    let Ok(figures) = store.figures().await else { return };
    text.one(("postrider_queue_messages", Gauge), "Messages in the queue.", figures.queued);
    let oldest = figures.oldest_queued.map(|at| (String::new(), at));
    let help = "When the oldest message of the queue came, in seconds since 1970.";
    text.metric(("postrider_queue_oldest_timestamp_seconds", Gauge), help, oldest);
    let of = |what: &str, octets: u64| (format!("{{of=\"{what}\"}}"), octets);
    let garbage = figures.message_octets.saturating_sub(figures.living_octets);
    let octets = [
        of("messages", figures.living_octets),
        of("expunged", garbage),
        of("rows", figures.row_octets),
    ];
    let help = "Octets of the store: messages, expunged ones not yet taken away, the database.";
    text.metric(("postrider_store_bytes", Gauge), help, octets);
    let help = "Octets that are free on the disk of the store.";
    text.one(("postrider_store_free_bytes", Gauge), help, figures.free_octets);
}

fn process(text: &mut Text, live: &Live) {
    use Kind::Gauge;
    let bans = live.guard.bans(live.clock.monotonic()).len();
    text.one(("postrider_bans", Gauge), "Addresses that may not log in.", bans);
    let expires = live.tls.validity().map(|validity| (String::new(), validity.end));
    let help = "When the TLS certificate expires, in seconds since 1970.";
    text.metric(("postrider_certificate_expiry_timestamp_seconds", Gauge), help, expires);
    let version = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    let help = "The version that runs.";
    text.metric(("postrider_build_info", Gauge), help, [(version, 1)]);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
    let resident =
        kib.and_then(|kib| Some((String::new(), kib.trim().parse::<u64>().ok()? * 1024)));
    let help = "Resident memory size in bytes.";
    text.metric(("process_resident_memory_bytes", Gauge), help, resident);
    let files = std::fs::read_dir("/proc/self/fd").ok().map(|open| (String::new(), open.count()));
    text.metric(("process_open_fds", Gauge), "Number of open file descriptors.", files);
}
