//! `domain dns`: the records in DNS that a domain should have. RFC 5321 §5.1, RFC 7208 §10.1,
//! RFC 6376 §3.6.2, RFC 7672, RFC 9989 §4.7, RFC 8460 §3.

use crate::admin::{self, Failure, Request, Response, exit};
use crate::config::Config;
use crate::{control, dkim};
use mail::{Address, Domain};
use serde_json::{Value, json};
use std::path::Path;
use sys::dnssec::Tlsa;
use sys::tls::Pair;

/// A record of a domain.
struct Record {
    /// What it is good for: a new purpose begins a paragraph.
    purpose: &'static str,
    name: String,
    kind: &'static str,
    data: String,
}

fn text(purpose: &'static str, name: &str, data: &str) -> Record {
    Record { purpose, name: name.to_owned(), kind: "TXT", data: data.to_owned() }
}

/// A name as DNS has it. RFC 5891 §5.
fn ascii(name: &str) -> String {
    Domain::parse(name).ok().and_then(|name| name.to_ascii()).unwrap_or_else(|| name.to_owned())
}

fn records(config: &Config, domain: &Domain, keys: &[(String, String)]) -> Vec<Record> {
    let hostname = ascii(&config.hostname);
    let mx = format!("10 {hostname}.");
    let (comes, leaves) = ("Mail comes here", "Others believe that what leaves here is yours");
    let told = "You hear who sends mail in your name, and how TLS goes (docs/reports.md)";
    let name = ascii(domain.as_str());
    let mut found = vec![
        Record { purpose: comes, name: name.clone(), kind: "MX", data: mx },
        text(leaves, &name, "v=spf1 mx -all"),
    ];
    if hostname != name && ascii(&config.domain) == name {
        // RFC 7208 §10.1.3: reports have no sender, and this name is what is looked at.
        found.push(text(leaves, &hostname, "v=spf1 a -all"));
    }
    found.extend(keys.iter().map(|(name, data)| text(leaves, name, data)));
    let to = &config.reports.address;
    if to.is_empty() {
        found.push(text(leaves, &format!("_dmarc.{name}"), "v=DMARC1; p=none"));
        return found;
    }
    let wish = format!("v=DMARC1; p=none; rua=mailto:{to}");
    found.push(text(told, &format!("_dmarc.{name}"), &wish));
    let wish = format!("v=TLSRPTv1; rua=mailto:{to}");
    found.push(text(told, &format!("_smtp._tls.{name}"), &wish));
    if let Some(theirs) = Address::parse(to).ok().filter(|to| !to.domain().is_same(domain)) {
        // RFC 9990 §4: who takes reports about others has to say so.
        let theirs = ascii(theirs.domain().as_str());
        let allowed = format!("{name}._report._dmarc.{theirs}");
        found.push(text(told, &allowed, "v=DMARC1"));
    }
    found
}

/// As zone files have them, with what a machine cannot know as a comment.
fn zone(config: &Config, records: &[Record], own: Option<&Tlsa>) -> String {
    let mut out = String::new();
    let mut purpose = "";
    for record in records {
        if record.purpose != purpose {
            purpose = record.purpose;
            out.push_str(&format!("; {purpose}:\n"));
        }
        match record.kind {
            "TXT" => out.push_str(&dkim::zone_line(&record.name, &record.data)),
            kind => out.push_str(&format!("{}. {kind} {}", record.name, record.data)),
        }
        out.push('\n');
        if record.kind == "MX" {
            let hostname = ascii(&config.hostname);
            out.push_str(&format!(
                "; {hostname}. A, and AAAA if it has one: the addresses of this machine, whose PTR \
                 is {hostname}.\n"
            ));
        }
    }
    out.push_str(&dane(config, own));
    if !config.relay.smarthost.is_empty() {
        out.push_str("; What leaves by the smarthost: who runs it says what SPF is to have.\n");
    }
    out.trim_end().to_owned()
}

/// What others prove our certificate by, which is a promise that an operator has to keep: so it is
/// told, and not among the records. RFC 7672 §3.1.1, §4.
fn dane(config: &Config, own: Option<&Tlsa>) -> String {
    let Some(own) = own else { return String::new() };
    let name = tlsa_name(config);
    format!(
        "; If the zone of {} is signed by DNSSEC, others can prove this server (DANE). The key must \
         stay when the certificate is renewed (certbot: --reuse-key), or its record come first:\n\
         ; {name}. TLSA {}\n",
        ascii(&config.hostname),
        tlsa_data(own)
    )
}

fn tlsa_name(config: &Config) -> String {
    format!("_25._tcp.{}", ascii(&config.hostname))
}

fn tlsa_data(own: &Tlsa) -> String {
    let Tlsa { usage, selector, matching, data } = own;
    let data: String = data.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{usage} {selector} {matching} {data}")
}

/// The records of a domain of ours, as text and for machines.
pub async fn told(root: &Path, domain: &str) -> Result<Response, Failure> {
    let config = Config::load(root).map_err(|text| Failure { text, code: exit::CONFIG })?;
    let parsed = admin::domain(domain)?;
    let shown = control::administer(root, Request::DkimShow { domain: domain.to_owned() }).await?;
    let keys: Vec<(String, String)> = shown
        .value
        .get("keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|key| {
            let part = |name: &str| key.get(name).and_then(Value::as_str).map(str::to_owned);
            Some((part("name")?, part("text")?))
        })
        .collect();
    let records = records(&config, &parsed, &keys);
    let value: Vec<Value> = records
        .iter()
        .map(|one| json!({ "name": one.name, "type": one.kind, "data": one.data }))
        .collect();
    let own = Pair { cert: root.join(&config.tls.certificate), key: root.join(&config.tls.key) };
    let own = own.tlsa();
    let dane = own
        .as_ref()
        .map(|own| json!({ "name": tlsa_name(&config), "type": "TLSA", "data": tlsa_data(own) }));
    let text = zone(&config, &records, own.as_ref());
    Ok(Response { value: json!({ "records": value, "dane": dane }), text })
}
