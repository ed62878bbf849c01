//! `postrider demo`: the whole journey of a message between two complete servers on loopback, told
//! step by step.

use crate::admin::{Failure, exit};
use crate::cli::Setup;
use crate::config::Config;
use crate::{serve, setup};
use delivery::journey::Step;
use hickory_server::Server;
use hickory_server::proto::rr::{LowerName, Name, RData, Record, rdata};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use sys::net::{BoxStream, Net, TcpNet};
use sys::tls::{TlsClient, TlsFacts, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{oneshot, watch};

/// One of the two servers.
struct Side {
    domain: &'static str,
    user: &'static str,
    address: Ipv4Addr,
    root: PathBuf,
    password: String,
}

/// Added to every standard port.
const PORT_BASE: u16 = 20_000;
const DNS_PORT: u16 = 20_053;

type Outcome<T> = Result<T, Failure>;

fn trouble(error: impl std::fmt::Display) -> Failure {
    Failure { text: format!("demo: {error}"), code: exit::SOFTWARE }
}

/// Tells the story: as text, or collected as JSON.
struct Teller {
    json: bool,
    start: Instant,
    steps: Vec<serde_json::Value>,
}

impl Teller {
    fn at(&self) -> f64 {
        (self.start.elapsed().as_secs_f64() * 10_000.0).round() / 10.0
    }
    fn chapter(&mut self, title: &str) {
        self.tell("chapter", title);
    }
    fn note(&mut self, text: &str) {
        self.tell("note", text);
    }
    fn said(&mut self, who: &str, line: &str) {
        self.tell(who, line);
    }
    fn tell(&mut self, kind: &str, text: &str) {
        let at = self.at();
        self.steps.push(json!({ "at_ms": at, "kind": kind, "text": text }));
        if self.json {
            return;
        }
        match kind {
            "chapter" => crate::say(&format!("\n=== {text}")),
            "note" => crate::say(&format!("{at:>8.1} ms     {text}")),
            who => crate::say(&format!("{at:>8.1} ms  {who}: {text}")),
        }
    }
}

/// Runs the demo.
pub async fn demo(json: bool, once: bool) -> Outcome<()> {
    let folder = std::env::temp_dir().join(format!("postrider-demo-{}", std::process::id()));
    let result = journey(&folder, json, once).await;
    let _ = std::fs::remove_dir_all(&folder);
    result
}

async fn journey(folder: &Path, json: bool, once: bool) -> Outcome<()> {
    let mut teller = Teller { json, start: now(), steps: Vec::new() };
    let sides = [
        side(folder, "one.example", "alice", Ipv4Addr::new(127, 0, 0, 2)),
        side(folder, "two.example", "bob", Ipv4Addr::new(127, 0, 0, 3)),
    ];
    let [one, two] = &sides;
    teller.chapter("The world: a name server, a certificate authority, two mail servers");
    start_dns(&sides).await?;
    teller.note(&format!(
        "DNS on 127.0.0.1:{DNS_PORT}: two.example MX 10 mx.two.example, A {}",
        two.address
    ));
    let authority = certificates(folder, &sides)?;
    teller
        .note("certificates for mx.one.example and mx.two.example, signed by a private authority");
    let (down, shutdown) = watch::channel(false);
    let mut servers = Vec::new();
    for side in &sides {
        servers.push(start(side, shutdown.clone()).await?);
        teller.note(&format!(
            "server {} is up on {}: data, queue and accounts in {}",
            side.domain,
            side.address,
            side.root.display()
        ));
    }
    let told = tell_journey(&mut teller, one, two, &authority).await;
    if let Err(failure) = &told {
        teller.note(&failure.text);
    } else {
        teller.chapter("The journey is complete");
        if json {
            crate::say(&json!({ "ok": true, "steps": teller.steps }).to_string());
        }
        if !once {
            settings(&sides, &authority);
            crate::signalled().await;
        }
    }
    let _ = down.send(true);
    for server in servers {
        let _ = tokio::time::timeout(Duration::from_secs(5), server).await;
    }
    told
}

#[allow(clippy::disallowed_methods, reason = "the demo shows real time")]
fn now() -> Instant {
    Instant::now()
}

fn side(folder: &Path, domain: &'static str, user: &'static str, address: Ipv4Addr) -> Side {
    let password = crate::password(false).unwrap_or_else(|_| "demo-password".to_owned());
    Side { domain, user, address, root: folder.join(domain), password }
}

/// Both zones, served over UDP and TCP.
#[allow(clippy::disallowed_methods, reason = "the demo's own name server")]
async fn start_dns(sides: &[Side]) -> Outcome<()> {
    let mut catalog = Catalog::new();
    for side in sides {
        let origin = Name::from_str(&format!("{}.", side.domain)).map_err(trouble)?;
        let host = Name::from_str(&format!("mx.{}.", side.domain)).map_err(trouble)?;
        let zone: InMemoryZoneHandler =
            InMemoryZoneHandler::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny);
        let soa = rdata::SOA::new(host.clone(), host.clone(), 1, 3600, 600, 86_400, 60);
        let records = [
            (origin.clone(), RData::SOA(soa)),
            (origin.clone(), RData::NS(rdata::NS(host.clone()))),
            (origin.clone(), RData::MX(rdata::MX::new(10, host.clone()))),
            (host, RData::A(side.address.into())),
        ];
        for (name, data) in records {
            zone.upsert(Record::from_rdata(name, 60, data), 1).await;
        }
        catalog.upsert(LowerName::from(origin), vec![Arc::new(zone)]);
    }
    let mut server = Server::new(catalog);
    let on = SocketAddr::from(([127, 0, 0, 1], DNS_PORT));
    let taken = |error: std::io::Error| Failure {
        text: format!("demo: its name server on {on}: {error}\nDoes another demo run?"),
        code: exit::UNAVAILABLE,
    };
    server.register_socket(UdpSocket::bind(on).await.map_err(taken)?);
    let tcp = TcpListener::bind(on).await.map_err(taken)?;
    server.register_listener(tcp, Duration::from_secs(5), 4096);
    tokio::spawn(async move {
        let _ = server.block_until_done().await;
    });
    Ok(())
}

