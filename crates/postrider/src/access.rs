//! `ban`, `account release` and `account app-password`: who may get in, and how often.

use crate::admin::{Failure, Outcome, Request, Response, address, done, exit, fail, known_account};
use delivery::Delivery;
use directory::secret::AppPassword;
use directory::{AppError, Directory, Scope};
use policy::dnsbl::Lists;
use policy::guard::Guard;
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use sys::clock::Clock;
use sys::tls::TlsServer;

/// What only a running server has.
#[derive(Clone)]
pub struct Live {
    /// Failed logins, bans, recipients sent to.
    pub guard: Arc<Guard>,
    /// The clock they are counted by.
    pub clock: Arc<dyn Clock>,
    /// The certificates in use.
    pub tls: Arc<TlsServer>,
    /// Block lists.
    pub lists: Arc<Lists>,
    /// Mail that leaves.
    pub delivery: Delivery,
}

fn ip(text: &str) -> Result<IpAddr, Failure> {
    let bare = text.trim_end_matches("/64");
    bare.parse().map_err(|_| fail(exit::DATA, format!("'{text}' is no IP address")))
}

/// Bans and counts, of the running server.
pub fn counts(live: Option<&Live>, store: &Store, request: Request) -> Outcome {
    let Some(Live { guard, clock, .. }) = live else {
        let text =
            "the server does not run, and only a running one counts and bans\nStart it first";
        return Err(fail(exit::UNAVAILABLE, text));
    };
    let now = clock.monotonic();
    match request {
        Request::BanAdd { address, minutes } => {
            let address = ip(&address)?;
            let how_long = Duration::from_secs(minutes.saturating_mul(60));
            if !guard.ban(address, how_long, now) {
                let text = format!("{address} is this machine or a proxy: it is never banned");
                return Err(fail(exit::DATA, text));
            }
            done(format!("{address} is banned for {minutes} minutes, but on port 25"))
        }
        Request::BanRemove { address } => {
            let address = ip(&address)?;
            match guard.lift(address, now) {
                true => done(format!("{address} may come back")),
                false => Err(fail(exit::NO_USER, format!("{address} is not banned"))),
            }
        }
        Request::AccountRelease { address: text } => {
            let (address, id) = known_account(store, &text)?;
            guard.release(id);
            done(format!("{address} may send again"))
        }
        _ => {
            let bans = guard.bans(now);
            let value = bans.iter().map(|ban| {
                let (source, left) = (ban.source.to_string(), ban.left.as_secs());
                json!({ "address": source, "failures": ban.failures, "seconds_left": left })
            });
            let line = |ban: &policy::guard::Ban| {
                let minutes = ban.left.as_secs().div_ceil(60);
                let why = match ban.failures {
                    0 => "by hand".to_owned(),
                    times => format!("{times} failed logins"),
                };
                format!("{}  {why}, {minutes} minutes left", ban.source)
            };
            let text: Vec<String> = bans.iter().map(line).collect();
            Ok(Response { value: value.collect(), text: text.join("\n") })
        }
    }
}

fn trouble(error: AppError) -> Failure {
    let code = match &error {
        AppError::NoSuchAccount => exit::NO_USER,
        AppError::NotAllowed(_) => exit::DATA,
        AppError::Unavailable(_) => exit::SOFTWARE,
    };
    fail(code, error.to_string())
}

/// App passwords.
pub async fn app_password(directory: &Directory, request: Request) -> Outcome {
    match request {
        Request::AppPasswordAdd { address: text, name, scope } => {
            let scope = Scope::parse(&scope)
                .ok_or_else(|| fail(exit::DATA, "a scope is send, read or both"))?;
            let made = directory.app_password_add(&address(&text)?, &name, scope).await;
            let password = made.map_err(trouble)?;
            let value = json!({ "address": text, "name": name, "password": password });
            let text = format!("app password '{name}' of {text}, shown this once: {password}");
            Ok(Response { value, text })
        }
        Request::AppPasswordRemove { address: text, name } => {
            let gone = directory.app_password_remove(&address(&text)?, &name).await;
            match gone.map_err(trouble)? {
                true => done(format!("app password '{name}' of {text} is no way in any more")),
                false => Err(fail(exit::NO_USER, format!("{text} has no app password '{name}'"))),
            }
        }
        Request::AppPasswordList { address: text } => {
            let apps = directory.app_passwords(&address(&text)?).map_err(trouble)?;
            let value = apps.iter().map(|app| {
                let (at, from) = (app.used.map(|used| used.at), app.used.map(|used| used.from));
                json!({ "name": app.name, "scope": app.scope.to_string(), "used": at, "from": from })
            });
            let line = |app: &AppPassword| {
                let used = app.used.map_or("never used".to_owned(), |used| {
                    format!("used {} from {}", mail::date::format_rfc5322(used.at), used.from)
                });
                format!("{}  {}  {used}", app.name, app.scope)
            };
            let lines: Vec<String> = apps.iter().map(line).collect();
            Ok(Response { value: value.collect(), text: lines.join("\n") })
        }
        _ => Err(fail(exit::SOFTWARE, "not an app password command")),
    }
}
