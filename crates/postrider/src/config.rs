//! The configuration file: one short TOML file. Unknown keys are errors that name the nearest one.

use crate::comments::COMMENTS;
pub use crate::judging::{Judge, Trusted};
pub use crate::logins::{LdapConfig, Oauth, ProgramConfig, SqlConfig};
use crate::nearest::did_you_mean;
use delivery::route::split_target;
use mail::Domain;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// The file's name in the root folder.
pub const FILE: &str = "postrider.toml";
/// The largest `listen.port_base`: the highest standard port, 995, is a port with it too.
const PORT_BASE_MAX: u16 = u16::MAX - 995;

/// The whole configuration. Every key has a default but `hostname` and `domain`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Our name, as the MX record and the certificate have it.
    pub hostname: String,
    /// The domain of user names without one, and of `<postmaster>`.
    pub domain: String,
    /// Whom the server becomes once its ports are bound, when it is started as root; empty for
    /// `postrider`, if there is such a user.
    #[serde(default)]
    pub user: String,
    /// Where the services listen.
    #[serde(default)]
    pub listen: Listen,
    /// Certificate and key.
    #[serde(default)]
    pub tls: Tls,
    /// Whose word is taken.
    #[serde(default)]
    pub trusted: Trusted,
    /// Who is speaking.
    #[serde(default)]
    pub judge: Judge,
    /// What is limited.
    #[serde(default)]
    pub limits: Limits,
    /// What IMAP offers.
    #[serde(default)]
    pub imap: Imap,
    /// How POP3 behaves.
    #[serde(default)]
    pub pop3: Pop3,
    /// What is learned of spam.
    #[serde(default)]
    pub spam: Spam,
    /// Reports about mail from our domains.
    #[serde(default)]
    pub reports: Reports,
    /// How mail leaves.
    #[serde(default)]
    pub relay: Relay,
    /// Where names are asked.
    #[serde(default)]
    pub dns: Dns,
    /// How passwords are treated.
    #[serde(default)]
    pub auth: Auth,
    /// Whose tokens log in.
    #[serde(default)]
    pub oauth: Oauth,
    /// People in LDAP.
    #[serde(default)]
    pub ldap: LdapConfig,
    /// People in PostgreSQL or SQLite.
    #[serde(default)]
    pub sql: SqlConfig,
    /// People whose passwords a program proves.
    #[serde(default)]
    pub program: ProgramConfig,
    /// How messages are kept.
    #[serde(default)]
    pub store: StoreConfig,
}

/// `[listen]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Addresses to listen on.
    pub addresses: Vec<IpAddr>,
    /// Added to every standard port.
    pub port_base: u16,
    /// Where LMTP is spoken: `address:port`, or the path of a UNIX socket.
    pub lmtp: Vec<String>,
    /// Who may connect to such a socket, as `chmod` has it: octal digits.
    pub lmtp_mode: String,
    /// Where Prometheus reads metrics, as 127.0.0.1:9925; empty for nowhere.
    pub metrics: String,
}

impl Listen {
    /// The UNIX sockets of `lmtp`; relative to the root folder.
    pub fn lmtp_sockets(&self, root: &Path) -> Vec<PathBuf> {
        let unix = |on: &&String| on.parse::<SocketAddr>().is_err();
        self.lmtp.iter().filter(unix).map(|on| root.join(on)).collect()
    }
}

impl Default for Listen {
    fn default() -> Listen {
        let any = [IpAddr::from([0u8; 4]), IpAddr::from([0u16; 8])];
        Listen {
            addresses: any.to_vec(),
            port_base: 0,
            lmtp: Vec::new(),
            lmtp_mode: "0660".to_owned(),
            metrics: String::new(),
        }
    }
}

/// `[tls]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// PEM file with the certificate chain; relative to the root folder.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// PEM file of a second chain with another kind of key, as RSA beside ECDSA, for those who can
    /// check only that; empty for none.
    pub second_certificate: PathBuf,
    /// PEM file with the second private key.
    pub second_key: PathBuf,
    /// Networks whose mail is taken on port 25 under TLS only.
    pub required_from: Vec<String>,
    /// Domains whose mail leaves only under TLS, with the certificate of their server proven;
    /// otherwise it waits.
    pub required_to: Vec<String>,
}

impl Default for Tls {
    fn default() -> Tls {
        Tls {
            certificate: "tls/cert.pem".into(),
            key: "tls/key.pem".into(),
            second_certificate: PathBuf::new(),
            second_key: PathBuf::new(),
            required_from: Vec::new(),
            required_to: Vec::new(),
        }
    }
}

