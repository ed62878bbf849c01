//! `[auth]`, `[oauth]`, `[ldap]`, `[sql]` and `[program]`: who logs in, and where that is proven.

use crate::admin::{Failure, exit};
use crate::config::{Auth, Config, Relay};
use directory::external::ldap::{Ldap, LdapPlan};
use directory::external::program::{Program, ProgramPlan};
use directory::external::sql::{Database, Sql, SqlPlan};
use directory::external::{External, Source};
use directory::issuer::{Issuer, IssuerSettings};
use directory::password::Cost;
use mail::{Address, Domain};
use protocol::sasl::Login;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use sys::World;
use sys::http::HttpClient;
use sys::ldap::{LdapClient, LdapSettings};
use sys::postgres::SqlClient;
use sys::program::ProgramClient;
use sys::sqlite::SqliteClient;
use sys::tls::{ClientTrust, TlsClient, Trust};

/// `[oauth]`: an OpenID Connect issuer, whose tokens log in by OAUTHBEARER and XOAUTH2.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Oauth {
    /// Its URL, as its tokens have it; empty for none.
    pub issuer: String,
    /// Whom its tokens must be for (`aud`).
    pub audiences: Vec<String>,
    /// The programs that it makes tokens for (`azp`, `client_id`); empty for any.
    pub clients: Vec<String>,
    /// The claim that holds the address of the account.
    pub claim: String,
    /// The scope that a token must have; empty for none.
    pub scope: String,
    /// Our name at the issuer, when tokens are to be introspected (RFC 7662); empty when they are
    /// signed, which costs no question.
    pub introspection_client: String,
    /// File with our password at the issuer.
    pub introspection_secret: PathBuf,
    /// PEM file of the authorities that its certificate is proven by.
    pub authorities: PathBuf,
}

impl Default for Oauth {
    fn default() -> Oauth {
        Oauth {
            issuer: String::new(),
            audiences: Vec::new(),
            clients: Vec::new(),
            claim: "email".to_owned(),
            scope: String::new(),
            introspection_client: String::new(),
            introspection_secret: PathBuf::new(),
            authorities: "/etc/ssl/certs/ca-certificates.crt".into(),
        }
    }
}

/// `[ldap]`: people who are not among the accounts here are looked for there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LdapConfig {
    /// Servers: `ldaps://host`, `ldap://host`, `ldapi://%2fpath`; none for no LDAP.
    pub urls: Vec<String>,
    /// STARTTLS on `ldap://`.
    pub starttls: bool,
    /// PEM file of the authorities that the server's certificate is proven by.
    pub authorities: PathBuf,
    /// Who looks people up; empty for anybody.
    pub bind_dn: String,
    /// File with their password.
    pub bind_password: PathBuf,
    /// Where the search begins.
    pub base: String,
    /// Finds who logs in, by `{address}`, `{local}` or `{domain}`.
    pub login_filter: String,
    /// Finds who gets mail for an address; empty for the same.
    pub address_filter: String,
    /// The attribute with the account's own address.
    pub address: String,
    /// The attribute with the addresses that an entry stands for, if it is no account.
    pub members: String,
    /// The attribute with a hash of the password; empty to log in there as the entry.
    pub password: String,
}

impl Default for LdapConfig {
    fn default() -> LdapConfig {
        LdapConfig {
            urls: Vec::new(),
            starttls: false,
            authorities: "/etc/ssl/certs/ca-certificates.crt".into(),
            bind_dn: String::new(),
            bind_password: PathBuf::new(),
            base: String::new(),
            login_filter: "(mail={address})".to_owned(),
            address_filter: String::new(),
            address: "mail".to_owned(),
            members: String::new(),
            password: String::new(),
        }
    }
}

/// `[sql]`: people who are not among the accounts here are looked for in PostgreSQL or SQLite.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SqlConfig {
    /// `postgresql://user@host/database` or `sqlite:PATH`; empty for none.
    pub url: String,
    /// File with the password; empty for none.
    pub password: PathBuf,
    /// PEM file of the authorities that the server's certificate is proven by.
    pub authorities: PathBuf,
    /// Gives an account's own address and the hash of its password, by `$1` (the address), `$2`
    /// (its local part), `$3` (its domain), all texts in lower case.
    pub login_query: String,
    /// Gives the addresses that an address stands for; itself for an account.
    pub address_query: String,
}

impl Default for SqlConfig {
    fn default() -> SqlConfig {
        SqlConfig {
            url: String::new(),
            password: PathBuf::new(),
            authorities: "/etc/ssl/certs/ca-certificates.crt".into(),
            login_query: String::new(),
            address_query: String::new(),
        }
    }
}

/// `[program]`: passwords of people who have none here are proven by a program with the
/// checkpassword interface, as PAM's do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProgramConfig {
    /// The program and its arguments; empty for none.
    pub command: Vec<String>,
    /// The name it is given: `{address}`, `{local}`, `{domain}`.
    pub name: String,
}

