//! The settings of who is judged, and how.

use crate::admin::{Failure, exit};
use crate::config::Config;
use crate::serve::networks;
use mail::Domain;
use policy::dnsbl::{Lists, Use};
use policy::judge::{Mode, Settings};
use serde::{Deserialize, Serialize};

/// `[trusted]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trusted {
    /// Networks whose mail on port 25 is not judged: this machine and private networks.
    pub networks: Vec<String>,
    /// Networks, and domains that SPF or DKIM proves, whose mail is taken whatever DMARC says:
    /// those that forward mail to here, and mailing lists.
    pub forwarders: Vec<String>,
    /// Networks of proxies. Their connections must begin with a PROXY header (version 1 or 2), and
    /// the client that it names is taken for the peer. Nobody else's header is.
    pub proxies: Vec<String>,
    /// Networks of SMTP proxies that may tell by XCLIENT who the client is (as Postfix has it).
    pub xclients: Vec<String>,
}

impl Default for Trusted {
    fn default() -> Trusted {
        let own = [
            "127.0.0.0/8",
            "::1",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "169.254.0.0/16",
            "fc00::/7",
            "fe80::/10",
        ];
        Trusted {
            networks: own.map(str::to_owned).to_vec(),
            forwarders: Vec::new(),
            proxies: Vec::new(),
            xclients: Vec::new(),
        }
    }
}

/// `[judge]`: strangers on port 25.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Judge {
    /// `enforce`: what the author's domain wants is done; `observe`: it is only written down;
    /// `off`.
    pub dmarc: String,
    /// Block lists in DNS: `zen.example.org` refuses who is on it, `bl.example.org junk` puts their
    /// mail into Junk.
    pub block_lists: Vec<String>,
}

impl Default for Judge {
    fn default() -> Judge {
        Judge { dmarc: "enforce".to_owned(), block_lists: Vec::new() }
    }
}

/// Reads them.
pub fn settings(config: &Config) -> Result<Settings, Failure> {
    let wrong = |text: String| Failure { text, code: exit::CONFIG };
    let mut settings = Settings {
        trusted: networks("trusted.networks", &config.trusted.networks)?,
        dmarc: match config.judge.dmarc.as_str() {
            "enforce" => Mode::Enforce,
            "observe" => Mode::Observe,
            "off" => Mode::Off,
            other => {
                let text = format!("judge.dmarc: '{other}' is not enforce, observe or off");
                return Err(wrong(text));
            }
        },
        ..Settings::default()
    };
    let mut lists = Vec::new();
    for text in &config.judge.block_lists {
        let (zone, purpose) = match text.strip_suffix(" junk") {
            Some(zone) => (zone, Use::Junk),
            None => (text.as_str(), Use::Refuse),
        };
        let zone = Domain::parse(zone.trim()).ok().and_then(|zone| zone.to_ascii());
        let zone = zone.ok_or_else(|| {
            wrong(format!("judge.block_lists: '{text}' is not 'zen.example.org' or '… junk'"))
        })?;
        lists.push((zone, purpose));
    }
    settings.lists = Lists::new(lists).into();
    for text in &config.trusted.forwarders {
        match (text.parse(), Domain::parse(text)) {
            (Ok(network), _) => settings.forwarder_networks.push(network),
            (_, Ok(domain)) => settings.forwarder_domains.push(domain),
            _ => {
                let text = format!("trusted.forwarders: '{text}' is no network and no domain");
                return Err(wrong(text));
            }
        }
    }
    Ok(settings)
}
