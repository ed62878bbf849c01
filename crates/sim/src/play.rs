//! Plays a transcript against a whole server, and compares every line that the server says.

use crate::hands::{SimHands, hold_time};
use crate::house::{House, PASSWORD, Plan, address};
use crate::pipe::{End, Eye};
use crate::script::{Captures, Line, Script, expand, expand_raw, matches, span};
use crate::world::{SimListener, SimWorld};
use mail::Domain;
use server::listen::Service;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use sys::net::BoxStream;
use sys::tls::{Speaks, TlsClient, Trust};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

/// How what the clients say reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Lines that follow each other travel together.
    Whole,
    /// One octet at a time, each dealt with before the next.
    Bytewise,
}

/// What was learned by playing.
#[derive(Debug, Default)]
pub struct Played {
    /// Every line the server said.
    pub said: Vec<String>,
    /// The transcript with the server's lines as they were.
    pub text: String,
}

/// Plays the lines of a conversation both ways; panics where a reply is another one.
pub fn check(service: Service, given: &str, text: &str) {
    let rfc = if service == Service::Imap { "3501 §6" } else { "5321 §4" };
    let text = format!("rfc: {rfc}\ngiven: {given}\n{text}");
    let script = Script::parse(&text).unwrap_or_else(|why| panic!("{why}"));
    for way in [Way::Whole, Way::Bytewise] {
        if let Err(why) = play(&script, service, way, false) {
            panic!("{way:?}: {why}\n{text}");
        }
    }
}

/// Plays `script`. With `update`, differences are not errors but go into [`Played::text`].
pub fn play(script: &Script, service: Service, way: Way, update: bool) -> Result<Played, String> {
    if way == Way::Bytewise && script.whole_only {
        return Ok(Played::default());
    }
    let hands = SimHands::default();
    let runtime = hands.runtime().map_err(|e| e.to_string())?;
    let held = hold_time(&runtime);
    let (script, calm) = (script.clone(), hands.clone());
    // A task: what the runtime itself waits for is never the last to wait.
    let playing = runtime.spawn(async move {
        let mut player = Player::new(&script, service, way, calm).await?;
        player.play(&script, update).await?;
        Ok(player.played)
    });
    let played = runtime.block_on(playing).map_err(|e| e.to_string()).flatten();
    drop(held);
    runtime.shutdown_background();
    played
}

struct Talk {
    stream: BoxStream,
    eye: Eye,
    buffer: Vec<u8>,
    broken: bool,
    /// We are the client there, which need not wait for the server at all times.
    remote: bool,
}

impl Talk {
    fn new(end: End, remote: bool) -> Talk {
        let eye = end.eye();
        Talk { stream: Box::new(end), eye, buffer: Vec::new(), broken: false, remote }
    }

    /// Takes what is there.
    async fn read_now(&mut self) {
        loop {
            let mut space = [0; 4096];
            let mut piece = ReadBuf::new(&mut space);
            let stream = std::pin::Pin::new(&mut self.stream);
            let mut stream = Some(stream);
            let got = std::future::poll_fn(|context| {
                let Some(stream) = stream.take() else { return Poll::Ready(false) };
                Poll::Ready(stream.poll_read(context, &mut piece).is_ready())
            });
            let ready = got.await;
            if !ready || piece.filled().is_empty() {
                return;
            }
            self.buffer.extend_from_slice(piece.filled());
        }
    }

    /// The next line, or `None` when the server has hung up.
    async fn line(&mut self, hands: &SimHands) -> Result<Option<String>, String> {
        loop {
            self.read_now().await;
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = line.strip_suffix(b"\r\n").ok_or("a line that ends in a bare LF")?;
                return Ok(Some(String::from_utf8_lossy(line).into_owned()));
            }
            hands.unless_stuck(self.eye.came()).await.ok_or("nothing comes")?;
            let before = self.buffer.len();
            self.read_now().await;
            let ended =
                tokio::select! { biased; () = self.eye.ended() => true, () = async {} => false };
            if self.buffer.len() == before && ended {
                return Ok(None);
            }
        }
    }

    /// The server has dealt with everything. The future holds no connection, which only one may.
    fn settled(&self, hands: &SimHands) -> impl Future<Output = Result<(), String>> + use<> {
        let (eye, remote, hands) = (self.eye.clone(), self.remote, hands.clone());
        async move {
            let settled = async { if remote { eye.taken().await } else { eye.settled().await } };
            let done = hands.unless_stuck(settled).await;
            // What takes time is not over before the clock moves on.
            let over = done.or(hands.is_slow().then_some(()));
            over.ok_or_else(|| "the server does not finish".to_owned())
        }
    }

    async fn write(&mut self, octets: &[u8], way: Way, hands: &SimHands) -> Result<(), String> {
        let size = if way == Way::Whole { octets.len().max(1) } else { 1 };
        for piece in octets.chunks(size) {
            // The server may have hung up: what it said before is still to be compared.
            self.broken = self.broken || self.stream.write_all(piece).await.is_err();
            if self.broken {
                return Ok(());
            }
            let _ = self.stream.flush().await;
            self.settled(hands).await?;
        }
        Ok(())
    }
}

