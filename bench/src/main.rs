//! The benchmark: drives any server over SMTP, IMAP and POP3, and compares Postrider with Debian's
//! Postfix and Dovecot, both started by itself with fresh folders and the same accounts.

mod big;
mod count;
mod crash;
mod figure;
mod flushes;
mod hold;
mod huge;
mod idle;
mod imap;
mod imap_rows;
mod message;
mod mime;
mod mix;
mod pop3;
mod report;
mod sink;
mod smtp;
mod start;
mod target;
mod usage;
mod wire;

use clap::{Args, Parser, Subcommand, ValueEnum};
use figure::Figure;
use report::Rounds;
use sink::Sink;
use start::{Peer, Postrider, Server};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use target::Target;

/// Measures mail servers. Everything a server acknowledged is verified to be there.
#[derive(Parser)]
#[command(max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start Postrider (and with --peer Postfix + Dovecot) and measure
    #[command(after_help = "Examples:\n  bench run deliver imap --rounds 1\n  \
        bench run --peer --rounds 3 --json bench.json --markdown bench.md")]
    Run(Run),
    /// Measure a server that runs, with accounts u00@bench.test … u59@bench.test
    #[command(
        after_help = "Example:\n  bench drive imap --port-base 10000 --pid $(pidof postrider)"
    )]
    Drive(Drive),
    /// Kill Postrider under load, again and again; compare with a ledger of what it acknowledged
    #[command(after_help = "Example:\n  bench crash --kills 2000 --seed 7")]
    Crash(crash::Crash),
    /// Count the instructions of Postrider for one operation, with valgrind
    #[command(after_help = "Example:\n  bench count --check bench/counts.tsv")]
    Count(count::Count),
    /// Take hostile messages apart, and say how fast; or count the work, with valgrind
    #[command(after_help = "Example:\n  bench mime\n  bench mime --count")]
    Mime(mime::Mime),
}

/// Rows that belong together.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    /// SMTP delivery to local mailboxes
    Deliver,
    /// Submission, relay, arrival
    Submit,
    /// IMAP APPEND
    Append,
    /// IMAP and POP3 logins
    Logins,
    /// Commands on a large mailbox
    Imap,
    /// POP3 on the same mailbox
    Pop3,
    /// IDLE sessions
    Idle,
    /// A random mix of IMAP commands
    Mix,
    /// Syncs for each message, counted by strace
    Flushes,
    /// A mailbox of --big messages; only when it is named
    Big,
    /// Memory for one message of 49 MB; needs the rights of the server's user
    Huge,
    /// One client among thousands that are silent or slow; only when it is named. Needs that many
    /// open files, and limits.connections and limits.connections_per_address set
    Hold,
}

#[derive(Args)]
struct Plan {
    /// What to measure; everything when nothing is named
    #[arg(value_enum)]
    groups: Vec<Group>,
    /// Use TLS
    #[arg(long)]
    tls: bool,
    /// Multiplies the number of operations
    #[arg(long, default_value_t = 4)]
    scale: usize,
    /// Messages in the large mailbox
    #[arg(long, default_value_t = 10_000)]
    messages: usize,
    /// Messages in the mailbox of the group `big`
    #[arg(long, default_value_t = 1_000_000)]
    big: usize,
    /// IDLE sessions
    #[arg(long, default_value_t = 2000)]
    sessions: usize,
    /// Silent connections of `hold`
    #[arg(long, default_value_t = 20_000)]
    silent: usize,
    /// Connections of `hold` that send an octet every ten seconds
    #[arg(long, default_value_t = 2000)]
    slow: usize,
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    plan: Plan,
    /// Measure Postfix + Dovecot too, in turns; needs root and both installed
    #[arg(long)]
    peer: bool,
    /// Rounds; medians count
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Postrider's binary
    #[arg(long, default_value = "target/release/postrider")]
    binary: PathBuf,
    /// A setting of Postrider, KEY=VALUE (may be given several times)
    #[arg(long)]
    set: Vec<String>,
    /// Where the servers keep their files; made and removed
    #[arg(long, default_value = "/var/tmp/postrider-bench")]
    folder: PathBuf,
    /// The servers and the sink listen from here on
    #[arg(long, default_value_t = 16_000)]
    port_base: u16,
    /// Write all figures as JSON to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the table to this file
    #[arg(long)]
    markdown: Option<PathBuf>,
}