/// `[limits]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Octets of the largest message.
    pub message_octets: u64,
    /// Recipients of one message.
    pub recipients: usize,
    /// Connections at a time.
    pub connections: usize,
    /// Connections at a time from one address.
    pub connections_per_address: usize,
    /// IMAP sessions at a time of one account.
    pub connections_per_account: usize,
    /// Recipients an account may send to in an hour; 0 is any number.
    pub recipients_per_hour: u32,
    /// Recipients an account may send to in a day; 0 is any number.
    pub recipients_per_day: u32,
    /// Recipients elsewhere whom an account never wrote to before, in a day; 0 is any number.
    pub strangers_per_day: u32,
    /// How long a message may be held for its sender (FUTURERELEASE), in seconds; 0 is not at all.
    pub hold_seconds: u64,
    /// Messages of an account that may wait for their time; 0 is any number.
    pub held_messages: usize,
    /// Failed logins before an address is banned; 0 bans nobody.
    pub failed_logins: u32,
    /// How long a ban lasts.
    pub ban_minutes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            message_octets: 50 << 20,
            recipients: 1000,
            connections: 10_000,
            connections_per_address: 500,
            connections_per_account: 200,
            recipients_per_hour: 300,
            recipients_per_day: 1000,
            strangers_per_day: 200,
            hold_seconds: 30 * 86_400,
            held_messages: 100,
            failed_logins: 20,
            ban_minutes: 60,
        }
    }
}

/// `[imap]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Imap {
    /// UIDONLY (RFC 9586): off, since some clients use it that cannot cope with it.
    pub uid_only: bool,
    /// Messages that one command works on (MESSAGELIMIT); 0 is no limit. RFC 9738 §3: no less than
    /// 1000 should be announced.
    pub message_limit: u32,
    /// Messages that one COPY or APPEND stores (SAVELIMIT, RFC 9738); 0 is no limit.
    pub save_limit: u32,
}

/// `[pop3]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pop3 {
    /// A maildrop is one session's at a time, others hear [IN-USE]; otherwise each session has its
    /// own view of it, as it was at login.
    pub exclusive: bool,
    /// Seconds between two logins of an account, announced as LOGIN-DELAY; 0 is none.
    pub login_delay_seconds: u64,
}

/// `[spam]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spam {
    /// Learn for each account from what it moves into Junk and out of it, and judge its new mail by
    /// that.
    pub learn: bool,
    /// Put what is judged to be spam into Junk; otherwise a header line tells.
    pub file: bool,
}

impl Default for Spam {
    fn default() -> Spam {
        Spam { learn: true, file: true }
    }
}

/// `[reports]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reports {
    /// Where DMARC and TLS reports come in, as our DNS records say; empty for nowhere.
    pub address: String,
    /// They are delivered to that address as well; otherwise only what they say is kept.
    pub deliver: bool,
}

impl Default for Reports {
    fn default() -> Reports {
        Reports { address: String::new(), deliver: true }
    }
}

/// `[relay]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Relay {
    /// Where all mail for others goes, `host:port`; empty for the MX of each domain.
    pub smarthost: String,
    /// Who logs in there; empty for nobody.
    pub smarthost_user: String,
    /// File with their password.
    pub smarthost_password: PathBuf,
    /// The port of other servers.
    pub port: u16,
    /// Sign by DKIM what leaves; `false` where the smarthost signs.
    pub sign: bool,
    /// PEM file of the authorities that certificates are proven by: for REQUIRETLS, for MTA-STS and
    /// for a login at the smarthost.
    pub authorities: PathBuf,
    /// Do as domains say of their servers by DANE, where the name servers hand on what DNSSEC
    /// needs. RFC 7672.
    pub dane: bool,
    /// Do as domains say of their servers by MTA-STS. RFC 8461.
    pub mta_sts: bool,
    /// Seconds between attempts; the last one repeats.
    pub retry_seconds: Vec<u64>,
    /// Seconds until a message is given up.
    pub expire_seconds: u64,
    /// Seconds until the sender is told of a delay.
    pub delay_notice_seconds: u64,
}

impl Default for Relay {
    fn default() -> Relay {
        Relay {
            smarthost: String::new(),
            smarthost_user: String::new(),
            smarthost_password: PathBuf::new(),
            port: 25,
            sign: true,
            authorities: "/etc/ssl/certs/ca-certificates.crt".into(),
            dane: true,
            mta_sts: true,
            retry_seconds: vec![60, 300, 900, 1800, 3600, 7200, 14_400],
            expire_seconds: 5 * 86_400,
            delay_notice_seconds: 4 * 3600,
        }
    }
}

/// `[dns]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// Name servers, `address:port`; empty for those of the system.
    pub servers: Vec<SocketAddr>,
    /// File of DNSKEY records that DNSSEC begins with, where there is a root of one's own; empty
    /// for the root of the Internet.
    pub trust_anchors: PathBuf,
}

