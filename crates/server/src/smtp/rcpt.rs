//! RCPT: resolve, then may they relay? RFC 5321 §3.3, §3.6.

use super::Context;
use directory::Resolution;
use mail::{Address, ReversePath};
use policy::guard::Sending;
use protocol::smtp::command::Rcpt;
use protocol::smtp::reply::{self, Reply};
use protocol::smtp::server::Answer;

impl Context {
    pub(super) async fn recipient(&mut self, rcpt: Rcpt) -> Answer {
        let Some(address) = self.address_of(&rcpt) else {
            return Answer::Reply(reply::NO_SUCH_USER);
        };
        if let Some(refusal) = self.over_rate().await {
            return refusal;
        }
        if let Some(refusal) = self.refused_by_list(&address).await {
            return refusal;
        }
        let message = self.message.map(|id| id.to_string()).unwrap_or_default();
        let verdict = match self.shared.directory.resolve(&address).await {
            Ok(Resolution::Account(account)) => match self.shared.store.is_over_quota(account) {
                Ok(false) => {
                    self.accounts.insert(address, account);
                    return Answer::Yes;
                }
                Ok(true) => reply::MAILBOX_FULL,
                Err(error) => unavailable(&message, &error),
            },
            Ok(Resolution::Members(_)) => {
                match self.shared.directory.leads_somewhere(&address).await {
                    Ok(true) => return Answer::Yes,
                    Ok(false) => reply::NO_SUCH_USER,
                    Err(error) => unavailable(&message, &error),
                }
            }
            Ok(Resolution::Returned(_)) if self.sender == Some(ReversePath::Null) => {
                return Answer::Yes;
            }
            Ok(Resolution::Returned(_)) => reply::REPORTS_ONLY,
            Ok(Resolution::NoSuchUser) => reply::NO_SUCH_USER,
            Ok(Resolution::NotLocal) if self.authenticated.is_some() => {
                match self.shared.delivery.is_qualified(address.domain()) {
                    Ok(true) => return self.over_strangers(&address).await.unwrap_or(Answer::Yes),
                    Ok(false) => reply::NOT_QUALIFIED,
                    Err(error) => unavailable(&message, &error),
                }
            }
            Ok(Resolution::NotLocal) => reply::RELAY_DENIED,
            Err(error) => unavailable(&message, &error),
        };
        let peer = self.accepted.peer;
        let sender = self.from();
        tracing::info!(id = message, %peer, sender, recipient = %address, reply = verdict.code, "recipient refused");
        self.shared.counts.recipients.count(&verdict);
        Answer::Reply(verdict)
    }

    /// Who logged in may send to so many recipients only (users.md S-36).
    async fn over_rate(&self) -> Option<Answer> {
        let who = self.authenticated.as_ref()?;
        let now = self.shared.world.clock.monotonic();
        let sending = self.shared.guard.recipient(who.account, now);
        let what = "recipients";
        self.later(&who.address, sending, what, "recipients_per_hour, limits.recipients_per_day")
            .await
    }

    /// And to so many strangers only: whoever stole a password writes to nobody else.
    async fn over_strangers(&self, to: &Address) -> Option<Answer> {
        let who = self.authenticated.as_ref()?;
        if !self.shared.guard.counts_strangers() {
            return None;
        }
        match self.shared.directory.has_met(who.account, to) {
            Ok(true) => return None,
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%error, "whom an account wrote to");
                return Some(Answer::Reply(reply::TRY_LATER));
            }
        }
        let now = self.shared.world.clock.monotonic();
        let sending = self.shared.guard.stranger(who.account, now);
        let what = "people for the first time";
        let refusal = self.later(&who.address, sending, what, "strangers_per_day").await;
        if refusal.is_none() {
            self.shared.directory.meet(who.account, to);
        }
        refusal
    }

    /// The refusal, if there is one; the administrator is told of it now and then.
    async fn later(
        &self,
        user: &Address,
        sending: Sending,
        what: &str,
        limits: &str,
    ) -> Option<Answer> {
        let Sending::Later { wait, news } = sending else { return None };
        let minutes = wait.as_secs().div_ceil(60);
        let time = match minutes {
            ..=120 => format!("{minutes} minutes"),
            _ => format!("{} hours", minutes.div_ceil(60)),
        };
        tracing::warn!(%user, minutes, what, "over a limit");
        if news {
            self.tell_administrator(user, what, limits, &time).await;
        }
        let text = format!("You sent to too many {what}; go on in {time}");
        Some(Answer::Reply(reply::OVER_RATE.saying(text)))
    }

    /// Somebody broke in perhaps, or somebody has much to say: a person must look.
    async fn tell_administrator(&self, user: &Address, what: &str, limits: &str, time: &str) {
        let domain = self.shared.settings.default_domain.clone();
        let Some(to) = domain.and_then(|domain| Address::new("postmaster", domain).ok()) else {
            return;
        };
        let text = format!(
            "{user} sent to as many {what} as it may\r\n(limits.{limits}).\r\n\
             It is refused more for {time}.\r\n\r\n\
             If that is right, let it send again at once:\r\n\r\n    \
             postrider account release {user}\r\n\r\n\
             If somebody else got its password, take it away:\r\n\r\n    \
             postrider account disable {user}\r\n    \
             postrider account password {user}\r\n"
        );
        let notice =
            delivery::Notice { to: &to, subject: "An account reached its limit", text: &text };
        match self.shared.delivery.notice(notice).await {
            Ok(Some(id)) => tracing::info!(%id, %to, "administrator told"),
            Ok(None) => tracing::warn!(%to, "nobody to tell"),
            Err(error) => tracing::error!(%error, "cannot tell the administrator"),
        }
    }

    /// `<postmaster>` is the default domain's (RFC 5321 §4.5.1), and so is everybody at our own
    /// address (RFC 1123 §5.2.17).
    pub(super) fn address_of(&self, rcpt: &Rcpt) -> Option<Address> {
        let ours = self.accepted.local.map(|local| local.to_canonical());
        let at_ours = |address: &Address| ours.is_some() && address.domain().literal_ip() == ours;
        match (&rcpt.recipient, &self.shared.settings.default_domain) {
            (Some(address), Some(domain)) if at_ours(address) => {
                Address::new(address.local(), domain.clone()).ok()
            }
            (Some(address), _) => Some(address.clone()),
            (None, Some(domain)) => Address::new("postmaster", domain.clone()).ok(),
            (None, None) => None,
        }
    }
}

/// It cannot be found out now.
fn unavailable(id: &str, error: &dyn std::fmt::Display) -> Reply {
    tracing::error!(id, %error, "recipient");
    reply::TRY_LATER
}
