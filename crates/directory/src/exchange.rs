//! A SASL exchange, step by step. RFC 4422 §3.
//!
//! Invariant: whoever is not there is asked the same questions, and told the same in the end, as
//! somebody with another password.

use crate::authenticate::{AuthError, Authenticated, Credentials};
use crate::issuer::{Issuer, TokenError};
use crate::limits::SCRAM_ITERATIONS;
use crate::scram::Verifier;
use crate::secret::{AppPassword, ProvenBy, Secret, Use};
use crate::{Directory, Unavailable};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use mail::Address;
use protocol::sasl::bearer::{self, Bearer, Refusal};
use protocol::sasl::scram::{self, Binding, First, Hash, Variant};
use protocol::sasl::{Client, Mechanism, plain};
use store::AccountRow;
use sys::tls::ClientCertificate;

/// What a login is for, and what it may be bound to.
#[derive(Clone, Debug)]
pub struct Channel {
    /// What for.
    pub wanted: Use,
    /// `tls-exporter` data, under TLS 1.3.
    pub binding: Option<Vec<u8>>,
    /// The certificate that the client has shown, if it is believed.
    pub certificate: Option<ClientCertificate>,
}

/// An exchange that waits for a response.
pub struct Exchange {
    channel: Channel,
    awaits: Awaits,
}

enum Awaits {
    First(Mechanism),
    LoginPassword(String),
    ScramFinal(Box<Proof>),
    /// The client has been told why its token is not taken; it answers, and that is it.
    Apology(AuthError),
    /// The client has been sent our signature; its response is empty.
    Farewell(Authenticated),
}

/// What a SCRAM proof is checked against.
struct Proof {
    hash: Hash,
    variant: Variant,
    first: First,
    server_first: String,
    nonce: String,
    verifier: Verifier,
    account: Option<AccountRow>,
}

impl Exchange {
    /// It has failed already, and only the client does not know.
    pub fn failure(&self) -> Option<&AuthError> {
        match &self.awaits {
            Awaits::Apology(error) => Some(error),
            _ => None,
        }
    }
}

/// How an exchange goes on.
pub enum Progress {
    /// Ask the client this.
    Challenge(Vec<u8>, Exchange),
    /// The client is who it says.
    Done(Authenticated),
}

impl Directory {
    /// The next step: the client begins, or responds to the last challenge of `exchange`.
    pub async fn sasl(
        &self,
        exchange: Option<Exchange>,
        client: Client,
        channel: Channel,
    ) -> Result<Progress, AuthError> {
        let (exchange, response) = match (client, exchange) {
            (Client::Begins(mechanism, response), _) => {
                (Exchange { channel, awaits: Awaits::First(mechanism) }, response)
            }
            (Client::Responds(response), Some(exchange)) => (exchange, Some(response)),
            (Client::Responds(_), None) => return Err(AuthError::Malformed),
        };
        let Exchange { channel, awaits } = exchange;
        let ask = |text: &[u8], awaits| {
            Ok(Progress::Challenge(text.to_vec(), Exchange { channel: channel.clone(), awaits }))
        };
        match (awaits, response) {
            (Awaits::First(Mechanism::Login), None) => {
                ask(b"Username:", Awaits::First(Mechanism::Login))
            }
            (Awaits::First(mechanism), None) => ask(b"", Awaits::First(mechanism)),
            (Awaits::First(Mechanism::Login), Some(user)) => {
                ask(b"Password:", Awaits::LoginPassword(utf8(user)?))
            }
            (Awaits::LoginPassword(user), Some(password)) => {
                self.password(&user, &utf8(password)?, channel.wanted).await
            }
            (Awaits::First(Mechanism::Plain), Some(message)) => {
                let said = plain::parse(&message).ok_or(AuthError::Malformed)?;
                self.acts_as_itself(&said.authzid, &said.authcid)?;
                self.password(&said.authcid, &said.password, channel.wanted).await
            }
            (Awaits::First(Mechanism::Scram(hash, variant)), Some(message)) => {
                let proof = self.scram_first(hash, variant, &message, &channel)?;
                let text = proof.server_first.clone();
                ask(text.as_bytes(), Awaits::ScramFinal(Box::new(proof)))
            }
            (Awaits::First(Mechanism::External), Some(authzid)) => {
                let who = self.external(&utf8(authzid)?, channel.certificate.as_ref())?;
                Ok(Progress::Done(who))
            }
            (Awaits::First(Mechanism::Bearer(form)), Some(message)) => {
                let done = match bearer::parse(form, &message) {
                    Some(bearer) => Box::pin(self.bearer(&bearer)).await,
                    // RFC 7628 §3.1: the answer to what was not said yet.
                    None if matches!(*message, [] | [1]) => Err((AuthError::Malformed, None)),
                    None => self.refused(AuthError::Malformed, Refusal::InvalidRequest),
                };
                match done {
                    Ok(who) => Ok(Progress::Done(who)),
                    Err((error, None)) => Err(error),
                    Err((error, Some(told))) => ask(told.as_bytes(), Awaits::Apology(error)),
                }
            }
            // RFC 7628 §3.2.3: one octet of 1, or nothing in XOAUTH2; nobody reads it.
            (Awaits::Apology(error), Some(_)) => Err(error),
            (Awaits::ScramFinal(proof), Some(message)) => {
                let (signature, who) = check(*proof, &message, &channel)?;
                ask(scram::server_final(&signature).as_bytes(), Awaits::Farewell(who))
            }
            (Awaits::Farewell(who), Some(nothing)) if nothing.is_empty() => Ok(Progress::Done(who)),
            _ => Err(AuthError::Malformed),
        }
    }