struct Player {
    house: House,
    way: Way,
    hands: SimHands,
    default: Service,
    /// What the header says of connections.
    wanted: BTreeMap<String, (Service, Option<IpAddr>)>,
    talks: BTreeMap<String, Talk>,
    remotes: BTreeMap<String, SimListener>,
    captures: Captures,
    played: Played,
}

impl Player {
    async fn new(
        script: &Script,
        default: Service,
        way: Way,
        hands: SimHands,
    ) -> Result<Player, String> {
        let mut plan = Plan::default();
        let mut rest = Vec::new();
        for item in &script.given {
            match item.split_once(" = ") {
                Some((key, value)) => plan.set(key, value)?,
                None => rest.push(item.as_str()),
            }
        }
        let world = SimWorld { hands: Arc::new(hands.clone()), ..SimWorld::new(1) };
        let house = House::build(plan, world).await;
        let mut player = Player {
            house,
            way,
            hands,
            default,
            wanted: BTreeMap::new(),
            talks: BTreeMap::new(),
            remotes: BTreeMap::new(),
            captures: Captures::new(),
            played: Played::default(),
        };
        for item in rest {
            player.given(item).await?;
        }
        Ok(player)
    }

    /// An item of the header.
    async fn given(&mut self, item: &str) -> Result<(), String> {
        let words: Vec<&str> = item.split_whitespace().collect();
        let store = &self.house.shared.store;
        let failed = |error: store::StoreError| format!("given: {item}: {error}");
        match words.as_slice() {
            ["account", name] => self.house.add_account(name).await,
            ["domain", name] => self.house.add_domain(name).await,
            ["alias", from, "to", to @ ..] => {
                let targets = to.iter().map(|to| address(to)).collect();
                let row = store::AliasRow { address: address(from), targets };
                store.alias_add(row).await.map_err(failed)?;
            }
            ["catch-all", domain, "to", to] => {
                let domain = Domain::parse(domain).map_err(|e| e.to_string())?;
                store.domain_set_catch_all(domain, Some(address(to))).await.map_err(failed)?;
            }
            ["disabled", name] => {
                store.account_set_disabled(address(name), true).await.map_err(failed)?;
            }
            [name, "without", word] => self.house.hide(word, name).await.ok_or("hide?")?,
            ["public", "folders", "of", name] => {
                self.house.publish(name).await.ok_or("public folders?")?;
            }
            [name, "manages", "limits"] => self.house.manage(name).await.ok_or("manages?")?,
            ["limit", of, "of", name, n] => self.house.limit(of, name, n).await.ok_or("limit?")?,
            [mailbox, "of", name, "has", n, "message" | "messages"] => {
                for _ in 0..n.parse().unwrap_or(0) {
                    self.house.add_message(name, mailbox).await;
                }
            }
            [who, "on", service, rest @ ..] => self.given_connection(who, service, rest).await?,
            _ => return Err(format!("given: what is '{item}'?")),
        }
        Ok(())
    }