#[derive(Args)]
struct Drive {
    #[command(flatten)]
    plan: Plan,
    /// Where the server listens
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
    /// Added to the standard ports
    #[arg(long, default_value_t = 0)]
    port_base: u16,
    /// The server's first process (may be given several times)
    #[arg(long)]
    pid: Vec<u32>,
    /// Where this program takes mail for sink.test
    #[arg(long, default_value = "127.0.0.1:18900")]
    sink: SocketAddr,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => run(&args),
        Command::Drive(args) => drive(&args),
        Command::Crash(args) => crash::crash(&args),
        Command::Count(args) => count::count(&args),
        Command::Mime(args) => mime::mime(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Plan {
    fn wants(&self, group: Group) -> bool {
        self.groups.is_empty() || self.groups.contains(&group)
    }

    fn wants_big(&self) -> bool {
        self.groups.contains(&Group::Big)
    }

    fn wants_large(&self) -> bool {
        self.wants(Group::Imap) || self.wants(Group::Pop3)
    }

    /// Fills what the rows on a large mailbox need.
    fn prepare(&self, target: &Target) -> io::Result<()> {
        if self.wants_large() || self.wants_big() {
            imap_rows::fill(target, imap_rows::LARGE, self.messages, 4096)?;
        }
        Ok(())
    }

    fn large(&self, target: &Target) -> Vec<Figure> {
        let mut figures = Vec::new();
        if self.wants(Group::Imap) {
            keep(&mut figures, target, imap_rows::large(target, self.messages));
        }
        if self.wants(Group::Pop3) {
            keep(&mut figures, target, pop3::large(target));
        }
        figures
    }

    fn small(&self, target: &Target, sink: &Sink) -> Vec<Figure> {
        let mut figures = Vec::new();
        let scale = self.scale.max(1);
        if self.wants(Group::Deliver) {
            keep(&mut figures, target, smtp::deliver(target, scale));
            let peak = usage::peak(&target.pids) as f64 / 1e6;
            figures.push(Figure::new(
                "memory, peak of all processes after all delivery",
                peak,
                "MB",
            ));
        }
        if self.wants(Group::Submit) {
            keep(&mut figures, target, smtp::submit(target, sink, scale));
        }
        if self.wants(Group::Append) {
            keep(&mut figures, target, imap_rows::append(target, scale));
        }
        if self.wants(Group::Logins) {
            keep(&mut figures, target, imap_rows::logins(target, scale));
            keep(&mut figures, target, pop3::logins(target, scale));
        }
        if self.wants(Group::Mix) {
            keep(&mut figures, target, mix::mix(target, scale));
        }
        if self.wants(Group::Idle) {
            keep(&mut figures, target, idle::idle(target, self.sessions));
        }
        if self.wants(Group::Huge) {
            keep(&mut figures, target, huge::huge(target, sink));
        }
        if self.groups.contains(&Group::Hold) {
            keep(&mut figures, target, hold::hold(target, self.silent, self.slow));
        }
        if self.wants(Group::Flushes) {
            keep(&mut figures, target, flushes::flushes(target));
        }
        figures
    }
}

/// Rows that failed are told and left out; the others go on.
fn keep(figures: &mut Vec<Figure>, target: &Target, rows: io::Result<Vec<Figure>>) {
    match rows {
        Ok(rows) => figures.extend(rows),
        Err(error) => eprintln!("bench: {}: {error}", target.name),
    }
}

fn drive(args: &Drive) -> io::Result<()> {
    let mut target = Target::new("server", args.port_base, args.plan.tls);
    target.address = args.address;
    target.pids.clone_from(&args.pid);
    let sink = Sink::start(args.sink)?;
    args.plan.prepare(&target)?;
    let mut figures = args.plan.small(&target, &sink);
    figures.extend(args.plan.large(&target));
    if args.plan.wants_big() {
        keep(&mut figures, &target, big::fill(&target, args.plan.big));
        keep(&mut figures, &target, big::rows(&target, args.plan.big));
    }
    let rounds = Rounds { name: "server", version: String::new(), rounds: vec![figures] };
    println!("{}", report::markdown(&[rounds]));
    Ok(())
}

fn run(args: &Run) -> io::Result<()> {
    let sink_at = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), args.port_base + 2900);
    let sink = Sink::start(sink_at)?;
    let root = args.folder.join("postrider");
    let mut ours = Postrider::new(args.binary.clone(), root, args.port_base, sink_at);
    ours.tls = args.plan.tls;
    ours.settings.clone_from(&args.set);
    let mut servers: Vec<Box<dyn Server>> = vec![Box::new(ours)];
    if args.peer {
        if !Peer::is_installed() {
            return Err(io::Error::other("install postfix, dovecot-imapd, -pop3d and -lmtpd"));
        }
        warn_of_inotify(args.plan.sessions);
        let (root, base) = (args.folder.join("peer"), args.port_base + 1500);
        servers.push(Box::new(Peer::new(root, base, args.plan.tls, sink_at)));
    }
    std::fs::create_dir_all(&args.folder)?;
    let mut all: Vec<Rounds> = servers
        .iter()
        .map(|s| Rounds { name: s.target().name, version: s.version(), rounds: Vec::new() })
        .collect();
    for round in 0..args.rounds {
        for (server, rounds) in servers.iter_mut().zip(&mut all) {
            eprintln!("round {} of {}: {}", round + 1, args.rounds, rounds.name);
            rounds.rounds.push(one_round(server.as_mut(), &args.plan, &sink)?);
        }
    }
    drop(servers);
    let table = report::markdown(&all);
    println!("{table}");
    for server in &all {
        println!("{}: {}", server.name, server.version);
    }
    if let Some(file) = &args.markdown {
        std::fs::write(file, &table)?;
    }
    if let Some(file) = &args.json {
        std::fs::write(file, format!("{:#}\n", report::json(&all)))?;
    }
    std::fs::remove_dir_all(&args.folder)
}

