//! `domain dkim`: the keys by which our domains sign, and the DNS records that belong to them.

use crate::admin::{Failure, Outcome, Request, Response, domain, exit};
use clap::Subcommand;
use mail::Domain;
use policy::dkim::{SigningKey, new_ed25519, new_rsa};
use serde_json::{Value, json};
use store::{SigningKeyRow, Store, StoreError};
use sys::hands::{self, SystemHands};

/// `domain dkim`
#[derive(Subcommand)]
pub enum DomainDkim {
    /// Show the keys of a domain and the DNS records that belong to them
    #[command(after_help = "Example:\n  postrider domain dkim show example.net --json")]
    Show {
        /// The domain
        domain: String,
    },
    /// Make new keys; they sign from the second call (--finish) on, when their records are in DNS
    #[command(after_help = "Example:\n  postrider domain dkim rotate example.net\n  \
                      (publish the records, wait for an hour)\n  \
                      postrider domain dkim rotate example.net --finish")]
    Rotate {
        /// The domain
        domain: String,
        /// Sign by the new keys from now on, and forget the old ones
        #[arg(long)]
        finish: bool,
        /// Make an Ed25519 key beside the RSA key: two signatures
        #[arg(long)]
        ed25519: bool,
    },
}

/// The request of a command.
pub fn request(command: DomainDkim) -> Request {
    match command {
        DomainDkim::Show { domain } => Request::DkimShow { domain },
        DomainDkim::Rotate { domain, finish, ed25519 } => {
            Request::DkimRotate { domain, finish, ed25519 }
        }
    }
}

fn software(error: impl ToString) -> Failure {
    Failure { text: error.to_string(), code: exit::SOFTWARE }
}

/// New keys of a domain, and whether they wait until they are published.
pub async fn make(
    store: &Store,
    domain: &Domain,
    kinds: &[&str],
    next: bool,
) -> Result<(), Failure> {
    let known = store.signing_keys(domain).map_err(software)?;
    let mut keys = Vec::new();
    for kind in kinds {
        let make = if *kind == "rsa" { new_rsa } else { new_ed25519 };
        // An RSA key takes a moment.
        let made = hands::blocking(&SystemHands, make).await.map_err(software)?;
        let secret = made.ok_or_else(|| software("no key could be made"))?;
        let free = |n: &u32| !known.iter().any(|key| key.selector == format!("{kind}-{n}"));
        let number = (1..).find(free).unwrap_or(1);
        keys.push(SigningKeyRow { selector: format!("{kind}-{number}"), next, secret });
    }
    store.signing_keys_add(domain.clone(), keys).await.map_err(software)
}

/// The key of a new domain. docs/decisions/0006-one-signature.md says why there is no second one.
pub async fn first(store: &Store, domain: &Domain) -> Result<(), Failure> {
    match store.signing_keys(domain).map_err(software)?.is_empty() {
        true => make(store, domain, &["rsa"], false).await,
        false => Ok(()),
    }
}

/// The DNS records of a domain's keys: name, text, whether the key signs.
pub fn records(store: &Store, domain: &Domain) -> Result<Vec<(String, String, bool)>, StoreError> {
    let mut found = Vec::new();
    for row in store.signing_keys(domain)? {
        if let Some(key) = SigningKey::new(domain, &row.selector, &row.secret) {
            found.push((key.name(), key.record(), !row.next));
        }
    }
    Ok(found)
}

/// A record as zone files have it: strings of at most 255 octets. RFC 1035 §3.3.14.
pub fn zone_line(name: &str, text: &str) -> String {
    let mut strings = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(255));
        strings.push(format!("\"{piece}\""));
        rest = after;
    }
    format!("{name}. TXT {}", strings.join(" "))
}

/// Carries a command out.
pub async fn execute(store: &Store, request: Request) -> Outcome {
    let (text, rotate) = match &request {
        Request::DkimShow { domain } => (domain, None),
        Request::DkimRotate { domain, finish, ed25519 } => (domain, Some((*finish, *ed25519))),
        _ => return Err(software("not a command about DKIM")),
    };
    let domain = domain(text)?;
    if store.domain(&domain).map_err(software)?.is_none() {
        let text = format!("{domain} is not ours\nAdd it: postrider domain add {domain}");
        return Err(Failure { text, code: exit::NO_USER });
    }
    let mut said = String::new();
    match rotate {
        Some((true, _)) => {
            if !store.signing_keys_turn(domain.clone()).await.map_err(software)? {
                let text = format!(
                    "{domain} has no new keys\nMake them: postrider domain dkim rotate {domain}"
                );
                return Err(Failure { text, code: exit::DATA });
            }
            said =
                "the new keys sign from now on; leave the old records in DNS for a week\n".into();
        }
        Some((false, ed25519)) => {
            let keys = store.signing_keys(&domain).map_err(software)?;
            if keys.iter().any(|key| key.next) {
                said = "there are new keys already, which wait to be published\n".into();
            } else {
                let kinds: &[&str] = if ed25519 { &["rsa", "ed25519"] } else { &["rsa"] };
                make(store, &domain, kinds, !keys.is_empty()).await?;
            }
            if !keys.is_empty() {
                said.push_str(&format!(
                    "publish the new records, wait until they are there, then:\n  \
                     postrider domain dkim rotate {domain} --finish\n"
                ));
            }
        }
        None => {}
    }
    let records = records(store, &domain).map_err(software)?;
    let value: Vec<Value> = records
        .iter()
        .map(|(name, text, signs)| json!({ "name": name, "text": text, "signs": signs }))
        .collect();
    for (name, text, signs) in &records {
        let note = if *signs { "" } else { "  ; new, signs nothing yet" };
        said.push_str(&format!("{}{note}\n", zone_line(name, text)));
    }
    if records.is_empty() {
        said.push_str(&format!(
            "{domain} has no keys\nMake them: postrider domain dkim rotate {domain}\n"
        ));
    }
    Ok(Response { value: json!({ "keys": value }), text: said.trim_end().to_owned() })
}