/// `[auth]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Take passwords without TLS. For tests on loopback only.
    pub plaintext: bool,
    /// Announce SCRAM-SHA-256-PLUS and SCRAM-SHA-1-PLUS. Off by default: programs built on GNU SASL
    /// choose them because they are there, cannot bind to TLS 1.3, and fail (Debian 12's mutt).
    pub channel_binding: bool,
    /// KiB of memory for a password hash.
    pub hash_memory_kib: u32,
    /// Passes over that memory.
    pub hash_passes: u32,
    /// Seconds until a wrong password is answered; 0 is at once. Longer than what the check of any
    /// imported hash takes, or that time tells that there is such an account.
    pub failed_seconds: u64,
    /// PEM file of the authorities that sign certificates of clients; empty for none. The addresses
    /// in such a certificate log in by EXTERNAL.
    pub client_authorities: PathBuf,
    /// Certificates of clients by their SHA-256, each with an account: `AB:CD:… ADDRESS`.
    pub client_certificates: Vec<String>,
    /// Offer SCRAM beside LDAP, SQL or a program. Only accounts with a password here can use
    /// it, and programs of others that choose it because it is there fail.
    pub scram_with_directory: bool,
    /// Seconds for which a login that another directory proved is remembered; 0 is never.
    pub directory_seconds: u64,
}

impl Default for Auth {
    fn default() -> Auth {
        Auth {
            plaintext: false,
            channel_binding: false,
            hash_memory_kib: 19 * 1024,
            hash_passes: 2,
            failed_seconds: 2,
            client_authorities: PathBuf::new(),
            scram_with_directory: false,
            directory_seconds: 60,
            client_certificates: Vec::new(),
        }
    }
}

/// `[store]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// The data folder; relative to the root folder.
    pub folder: PathBuf,
    /// Octets that stay free on its disk.
    pub min_free_octets: u64,
    /// Octets of all caches together.
    pub memory_limit: u64,
    /// Sync segments and rows on every commit.
    pub two_sync: bool,
}

impl Default for StoreConfig {
    fn default() -> StoreConfig {
        StoreConfig {
            folder: "data".into(),
            min_free_octets: 256 << 20,
            memory_limit: 32 << 20,
            two_sync: false,
        }
    }
}

impl Config {
    /// A configuration for a first account's domain.
    pub fn new(hostname: &str, domain: &str) -> Config {
        Config {
            hostname: hostname.to_owned(),
            domain: domain.to_owned(),
            user: String::new(),
            listen: Listen::default(),
            tls: Tls::default(),
            trusted: Trusted::default(),
            judge: Judge::default(),
            limits: Limits::default(),
            imap: Imap::default(),
            pop3: Pop3::default(),
            spam: Spam::default(),
            reports: Reports::default(),
            relay: Relay::default(),
            dns: Dns::default(),
            auth: Auth::default(),
            oauth: Oauth::default(),
            ldap: LdapConfig::default(),
            sql: SqlConfig::default(),
            program: ProgramConfig::default(),
            store: StoreConfig::default(),
        }
    }