/// A private authority and a certificate for each server; returns the authority's file.
fn certificates(folder: &Path, sides: &[Side]) -> Outcome<PathBuf> {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let mut params = CertificateParams::new(Vec::new()).map_err(trouble)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Postrider demo authority");
    let key = KeyPair::generate().map_err(trouble)?;
    let certificate = params.self_signed(&key).map_err(trouble)?;
    std::fs::create_dir_all(folder).map_err(trouble)?;
    let file = folder.join("authority.pem");
    std::fs::write(&file, certificate.pem()).map_err(trouble)?;
    let issuer = Issuer::new(params, key);
    for side in sides {
        let params =
            CertificateParams::new(vec![format!("mx.{}", side.domain), side.address.to_string()]);
        let key = KeyPair::generate().map_err(trouble)?;
        let made = params.and_then(|params| params.signed_by(&key, &issuer)).map_err(trouble)?;
        let tls = side.root.join("tls");
        std::fs::create_dir_all(&tls).map_err(trouble)?;
        std::fs::write(tls.join("cert.pem"), made.pem()).map_err(trouble)?;
        std::fs::write(tls.join("key.pem"), key.serialize_pem()).map_err(trouble)?;
    }
    Ok(file)
}

/// Sets a server up and starts it, as the commands would.
async fn start(
    side: &Side,
    shutdown: watch::Receiver<bool>,
) -> Outcome<tokio::task::JoinHandle<()>> {
    let setup = Setup {
        address: format!("{}@{}", side.user, side.domain),
        yes: true,
        hostname: Some(format!("mx.{}", side.domain)),
        listen: vec![side.address.into()],
        port_base: Some(PORT_BASE),
        set: vec![
            format!("relay.port={}", PORT_BASE + 25),
            format!("dns.servers=[\"127.0.0.1:{DNS_PORT}\"]"),
        ],
        password_stdin: true,
    };
    setup::setup(&side.root, &setup, side.password.clone()).await?;
    let config = Config::load(&side.root).map_err(trouble)?;
    let bound = serve::bind(&side.root, &config)?;
    let held = serve::Held { bound, metrics: None, helper: None };
    let (ready, up) = oneshot::channel();
    let root = side.root.clone();
    let task = tokio::spawn(async move {
        let told = serve::serve(&root, config, held, shutdown, |_| {
            let _ = ready.send(());
        });
        if let Err(failure) = told.await {
            eprintln!("postrider: {}", failure.text);
        }
    });
    up.await.map_err(|_| trouble("a server did not start"))?;
    Ok(task)
}

/// A client's conversation, each line told.
struct Talk<'a> {
    stream: BoxStream,
    teller: &'a mut Teller,
    buffer: Vec<u8>,
}

