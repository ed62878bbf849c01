//! What the administrator's commands do, once: the running server carries them out when there is
//! one (over its control socket), otherwise the command itself does.

mod alias;
mod import;
mod queue;
mod status;

use crate::access::{self, Live};
use crate::nearest::did_you_mean;
use crate::{dkim, mta_sts, reports, spam, unique_ids};
use directory::{Directory, password};
use mail::{Address, Domain};
use protocol::imap::session::hideable;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{NewAccount, Store, StoreError};
use tokio::sync::watch;

/// A command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Request {
    /// Makes an account; without a password it is another directory that proves it.
    AccountAdd {
        address: String,
        password: Option<String>,
    },
    /// Makes accounts from `address,password-or-hash` lines.
    AccountImport {
        csv: String,
    },
    /// Unique ids of messages at another server, by Message-ID.
    AccountUniqueIds {
        address: String,
        lines: String,
    },
    AccountPassword {
        address: String,
        password: String,
    },
    AccountRemove {
        address: String,
    },
    AccountDisable {
        address: String,
        disabled: bool,
    },
    /// IMAP capabilities that are not announced to an account.
    AccountHide {
        address: String,
        names: Vec<String>,
    },
    /// Whose mailboxes are public folders.
    AccountPublic {
        address: Option<String>,
        off: bool,
    },
    /// Storage, messages, mailboxes, annotations: a number, `none`, or nothing to leave it; and
    /// whether the account may set the limits of others.
    AccountQuota {
        address: String,
        limits: [Option<String>; 4],
        manager: Option<bool>,
    },
    AccountList,
    /// Forgets how many recipients an account has sent to.
    AccountRelease {
        address: String,
    },
    AppPasswordAdd {
        address: String,
        name: String,
        scope: String,
    },
    AppPasswordRemove {
        address: String,
        name: String,
    },
    AppPasswordList {
        address: String,
    },
    ReportsList {
        domain: Option<String>,
        limit: usize,
    },
    ReportsShow {
        name: String,
    },
    /// What an account taught about spam.
    SpamShow {
        address: String,
    },
    SpamForget {
        address: String,
    },
    BanAdd {
        address: String,
        minutes: u64,
    },
    BanRemove {
        address: String,
    },
    BanList,
    /// MTA-STS policies of other domains.
    MtaStsList,
    MtaStsForget {
        domain: String,
    },
    DomainAdd {
        domain: String,
    },
    DomainRemove {
        domain: String,
    },
    DomainCatchAll {
        domain: String,
        to: Option<String>,
    },
    DomainList,
    /// The keys of a domain.
    DkimShow {
        domain: String,
    },
    DkimRotate {
        domain: String,
        finish: bool,
        ed25519: bool,
    },
    AliasAdd {
        address: String,
        targets: Vec<String>,
    },
    AliasRemove {
        address: String,
    },
    AliasList,
    RouteAdd {
        domain: String,
        target: String,
    },
    RouteRemove {
        domain: String,
    },
    RouteList,
    QueueList {
        domain: Option<String>,
        limit: usize,
    },
    QueueShow {
        id: String,
    },
    QueueRetry {
        id: String,
    },
    QueueHold {
        id: String,
    },
    QueueRelease {
        id: String,
    },
    QueueDrop {
        id: String,
    },
    /// How the running server is.
    Status,
}

impl Request {
    /// The response has words of other servers, or of senders.
    pub fn shows_what_others_say(&self) -> bool {
        matches!(
            self,
            Request::QueueList { .. }
                | Request::QueueShow { .. }
                | Request::ReportsList { .. }
                | Request::ReportsShow { .. }
        )
    }
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Response {
    /// For machines.
    pub value: Value,
    /// For people.
    pub text: String,
}

/// Why not: text with the fix in it, and an exit code of sysexits.h.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failure {
    /// For people.
    pub text: String,
    /// Exit code.
    pub code: u8,
}

