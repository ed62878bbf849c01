//! `postrider setup`: a working configuration, a certificate until a real one is given, the first
//! account, and the addresses that every domain must have (RFC 2142).

use crate::admin::{Failure, exit};
use crate::cli::{self, Setup};
use crate::config::{Config, FILE};
use crate::{dkim, privilege, serve};
use mail::Address;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use store::{AliasRow, NewAccount};
use sys::clock::{Clock as _, SystemClock};
use sys::hands::{self, SystemHands};

/// Where reports about mail from the domain come in.
const REPORTS: &str = "dmarc-reports";
/// How long a certificate holds that nobody but us has signed: ten years.
const CERTIFICATE_SECONDS: u64 = 10 * 365 * 86_400;

fn fail(path: &Path, error: &std::io::Error) -> Failure {
    let mut text = format!("{}: {error}", path.display());
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        let folder = path.parent().unwrap_or(path).display();
        text.push_str(&format!("\nAs root: chown -R {uid}:{gid} {folder}"));
    }
    Failure { text, code: exit::CANT_CREATE }
}

fn wrong(text: impl Into<String>) -> Failure {
    Failure { text: text.into(), code: exit::DATA }
}

/// Makes everything; returns what to tell the administrator.
pub async fn setup(root: &Path, setup: &Setup, password: String) -> Result<Config, Failure> {
    let address = Address::parse(&setup.address)
        .map_err(|error| wrong(format!("'{}': {error}", setup.address)))?;
    let file = root.join(FILE);
    if file.exists() {
        let text = format!("{} exists: this folder is set up already", file.display());
        return Err(Failure { text, code: exit::CANT_CREATE });
    }
    let config = configuration(root, setup, &address)?;
    let folders = [root.to_owned(), root.join("tls"), root.join(&config.store.folder)];
    for folder in &folders {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| fail(folder, &error))?;
    }
    certificate(root, &config)?;
    accounts(root, &config, &address, password).await?;
    // Last, so that a set-up that failed half way can be run again.
    let text = config.text().map_err(wrong)?;
    write(&file, text.as_bytes())?;
    privilege::give_away(root, &config)?;
    Ok(config)
}

fn configuration(root: &Path, setup: &Setup, address: &Address) -> Result<Config, Failure> {
    let domain = address.domain().as_str();
    let hostname = setup.hostname.clone().unwrap_or_else(|| format!("mail.{domain}"));
    let mut config = Config::new(&hostname, domain);
    if !setup.listen.is_empty() {
        config.listen.addresses.clone_from(&setup.listen);
    }
    config.listen.port_base = setup.port_base.unwrap_or(0);
    if root == Path::new(cli::ROOT) {
        // As the Filesystem Hierarchy Standard has it, §3.7 and §5.8.
        config.store.folder = "/var/lib/postrider".into();
    }
    config.reports.address = format!("{REPORTS}@{domain}");
    for assignment in &setup.set {
        config.set(assignment).map_err(|text| Failure { text, code: exit::CONFIG })?;
    }
    config.check().map_err(wrong)?;
    Ok(config)
}

fn write(path: &Path, octets: &[u8]) -> Result<(), Failure> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(octets)?;
        file.sync_all()
    });
    written.map_err(|error| fail(path, &error))
}

/// A self-signed certificate, unless one is there.
fn certificate(root: &Path, config: &Config) -> Result<(), Failure> {
    let (cert, key) = (root.join(&config.tls.certificate), root.join(&config.tls.key));
    if cert.exists() && key.exists() {
        return Ok(());
    }
    let names = [config.hostname.clone(), config.domain.clone()];
    let now = SystemClock::new().unix_seconds().unsigned_abs();
    // The clocks of clients may be behind.
    let valid = now.saturating_sub(86_400)..now + CERTIFICATE_SECONDS;
    let (cert_pem, key_pem) = sys::tls::self_signed(&names, valid)
        .map_err(|error| Failure { text: error.to_string(), code: exit::SOFTWARE })?;
    write(&key, key_pem.as_bytes())?;
    write(&cert, cert_pem.as_bytes())
}

/// The domain, the first account, postmaster, abuse and the address of reports. What is there
/// already stays.
async fn accounts(
    root: &Path,
    config: &Config,
    address: &Address,
    password: String,
) -> Result<(), Failure> {
    let (store, directory) = serve::open(root, config, None)?;
    let software = |text: String| Failure { text, code: exit::SOFTWARE };
    let found = store.lookup(address).map_err(|error| software(error.to_string()))?;
    if found.domain.is_none() {
        let added = store.domain_add(address.domain().clone()).await;
        added.map_err(|error| software(error.to_string()))?;
    }
    dkim::first(&store, address.domain()).await?;
    let secret = directory.hash_for(address, password).await.map_err(|error| wrong(error.0))?;
    let made = match found.account {
        Some(_) => directory.set_password(address, &secret).await,
        None => {
            let new = NewAccount { address: address.clone(), secret };
            store.account_add(new).await.map(drop)
        }
    };
    made.map_err(|error| software(error.to_string()))?;
    for local in ["postmaster", "abuse", REPORTS] {
        let Ok(alias) = Address::new(local, address.domain().clone()) else { continue };
        let taken = store.lookup(&alias).map_err(|error| software(error.to_string()))?;
        if taken.account.is_none() && taken.alias.is_none() {
            let row = AliasRow { address: alias, targets: vec![address.clone()] };
            store.alias_add(row).await.map_err(|error| software(error.to_string()))?;
        }
    }
    let _ = hands::blocking(&SystemHands, move || store.close()).await;
    Ok(())
}
