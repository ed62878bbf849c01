//! Who is speaking? SPF, DKIM and DMARC of one message, put together into one verdict.
//!
//! [`Inspector`] reads the message as it comes; [`spf`], [`ask`] and [`conclude`] ask DNS. Nothing
//! here acts: whoever asked does what the verdict says.

use crate::authres::{self, Results};
use crate::dkim::{DkimResult, Verified, Verifier};
use crate::dmarc::{self, By, DmarcResult, Finding, Identifier, Policy, Proof, Unanswered, Walk};
use crate::dnsbl::Lists;
use crate::limits::{AUTHORS_MAX, JUDGED_HEADER_OCTETS_MAX};
use crate::network::Network;
use crate::spf::{self, Outcome, Request, SpfResult};
use mail::header::{self, address_list};
use mail::limits::ADDRESSES_MAX;
use mail::summary::EnvelopeAddress;
use mail::{Address, Domain};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use sys::resolver::{DnsError, Resolver};

/// What is done with what DMARC finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// What the domain wants.
    #[default]
    Enforce,
    /// It is written down.
    Observe,
    /// DMARC is not looked at.
    Off,
}

/// Settings.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Who is not judged.
    pub trusted: Vec<Network>,
    /// Whose mail is taken whatever DMARC says: networks.
    pub forwarder_networks: Vec<Network>,
    /// And domains that SPF or DKIM proves, with those below them.
    pub forwarder_domains: Vec<Domain>,
    /// What is done with what DMARC finds.
    pub dmarc: Mode,
    /// Lists of addresses that are asked about strangers.
    pub lists: Arc<Lists>,
}

/// The envelope of a message, and who brings it.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The client's address.
    pub ip: IpAddr,
    /// What it called itself.
    pub helo: String,
    /// MAIL FROM; none for the null path.
    pub sender: Option<Address>,
    /// Our name.
    pub hostname: Domain,
    /// Seconds since 1970.
    pub now: i64,
}

/// SPF of both identities. RFC 7208 §2.3, §2.4.
#[derive(Clone, Debug, Default)]
pub struct SpfFound {
    /// Of HELO.
    pub helo: Outcome,
    /// Of MAIL FROM; none for the null path, for which HELO counts.
    pub mail: Option<Outcome>,
}

impl SpfFound {
    /// Nobody asked.
    pub fn unknown() -> SpfFound {
        let why = "it was not evaluated".to_owned();
        let unknown = Outcome { result: SpfResult::TempError, why, explanation: None };
        SpfFound { helo: unknown.clone(), mail: Some(unknown) }
    }
}

/// Evaluates SPF.
pub async fn spf(resolver: &dyn Resolver, envelope: &Envelope) -> SpfFound {
    let receiver = envelope.hostname.as_str();
    let helo = envelope.helo.trim_end_matches('.');
    let host = Domain::parse(helo).ok().and_then(|name| name.to_ascii()).unwrap_or_default();
    let (ip, now) = (envelope.ip, envelope.now);
    let request = Request { ip, domain: &host, sender: &host, helo, receiver, now };
    let of_helo = spf::check_host(resolver, request);
    let Some(sender) = &envelope.sender else {
        return SpfFound { helo: of_helo.await, mail: None };
    };
    let domain = sender.domain().to_ascii().unwrap_or_default();
    let text = format!("{}@{domain}", sender.local());
    let request = Request { domain: &domain, sender: &text, ..request };
    let (helo, mail) = tokio::join!(of_helo, spf::check_host(resolver, request));
    SpfFound { helo, mail: Some(mail) }
}

/// Whom the header says it is from. RFC 9989 §5.3.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authors {
    /// The domains of all that somebody may take for an author, each once.
    pub domains: Vec<Domain>,
    /// Why it cannot be said.
    pub unclear: Option<&'static str>,
}

