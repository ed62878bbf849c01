//! `postrider check`: whether `serve` would start with this configuration.

use crate::admin::{Failure, exit};
use crate::config::Config;
use crate::{certificate, privilege, say, serve};
use mail::date::format_rfc3339;
use serde_json::json;
use std::path::Path;
use sys::clock::{Clock as _, SystemClock};

/// Reads what `serve` reads, as the user that it becomes.
pub fn check(root: &Path, json: bool) -> Result<(), Failure> {
    let config = Config::load(root).map_err(|text| Failure { text, code: exit::CONFIG })?;
    serve::has_store(root, &config)?;
    privilege::drop_root(root, &config)?;
    let tls = serve::check(root, &config)?;
    let validity = tls.validity();
    let expires = validity.as_ref().map(|validity| validity.end);
    if json {
        say(&json!({ "certificate_expires": expires }).to_string());
        return Ok(());
    }
    say("The configuration is in order.");
    let now = SystemClock::new().unix_seconds();
    let told = validity.and_then(|validity| certificate::trouble(&validity, now));
    let holds = |end| format!("The TLS certificate holds until {}.", format_rfc3339(end));
    if let Some(text) = told.or(expires.map(holds)) {
        say(&text);
    }
    Ok(())
}