impl Default for ProgramConfig {
    fn default() -> ProgramConfig {
        ProgramConfig { command: Vec::new(), name: "{address}".to_owned() }
    }
}

fn wrong(key: &str, why: impl std::fmt::Display) -> Failure {
    Failure { text: format!("{key}: {why}"), code: exit::CONFIG }
}

/// Where logins are proven that are not here.
pub struct Outside<'a> {
    /// Clock, DNS and connections.
    pub world: &'a World,
    /// Who starts the program of `[program]`.
    pub program: Option<ProgramClient>,
}

/// The directory's settings. Without an outside nobody logs in, and no issuer is needed.
pub fn settings(
    root: &Path,
    config: &Config,
    outside: Option<Outside<'_>>,
) -> Result<directory::Settings, Failure> {
    let auth = &config.auth;
    let issuer = match &outside {
        Some(outside) => issuer(root, config, outside.world)?,
        None => None,
    };
    Ok(directory::Settings {
        default_domain: Domain::parse(&config.domain).ok(),
        hostname: Domain::parse(&config.hostname).ok(),
        hash_cost: Cost { memory_kib: auth.hash_memory_kib, passes: auth.hash_passes },
        issuer,
        external: external(root, config, outside)?,
        scram_with_external: auth.scram_with_directory,
        certificates: certificates(auth)?,
    })
}

/// Which certificates of clients are believed; `None` when clients are not asked for any.
pub fn client_trust(root: &Path, auth: &Auth) -> Result<Option<ClientTrust>, Failure> {
    let authorities = &auth.client_authorities;
    let trust = ClientTrust {
        authorities: (!authorities.as_os_str().is_empty()).then(|| root.join(authorities)),
        fingerprints: certificates(auth)?.into_keys().collect(),
    };
    let any = trust.authorities.is_some() || !trust.fingerprints.is_empty();
    Ok(any.then_some(trust))
}

fn certificates(auth: &Auth) -> Result<HashMap<[u8; 32], String>, Failure> {
    let mut out = HashMap::new();
    for line in &auth.client_certificates {
        let parsed = line.split_once(' ').and_then(|(print, address)| {
            Some((fingerprint(print)?, Address::parse(address.trim()).ok()?.to_string()))
        });
        let (print, address) = parsed.ok_or_else(|| {
            let form = "not 'SHA256-FINGERPRINT ADDRESS'; see the fingerprint with: openssl x509 \
                        -in CERTIFICATE -noout -fingerprint -sha256";
            wrong("auth.client_certificates", format!("'{line}': {form}"))
        })?;
        out.insert(print, address);
    }
    Ok(out)
}

/// 64 hexadecimal digits, with colons or without.
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> =
        text.chars().filter(|c| *c != ':').map(|c| Some(c.to_digit(16)? as u8)).collect();
    let octets: Vec<u8> =
        digits?.chunks(2).map(|pair| pair.iter().fold(0, |sum, digit| sum << 4 | digit)).collect();
    octets.try_into().ok().filter(|_| text.chars().filter(|c| *c != ':').count() == 64)
}

fn issuer(root: &Path, config: &Config, world: &World) -> Result<Option<Issuer>, Failure> {
    let oauth = &config.oauth;
    if oauth.issuer.is_empty() {
        return Ok(None);
    }
    let introspection = match oauth.introspection_client.as_str() {
        "" => None,
        client => {
            let path = root.join(&oauth.introspection_secret);
            Some((client.to_owned(), secret_in("oauth.introspection_secret", &path)?))
        }
    };
    let settings = IssuerSettings {
        issuer: oauth.issuer.clone(),
        audiences: oauth.audiences.clone(),
        clients: oauth.clients.clone(),
        claim: oauth.claim.clone(),
        scope: oauth.scope.clone(),
        introspection,
    };
    let authorities = root.join(&oauth.authorities);
    // An issuer on this very machine needs none.
    let trust = match oauth.issuer.starts_with("https:") {
        true => Trust::Authorities(authorities.clone()),
        false => Trust::Nobody,
    };
    let tls = TlsClient::new(&trust).map_err(|error| {
        wrong("oauth.authorities", format!("{}: {error}", authorities.display()))
    })?;
    let issuer = Issuer::new(settings, world, HttpClient::new(world, tls));
    issuer.map(Some).map_err(|why| wrong("oauth", why))
}

/// Who logs in at the smarthost.
pub fn smarthost(root: &Path, relay: &Relay) -> Result<Option<Login>, Failure> {
    let user = relay.smarthost_user.clone();
    if user.is_empty() {
        return Ok(None);
    }
    let path = root.join(&relay.smarthost_password);
    let password = secret_in("relay.smarthost_password", &path)?;
    let fine = |text: &str| !text.is_empty() && !text.contains('\0');
    match fine(&user) && fine(&password) {
        true => Ok(Some(Login { user, password })),
        false => Err(wrong("relay.smarthost_password", "empty, or with a NUL")),
    }
}