    /// `C1 on imap [from ADDRESS] [as alice [in INBOX]]`.
    async fn given_connection(
        &mut self,
        who: &str,
        service: &str,
        rest: &[&str],
    ) -> Result<(), String> {
        let service = Service::ALL.into_iter().find(|s| s.name() == service);
        let service = service.ok_or_else(|| format!("no such service: {who}"))?;
        let mut from = None;
        let mut login = None;
        for pair in rest.chunks(2) {
            match pair {
                ["from", ip] => from = ip.parse().ok(),
                ["as", name] => login = Some((*name, None)),
                ["in", mailbox] => login = login.map(|(name, _)| (name, Some(*mailbox))),
                _ => return Err(format!("given: what is {rest:?}?")),
            }
        }
        self.wanted.insert(who.to_owned(), (service, from));
        let Some((name, mailbox)) = login else { return Ok(()) };
        let user = address(name);
        let lines = match service {
            Service::Imap | Service::Imaps => {
                let select = mailbox.map(|mailbox| format!("given2 SELECT {mailbox}"));
                let mut lines = vec![format!("given1 LOGIN {user} {PASSWORD}")];
                lines.extend(select);
                lines
            }
            Service::Pop3 | Service::Pop3s => {
                vec![format!("USER {user}"), format!("PASS {PASSWORD}")]
            }
            _ => {
                let login = format!("{{{{base64 \\0{user}\\0{PASSWORD}}}}}");
                let auth = expand(&format!("AUTH PLAIN {login}"), &Captures::new());
                vec!["EHLO client.example".to_owned(), String::from_utf8_lossy(&auth).into_owned()]
            }
        };
        let hands = self.hands.clone();
        let talk = self.talk(who).await?;
        for line in lines {
            talk.write(format!("{line}\r\n").as_bytes(), Way::Whole, &hands).await?;
        }
        talk.read_now().await;
        talk.buffer.clear();
        Ok(())
    }

    /// The connection, made when it is first spoken of.
    async fn talk(&mut self, who: &str) -> Result<&mut Talk, String> {
        if !self.talks.contains_key(who) {
            let end = if let Some(listener) = self.remotes.get(who) {
                let got = self.hands.unless_stuck(listener.next()).await;
                let got = got.ok_or_else(|| format!("{who}: nobody connects"))?;
                got.map_err(|e| e.to_string())?.0
            } else {
                self.connect(who)?
            };
            let mut talk = Talk::new(end, who.starts_with('R'));
            let wanted = self.wanted.get(who).map(|(service, _)| *service);
            if who.starts_with('C') && wanted.unwrap_or(self.default).implicit_tls() {
                self.start_tls(who, &mut talk).await?;
            }
            talk.settled(&self.hands).await?;
            self.talks.insert(who.to_owned(), talk);
        }
        self.talks.get_mut(who).ok_or_else(|| format!("no connection {who}"))
    }

    /// Connects, and sends octets before the server has seen that.
    async fn open(&mut self, who: &str, early: &str) -> Result<(), String> {
        if !early.is_empty() {
            let mut talk = Talk::new(self.connect(who)?, false);
            let octets = expand_raw(early, &self.captures);
            talk.write(&octets, Way::Whole, &self.hands).await?;
            self.talks.insert(who.to_owned(), talk);
        }
        self.talk(who).await.map(drop)
    }

    fn connect(&self, who: &str) -> Result<End, String> {
        let number: u16 = who.get(1..).and_then(|n| n.parse().ok()).ok_or("no such connection")?;
        if who.starts_with('R') {
            return Err(format!("'-- remote {who} ADDRESS' is missing"));
        }
        let (service, from) = self.wanted.get(who).copied().unwrap_or((self.default, None));
        let from = from.unwrap_or(IpAddr::from([192, 0, 2, number as u8]));
        Ok(self.house.connect(service, SocketAddr::new(from, 40_000 + number)))
    }

    /// A client starts TLS, a remote server accepts it.
    async fn start_tls(&mut self, who: &str, talk: &mut Talk) -> Result<(), String> {
        let (dummy, _) = crate::pipe::pair();
        let clear = std::mem::replace(&mut talk.stream, Box::new(dummy));
        let secured = if who.starts_with('R') {
            self.house.tls.port(Speaks::Mail).accept(clear).await
        } else {
            let client = TlsClient::new(&Trust::Anybody).map_err(|e| e.to_string())?;
            client.connect("mail.example.org", clear).await
        };
        talk.stream = secured.map_err(|e| format!("{who}: TLS: {e}"))?.0;
        Ok(())
    }