/// Exit codes: those of sysexits.h.
pub mod exit {
    /// The command line is wrong.
    pub const USAGE: u8 = 64;
    /// The input is wrong.
    pub const DATA: u8 = 65;
    /// A file to be read is not there.
    pub const NO_INPUT: u8 = 66;
    /// No such user, domain or message.
    pub const NO_USER: u8 = 67;
    /// A service cannot be had.
    pub const UNAVAILABLE: u8 = 69;
    /// Our own failure.
    pub const SOFTWARE: u8 = 70;
    /// Something cannot be made.
    pub const CANT_CREATE: u8 = 73;
    /// Reading or writing failed.
    pub const IO: u8 = 74;
    /// It may work later.
    pub const TEMPORARY: u8 = 75;
    /// The configuration is wrong.
    pub const CONFIG: u8 = 78;
    /// What `--help` says of them.
    pub const TOLD: &str = "\
Exit codes:
  0   done
  64  the command line is wrong
  65  what was given is wrong; fsck and backup: something is damaged
  66  a file, a store or a backup that is to be read is not there
  67  there is no such account, domain, alias, message or report
  69  the server does not run
  70  a fault of Postrider's own
  73  it is there already, or cannot be made
  74  reading or writing failed
  75  not now: the store is in use, or the disk is full
  78  the configuration is wrong

With --json what is printed is JSON, and an error is {\"error\": TEXT, \"code\": EXIT CODE} on
standard error. Commands go to the running server if there is one, otherwise to the store itself.";
}

/// What comes of a command.
pub type Outcome = Result<Response, Failure>;

/// How far a long command is: how much is done, and of how much.
pub type Told = watch::Sender<(u64, u64)>;

/// Carries a command out.
pub async fn execute(
    store: &Store,
    directory: &Directory,
    live: Option<&Live>,
    request: Request,
    told: &Told,
) -> Outcome {
    match request {
        Request::AccountImport { csv } => import::accounts(store, directory, &csv, told).await,
        Request::AccountUniqueIds { address: text, lines } => {
            let address = address(&text)?;
            unique_ids::import(store, &address, &lines, told).await
        }
        Request::AppPasswordAdd { .. }
        | Request::AppPasswordRemove { .. }
        | Request::AppPasswordList { .. } => access::app_password(directory, request).await,
        Request::ReportsList { .. } | Request::ReportsShow { .. } => {
            reports::execute(store, request)
        }
        Request::DkimShow { .. } | Request::DkimRotate { .. } => {
            dkim::execute(store, request).await
        }
        Request::SpamShow { .. } | Request::SpamForget { .. } => {
            spam::execute(store, request).await
        }
        Request::MtaStsList | Request::MtaStsForget { .. } => {
            mta_sts::execute(store, live, request).await
        }
        Request::AccountRelease { .. }
        | Request::BanAdd { .. }
        | Request::BanRemove { .. }
        | Request::BanList => access::counts(live, store, request),
        Request::AccountAdd { .. }
        | Request::AccountPassword { .. }
        | Request::AccountRemove { .. }
        | Request::AccountDisable { .. }
        | Request::AccountQuota { .. }
        | Request::AccountPublic { .. }
        | Request::AccountHide { .. }
        | Request::AccountList => account(store, directory, request).await,
        Request::QueueList { .. }
        | Request::QueueShow { .. }
        | Request::QueueRetry { .. }
        | Request::QueueHold { .. }
        | Request::QueueRelease { .. }
        | Request::QueueDrop { .. } => queue::execute(store, request).await,
        Request::AliasAdd { .. } | Request::AliasRemove { .. } | Request::AliasList => {
            alias::execute(store, directory, request).await
        }
        Request::Status => status::status(store, live),
        request => names(store, directory, request).await,
    }
}

/// What was done, for people and machines.
pub fn done(text: String) -> Outcome {
    Ok(Response { value: json!({ "done": text }), text })
}

/// A failure.
pub fn fail(code: u8, text: impl Into<String>) -> Failure {
    Failure { text: text.into(), code }
}

/// An address that was given.
pub fn address(text: &str) -> Result<Address, Failure> {
    Address::parse(text).map_err(|error| fail(exit::DATA, format!("'{text}': {error}")))
}

/// A domain that was given.
pub fn domain(text: &str) -> Result<Domain, Failure> {
    let parsed = Domain::parse(text);
    parsed.map_err(|_| fail(exit::DATA, format!("'{text}' is not a domain name, as example.org")))
}

fn trouble(error: StoreError) -> Failure {
    match error {
        StoreError::NotFound(what) if what.starts_with("the domain") => {
            let name = what.trim_start_matches("the domain ");
            fail(exit::NO_USER, format!("{what} is not ours\nAdd it: postrider domain add {name}"))
        }
        StoreError::NotFound(_) => fail(exit::NO_USER, error.to_string()),
        StoreError::AlreadyExists(_) => fail(exit::CANT_CREATE, error.to_string()),
        StoreError::NotAllowed(_) => fail(exit::DATA, error.to_string()),
        StoreError::Full => fail(exit::TEMPORARY, error.to_string()),
        other => fail(exit::SOFTWARE, other.to_string()),
    }
}

fn is_hash(text: &str) -> bool {
    password::is_hash(text) || directory::imported::is_hash(text)
}

async fn secret(directory: &Directory, of: &Address, text: String) -> Result<String, Failure> {
    if is_hash(&text) {
        return Ok(text);
    }
    directory.hash_for(of, text).await.map_err(|error| fail(exit::DATA, error.0))
}

async fn account(store: &Store, directory: &Directory, request: Request) -> Outcome {
    match request {
        Request::AccountAdd { address: text, password } => {
            let address = address(&text)?;
            let secret = match password {
                Some(password) => secret(directory, &address, password).await?,
                None => directory::external::MARK.to_owned(),
            };
            let new = NewAccount { address: address.clone(), secret };
            store.account_add(new).await.map_err(trouble)?;
            done(format!("account {address} is ready, with its mailboxes"))
        }
        Request::AccountPassword { address: text, password } => {
            let address = address(&text)?;
            let secret = secret(directory, &address, password).await?;
            directory.set_password(&address, &secret).await.map_err(trouble)?;
            done(format!("account {address} has a new password"))
        }
        Request::AccountRemove { address: text } => {
            let address = address(&text)?;
            store.account_remove(address.clone()).await.map_err(trouble)?;
            let left = alias::leads_to_lost(store, directory, &address).await?;
            done(format!("account {address} and its mail are gone{left}"))
        }
        Request::AccountDisable { address: text, disabled } => {
            let address = address(&text)?;
            store.account_set_disabled(address.clone(), disabled).await.map_err(trouble)?;
            let what = if disabled { "off" } else { "on" };
            done(format!("account {address} is switched {what}"))
        }
        Request::AccountHide { address: text, names } => {
            let (address, id) = known_account(store, &text)?;
            if let Some(name) = names.iter().find(|name| !is_capability(name)) {
                let meant = did_you_mean(&name.to_ascii_uppercase(), hideable());
                return Err(fail(exit::DATA, format!("'{name}' is no IMAP capability{meant}")));
            }
            store.hide_capabilities(id, &names).await.map_err(trouble)?;
            let what = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
            done(format!("{what} is hidden from {address}"))
        }
        Request::AccountPublic { address, off } => public(store, address.as_deref(), off).await,
        Request::AccountQuota { address: text, limits, manager } => {
            if let Some(is) = manager {
                let (_, id) = known_account(store, &text)?;
                store.set_quota_manager(id, is).await.map_err(trouble)?;
            }
            quota(store, &text, limits).await
        }
        _ => {
            let rows = store.accounts().map_err(trouble)?;
            let value = rows.iter().map(|row| {
                json!({ "address": row.address.to_string(), "disabled": row.disabled, "created": row.created })
            });
            let line = |row: &store::AccountRow| {
                format!("{}{}", row.address, if row.disabled { "  (switched off)" } else { "" })
            };
            let text: Vec<String> = rows.iter().map(line).collect();
            Ok(Response { value: value.collect(), text: text.join("\n") })
        }
    }
}

/// The account of that address.
pub fn known_account(store: &Store, text: &str) -> Result<(Address, mail::AccountId), Failure> {
    let address = address(text)?;
    let found = store.lookup(&address).map_err(trouble)?.account;
    let no_account = || fail(exit::NO_USER, format!("the account {address} does not exist"));
    let id = found.ok_or_else(no_account)?.id;
    Ok((address, id))
}

/// `account public`: whose mailboxes are public folders.
async fn public(store: &Store, text: Option<&str>, off: bool) -> Outcome {
    if let Some(text) = text {
        let (address, id) = known_account(store, text)?;
        store.set_public_account(Some(id)).await.map_err(trouble)?;
        return done(format!("the mailboxes of {address} are public folders"));
    }
    if off {
        store.set_public_account(None).await.map_err(trouble)?;
        return done("there are no public folders".to_owned());
    }
    let (id, rows) = (store.public_account().map_err(trouble)?, store.accounts().map_err(trouble)?);
    let of = rows.iter().find(|row| Some(row.id) == id).map(|row| row.address.to_string());
    let text = of.clone().unwrap_or_else(|| "none".to_owned());
    Ok(Response { value: json!({ "address": of }), text })
}

/// `account quota`: sets the limits that are given, and tells all.
async fn quota(store: &Store, text: &str, limits: [Option<String>; 4]) -> Outcome {
    let (_, account) = known_account(store, text)?;
    for (resource, limit) in store::Resource::ALL.into_iter().zip(limits) {
        let limit = match limit.as_deref() {
            None => continue,
            Some("none") => None,
            Some(number) => Some(number.parse().map_err(|_| {
                fail(
                    exit::DATA,
                    format!("'{number}' is neither a number, as 5000000000, nor 'none'"),
                )
            })?),
        };
        store.set_quota(account, resource, limit).await.map_err(trouble)?;
    }
    let quotas = store.quota(account).map_err(trouble)?;
    let value = quotas.iter().map(|quota| {
        json!({ "resource": quota.resource.name(), "used": quota.used, "limit": quota.limit })
    });
    let line = |q: &store::Quota| format!("{} {} of {}", q.resource.name(), q.used, q.limit);
    let lines: Vec<String> = quotas.iter().map(line).collect();
    let text = if lines.is_empty() { "no limits".to_owned() } else { lines.join("\n") };
    Ok(Response { value: value.collect(), text })
}

fn is_capability(name: &str) -> bool {
    hideable().any(|known| known.eq_ignore_ascii_case(name))
}

async fn names(store: &Store, directory: &Directory, request: Request) -> Outcome {
    match request {
        Request::DomainAdd { domain: text } => {
            let domain = domain(&text)?;
            store.domain_add(domain.clone()).await.map_err(trouble)?;
            dkim::first(store, &domain).await?;
            done(format!(
                "domain {domain} is ours; the DNS records it should have: \
                 postrider domain dns {domain}"
            ))
        }
        Request::DomainRemove { domain: text } => {
            let domain = domain(&text)?;
            store.domain_remove(domain.clone()).await.map_err(trouble)?;
            done(format!("domain {domain} is not ours any more"))
        }
        Request::DomainCatchAll { domain: text, to } => {
            let domain = domain(&text)?;
            let to = to.as_deref().map(address).transpose()?;
            store.domain_set_catch_all(domain.clone(), to.clone()).await.map_err(trouble)?;
            let Some(to) = to else {
                return done(format!("unknown addresses in {domain} go to nobody"));
            };
            let lost = match directory.leads_somewhere(&to).await {
                Ok(false) => "  (nobody has that)",
                Ok(true) | Err(_) => "",
            };
            done(format!("unknown addresses in {domain} go to {to}{lost}"))
        }
        Request::RouteAdd { domain: text, target } => {
            let domain = domain(&text)?;
            if delivery::route::split_target(&target, 25).is_none() {
                return Err(fail(exit::DATA, format!("'{target}' is not HOST:PORT")));
            }
            store.route_add(domain.clone(), target.clone()).await.map_err(trouble)?;
            done(format!("mail for {domain} goes to {target}"))
        }
        Request::RouteRemove { domain: text } => {
            let domain = domain(&text)?;
            match store.route_remove(domain.clone()).await.map_err(trouble)? {
                true => done(format!("mail for {domain} goes by its MX again")),
                false => Err(fail(exit::NO_USER, format!("there is no route for {domain}"))),
            }
        }
        request => lists(store, &request),
    }
}

fn lists(store: &Store, request: &Request) -> Outcome {
    let (value, lines): (Value, Vec<String>) = match request {
        Request::DomainList => {
            let rows = store.domains().map_err(trouble)?;
            let one = |row: &store::DomainRow| {
                let to = row.catch_all.as_ref().map(Address::to_string);
                json!({ "domain": row.domain.as_str(), "catch_all": to })
            };
            let line = |row: &store::DomainRow| match &row.catch_all {
                Some(to) => format!("{}  (unknown addresses: {to})", row.domain),
                None => row.domain.to_string(),
            };
            (rows.iter().map(one).collect(), rows.iter().map(line).collect())
        }
        _ => {
            let rows = store.routes().map_err(trouble)?;
            let one = |(domain, to): &(Domain, String)| json!({ "domain": domain.as_str(), "target": to });
            let line = |(domain, to): &(Domain, String)| format!("{domain} -> {to}");
            (rows.iter().map(one).collect(), rows.iter().map(line).collect())
        }
    };
    Ok(Response { value, text: lines.join("\n") })
}