/// The text of a file with a secret.
fn secret_in(key: &str, path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| wrong(key, format!("{}: {error}", path.display())))?;
    Ok(text.trim().to_owned())
}

/// People elsewhere.
fn external(
    root: &Path,
    config: &Config,
    outside: Option<Outside<'_>>,
) -> Result<Option<External>, Failure> {
    let Some(Outside { world, program: client }) = outside else { return Ok(None) };
    let mut sources = Vec::new();
    sources.extend(ldap(root, config)?.map(Source::Ldap));
    sources.extend(sql(root, config)?.map(Source::Sql));
    if let Some(client) = client {
        sources.push(Source::Program(program(config, client)?));
    }
    if sources.len() > 1 {
        return Err(wrong("postrider.toml", "there can be one of [ldap], [sql] and [program]"));
    }
    let kept = Duration::from_secs(config.auth.directory_seconds);
    Ok(sources.pop().map(|source| External::new(source, world.clock.clone(), kept)))
}

/// People whose passwords a program proves.
fn program(config: &Config, client: ProgramClient) -> Result<Program, Failure> {
    let domain = Domain::parse(&config.domain).ok();
    let plan = ProgramPlan { name: config.program.name.clone(), domain };
    Program::new(client, plan).map_err(|why| wrong("program", why))
}

/// Whom a connection trusts: the authorities, if it is to be under TLS.
fn trusting(key: &str, authorities: &Path, encrypted: bool) -> Result<TlsClient, Failure> {
    let trust = match encrypted {
        true => Trust::Authorities(authorities.to_owned()),
        false => Trust::Nobody,
    };
    let path = authorities.display();
    TlsClient::new(&trust).map_err(|error| wrong(key, format!("{path}: {error}")))
}

/// People in PostgreSQL or SQLite.
fn sql(root: &Path, config: &Config) -> Result<Option<Sql>, Failure> {
    let sql = &config.sql;
    if sql.url.is_empty() {
        return Ok(None);
    }
    let plan =
        SqlPlan { login_query: sql.login_query.clone(), address_query: sql.address_query.clone() };
    if let Some(path) = sql.url.strip_prefix("sqlite:") {
        let database = Database::Sqlite(SqliteClient::new(&root.join(path)));
        return Sql::new(database, plan).map(Some).map_err(|why| wrong("sql", why));
    }
    let encrypted = sys::postgres::wants_tls(&sql.url).map_err(|why| wrong("sql.url", why))?;
    let tls = trusting("sql.authorities", &root.join(&sql.authorities), encrypted)?;
    let password = match sql.password.as_os_str().is_empty() {
        true => String::new(),
        false => secret_in("sql.password", &root.join(&sql.password))?,
    };
    let client = SqlClient::new(&sql.url, &password, tls).map_err(|why| wrong("sql.url", why))?;
    Sql::new(Database::Postgres(client), plan).map(Some).map_err(|why| wrong("sql", why))
}

/// People in LDAP. Passwords travel to it, so they do under TLS unless it is on this machine.
fn ldap(root: &Path, config: &Config) -> Result<Option<Ldap>, Failure> {
    let ldap = &config.ldap;
    if ldap.urls.is_empty() {
        return Ok(None);
    }
    let mut encrypted = false;
    for url in &ldap.urls {
        let host = url.strip_prefix("ldap://").unwrap_or_default();
        let here = ["127.", "localhost", "[::1]"].iter().any(|own| host.starts_with(own));
        let tls = url.starts_with("ldaps://") || (!host.is_empty() && ldap.starttls);
        if !(tls || here || url.starts_with("ldapi://")) {
            let why = "passwords would travel in clear; use ldaps:// or starttls = true";
            return Err(wrong("ldap.urls", format!("'{url}': {why}")));
        }
        encrypted |= tls;
    }
    let tls = trusting("ldap.authorities", &root.join(&ldap.authorities), encrypted)?;
    let bind_password = match ldap.bind_dn.as_str() {
        "" => String::new(),
        _ => secret_in("ldap.bind_password", &root.join(&ldap.bind_password))?,
    };
    let (urls, bind_dn) = (ldap.urls.clone(), ldap.bind_dn.clone());
    let settings = LdapSettings { urls, starttls: ldap.starttls, bind_dn, bind_password };
    let plan = LdapPlan {
        base: ldap.base.clone(),
        login_filter: ldap.login_filter.clone(),
        address_filter: ldap.address_filter.clone(),
        address: ldap.address.clone(),
        members: ldap.members.clone(),
        password: ldap.password.clone(),
    };
    Ldap::new(LdapClient::new(settings, tls), plan).map(Some).map_err(|why| wrong("ldap", why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read() {
        let colons = ["0A"; 32].join(":");
        assert_eq!(fingerprint(&colons), Some([10; 32]));
        assert_eq!(fingerprint(&"0a".repeat(32)), Some([10; 32]));
        for bad in ["", "0a", &"0a".repeat(33), &"0".repeat(63), &"zz".repeat(32)] {
            assert_eq!(fingerprint(bad), None, "{bad}");
        }
    }
}
