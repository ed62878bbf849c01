//! MTA-STS policies while no mail leaves: they are fetched again before they end, an administrator
//! hears when that fails, and may forget one (RFC 8461 §3.3, §10.2).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sim::house::Plan;
use sim::log::Log;
use sim::town::{Town, in_town};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use sys::net::{BoxStream, Listener};
use sys::tls::{Speaks, TlsServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HOUR: Duration = Duration::from_secs(3600);

/// The web server of example.net.
#[derive(Clone)]
struct Web {
    tls: Arc<TlsServer>,
    /// Its policy; without one it hangs up.
    policy: Arc<Mutex<Option<String>>>,
    asked: Arc<Mutex<usize>>,
}

impl Web {
    fn open(town: &Town, policy: Option<String>) -> Web {
        let dns = &town.house.world.dns;
        dns.add_mx("example.net", 10, "mx.example.net");
        dns.add_address("mx.example.net", "192.0.2.10".parse().unwrap());
        dns.add_address("mta-sts.example.net", "192.0.2.80".parse().unwrap());
        dns.add_text("_mta-sts.example.net", b"v=STSv1; id=1");
        let listener = town.house.world.net.open("192.0.2.80:443".parse().unwrap());
        let tls = town.house.tls.clone();
        let web = Web { tls, policy: Arc::new(Mutex::new(policy)), asked: Arc::default() };
        let own = web.clone();
        tokio::spawn(async move {
            while let Ok((stream, ..)) = listener.accept().await {
                tokio::spawn(own.clone().tell(stream));
            }
        });
        web
    }

    async fn tell(self, stream: BoxStream) -> Option<()> {
        *self.asked.lock().unwrap() += 1;
        let policy = self.policy.lock().unwrap().clone()?;
        let (mut stream, _) = self.tls.port(Speaks::Mail).accept(stream).await.ok()?;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.ok()?);
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length:";
        let answer = format!("{head} {}\r\n\r\n{policy}", policy.len());
        stream.write_all(answer.as_bytes()).await.ok()?;
        stream.flush().await.ok()
    }

    fn says(&self, policy: Option<String>) {
        *self.policy.lock().unwrap() = policy;
    }

    /// How often it was asked since this was asked last.
    fn asked(&self) -> usize {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn policy(mode: &str, max_age: u32) -> Option<String> {
    Some(format!("version: STSv1\nmode: {mode}\nmx: mx.example.net\nmax_age: {max_age}\n"))
}

/// Mail for there; nobody takes it, so it is gone after five days.
async fn write(town: &Town) {
    town.submit(1, "x", &["bob@example.net".to_owned()]).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
}

fn in_force(town: &Town) -> usize {
    town.house.shared.delivery.policies_in_force().unwrap()
}

async fn days(count: u32) {
    tokio::time::sleep(24 * count * HOUR).await;
}

#[test]
fn a_policy_is_fetched_again_before_it_ends() {
    for (max_age, least, most) in [(7 * 86_400, 22, 24), (86_400, 44, 48), (7200, 500, 576)] {
        in_town(1, Plan::default(), async |town| {
            let web = Web::open(town, policy("enforce", max_age));
            write(town).await;
            assert_eq!((web.asked(), in_force(town)), (1, 1));
            // No attempt asks any more.
            days(6).await;
            assert!(town.house.shared.store.queue_list(&Default::default()).unwrap().is_empty());
            web.asked();
            for _ in 0..24 * 24 {
                assert_eq!(in_force(town), 1, "{max_age}");
                tokio::time::sleep(HOUR).await;
            }
            let asked = web.asked();
            assert!((least..=most).contains(&asked), "{max_age}: {asked}");
        });
    }
}

/// Nobody fetches for ever what no mail goes by; it lasts as long as it says. One that ended, and
/// `none`, are not looked at.
#[test]
fn a_policy_that_nobody_needs_is_left_to_end() {
    in_town(2, Plan::default(), async |town| {
        let web = Web::open(town, policy("testing", 30 * 86_400));
        write(town).await;
        days(100).await;
        assert!(web.asked() > 80);
        days(1).await;
        assert_eq!((web.asked(), in_force(town)), (0, 1));
        days(40).await;
        assert_eq!((web.asked(), in_force(town)), (0, 0));
        web.says(policy("none", 30 * 86_400));
        write(town).await;
        days(6).await;
        assert!(web.asked() > 0);
        days(6).await;
        assert_eq!((web.asked(), in_force(town)), (0, 0));
    });
}

/// RFC 8461 §3.3: administrators are told that a policy cannot be renewed, once a day; of one that
/// was never to be had, that has ended, or that is `none`, they are not.
#[test]
fn only_a_policy_in_force_that_cannot_be_renewed_is_warned_of() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(move || writer.clone())
        .finish();
    let warned = || log.take().matches("the MTA-STS policy cannot be renewed").count();
    tracing::subscriber::with_default(subscriber, || {
        for mode in ["enforce", "testing"] {
            in_town(3, Plan::default(), async |town| {
                let web = Web::open(town, None);
                write(town).await;
                days(6).await;
                assert!(web.asked() > 1);
                assert_eq!(warned(), 0, "there never was one");
                web.says(policy(mode, 10 * 86_400));
                write(town).await;
                assert_eq!((in_force(town), warned()), (1, 0));
                web.says(None);
                days(4).await;
                let times = warned();
                assert!((3..=4).contains(&times), "{mode}: {times}");
                // Nor does silence of DNS go unheard.
                town.house.world.dns.fail_texts("_mta-sts.example.net", true);
                days(4).await;
                let times = warned();
                assert!((3..=4).contains(&times), "{mode}: {times}");
                days(5).await;
                warned();
                write(town).await;
                assert_eq!((in_force(town), warned()), (0, 0), "it has ended");
            });
        }
        in_town(3, Plan::default(), async |town| {
            let web = Web::open(town, policy("none", 30 * 86_400));
            write(town).await;
            web.says(None);
            days(5).await;
            assert!(web.asked() > 1);
            assert_eq!(warned(), 0);
        });
    });
}

#[test]
fn a_policy_that_is_forgotten_is_asked_for_with_the_next_mail() {
    in_town(4, Plan::default(), async |town| {
        let web = Web::open(town, policy("enforce", 86_400));
        write(town).await;
        assert_eq!((web.asked(), in_force(town)), (1, 1));
        let delivery = &town.house.shared.delivery;
        assert!(delivery.forget_policy("example.net").await.unwrap());
        assert!(!delivery.forget_policy("example.net").await.unwrap());
        assert!(!delivery.forget_policy("example.com").await.unwrap());
        assert_eq!((web.asked(), in_force(town)), (0, 0));
        // DNS was asked a moment ago, and is again.
        write(town).await;
        assert_eq!((web.asked(), in_force(town)), (1, 1));
        let kept = delivery::sts::kept(&town.house.shared.store).unwrap();
        let [(domain, kept)] = kept.as_slice() else { panic!() };
        assert_eq!((domain.as_str(), kept.id()), ("example.net", "1"));
        assert_eq!(kept.until() - kept.fetched(), 86_400);
    });
}