    /// Nobody acts as somebody else. RFC 4422 §3.4.1.
    fn acts_as_itself(&self, authzid: &str, user: &str) -> Result<(), AuthError> {
        let key = |name| self.user_address(name).map(|address| address.key());
        let own = authzid.is_empty() || key(authzid).is_some_and(|acts| key(user) == Some(acts));
        if own { Ok(()) } else { Err(AuthError::Invalid) }
    }

    async fn password(
        &self,
        user: &str,
        password: &str,
        wanted: Use,
    ) -> Result<Progress, AuthError> {
        if user.is_empty() || password.is_empty() {
            return Err(AuthError::Malformed);
        }
        let credentials = Credentials { user, password, wanted };
        self.authenticate(credentials).await.map(Progress::Done)
    }

    /// Whose token it is; or why not, with what the client is told first. RFC 7628 §3.2.
    async fn bearer(&self, bearer: &Bearer) -> Result<Authenticated, (AuthError, Option<String>)> {
        let Some(issuer) = &self.inner.settings.issuer else {
            return Err((AuthError::Malformed, None));
        };
        let no = |error, refusal| self.refused(error, refusal);
        let holder = match issuer.holder(&bearer.token).await {
            Ok(holder) => holder,
            Err(TokenError::Unavailable(why)) => return Err((AuthError::Unavailable(why), None)),
            Err(TokenError::Scope) => {
                tracing::info!(why = "its scope is not for mail", "a token is not taken");
                return no(AuthError::Invalid, Refusal::InsufficientScope);
            }
            Err(TokenError::Invalid(why)) => {
                tracing::info!(why, "a token is not taken");
                return no(AuthError::Invalid, Refusal::InvalidToken);
            }
        };
        let own = bearer.user.as_ref().is_none_or(|user| {
            let (said, is) = (self.user_address(user), self.user_address(&holder));
            said.is_some_and(|said| is.is_some_and(|is| said.key() == is.key()))
        });
        match self.named(&holder) {
            Err(error) => Err((Unavailable::from(error).into(), None)),
            Ok(Some(row)) if own && row.disabled => {
                no(AuthError::Disabled(row.address), Refusal::InvalidToken)
            }
            Ok(Some(row)) if own => Ok(elsewhere(row)),
            Ok(row) => {
                // The issuer vouches for the name, so it is no secret.
                let here = row.is_some();
                let why = if here { "the client names another user" } else { "nobody here" };
                tracing::info!(holder, why, "a token is not taken");
                no(AuthError::Invalid, Refusal::InvalidToken)
            }
        }
    }

    /// A token is not taken, and the client hears why before the exchange fails.
    fn refused<T>(
        &self,
        error: AuthError,
        refusal: Refusal,
    ) -> Result<T, (AuthError, Option<String>)> {
        let issuer = self.inner.settings.issuer.as_ref();
        let told = |issuer: &Issuer| bearer::failure(refusal, issuer.scope(), &issuer.discovery());
        Err((error, issuer.map(told)))
    }

