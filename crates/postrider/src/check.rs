//! `postrider check`: whether `serve` would start with this configuration.

use crate::admin::{Failure, exit};
use crate::config::Config;
use crate::{certificate, privilege, say, serve};
use mail::Domain;
use mail::date::format_rfc3339;
use serde_json::json;
use std::path::Path;
use sys::clock::{Clock as _, SystemClock};
use sys::tls::TlsServer;

/// What is allowed, and will not do for a server that others speak to; each with the fix.
fn warnings(config: &Config) -> Vec<String> {
    let mut told = Vec::new();
    let (hostname, domain) = (&config.hostname, &config.domain);
    let single = Domain::parse(hostname).is_ok_and(|name| name.is_single());
    let alone = config.listen.addresses.iter().all(|address| address.is_loopback());
    if single && !alone {
        // RFC 5321 §2.3.5.
        told.push(format!(
            "hostname: '{hostname}' is not complete, and other servers refuse mail from such a \
             name\nWrite the name that DNS has, as hostname = \"{hostname}.{domain}\""
        ));
    }
    told
}

/// A certificate that does for the first look, with the fix.
fn unsigned(config: &Config, root: &Path, tls: &TlsServer) -> Option<String> {
    let (cert, key) = (root.join(&config.tls.certificate), root.join(&config.tls.key));
    let alone = config.listen.addresses.iter().all(|address| address.is_loopback());
    (tls.is_self_signed() && !alone).then(|| {
        format!(
            "tls: nobody has signed the certificate, and mail programs warn of it\nPut one for \
             {} into {} and its key into {}, as certbot makes them: docs/running.md, TLS",
            config.hostname,
            cert.display(),
            key.display()
        )
    })
}

/// Says so in the log.
pub fn warn(config: &Config) {
    warnings(config).iter().for_each(|told| tracing::warn!("{}", told.replace('\n', ". ")));
}

/// Reads what `serve` reads, as the user that it becomes.
pub fn check(root: &Path, json: bool) -> Result<(), Failure> {
    let config = Config::load(root).map_err(|text| Failure { text, code: exit::CONFIG })?;
    serve::has_store(root, &config)?;
    privilege::drop_root(root, &config)?;
    let tls = serve::check(root, &config)?;
    let validity = tls.validity();
    let expires = validity.as_ref().map(|validity| validity.end);
    let mut warnings = warnings(&config);
    warnings.extend(unsigned(&config, root, &tls));
    if json {
        let told = json!({ "certificate_expires": expires, "warnings": warnings });
        say(&told.to_string());
        return Ok(());
    }
    say("The configuration is in order.");
    warnings.iter().for_each(|told| say(told));
    let now = SystemClock::new().unix_seconds();
    let told = validity.and_then(|validity| certificate::trouble(&validity, now));
    let holds = |end| format!("The TLS certificate holds until {}.", format_rfc3339(end));
    if let Some(text) = told.or(expires.map(holds)) {
        say(&text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_complete_is_told_unless_nobody_else_sees_it() {
        let mut config = Config::new("mail", "example.org");
        let told = warnings(&config);
        assert!(told.iter().any(|text| text.contains("hostname = \"mail.example.org\"")));
        config.listen.addresses = vec![[127, 0, 0, 1].into()];
        assert!(warnings(&config).is_empty());
        assert!(warnings(&Config::new("mail.example.org", "example.org")).is_empty());
    }
}