impl Authors {
    /// Those of a header.
    pub fn of(head: &[u8]) -> Authors {
        let mut authors = Authors::default();
        let mut named = false;
        let from = |field: &header::Field<'_>| field.name.eq_ignore_ascii_case(b"From");
        for field in header::fields(head).filter(from) {
            for host in address_list::passed_over(field.value) {
                authors.add(&host);
                authors.unclear = Some("From has one address behind the other");
            }
            let items = address_list(field.value);
            if items.len() >= ADDRESSES_MAX {
                authors.unclear = Some("From has too many addresses");
            }
            for item in items {
                match item {
                    EnvelopeAddress::Mailbox { name, local, host, .. }
                        if host.is_empty() && !has_at(name.as_deref()) && !has_at(Some(&local)) =>
                    {
                        named = true;
                    }
                    EnvelopeAddress::Mailbox { host, .. } => authors.add(&host),
                    _ => {}
                }
            }
        }
        // `Doe, John <john@example.org>`: with a comma that should be in quotes the name is in two
        // pieces, and speaks of no other domain than the address does.
        if authors.domains.is_empty() && authors.unclear.is_none() {
            let why = if named { "From has no address with a domain" } else { "it has no From" };
            authors.unclear = Some(why);
        }
        if authors.domains.len() > AUTHORS_MAX {
            authors.domains.clear();
            authors.unclear = Some("From has addresses of too many domains");
        }
        authors
    }

    fn add(&mut self, host: &[u8]) {
        let domain = std::str::from_utf8(host).ok().and_then(|host| Domain::parse(host).ok());
        match domain.filter(|domain| domain.to_ascii().is_some()) {
            Some(domain) if self.domains.contains(&domain) => {}
            Some(domain) => self.domains.push(domain),
            None => self.unclear = Some("From has an address without a domain"),
        }
    }
}

fn has_at(text: Option<&[u8]>) -> bool {
    text.is_some_and(|text| text.contains(&b'@'))
}

/// What DNS has to be asked, once the header is there.
#[derive(Clone, Debug, Default)]
pub struct Questions {
    keys: Vec<String>,
    authors: Vec<Domain>,
}

/// The answers.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    keys: HashMap<String, Result<Vec<Vec<u8>>, DnsError>>,
    walks: Vec<Result<Walk, Unanswered>>,
}

/// Asks for keys and policies.
pub async fn ask(resolver: &dyn Resolver, questions: Questions) -> Answers {
    let mut answers = Answers::default();
    let keys = async {
        let mut found = HashMap::new();
        for name in questions.keys {
            let texts = resolver.txt(&name).await;
            found.insert(name, texts);
        }
        found
    };
    let walks = async {
        let mut found = Vec::new();
        for author in &questions.authors {
            found.push(dmarc::walk(resolver, author).await);
        }
        found
    };
    (answers.keys, answers.walks) = tokio::join!(keys, walks);
    answers
}

/// Reads a message as it comes.
pub struct Inspector {
    hostname: Domain,
    now: i64,
    /// The header, until it is complete.
    head: Vec<u8>,
    verifier: Option<Verifier>,
    authors: Authors,
    questions: Option<Questions>,
    forged: usize,
}

impl Inspector {
    /// For a message to a server of that name.
    pub fn new(hostname: Domain, now: i64) -> Inspector {
        Inspector {
            hostname,
            now,
            head: Vec::new(),
            verifier: None,
            authors: Authors::default(),
            questions: None,
            forged: 0,
        }
    }

    /// The next octets; what may be stored is added to `out`: all but fields that pretend to be
    /// ours.
    pub fn feed(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        if let Some(verifier) = &mut self.verifier {
            verifier.feed(octets);
            out.extend_from_slice(octets);
            return;
        }
        let searched = self.head.len();
        self.head.extend_from_slice(octets);
        let end = header::end_of(&self.head, searched);
        match end {
            Some(end) => self.header_is_complete(end, out),
            None if self.head.len() > JUDGED_HEADER_OCTETS_MAX => {
                self.header_is_complete(0, out);
                self.authors.unclear = Some("its header is too long");
            }
            None => {}
        }
    }