    async fn play(&mut self, script: &Script, update: bool) -> Result<(), String> {
        let mut at = 0;
        while let Some((text, line)) = script.lines.get(at) {
            let place = format!("line {}", at + 1);
            let named = |error: String| format!("{place}: {error}");
            let from = at;
            match line {
                Line::Silent => at += 1,
                Line::Stage(words) => {
                    at += 1;
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    self.stage(&words).await.map_err(|e| named(format!("{text}: {e}")))?;
                }
                Line::Says(who, _) | Line::Sends(who, _) => {
                    let who = who.clone();
                    let octets = self.gather(script, &who, &mut at);
                    let (way, hands) = (self.way, self.hands.clone());
                    let talk = self.talk(&who).await.map_err(&named)?;
                    talk.write(&octets, way, &hands).await.map_err(&named)?;
                }
                Line::Answers(..) => {
                    self.answers(script, &mut at, update).await?;
                    continue;
                }
            }
            for (text, _) in &script.lines[from..at] {
                self.played.text.push_str(&format!("{text}\n"));
            }
        }
        for who in self.talks.keys().cloned().collect::<Vec<_>>() {
            self.nothing_more(&who).await.map_err(|e| format!("at the end: {e}"))?;
        }
        Ok(())
    }

    /// What one client says in lines that follow each other.
    fn gather(&self, script: &Script, who: &str, at: &mut usize) -> Vec<u8> {
        let mut octets = Vec::new();
        while let Some((_, line)) = script.lines.get(*at) {
            match line {
                Line::Says(speaker, text) if speaker == who => {
                    octets.extend(expand(text, &self.captures));
                    octets.extend_from_slice(b"\r\n");
                }
                Line::Sends(speaker, text) if speaker == who => {
                    octets.extend(expand_raw(text, &self.captures));
                }
                _ => return octets,
            }
            *at += 1;
        }
        octets
    }

    /// A block of the server's lines.
    async fn answers(
        &mut self,
        script: &Script,
        at: &mut usize,
        update: bool,
    ) -> Result<(), String> {
        let start = *at;
        let mut involved: Vec<String> = Vec::new();
        while let Some((text, line)) = script.lines.get(*at) {
            let Line::Answers(who, pattern, loose) = line else {
                if *line == Line::Silent
                    && matches!(next_spoken(script, *at), Some(Line::Answers(..)))
                {
                    *at += 1;
                    self.played.text.push_str(&format!("{text}\n"));
                    continue;
                }
                break;
            };
            let mut patterns = vec![(text.clone(), pattern.clone())];
            *at += 1;
            while *loose
                && let Some((text, Line::Answers(same, more, true))) = script.lines.get(*at)
                && same == who
            {
                patterns.push((text.clone(), more.clone()));
                *at += 1;
            }
            if !involved.contains(who) {
                involved.push(who.clone());
            }
            let place = format!("line {}", *at - patterns.len() + 1);
            self.compare(who, patterns, update).await.map_err(|e| format!("{place}: {e}"))?;
        }
        for who in involved {
            if update {
                self.take_rest(&who).await?;
            }
            self.nothing_more(&who)
                .await
                .map_err(|e| format!("after lines {} to {}: {e}", start + 1, *at))?;
        }
        Ok(())
    }

    /// One line against one pattern, or several in any order.
    async fn compare(
        &mut self,
        who: &str,
        mut patterns: Vec<(String, String)>,
        update: bool,
    ) -> Result<(), String> {
        while !patterns.is_empty() {
            let hands = self.hands.clone();
            let line = if update {
                self.line_if_any(who).await?
            } else {
                let talk = self.talk(who).await?;
                talk.line(&hands).await.map_err(|e| format!("{e}; expected: {}", patterns[0].0))?
            };
            let Some(line) = line else {
                if update {
                    return Ok(());
                }
                return Err(format!("the server hung up; expected: {}", patterns[0].0));
            };
            self.played.said.push(line.clone());
            let captures = &mut self.captures;
            match patterns.iter().position(|(_, pattern)| matches(pattern, &line, captures)) {
                Some(found) => {
                    let (text, _) = patterns.remove(found);
                    self.played.text.push_str(&format!("{text}\n"));
                }
                None if update => {
                    patterns.remove(0);
                    self.played.text.push_str(&format!("{}: {line}\n", speaker(who)));
                }
                None => {
                    let expected: Vec<&str> = patterns.iter().map(|(t, _)| t.as_str()).collect();
                    return Err(format!("expected: {}\n     got: {line}", expected.join(" | ")));
                }
            }
        }
        Ok(())
    }

    /// For `UPDATE`: the next line once the server has settled.
    async fn line_if_any(&mut self, who: &str) -> Result<Option<String>, String> {
        self.house.quiesce().await;
        let hands = self.hands.clone();
        let talk = self.talk(who).await?;
        talk.settled(&hands).await?;
        talk.read_now().await;
        if talk.buffer.is_empty() { Ok(None) } else { talk.line(&hands).await }
    }

