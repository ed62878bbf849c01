//! Messages of strangers are judged while they come: questions to DNS are on their way as soon as
//! there is something to ask.

use super::Context;
use crate::Settings;
use crate::listen::{Accepted, Service};
use delivery::Judgement;
use mail::{Address, ReversePath};
use policy::counted::Counted;
use policy::dnsbl::Listed;
use policy::judge::{self, Action, Answers, Envelope, Inspector, SpfFound};
use policy::limits::{DNS_WAIT, QUERIES_MAX};
use protocol::smtp::reply::{self, Reply};
use protocol::smtp::server::Answer;
use std::net::IpAddr;
use std::sync::Arc;
use sys::resolver::Resolver;
use tokio::task::JoinHandle;

/// A message that is being judged.
pub(super) struct Judging {
    envelope: Envelope,
    inspector: Inspector,
    resolver: Arc<dyn Resolver>,
    spf: JoinHandle<SpfFound>,
    answers: Option<JoinHandle<Answers>>,
}

impl Drop for Judging {
    fn drop(&mut self) {
        // Nobody wants to know any more.
        self.spf.abort();
        if let Some(answers) = &self.answers {
            answers.abort();
        }
    }
}

/// Whoever comes to that port from there is a stranger: mail systems that speak LMTP, and networks
/// that are trusted, are none.
pub(super) fn is_stranger(settings: &Settings, service: Service, ip: IpAddr) -> bool {
    service == Service::Smtp && !settings.judge.trusted.iter().any(|network| network.contains(ip))
}

impl Context {
    /// The client is a stranger, who is judged; nobody who logged in is.
    fn is_stranger(&self) -> bool {
        let Accepted { service, peer, .. } = &self.accepted;
        self.authenticated.is_none() && is_stranger(&self.shared.settings, *service, peer.ip())
    }

    /// Begins to ask lists about a stranger. What the message raises besides is counted together.
    pub(super) fn ask_lists(&mut self) {
        let world = &self.shared.world;
        self.resolver = Arc::new(Counted::new(world.resolver.clone(), QUERIES_MAX, DNS_WAIT));
        let settings = &self.shared.settings.judge;
        let ip = self.accepted.peer.ip();
        let forwards = settings.forwarder_networks.iter().any(|network| network.contains(ip));
        if settings.lists.is_empty() || forwards || !self.is_stranger() {
            return;
        }
        let (lists, resolver) = (settings.lists.clone(), self.resolver.clone());
        let now = self.shared.world.clock.monotonic();
        self.lists = Some(tokio::spawn(async move { lists.ask(&*resolver, ip, now).await }));
    }

    /// What lists say of the client, once they were asked.
    async fn listed(&mut self) -> &Listed {
        if let Some(asked) = self.lists.take() {
            self.listed = asked.await.unwrap_or_default();
            for alert in &self.listed.alerts {
                tracing::warn!(alert, "a block list is disabled");
            }
        }
        &self.listed
    }

    /// The refusal of a client that is on a list, if it writes to anybody but postmaster (RFC 5321
    /// §4.5.1), who can help.
    pub(super) async fn refused_by_list(&mut self, to: &Address) -> Option<Answer> {
        if to.local().eq_ignore_ascii_case("postmaster") {
            return None;
        }
        let (peer, sender) = (self.accepted.peer, self.from());
        let why = self.listed().await.refused.clone()?;
        tracing::info!(%peer, sender, recipient = %to, why, "recipient refused");
        self.shared.counts.recipients.count(&reply::LISTED);
        Some(Answer::Reply(reply::LISTED.saying(why)))
    }

    /// Begins to judge a message, if its sender is a stranger.
    pub(super) fn judging(&self, helo: &str, sender: &ReversePath) -> Option<Judging> {
        if !self.is_stranger() {
            return None;
        }
        let (ip, settings) = (self.accepted.peer.ip(), &self.shared.settings);
        let now = self.shared.world.clock.unix_seconds();
        let envelope = Envelope {
            ip,
            helo: helo.to_owned(),
            sender: sender.address().cloned(),
            hostname: settings.hostname.clone(),
            now,
        };
        let resolver = self.resolver.clone();
        let (ask, facts) = (resolver.clone(), envelope.clone());
        let spf = tokio::spawn(async move { judge::spf(&*ask, &facts).await });
        let inspector = Inspector::new(settings.hostname.clone(), now);
        Some(Judging { envelope, inspector, resolver, spf, answers: None })
    }

    /// The next octets of a message: what of them may be stored.
    pub(super) async fn take_in(&mut self, octets: &[u8]) {
        let Some(receiving) = &mut self.receiving else { return };
        let Some(judging) = &mut self.judging else { return receiving.write(octets).await };
        let mut kept = Vec::with_capacity(octets.len());
        judging.inspector.feed(octets, &mut kept);
        judging.ask();
        receiving.write(&kept).await;
    }

    /// The message is complete: it is judged, or refused.
    pub(super) async fn judge(&mut self) -> Result<(), Reply> {
        let listed = self.listed().await.clone();
        let (peer, sender) = (self.accepted.peer, self.from());
        let (Some(mut judging), Some(receiving)) = (self.judging.take(), &mut self.receiving)
        else {
            return Ok(());
        };
        let mut rest = Vec::new();
        judging.inspector.finish(&mut rest);
        receiving.write(&rest).await;
        judging.ask();
        let verdict = judging.conclude(&self.shared.settings.judge).await;
        for reason in &verdict.reasons {
            tracing::debug!(%peer, reason, "judged");
        }
        let mut judgement = Judgement {
            lines: verdict.lines,
            reasons: verdict.reasons,
            junk: None,
            sender_unproven: !verdict.sender_proven,
        };
        match verdict.action {
            Action::Accept => {
                judgement.reasons.extend(listed.refused.into_iter().chain(listed.junk.clone()));
                judgement.junk = listed.junk;
            }
            Action::Junk(why) => {
                tracing::info!(%peer, sender, why, "into Junk");
                judgement.junk = Some(why);
            }
            Action::Reject(why) => {
                tracing::info!(%peer, sender, why, "message refused");
                return Err(reply::FORGED.saying(why));
            }
            Action::Defer(why) => {
                tracing::info!(%peer, sender, why, "message deferred");
                return Err(reply::CANNOT_JUDGE.saying(why));
            }
        }
        receiving.judged(judgement);
        Ok(())
    }
}

impl Judging {
    /// Asks DNS what the header raises, once.
    fn ask(&mut self) {
        if let Some(questions) = self.inspector.questions() {
            let resolver = self.resolver.clone();
            self.answers =
                Some(tokio::spawn(async move { judge::ask(&*resolver, questions).await }));
        }
    }

    async fn conclude(mut self, settings: &judge::Settings) -> judge::Verdict {
        let spf = (&mut self.spf).await.unwrap_or_else(|_| SpfFound::unknown());
        let answers = match &mut self.answers {
            Some(answers) => answers.await.ok(),
            None => None,
        };
        let fresh = Inspector::new(self.envelope.hostname.clone(), self.envelope.now);
        let inspector = std::mem::replace(&mut self.inspector, fresh);
        let resolver = &*self.resolver;
        judge::conclude(resolver, settings, &self.envelope, inspector, spf, answers).await
    }
}
