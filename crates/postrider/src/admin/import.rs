//! `account import`: accounts with passwords in clear, or hashes of other servers.

use super::{Outcome, Told, done, exit, fail, is_hash, secret, trouble};
use directory::Directory;
use mail::Address;
use store::{NewAccount, Store};

/// Makes accounts of `address,password or hash` lines.
pub(super) async fn accounts(
    store: &Store,
    directory: &Directory,
    csv: &str,
    told: &Told,
) -> Outcome {
    let mut new = Vec::new();
    let all = csv.lines().count() as u64;
    for (n, line) in (1..).zip(csv.lines().map(str::trim)) {
        told.send_replace((n - 1, all));
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |why: &str| fail(exit::DATA, format!("line {n}: {why}"));
        let (name, text) =
            line.split_once(',').ok_or_else(|| wrong("not 'address,password or hash'"))?;
        let address = Address::parse(name.trim()).map_err(|error| wrong(&error.to_string()))?;
        let text = imported(text.trim()).map_err(wrong)?.to_owned();
        let secret = secret(directory, &address, text).await;
        let secret = secret.map_err(|failure| wrong(&failure.text))?;
        new.push(NewAccount { address, secret });
    }
    let count = new.len();
    store.accounts_add(new).await.map_err(trouble)?;
    done(format!("{count} accounts are ready"))
}

/// What an import has: a hash of a kind that is known, or a password.
fn imported(text: &str) -> Result<&str, &'static str> {
    match text.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((name, rest)) if ["PLAIN", "CLEARTEXT"].contains(&&*name.to_uppercase()) => Ok(rest),
        None if !text.starts_with('$') || text.matches('$').count() < 3 => Ok(text),
        _ if directory::imported::is_too_dear(text) => {
            Err("a hash whose check takes too long (docs/logins.md): give a new password")
        }
        _ if is_hash(text) => Ok(text),
        _ => Err("a hash of an unknown kind"),
    }
}
