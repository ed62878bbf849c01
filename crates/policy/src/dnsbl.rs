//! Lists of addresses in DNS. RFC 5782.
//!
//! Only 127.0.0.0/8 is an answer, and 127.255.255.0/24 says that the list does not want to be asked
//! like this. A list that answers anything else, or whose test entries are not as they must be,
//! says nothing about anybody: it is not asked for a while, and somebody is told.

use crate::limits::{LIST_CHECK_AGAIN, LIST_DISABLED, LIST_DISABLED_SHORTLY};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use sys::resolver::{DnsError, Resolver, reverse_name};

/// What a list is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Who is on it is refused.
    Refuse,
    /// The mail of who is on it goes into Junk.
    Junk,
}

/// Lists, and how they are.
#[derive(Debug, Default)]
pub struct Lists {
    lists: Vec<(String, Use)>,
    states: Mutex<HashMap<String, State>>,
}

/// All times are since the clock's start.
#[derive(Clone, Debug, Default)]
struct State {
    /// Its test entries were right then.
    checked: Option<Duration>,
    /// It is not asked before then, and why.
    disabled: Option<(Duration, String)>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Why the client is refused.
    pub refused: Option<String>,
    /// Why its mail goes into Junk.
    pub junk: Option<String>,
    /// Lists that were disabled just now: which, and why.
    pub alerts: Vec<String>,
}

/// Why a list says nothing.
struct Useless {
    why: String,
    pause: Duration,
}

impl Lists {
    /// These lists.
    pub fn new(lists: Vec<(String, Use)>) -> Lists {
        Lists { lists, states: Mutex::default() }
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Those that are not asked now, and why.
    pub fn disabled(&self, now: Duration) -> Vec<(String, String)> {
        let states = self.states();
        let why = |zone: &String| match &states.get(zone)?.disabled {
            Some((until, why)) if now < *until => Some((zone.clone(), why.clone())),
            _ => None,
        };
        self.lists.iter().filter_map(|(zone, _)| why(zone)).collect()
    }

    fn states(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks all lists about a client; the first that refuses it ends that.
    pub async fn ask(&self, resolver: &dyn Resolver, ip: IpAddr, now: Duration) -> Listed {
        let mut listed = Listed::default();
        for (zone, purpose) in &self.lists {
            let state = self.states().get(zone).cloned().unwrap_or_default();
            if state.disabled.is_some_and(|(until, _)| now < until) {
                continue;
            }
            let fresh = state.checked.is_some_and(|at| now < at + LIST_CHECK_AGAIN);
            let found = match fresh {
                true => look(resolver, zone, ip).await,
                false => match check(resolver, zone).await {
                    Ok(()) => {
                        let state = State { checked: Some(now), disabled: None };
                        self.states().insert(zone.clone(), state);
                        look(resolver, zone, ip).await
                    }
                    Err(useless) => Err(useless),
                },
            };
            match (found, purpose) {
                (Ok(false), _) => {}
                (Ok(true), Use::Refuse) => {
                    listed.refused = Some(format!("{ip} is listed by {zone}"));
                    break;
                }
                (Ok(true), Use::Junk) => {
                    listed.junk.get_or_insert(format!("{ip} is listed by {zone}"));
                }
                (Err(Useless { why, pause }), _) => {
                    let minutes = pause.as_secs() / 60;
                    listed.alerts.push(format!("{zone} is not asked for {minutes} minutes: {why}"));
                    let state = State { checked: None, disabled: Some((now + pause, why)) };
                    self.states().insert(zone.clone(), state);
                }
            }
        }
        listed
    }
}

/// The name that a list has for an address. RFC 5782 §2.1, §2.4.
fn name(zone: &str, ip: IpAddr) -> String {
    let ip = match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        v4 => v4,
    };
    let reverse = reverse_name(ip);
    let labels = reverse.trim_end_matches("in-addr.arpa").trim_end_matches("ip6.arpa");
    format!("{labels}{zone}")
}

/// The address is on the list.
async fn look(resolver: &dyn Resolver, zone: &str, ip: IpAddr) -> Result<bool, Useless> {
    let answers = match resolver.ipv4(&name(zone, ip)).await {
        Ok(answers) => answers,
        Err(DnsError::NoSuchName | DnsError::NoRecord) => return Ok(false),
        Err(error) => {
            return Err(Useless { why: error.to_string(), pause: LIST_DISABLED_SHORTLY });
        }
    };
    let means = |answer: &IpAddr| {
        matches!(answer, IpAddr::V4(v4)
            if v4.octets()[0] == 127 && v4.octets()[1..3] != [255, 255])
    };
    match answers.iter().find(|answer| !means(answer)) {
        Some(answer) => Err(Useless {
            why: format!("it answers {answer}, which says nothing about {ip}"),
            pause: LIST_DISABLED,
        }),
        None => Ok(true),
    }
}

/// 127.0.0.2 is on every list, 127.0.0.1 on none. RFC 5782 §5.
async fn check(resolver: &dyn Resolver, zone: &str) -> Result<(), Useless> {
    for (last, wanted) in [(2, true), (1, false)] {
        let ip = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
        if look(resolver, zone, ip).await? != wanted {
            let is = if wanted { "not on it" } else { "on it" };
            let why = format!("{ip} is {is}, so it is no list, or does not answer us");
            return Err(Useless { why, pause: LIST_DISABLED });
        }
    }
    Ok(())
}
