//! Kill -9 under a mixed load, again and again: mail comes in by SMTP, goes out by relay, is
//! changed by IMAP and taken by POP3, until SIGKILL at a random moment. The ledger of what was
//! acknowledged is kept here, outside the killed process, and compared after every restart.

mod ledger;
mod load;
mod verify;

use crate::message::Dice;
use crate::sink::Sink;
use crate::smtp::wait_for;
use crate::start::{Postrider, Server};
use crate::target::SINK_DOMAIN;
use clap::Args;
use ledger::Ledger;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A restart may take so long. Issue of every release: it is what users wait for.
const RESTART_MAX: Duration = Duration::from_secs(2);
/// Every so many kills everything is read again, body by body.
const FULL_EVERY: usize = 50;

#[derive(Args)]
pub struct Crash {
    /// How often the server is killed
    #[arg(long, default_value_t = 200)]
    kills: usize,
    /// The moments of the kills and the work between them follow from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Postrider's binary
    #[arg(long, default_value = "target/release/postrider")]
    binary: PathBuf,
    /// Where the server keeps its files; made and removed
    #[arg(long, default_value = "/var/tmp/postrider-crash")]
    folder: PathBuf,
    /// The server and the sink listen from here on
    #[arg(long, default_value_t = 20_000)]
    port_base: u16,
}

/// Kills and compares; an error names what was lost.
pub fn crash(args: &Crash) -> io::Result<()> {
    let sink_at = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), args.port_base + 2900);
    let sink = Sink::start(sink_at)?;
    let folder = args.folder.clone();
    let mut server = Postrider::new(args.binary.clone(), folder, args.port_base, sink_at);
    server.settings = vec![
        "auth.hash_memory_kib=64".to_owned(),
        "limits.recipients_per_hour=0".to_owned(),
        "limits.recipients_per_day=0".to_owned(),
        "limits.strangers_per_day=0".to_owned(),
        "relay.retry_seconds=[1]".to_owned(),
        "store.min_free_octets=1000000".to_owned(),
    ];
    server.set_up()?;
    server.start()?;
    let (mut dice, mut ledger) = (Dice::new(args.seed), Ledger::default());
    let (mut slowest, mut repeats_max) = (Duration::ZERO, 0);
    for kill in 1..=args.kills {
        let target = server.target();
        let stop = AtomicBool::new(false);
        let seed = dice.roll();
        let lasts = Duration::from_millis(30 + dice.below(370));
        std::thread::scope(|scope| {
            let (ledger, stop, target) = (&ledger, &stop, &target);
            for work in load::WORKS {
                scope.spawn(move || load::until_cut(work, target, ledger, stop, seed));
            }
            std::thread::sleep(lasts);
            // One message for each connection may be taken by the other side without our knowing.
            repeats_max += sink.open();
            let killed = server.kill();
            stop.store(true, Ordering::Relaxed);
            killed
        })?;
        let began = Instant::now();
        server.start()?;
        slowest = slowest.max(began.elapsed());
        let full = kill % FULL_EVERY == 0 || kill == args.kills;
        let checked = verify::verify(&server.target(), &mut ledger, full);
        checked.map_err(|e| io::Error::other(format!("seed {}, kill {kill}: {e}", args.seed)))?;
        if full {
            eprintln!("{kill} kills: {}", ledger.summary());
        }
    }
    let repeated = relayed(&ledger, &sink)?;
    println!(
        "{} kills, seed {}: {}; 0 lost, 0 corrupt; {repeated} relayed twice (at most {repeats_max} \
         allowed); slowest restart {:.2} s",
        args.kills,
        args.seed,
        ledger.summary(),
        slowest.as_secs_f64()
    );
    server.stop()?;
    std::fs::remove_dir_all(&args.folder)?;
    if repeated > repeats_max {
        return Err(io::Error::other("too many messages were relayed twice"));
    }
    if slowest > RESTART_MAX {
        return Err(io::Error::other("a restart took too long"));
    }
    Ok(())
}

/// Waits until all that was accepted for others is there; how many came twice.
fn relayed(ledger: &Ledger, sink: &Sink) -> io::Result<usize> {
    let all = ledger.outbound();
    let times = |id: &u64| sink.times(&load::message_id(*id));
    let there = wait_for(Duration::from_secs(60), || Ok(all.iter().all(|id| times(id) > 0)))?;
    if !there {
        let lost: Vec<&u64> = all.iter().filter(|id| times(id) == 0).take(10).collect();
        return Err(io::Error::other(format!("accepted for {SINK_DOMAIN} and lost: {lost:?}")));
    }
    Ok(all.iter().map(|id| times(id).saturating_sub(1)).sum())
}
