//! `mta-sts`: which servers other domains name by MTA-STS, and forgetting what one of them said.

use crate::access::Live;
use crate::admin::{Outcome, Request, Response, domain, done, exit, fail};
use clap::Subcommand;
use delivery::sts::{self, Kept};
use mail::date::format_rfc3339;
use serde_json::json;
use store::{Store, StoreError};
use sys::clock::{Clock as _, SystemClock};

/// `mta-sts`
#[derive(Subcommand)]
pub enum MtaSts {
    /// List the policies that were fetched, and until when they hold
    #[command(after_help = "Example:\n  postrider mta-sts list")]
    List,
    /// Forget the policy of a domain; the next mail for there asks for it again
    #[command(
        alias = "rm",
        after_help = "For a domain whose policy was wrong and is mended, but lasts: the one that \
        is fetched now\nholds instead.\n\nExample:\n  \
        postrider mta-sts remove example.net && postrider queue retry ID"
    )]
    Remove {
        /// The domain
        domain: String,
    },
}

/// The request of a command.
pub fn request(command: MtaSts) -> Request {
    match command {
        MtaSts::List => Request::MtaStsList,
        MtaSts::Remove { domain } => Request::MtaStsForget { domain },
    }
}

/// Carries it out.
pub async fn execute(store: &Store, live: Option<&Live>, request: Request) -> Outcome {
    let trouble = |error: StoreError| fail(exit::SOFTWARE, error.to_string());
    let Request::MtaStsForget { domain: text } = request else {
        return Ok(list(&sts::kept(store).map_err(trouble)?));
    };
    let name = domain(&text)?.to_ascii().unwrap_or_else(|| text.clone());
    let gone = match live {
        Some(live) => live.delivery.forget_policy(&name).await,
        None => store.forget_mail_policy(name).await,
    };
    match gone.map_err(trouble)? {
        true => done(format!("the MTA-STS policy of {text} is forgotten")),
        false => Err(fail(
            exit::NO_USER,
            format!("no MTA-STS policy of {text} is known\nSee: postrider mta-sts list"),
        )),
    }
}

fn list(kept: &[(String, Kept)]) -> Response {
    let now = SystemClock::new().unix_seconds();
    let value = kept.iter().map(|(domain, kept)| {
        json!({
            "domain": domain, "mode": kept.policy.mode.as_str(), "mx": kept.policy.mx,
            "id": kept.id(), "fetched": kept.fetched(), "until": kept.until(),
            "in_force": kept.is_in_force(now),
        })
    });
    let line = |(domain, kept): &(String, Kept)| {
        let (mode, until) = (kept.policy.mode.as_str(), format_rfc3339(kept.until()));
        let ends = if now < kept.until() { "until" } else { "ended" };
        format!("{domain}  {mode}  {ends} {until}  {}", kept.policy.mx.join(" "))
            .trim_end()
            .to_owned()
    };
    let lines: Vec<String> = kept.iter().map(line).collect();
    Response { value: value.collect(), text: lines.join("\n") }
}