    fn header_is_complete(&mut self, end: usize, out: &mut Vec<u8>) {
        let whole = std::mem::take(&mut self.head);
        let (head, _) = whole.split_at(end.min(whole.len()));
        // An empty line may end with LF alone: binary messages have that.
        let (head, rest) = whole.split_at(header::octets(head));
        self.authors = Authors::of(head);
        let mut verifier = Verifier::new(head, self.now);
        let authors = self.authors.domains.clone();
        self.questions = Some(Questions { keys: verifier.keys(), authors });
        for field in header::fields(head) {
            match authres::is_forged(&field, &self.hostname) {
                true => self.forged += 1,
                false => out.extend_from_slice(field.raw),
            }
        }
        out.extend_from_slice(rest);
        let body = rest.strip_prefix(b"\r\n").or(rest.strip_prefix(b"\n"));
        verifier.feed(body.unwrap_or(rest));
        self.verifier = Some(verifier);
    }

    /// What DNS has to be asked; once, when the header has come.
    pub fn questions(&mut self) -> Option<Questions> {
        self.questions.take()
    }

    /// The message is complete; what was held back is added to `out`.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.verifier.is_none() {
            self.header_is_complete(self.head.len(), out);
        }
    }
}

/// What is to be done with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is taken.
    Accept,
    /// It is taken, into Junk: why.
    Junk(String),
    /// It is not taken: why.
    Reject(String),
    /// Not now: why.
    Defer(String),
}

/// A verdict.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What is to be done.
    pub action: Action,
    /// The Authentication-Results field for its front.
    pub lines: String,
    /// What was found, in words.
    pub reasons: Vec<String>,
    /// SPF or DKIM says that the envelope sender sent it; a null path sends nothing back anyway.
    pub sender_proven: bool,
}

/// Puts everything together.
pub async fn conclude(
    resolver: &dyn Resolver,
    settings: &Settings,
    envelope: &Envelope,
    inspector: Inspector,
    spf: SpfFound,
    answers: Option<Answers>,
) -> Verdict {
    let Answers { keys, walks } = answers.unwrap_or_default();
    let dkim = inspector.verifier.map(|v| v.finish(&keys)).unwrap_or_default();
    let mut results = Results::new(&envelope.hostname);
    let mut reasons = Vec::new();
    results.spf(spf.helo.result.as_str(), &spf.helo.why, None, &envelope.helo);
    reasons.push(format!("SPF of {}: {}: {}", envelope.helo, spf.helo.result, spf.helo.why));
    if let (Some(found), Some(sender)) = (&spf.mail, &envelope.sender) {
        results.spf(found.result.as_str(), &found.why, Some(sender), "");
        reasons.push(format!("SPF of {sender}: {}: {}", found.result, found.why));
    }
    for found in &dkim {
        results.dkim(found);
        let domain = found.domain.as_ref().map_or("?", Domain::as_str);
        reasons.push(format!("DKIM of {domain}: {} {}", found.result, found.why));
    }
    if inspector.forged > 0 {
        reasons.push(format!("{} fields that pretend to be ours are gone", inspector.forged));
    }
    let mut action = Action::Accept;
    let identifiers = identifiers(envelope, &spf, &dkim);
    let sender_proven = envelope.sender.as_ref().is_none_or(|s| proves(&identifiers, s.domain()));
    if settings.dmarc != Mode::Off {
        let authors = &inspector.authors;
        let findings = evaluate(resolver, authors, walks, &identifiers).await;
        for found in &findings {
            results.dmarc(found);
            let (author, result) = (&found.author, found.result.as_str());
            reasons.push(format!("DMARC of {author}: {result}: {}", found.why));
        }
        if let Some(why) = inspector.authors.unclear {
            results.note("dmarc", "permerror", why);
            reasons.push(format!("DMARC: permerror: {why}"));
        }
        action = wanted(&findings, &inspector.authors);
        if action != Action::Accept {
            if let Some(forwarder) = forwarder(settings, envelope.ip, &identifiers) {
                reasons.push(format!("taken all the same: {forwarder} forwards mail to here"));
                action = Action::Accept;
            } else if settings.dmarc == Mode::Observe {
                reasons.push("taken all the same: DMARC is only observed".to_owned());
                action = Action::Accept;
            }
        }
    }
    reasons.iter_mut().for_each(|reason| reason.retain(|c| !c.is_control()));
    Verdict { action, lines: results.finish(), reasons, sender_proven }
}