impl Talk<'_> {
    async fn line(&mut self) -> Outcome<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
                self.teller.said("S", &line);
                return Ok(line);
            }
            let mut octets = [0; 4096];
            let wait = Duration::from_secs(10);
            let got = tokio::time::timeout(wait, self.stream.read(&mut octets)).await;
            let n = got.map_err(|_| trouble("no answer within 10 seconds"))?.map_err(trouble)?;
            if n == 0 {
                return Err(trouble("the server hung up"));
            }
            self.buffer.extend_from_slice(octets.get(..n).unwrap_or_default());
        }
    }

    /// Reads lines up to one that `last` likes.
    async fn until(&mut self, last: impl Fn(&str) -> bool) -> Outcome<String> {
        loop {
            let line = self.line().await?;
            if last(&line) {
                return Ok(line);
            }
        }
    }

    async fn say(&mut self, line: &str, shown: Option<&str>) -> Outcome<()> {
        self.teller.said("C", shown.unwrap_or(line));
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await.map_err(trouble)?;
        self.stream.flush().await.map_err(trouble)
    }

    /// An SMTP command and its whole reply, which must be positive.
    async fn smtp(&mut self, line: &str, shown: Option<&str>) -> Outcome<String> {
        self.say(line, shown).await?;
        self.smtp_reply().await
    }

    async fn smtp_reply(&mut self) -> Outcome<String> {
        let reply = self.until(|line| line.as_bytes().get(3) != Some(&b'-')).await?;
        if reply.starts_with(['2', '3']) { Ok(reply) } else { Err(trouble(reply)) }
    }
}

async fn connect<'a>(
    teller: &'a mut Teller,
    side: &Side,
    port: u16,
    authority: &Path,
) -> Outcome<(Talk<'a>, TlsFacts)> {
    let to = SocketAddr::from((side.address, PORT_BASE + port));
    let stream = TcpNet.connect(to, None, Duration::from_secs(5)).await.map_err(trouble)?;
    let tls = TlsClient::new(&Trust::Authorities(authority.to_owned())).map_err(trouble)?;
    let (stream, facts) =
        tls.connect(&format!("mx.{}", side.domain), stream).await.map_err(trouble)?;
    teller.note(&format!(
        "{to}: {} {}, certificate of mx.{} verified",
        facts.version, facts.cipher, side.domain
    ));
    Ok((Talk { stream, teller, buffer: Vec::new() }, facts))
}

async fn tell_journey(
    teller: &mut Teller,
    one: &Side,
    two: &Side,
    authority: &Path,
) -> Outcome<()> {
    teller.chapter("Bob's phone waits: IMAP IDLE on two.example, port 993 (RFC 3501, RFC 2177)");
    let mut side_teller = Teller { json: true, start: teller.start, steps: Vec::new() };
    let (mut phone, _) = connect(&mut side_teller, two, 993, authority).await?;
    phone.line().await?;
    let login = format!("a LOGIN bob@two.example {}", two.password);
    phone.say(&login, Some("a LOGIN bob@two.example ********")).await?;
    phone.until(|line| line.starts_with("a OK")).await?;
    phone.say("b SELECT INBOX", None).await?;
    phone.until(|line| line.starts_with("b OK")).await?;
    phone.say("c IDLE", None).await?;
    phone.until(|line| line.starts_with('+')).await?;
    replay(teller, phone.teller);

    teller.chapter("Alice sends: submission with a password, port 465 (RFC 6409, RFC 8314)");
    let id = submit(teller, one, authority).await?;

    teller.chapter("Bob's phone is told at once");
    phone.until(|line| line.ends_with("EXISTS")).await?;
    phone.say("DONE", None).await?;
    phone.until(|line| line.starts_with("c OK")).await?;
    phone.say("d FETCH 1 (FLAGS ENVELOPE BODY.PEEK[])", None).await?;
    phone.until(|line| line.starts_with("d OK")).await?;
    phone.say("e LOGOUT", None).await?;
    phone.until(|line| line.starts_with("e OK")).await?;
    let read = phone.teller.steps.clone();
    let pushed =
        read.iter().any(|step| step["text"].as_str().is_some_and(|t| t.contains("One journey")));
    replay(teller, phone.teller);
    if !pushed {
        return Err(trouble("the message that was fetched is not the one that was sent"));
    }

    teller.chapter("In between: the journey record of alice's server");
    relayed(teller, one, &id).await?;

    teller.chapter("Bob's old computer downloads it: POP3, port 995 (RFC 1939)");
    download(teller, two, authority).await
}

/// Shows what was collected apart, and forgets it.
fn replay(teller: &mut Teller, from: &mut Teller) {
    for step in from.steps.drain(..) {
        if !teller.json {
            let text = step["text"].as_str().unwrap_or_default();
            let at = step["at_ms"].as_f64().unwrap_or_default();
            match step["kind"].as_str() {
                Some("note") => crate::say(&format!("{at:>8.1} ms     {text}")),
                kind => crate::say(&format!("{at:>8.1} ms  {}: {text}", kind.unwrap_or_default())),
            }
        }
        teller.steps.push(step);
    }
}