/// Dovecot hears of new mail by inotify, and asks every 30 s once the kernel gives it no more.
fn warn_of_inotify(sessions: usize) {
    let file = "/proc/sys/fs/inotify/max_user_instances";
    let most = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    if most.is_some_and(|most: usize| most < sessions + 100) {
        eprintln!(
            "bench: for Dovecot's IDLE: sysctl fs.inotify.max_user_instances={}",
            sessions * 2
        );
    }
}

/// Fresh folders, all rows, and a restart before those on the large mailbox.
fn one_round(server: &mut dyn Server, plan: &Plan, sink: &Sink) -> io::Result<Vec<Figure>> {
    server.set_up()?;
    let banner = server.start()?;
    let target = server.target();
    let mut figures = vec![
        Figure::new("start to first banners", banner.as_secs_f64() * 1000.0, "ms"),
        Figure::new("memory, just started (PSS)", usage::memory(&target.pids) as f64 / 1e6, "MB"),
    ];
    figures.extend(plan.small(&target, sink));
    let ready = plan.prepare(&target);
    ready.map_err(|error| io::Error::other(format!("{}: {error}", target.name)))?;
    if plan.wants_large() {
        server.stop()?;
        let again = server.start()?;
        let name = format!("start to first banners, {} messages stored", plan.messages);
        figures.push(Figure::new(name, again.as_secs_f64() * 1000.0, "ms"));
        figures.extend(plan.large(&server.target()));
    }
    if plan.wants_big() {
        keep(&mut figures, &server.target(), big::fill(&server.target(), plan.big));
        server.stop()?;
        let again = server.start()?;
        let name = format!("start to first banners, {} messages in one mailbox", plan.big);
        figures.push(Figure::new(name, again.as_secs_f64() * 1000.0, "ms"));
        keep(&mut figures, &server.target(), big::rows(&server.target(), plan.big));
    }
    server.stop()?;
    Ok(figures)
}
