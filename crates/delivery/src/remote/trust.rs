//! Which servers a message may go to, and how safe the connection has to be. RFC 8461 §4, §5; RFC
//! 8689 §4.2; what an operator wants. What DANE wants is known with the server only.

use super::*;
use policy::mta_sts::{Mode, Policy};
use std::sync::{Arc, OnceLock};

/// Octets of a header that is looked at for TLS-Required.
const HEADER_OCTETS: u64 = 64 * 1024;

/// What a connection must have before a message goes over it.
pub(super) struct Wants<'a> {
    /// What REQUIRETLS asks for. RFC 8689 §4.2.1.
    pub require_tls: bool,
    /// TLS with the server's certificate proven, as an operator wants it. RFC 3207 §6.
    pub proven: bool,
    /// A login, under TLS with the server's certificate proven: known with the route.
    pub login: Option<&'a Login>,
    /// An operator named the server.
    pub fixed: bool,
    /// DNSSEC proves which servers the domain has: known with the route.
    pub proven_mx: bool,
    /// What the domain says of its servers. RFC 8461.
    pub policy: Option<Arc<Policy>>,
    row: &'a QueueRow,
    /// The message says `TLS-Required: No`, once that was looked for. RFC 8689 §3.
    lax: OnceLock<bool>,
}

impl<'a> Wants<'a> {
    /// What a message for a domain wants; whether the route to it is fixed may be known.
    pub async fn of(
        shared: &'a Shared,
        domain: &Domain,
        row: &'a QueueRow,
        fixed: Option<bool>,
    ) -> Wants<'a> {
        // RFC 8689 §4.2.1; a report goes on its way all the same (§5).
        let require_tls = row.terms.require_tls && row.sender.address().is_some();
        let settings = &shared.settings;
        let proven = settings.tls_required.iter().any(|known| known.is_same(domain));
        let routed = || shared.store.route(domain).is_ok_and(|route| route.is_some());
        let fixed = fixed.unwrap_or_else(|| settings.smarthost.is_some() || routed());
        let policy = match fixed {
            true => None,
            false => shared.policies.of(shared, domain).await,
        };
        let (login, proven_mx, lax) = (None, false, OnceLock::new());
        let mut wants = Wants { require_tls, proven, login, fixed, proven_mx, policy, row, lax };
        if wants.policy.is_some() && wants.is_lax(shared) {
            wants.policy = None;
        }
        wants
    }

    /// The message asks to look away where DANE and MTA-STS ask for TLS. RFC 8689 §3.
    pub fn is_lax(&self, shared: &Shared) -> bool {
        let look = || !self.row.terms.require_tls && is_tls_optional(shared, self.row);
        *self.lax.get_or_init(look)
    }

    /// It was looked, and it does.
    pub fn was_lax(&self) -> bool {
        self.lax.get() == Some(&true)
    }

    /// Why REQUIRETLS cannot be had at all: RFC 8689 §2, DNS alone does not prove that these are
    /// the domain's servers.
    pub fn nobody_vouches(&self) -> bool {
        self.require_tls && !self.fixed && !self.proven_mx && self.policy.is_none()
    }

    /// The policy in words, for the record.
    pub fn told(&self, domain: &Domain) -> Option<String> {
        let policy = self.policy.as_ref()?.to_string();
        Some(format!("MTA-STS {domain}: {}", policy.trim_end().replace('\n', ", ")))
    }

    /// The domain wants a server that is not as its policy says to get nothing.
    pub fn enforces(&self) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.mode == Mode::Enforce)
    }

    /// Nothing is said before TLS with the server's certificate proven.
    pub fn is_strict(&self) -> bool {
        self.require_tls || self.proven || self.login.is_some() || self.enforces()
    }

    /// The policy, if there is one, names the server, or only wishes it did.
    pub fn allows(&self, host: &str) -> Result<(), Broken> {
        let Some(policy) = self.policy.as_ref().filter(|policy| !policy.names(host)) else {
            return Ok(());
        };
        let why = format!("MTA-STS: the domain's policy does not name {host}");
        if self.require_tls {
            return Err(Broken::Unsafe("5.7.30".to_owned(), why));
        }
        if policy.mode == Mode::Enforce {
            return Err(Broken::Unsafe("4.7.0".to_owned(), why));
        }
        tracing::warn!(host, "{why}, but only tests it");
        Ok(())
    }

    /// A connection is as safe as the message wants it.
    pub fn are_met_by(&self, connection: &Connection) -> bool {
        let proven = connection.tls.as_ref().is_some_and(|tls| tls.verified);
        (!self.is_strict() || (proven && self.allows(&connection.host.name).is_ok()))
            && (!self.require_tls || connection.can.require_tls)
    }

    /// Why there is nothing to be said to a server without TLS, or without a proven certificate.
    pub fn without_tls(&self, host: &str, why: &str, dane: bool) -> Broken {
        if self.require_tls {
            let text = format!("REQUIRETLS, and {host}: {why}");
            return Broken::Unsafe("5.7.10".to_owned(), text);
        }
        let what = match self.login {
            Some(_) => "the password",
            None => "mail for there",
        };
        let by = match dane {
            true => "DANE: ",
            false if self.enforces() => "MTA-STS: ",
            false => "",
        };
        let text = format!("{by}{what} must not go to {host}, which is not safe: {why}");
        Broken::Unsafe("4.7.10".to_owned(), text)
    }
}

/// The message says `TLS-Required: No`. RFC 8689 §3.
fn is_tls_optional(shared: &Shared, row: &QueueRow) -> bool {
    let from = u64::from(row.skip);
    let to = row.size.min(from + HEADER_OCTETS);
    // What cannot be read is not sent either.
    let head = shared.store.content(row.content, from..to).unwrap_or_default();
    let named = |field: &mail::header::Field<'_>| field.name.eq_ignore_ascii_case(b"TLS-Required");
    let mut fields = mail::header::fields(&head).filter(named);
    let no = fields.next().is_some_and(|f| f.value.trim_ascii().eq_ignore_ascii_case(b"No"));
    no && fields.next().is_none()
}
