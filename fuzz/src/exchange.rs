//! What must hold of any SASL exchange with the directory: it ends, lets nobody in, and no name or
//! response of a stranger breaks anything. security.md AU-3. Apart from `lib.rs`, which crates use that
//! know no directory.

use directory::password::Cost;
use directory::{Channel, Directory, Progress, Settings, Use};
use mail::{Address, Domain};
use protocol::machine::Security;
use protocol::sasl::{self, Client, Mechanism, Offered};
use std::sync::{Arc, OnceLock};
use store::{NewAccount, Options, Store, Surroundings};
use sys::clock::SystemClock;
use sys::disk::RealDisk;
use sys::hands::SystemHands;
use sys::random::SystemRandom;

/// Nobody guesses it.
const PASSWORD: &str = "6b0f4c1e-93a7-4d5e-8f0a-2c7d1b9e5a34";
/// Rounds after which an exchange must have ended.
const ROUNDS_MAX: usize = 6;

struct Known {
    runtime: tokio::runtime::Runtime,
    directory: Directory,
}

/// A directory with one account, whose passwords cost next to nothing.
fn known() -> Option<&'static Known> {
    static KNOWN: OnceLock<Option<Known>> = OnceLock::new();
    let make = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let name = format!("postrider-fuzz-exchange-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let surroundings = Surroundings {
            disk: Arc::new(RealDisk),
            clock: Arc::new(SystemClock::new()),
            hands: Arc::new(SystemHands),
        };
        let store = Store::open(Options::new(&folder), surroundings).ok()?;
        let _ = std::fs::remove_dir_all(&folder);
        let settings = Settings {
            default_domain: Domain::parse("example.org").ok(),
            hash_cost: Cost { memory_kib: 8, passes: 1 },
            ..Settings::default()
        };
        let (random, clock) = (Arc::new(SystemRandom), Arc::new(SystemClock::new()));
        let directory =
            Directory::new(store.clone(), random, clock, Arc::new(SystemHands), settings);
        let address = Address::parse("alice@example.org").ok()?;
        runtime.block_on(async {
            let secret = directory.hash(PASSWORD.to_owned()).await.ok()?;
            store.domain_add(address.domain().clone()).await.ok()?;
            store.account_add(NewAccount { address, secret }).await.ok()
        })?;
        Some(Known { runtime, directory })
    };
    KNOWN.get_or_init(make).as_ref()
}

/// An exchange: the first octet says by which mechanism, lines are the client's messages. An empty
/// first line is no initial response.
pub fn exchange(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let Some(known) = known() else { panic!("no directory in a temporary folder") };
    let (security, offered) = (Security::CertifiedBoundTls, Offered { scram: true, bearer: true });
    let names: Vec<&str> = sasl::names(security, offered).collect();
    let Some(name) = names.get(usize::from(*choice) % names.len().max(1)) else { return };
    let Some(mechanism) = Mechanism::parse(name, security, offered) else { return };
    let mut messages = rest.split(|b| *b == b'\n').map(<[u8]>::to_vec);
    let first = messages.next().filter(|message| !message.is_empty());
    let mut step = Client::Begins(mechanism, first);
    let mut exchange = None;
    known.runtime.block_on(async {
        for _ in 0..ROUNDS_MAX {
            let channel =
                Channel { wanted: Use::Read, binding: Some(vec![1; 32]), certificate: None };
            match known.directory.sasl(exchange.take(), step, channel).await {
                Ok(Progress::Challenge(_, next)) => exchange = Some(next),
                Ok(Progress::Done(who)) => panic!("{name} lets {who:?} in"),
                Err(_) => return,
            }
            step = Client::Responds(messages.next().unwrap_or_default());
        }
        panic!("{name} does not end");
    });
}