/// Returns the id in the 250 reply.
async fn submit(teller: &mut Teller, one: &Side, authority: &Path) -> Outcome<String> {
    use base64::Engine as _;
    let (mut client, _) = connect(teller, one, 465, authority).await?;
    client.smtp_reply().await?;
    client.smtp("EHLO laptop.one.example", None).await?;
    let login = format!("\0alice@one.example\0{}", one.password);
    let login = base64::engine::general_purpose::STANDARD.encode(login);
    client.smtp(&format!("AUTH PLAIN {login}"), Some("AUTH PLAIN ********")).await?;
    client.smtp("MAIL FROM:<alice@one.example>", None).await?;
    client.smtp("RCPT TO:<bob@two.example>", None).await?;
    client.smtp("DATA", None).await?;
    for line in [
        "From: Alice <alice@one.example>",
        "To: Bob <bob@two.example>",
        "Subject: One journey",
        "",
        "Hello Bob, this went all the way.",
    ] {
        client.say(line, None).await?;
    }
    let reply = client.smtp(".", None).await?;
    client.teller.note("that 250 came after the message was synced to disk: it is never lost now");
    client.smtp("QUIT", None).await?;
    let id = reply.rsplit(' ').next().unwrap_or_default().to_owned();
    Ok(id)
}

/// The attempt, as alice's server wrote it down.
async fn relayed(teller: &mut Teller, one: &Side, id: &str) -> Outcome<()> {
    let request = || crate::admin::Request::QueueShow { id: id.to_owned() };
    for _ in 0..100 {
        let response = crate::control::administer(&one.root, request()).await?;
        let steps: Vec<Step> =
            serde_json::from_value(response.value["journey"].clone()).map_err(trouble)?;
        let attempt = steps.iter().find_map(|step| match step {
            Step::Attempt { dns, host, tls, dialogue, took, outcomes, .. } => {
                Some((dns, host, tls, dialogue, took, outcomes))
            }
            _ => None,
        });
        let Some((dns, host, tls, dialogue, took, outcomes)) = attempt else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        for answer in dns {
            teller.note(&format!("DNS  {answer}"));
        }
        teller.note(&format!(
            "spoke to {} under {}",
            host.as_deref().unwrap_or("nobody"),
            tls.as_deref().unwrap_or("no TLS")
        ));
        for said in dialogue {
            teller.said(&said.who.to_string(), &said.line);
        }
        for outcome in outcomes {
            teller.note(&format!("{}: {} in {took} ms", outcome.recipient, outcome.result));
        }
        let fine = outcomes.iter().all(|outcome| outcome.result == "delivered") && tls.is_some();
        return if fine { Ok(()) } else { Err(trouble("the relay did not deliver under TLS")) };
    }
    Err(trouble("the attempt was not written down"))
}

async fn download(teller: &mut Teller, two: &Side, authority: &Path) -> Outcome<()> {
    let (mut client, _) = connect(teller, two, 995, authority).await?;
    client.line().await?;
    for (line, shown) in [
        ("USER bob@two.example".to_owned(), None),
        (format!("PASS {}", two.password), Some("PASS ********")),
        ("UIDL 1".to_owned(), None),
    ] {
        client.say(&line, shown).await?;
        let reply = client.line().await?;
        if !reply.starts_with("+OK") {
            return Err(trouble(reply));
        }
    }
    client.say("RETR 1", None).await?;
    client.until(|line| line == ".").await?;
    client.say("QUIT", None).await?;
    client.until(|line| line.starts_with("+OK")).await.map(drop)
}

/// What to paste into a mail program or a shell.
fn settings(sides: &[Side], authority: &Path) {
    crate::say("\nBoth servers stay up until Ctrl-C. To try them yourself:");
    crate::say(&format!("CA file: {}", authority.display()));
    for side in sides {
        let (ip, user, domain) = (side.address, side.user, side.domain);
        crate::say(&format!(
            "\n{user}@{domain}  password {}\n  IMAP {ip}:{} (TLS)  POP3 {ip}:{} (TLS)  SMTP {ip}:{} (TLS)",
            side.password,
            PORT_BASE + 993,
            PORT_BASE + 995,
            PORT_BASE + 465
        ));
    }
    if let [one, two] = sides {
        let (ca, submissions, imaps) = (authority.display(), PORT_BASE + 465, PORT_BASE + 993);
        crate::say(&format!(
            "\n  curl --cacert {ca} --user alice@one.example:{} --mail-from alice@one.example \\\n    \
             --mail-rcpt bob@two.example -T message.eml smtps://{}:{submissions}\n  \
             swaks --server {}:{} --tls --auth PLAIN --auth-user alice@one.example \\\n    \
             --auth-password {} --from alice@one.example --to bob@two.example\n  \
             curl --cacert {ca} --user bob@two.example:{} 'imaps://{}:{imaps}/INBOX;UID=1'\n  \
             mutt -e 'set ssl_ca_certificates_file={ca}' -f imaps://bob%40two.example@{}:{imaps}/INBOX",
            one.password,
            one.address,
            one.address,
            PORT_BASE + 587,
            one.password,
            two.password,
            two.address,
            two.address
        ));
    }
}
