//! What DANE asks of a connection to a server. RFC 7672 §2.2.3, §3.

use super::*;
use policy::dane::{Demand, demand};
use sys::dane::Associations;
use sys::dnssec::Tlsa;
use sys::resolver::DnsError;

/// What is asked of a connection.
pub(super) enum Asked {
    /// Nothing.
    Nothing,
    /// TLS.
    Encryption,
    /// TLS with a certificate that this client believes.
    Proof(By),
}

/// Who proves a server.
pub(super) struct By {
    /// Under which name it is known: RFC 7672 §8.1, it is asked for a certificate for it.
    pub base: String,
    /// Believes what DNS vouches for, and nothing else.
    pub client: TlsClient,
}

/// Looks for the records of a server; an error is one that DNS has not answered. Told are the
/// questions and answers.
pub(super) async fn asked(
    shared: &Shared,
    host: &Host,
    wants: &Wants<'_>,
    told: &mut Vec<String>,
) -> Result<Asked, Broken> {
    let Some(resolver) = &shared.world.validating else { return Ok(Asked::Nothing) };
    for base in &host.bases {
        let name = format!("_{}._tcp.{base}", host.address.port());
        match resolver.tlsa(&name).await {
            Ok(records) => {
                told.push(format!("TLSA {name}: {} (DNSSEC)", shown(&records)));
                return by_records(shared, host, wants, base, &records);
            }
            Err(error @ DnsError::Temporary(_)) => {
                // RFC 7672 §2.1.2: who is in the way of the answer may be in the way of TLS too.
                let why = format!("TLSA {name}: {error}");
                told.push(why.clone());
                return if wants.is_lax(shared) {
                    Ok(Asked::Nothing)
                } else {
                    Err(Broken::Unsafe("4.7.5".to_owned(), format!("DANE: {why}")))
                };
            }
            Err(_) => {}
        }
    }
    Ok(Asked::Nothing)
}

fn by_records(
    shared: &Shared,
    host: &Host,
    wants: &Wants<'_>,
    base: &str,
    records: &[Tlsa],
) -> Result<Asked, Broken> {
    if wants.is_lax(shared) {
        return Ok(Asked::Nothing);
    }
    let records = match demand(records) {
        Demand::Encryption => return Ok(Asked::Encryption),
        Demand::Proof(records) => records,
    };
    let names = std::iter::once(base.to_owned()).chain(host.next_hop.iter().cloned()).collect();
    let authorities = shared.settings.verifying.as_ref().filter(|_| wants.enforces());
    let client = authorities.unwrap_or(&shared.tls);
    match client.with_dane(Associations { records, names }, &host.name) {
        Ok(client) => Ok(Asked::Proof(By { base: base.to_owned(), client })),
        Err(error) => Err(Broken::Connection(format!("DANE for {base}: {error}"))),
    }
}

/// `3 1 1 0123456789abcdef…, 2 0 1 …`.
fn shown(records: &[Tlsa]) -> String {
    let one = |record: &Tlsa| {
        let Tlsa { usage, selector, matching, data } = record;
        let start: String = data.iter().take(8).map(|octet| format!("{octet:02x}")).collect();
        format!("{usage} {selector} {matching} {start}…")
    };
    records.iter().take(10).map(one).collect::<Vec<_>>().join(", ")
}