    /// Reads the file of a root folder. The error names file, line and the nearest key.
    pub fn load(root: &Path) -> Result<Config, String> {
        let path = root.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let hint = match error.kind() {
                ErrorKind::NotFound => "Make one with: postrider setup you@example.org",
                _ => "It is for root and the server's user",
            };
            format!("{}: {error}\n{hint}", path.display())
        })?;
        Config::parse(&text).map_err(|why| format!("{}: {why}", path.display()))
    }

    /// Reads a configuration.
    pub fn parse(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map(|span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
            let place = line.map_or(String::new(), |line| format!("line {line}: "));
            format!("{place}{}{}", error.message(), nearest(error.message()))
        })?;
        config.check().map(|()| config)
    }

    /// What the types let through.
    pub fn check(&self) -> Result<(), String> {
        for (key, name) in [("hostname", &self.hostname), ("domain", &self.domain)] {
            Domain::parse(name).map_err(|_| format!("{key}: '{name}' is not a domain name"))?;
        }
        let port_base = self.listen.port_base;
        if port_base > PORT_BASE_MAX {
            return Err(format!("listen.port_base: {port_base} is more than {PORT_BASE_MAX}"));
        }
        let metrics = &self.listen.metrics;
        if !metrics.is_empty() && metrics.parse::<SocketAddr>().is_err() {
            return Err(format!("listen.metrics: '{metrics}' is not ADDRESS:PORT"));
        }
        for name in &self.tls.required_to {
            Domain::parse(name)
                .map_err(|_| format!("tls.required_to: '{name}' is not a domain name"))?;
        }
        let smarthost = &self.relay.smarthost;
        if !smarthost.is_empty() && split_target(smarthost, self.relay.port).is_none() {
            return Err(format!("relay.smarthost: '{smarthost}' is not HOST:PORT"));
        }
        if smarthost.is_empty() && !self.relay.smarthost_user.is_empty() {
            return Err("relay.smarthost_user: there is no relay.smarthost".to_owned());
        }
        Ok(())
    }

    /// Sets a key such as `auth.plaintext` from text.
    pub fn set(&mut self, assignment: &str) -> Result<(), String> {
        let (key, text) = assignment
            .split_once('=')
            .ok_or_else(|| format!("'{assignment}' is not KEY=VALUE, as auth.plaintext=true"))?;
        let mut table = toml::Table::try_from(&*self).map_err(|e| e.to_string())?;
        let parsed = format!("v = {text}").parse::<toml::Table>();
        let value = parsed.ok().and_then(|mut t| t.remove("v"));
        put(&mut table, key.trim(), value.unwrap_or_else(|| text.into()))?;
        let set: Result<Config, _> = table.try_into();
        *self = set.map_err(|error: toml::de::Error| {
            format!("{key}: {}{}", error.message(), nearest(error.message()))
        })?;
        Ok(())
    }

    /// The file's text, with comments.
    pub fn text(&self) -> Result<String, String> {
        let body = toml::to_string(self).map_err(|e| e.to_string())?;
        let mut out = String::from(
            "# Postrider. Relative paths start at this file's folder.\n\
             # After a change: restart the server. Accounts are not here: postrider account --help\n\n",
        );
        for line in body.lines() {
            let comment = COMMENTS.iter().find(|(start, _)| line.starts_with(start));
            if let Some((_, comment)) = comment {
                out.push_str(&format!("# {comment}\n"));
            }
            out.push_str(line);
            out.push('\n');
        }
        Ok(out)
    }
}

fn put(table: &mut toml::Table, key: &str, value: toml::Value) -> Result<(), String> {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
            Ok(())
        }
        Some((section, key)) => match table.get_mut(section) {
            Some(toml::Value::Table(inner)) => {
                inner.insert(key.to_owned(), value);
                Ok(())
            }
            _ => Err(format!("there is no section [{section}]")),
        },
    }
}

/// For `unknown field `x`, expected one of `a`, `b``: the most similar of those.
fn nearest(message: &str) -> String {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let Some((unknown, known)) = names.split_first() else { return String::new() };
    if !message.starts_with("unknown field") {
        return String::new();
    }
    did_you_mean(unknown, known.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_written_file_reads_back_and_keys_can_be_set() {
        let mut config = Config::new("mail.example.org", "example.org");
        config.set("auth.plaintext=true").unwrap();
        config.set("limits.message_octets=1000").unwrap();
        config.set("relay.smarthost=relay.example:25").unwrap();
        config.set("dns.servers=[\"127.0.0.1:53\"]").unwrap();
        let read = Config::parse(&config.text().unwrap()).unwrap();
        assert!(read.auth.plaintext && read.limits.message_octets == 1000);
        assert_eq!(
            (read.relay.smarthost.as_str(), read.dns.servers.len()),
            ("relay.example:25", 1)
        );
        assert!(config.set("auth.plain=true").unwrap_err().contains("Did you mean 'plaintext'?"));
        assert!(config.set("nothing").is_err() && config.set("x.y=1").is_err());
        assert!(!config.set("foo=1").unwrap_err().contains("Did you mean"));
        assert!(!config.set("limits.connections=many").unwrap_err().contains("line"));
    }

    #[test]
    fn what_can_never_work_is_refused() {
        for (assignment, told) in [
            ("hostname=a b", "hostname: 'a b'"),
            ("domain=x y", "domain: 'x y'"),
            ("listen.port_base=64541", "64540"),
            ("relay.smarthost=relay.example:smtp", "HOST:PORT"),
            ("relay.smarthost_user=me", "there is no relay.smarthost"),
        ] {
            let mut config = Config::new("mail.example.org", "example.org");
            config.set(assignment).unwrap();
            let read = Config::parse(&config.text().unwrap());
            assert!(read.is_err_and(|why| why.contains(told)), "{assignment}");
        }
    }

    #[test]
    fn errors_name_line_and_nearest_key() {
        let text = "hostname = \"a\"\ndomain = \"b\"\n\n[limits]\nrecipient = 5\n";
        let error = Config::parse(text).unwrap_err();
        assert!(
            error.contains("line 5") && error.contains("Did you mean 'recipients'?"),
            "{error}"
        );
    }
}