    /// EXTERNAL: the account that the client's certificate is for; the client may say which, when
    /// there are several. RFC 4422 §A.
    fn external(
        &self,
        authzid: &str,
        certificate: Option<&ClientCertificate>,
    ) -> Result<Authenticated, AuthError> {
        let certificate = certificate.ok_or(AuthError::Malformed)?;
        let listed = self.inner.settings.certificates.get(&certificate.fingerprint);
        let wanted = match authzid {
            "" => None,
            name => Some(self.user_address(name).ok_or(AuthError::Invalid)?),
        };
        for name in listed.into_iter().chain(&certificate.emails) {
            let Ok(address) = Address::parse(name) else { continue };
            if wanted.as_ref().is_some_and(|wanted| wanted.key() != address.prepared().key()) {
                continue;
            }
            match self.store.lookup(&address).map_err(Unavailable::from)?.account {
                Some(row) if row.disabled => return Err(AuthError::Disabled(row.address)),
                Some(row) => return Ok(elsewhere(row)),
                None => {}
            }
        }
        Err(AuthError::Invalid)
    }

    /// The client's first message, answered with salt and nonce. RFC 5802 §5.1, §6.
    fn scram_first(
        &self,
        hash: Hash,
        variant: Variant,
        message: &[u8],
        channel: &Channel,
    ) -> Result<Proof, AuthError> {
        let first = scram::first(message).ok_or(AuthError::Malformed)?;
        let fits = match (variant, first.binding) {
            (Variant::Plus, binding) => {
                binding == Binding::TlsExporter && channel.binding.is_some()
            }
            (Variant::Bare, Binding::No) => true,
            // It thinks that we cannot, and we said that we can: somebody stands between us.
            (Variant::Bare, Binding::ServerCannot) => channel.binding.is_none(),
            (Variant::Bare, Binding::TlsExporter) => false,
        };
        if !fits {
            return Err(AuthError::Malformed);
        }
        self.acts_as_itself(&first.authzid, &first.user)?;
        let account = self.named(&first.user).map_err(Unavailable::from)?;
        let known = account.as_ref().map(|row| Secret::parse(&row.secret));
        let verifier = known.as_ref().and_then(|secret| secret.verifier(hash)).cloned();
        let decoy = || {
            // In all its spellings it has one salt, as a name that is there.
            let name = self.user_address(&first.user).map(|address| address.key());
            let name = name.as_deref().unwrap_or(&first.user);
            Verifier::decoy(hash, &self.inner.decoy_key, name, SCRAM_ITERATIONS)
        };
        let verifier = verifier.unwrap_or_else(decoy);
        let mut random = [0; 18];
        self.inner.random.fill(&mut random);
        let nonce = format!("{}{}", first.nonce, STANDARD_NO_PAD.encode(random));
        let server_first = scram::server_first(&nonce, &verifier.salt, verifier.iterations);
        Ok(Proof { hash, variant, first, server_first, nonce, verifier, account })
    }
}

/// The client's proof: our signature and who it is, if it is right. RFC 5802 §3.
fn check(
    proof: Proof,
    message: &[u8],
    channel: &Channel,
) -> Result<(Vec<u8>, Authenticated), AuthError> {
    let last = scram::last(message).ok_or(AuthError::Malformed)?;
    let mut bound = proof.first.gs2_header.clone().into_bytes();
    if proof.variant == Variant::Plus {
        bound.extend_from_slice(channel.binding.as_deref().unwrap_or_default());
    }
    if last.nonce != proof.nonce {
        return Err(AuthError::Malformed);
    }
    let signed = format!("{},{},{}", proof.first.bare, proof.server_first, last.without_proof);
    let Some(row) = proof.account else {
        let _ = proof.verifier.check(proof.hash, &last.proof, signed.as_bytes());
        return Err(AuthError::Invalid);
    };
    let secret = Secret::parse(&row.secret);
    let right = |(verifier, app): (&Verifier, Option<&AppPassword>)| {
        let signature = verifier.check(proof.hash, &last.proof, signed.as_bytes())?;
        Some((signature, app.cloned()))
    };
    let found = secret.meant(proof.hash, &proof.verifier).find_map(right);
    let (signature, by, covers) = match found {
        None => return Err(AuthError::WrongPassword(row.address)),
        Some((signature, None)) => (signature, secret.proof(), true),
        Some((signature, Some(app))) => (signature, app.proof(), app.scope.covers(channel.wanted)),
    };
    if last.binding != bound {
        return Err(AuthError::Invalid);
    }
    if row.disabled {
        return Err(AuthError::Disabled(row.address));
    }
    if !covers {
        return Err(AuthError::OutOfScope(row.address));
    }
    Ok((signature, Authenticated { account: row.id, address: row.address, by }))
}

fn elsewhere(row: AccountRow) -> Authenticated {
    Authenticated { account: row.id, address: row.address, by: ProvenBy::Elsewhere }
}

fn utf8(octets: Vec<u8>) -> Result<String, AuthError> {
    String::from_utf8(octets).map_err(|_| AuthError::Malformed)
}