    /// For `UPDATE`: lines that the transcript does not have yet.
    async fn take_rest(&mut self, who: &str) -> Result<(), String> {
        while let Some(line) = self.line_if_any(who).await? {
            self.played.text.push_str(&format!("{}: {line}\n", speaker(who)));
            self.played.said.push(line);
        }
        Ok(())
    }

    /// The server has said nothing that the transcript does not list.
    async fn nothing_more(&mut self, who: &str) -> Result<(), String> {
        let hands = self.hands.clone();
        let talk = self.talk(who).await?;
        talk.settled(&hands).await?;
        talk.read_now().await;
        if talk.buffer.is_empty() {
            return Ok(());
        }
        let shown = String::from_utf8_lossy(&talk.buffer).into_owned();
        Err(format!("{} said more than is listed: {shown:?}", speaker(who)))
    }

    async fn stage(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["clock", by] => self.house.advance(span(by)?).await,
            ["slow", by] => self.hands.slow_down(span(by)?),
            ["shutdown"] => {
                self.house.shut_down();
                self.house.quiesce().await;
            }
            ["open", who, early @ ..] => self.open(who, &early.join(" ")).await?,
            ["cut", who] => drop(self.talks.remove(*who)),
            ["closed", who] => {
                let hands = self.hands.clone();
                let talk = self.talk(who).await?;
                let ended = hands.unless_stuck(talk.eye.ended()).await;
                ended.ok_or("the server does not hang up")?;
                self.nothing_more(who).await?;
            }
            ["tls", who] => {
                self.talk(who).await?;
                let mut talk = self.talks.remove(*who).ok_or("no such connection")?;
                self.start_tls(who, &mut talk).await?;
                talk.settled(&self.hands).await?;
                self.talks.insert((*who).to_owned(), talk);
            }
            ["tls", who, "refused"] => {
                self.talk(who).await?;
                let mut talk = self.talks.remove(*who).ok_or("no such connection")?;
                if self.start_tls(who, &mut talk).await.is_ok() {
                    return Err("the certificate is taken".to_owned());
                }
            }
            ["deliver", name] => self.house.add_message(name, "INBOX").await,
            ["deliver", name, mailbox] => self.house.add_message(name, mailbox).await,
            ["account", name, change @ ..] => self.house.change_account(name, change).await?,
            ["mx", name, preference, exchange] => {
                let preference = preference.parse().map_err(|_| "a preference is a number")?;
                let exchange = exchange.trim_end_matches('.');
                self.house.world.dns.add_mx(name, preference, exchange);
            }
            ["dns", "fail", name, "TXT"] => self.house.world.dns.fail_texts(name, true),
            ["dns", name, "TXT", text @ ..] => {
                let text = expand(&text.join(" "), &self.captures);
                self.house.world.dns.clear_texts(name);
                self.house.world.dns.fail_texts(name, false);
                self.house.world.dns.add_text(name, &text);
            }
            ["dns", "fail", name] => self.house.world.dns.fail(name),
            ["dns", name, ip] => {
                let ip = ip.parse().map_err(|_| "an address is missing")?;
                self.house.world.dns.add_address(name, ip);
            }
            ["quiet", who] => {
                let listener = self.remotes.get(*who).ok_or("no such remote")?;
                if !listener.is_quiet().await {
                    return Err("somebody connects".to_owned());
                }
            }
            ["disk", "breaks"] => self.house.world.disk.break_down(),
            ["disk", how @ ("full" | "roomy")] => self.house.world.disk.set_full(*how == "full"),
            ["remote", who, at] => {
                let at = at.parse().map_err(|_| "ADDRESS:PORT is missing")?;
                self.talks.remove(*who);
                let listener = self.house.world.net.open(at);
                self.remotes.insert((*who).to_owned(), listener);
            }
            ["remote", who] => drop(self.talks.remove(*who)),
            _ => return Err("no such stage direction".to_owned()),
        }
        Ok(())
    }
}

/// `C1` is answered by `S1`; to `R1` the product speaks as `P1`.
fn speaker(who: &str) -> String {
    let (kind, number) = who.split_at(1);
    format!("{}{number}", if kind == "C" { "S" } else { "P" })
}

fn next_spoken(script: &Script, from: usize) -> Option<&Line> {
    script.lines.iter().skip(from).map(|(_, line)| line).find(|line| **line != Line::Silent)
}