/// Domains that SPF and DKIM prove, or might.
fn identifiers(envelope: &Envelope, spf: &SpfFound, dkim: &[Verified]) -> Vec<Identifier> {
    let mut all = Vec::new();
    // RFC 7208 §2.4: for the null path HELO counts.
    let (outcome, domain) = match (&spf.mail, &envelope.sender) {
        (Some(found), Some(sender)) => (found, Some(sender.domain().clone())),
        _ => (&spf.helo, Domain::parse(envelope.helo.trim_end_matches('.')).ok()),
    };
    let proof = match outcome.result {
        SpfResult::Pass => Some(Proof::Given),
        SpfResult::TempError => Some(Proof::Unanswered),
        _ => None,
    };
    if let (Some(domain), Some(proof)) = (domain, proof) {
        all.push(Identifier { domain, by: By::Spf, proof });
    }
    for found in dkim {
        let proof = match found.result {
            DkimResult::Pass => Proof::Given,
            DkimResult::TempError => Proof::Unanswered,
            _ => continue,
        };
        if let Some(domain) = &found.domain {
            all.push(Identifier { domain: domain.clone(), by: By::Dkim, proof });
        }
    }
    all
}

/// One of them is that domain, or one above it.
fn proves(identifiers: &[Identifier], domain: &Domain) -> bool {
    let mut proven = identifiers.iter().filter(|id| id.proof == Proof::Given);
    proven.any(|id| is_within(domain, &id.domain))
}

/// The domain is that one, or below it.
fn is_within(domain: &Domain, above: &Domain) -> bool {
    let ascii = |domain: &Domain| domain.to_ascii().unwrap_or_else(|| domain.to_string());
    let (domain, above) = (ascii(domain), ascii(above));
    let rest = domain.strip_suffix(&above);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

async fn evaluate(
    resolver: &dyn Resolver,
    authors: &Authors,
    walks: Vec<Result<Walk, Unanswered>>,
    identifiers: &[Identifier],
) -> Vec<Finding> {
    let mut walks = walks.into_iter();
    let mut findings = Vec::new();
    for author in &authors.domains {
        let unasked = || Err(Unanswered("DNS was not asked".to_owned()));
        let walked = walks.next().unwrap_or_else(unasked);
        findings.push(dmarc::evaluate(resolver, author, walked, identifiers).await);
    }
    if authors.unclear.is_some() {
        // That one of them wrote it is not proven by being one of them.
        findings.retain(|found| found.result != DmarcResult::Pass);
    }
    findings
}

/// What the authors' domains want; of several the strictest.
fn wanted(findings: &[Finding], authors: &Authors) -> Action {
    let failed = findings.iter().filter(|found| found.result == DmarcResult::Fail);
    let worst = failed.max_by_key(|found| found.policy);
    let needed =
        |found: &&Finding| found.result == DmarcResult::TempError && found.policy != Policy::None;
    match (worst, findings.iter().find(needed)) {
        (Some(Finding { policy: Policy::Reject, author, why, .. }), _) => {
            Action::Reject(format!("{author} wants such mail refused (DMARC): {why}"))
        }
        (_, Some(Finding { author, why, .. })) => {
            Action::Defer(format!("cannot find out whether it is from {author} (DMARC): {why}"))
        }
        (Some(Finding { policy: Policy::Quarantine, author, why, .. }), _) => {
            Action::Junk(format!("{author} finds such mail suspicious (DMARC): {why}"))
        }
        _ => match authors.unclear {
            Some(why) => Action::Junk(format!("it cannot be said who wrote it: {why}")),
            None => Action::Accept,
        },
    }
}

/// Who forwards mail to here, if that is who brings it.
fn forwarder(settings: &Settings, ip: IpAddr, identifiers: &[Identifier]) -> Option<String> {
    if settings.forwarder_networks.iter().any(|network| network.contains(ip)) {
        return Some(ip.to_string());
    }
    let proven = identifiers.iter().filter(|id| id.proof == Proof::Given);
    let within =
        |domain: &Domain| settings.forwarder_domains.iter().any(|known| is_within(domain, known));
    proven.map(|id| &id.domain).find(|domain| within(domain)).map(Domain::to_string)
}
