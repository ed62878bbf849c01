//! Rates: failed logins by address, recipients by account. security.md AU-2, users.md S-21, S-36.
//!
//! Judges only: a verdict says what to do, callers report what happened. Invariants: loopback and
//! private addresses, proxies, and those that logged in lately, are never banned; nobody waits for
//! what others did behind an address that hides its clients; memory is bounded.

use crate::limits::*;
use crate::network::Network;
use mail::AccountId;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A network that failures are counted for: an IPv4 address or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(ip: IpAddr) -> Source {
        match ip.to_canonical() {
            IpAddr::V4(v4) => Source(v4.into()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Source(IpAddr::from([a, b, c, d, 0, 0, 0, 0]))
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => ip.fmt(f),
            IpAddr::V6(ip) => write!(f, "{ip}/64"),
        }
    }
}

impl Source {
    /// An address of it.
    pub fn address(self) -> IpAddr {
        self.0
    }

    /// A private address that is not our own: perhaps a gateway that others are behind.
    fn is_gateway(self) -> bool {
        // The /64 of ::1 is the one of ::.
        self.is_near() && !self.0.is_loopback() && !self.0.is_unspecified()
    }

    /// Addresses that many people share or that are ours: never banned.
    fn is_near(self) -> bool {
        match self.0 {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            IpAddr::V6(ip) => {
                ip.segments().first().is_some_and(|s| s & 0xfe00 == 0xfc00 || s & 0xffc0 == 0xfe80)
                    || ip.segments() == [0; 8]
            }
        }
    }
}

/// How much is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Failed logins before an address is banned; 0 bans nobody.
    pub ban_after: u32,
    /// How long a ban lasts.
    pub ban_for: Duration,
    /// Recipients an account may send to in an hour; 0 is any number.
    pub recipients_per_hour: u32,
    /// Recipients an account may send to in a day; 0 is any number.
    pub recipients_per_day: u32,
    /// Recipients elsewhere whom an account never wrote to before, in a day; 0 is any number.
    pub strangers_per_day: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            ban_after: 20,
            ban_for: Duration::from_secs(3600),
            recipients_per_hour: 300,
            recipients_per_day: 1000,
            strangers_per_day: 200,
        }
    }
}

/// May somebody there try to log in?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// At once.
    Go,
    /// After so long: the more failures, the longer.
    Wait(Duration),
    /// Not for so long.
    Banned(Duration),
}

/// A ban, as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Who.
    pub source: Source,
    /// Failed logins that led to it; 0 when an operator did.
    pub failures: u32,
    /// How long it still lasts.
    pub left: Duration,
}

/// May an account send to one more recipient?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// Yes, and it is counted.
    Go,
    /// Not before so long.
    Later {
        /// How long.
        wait: Duration,
        /// The administrator has not heard of it lately.
        news: bool,
    },
}

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    failures: u32,
    last: Duration,
    good_until: Duration,
    banned_until: Duration,
}

impl Peer {
    /// Failures, of which half are forgiven every ten minutes.
    fn failures(&self, now: Duration) -> u32 {
        let halves = now.saturating_sub(self.last).as_secs() / FORGIVE.as_secs();
        self.failures.checked_shr(u32::try_from(halves).unwrap_or(u32::MAX)).unwrap_or(0)
    }

    fn matters(&self, now: Duration) -> bool {
        self.banned_until > now || self.good_until > now || self.failures(now) > 0
    }
}

/// Recipients counted since the beginning of a span.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    since: Duration,
    n: u32,
}

impl Count {
    fn roll(&mut self, span: Duration, now: Duration) {
        if now.saturating_sub(self.since) >= span {
            *self = Count { since: now, n: 0 };
        }
    }

    fn wait(&self, span: Duration, most: u32, now: Duration) -> Option<Duration> {
        (most > 0 && self.n >= most).then(|| (self.since + span).saturating_sub(now))
    }
}

/// What an account sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    hour: Count,
    day: Count,
    strangers: Count,
    told: Option<Duration>,
}

impl Sent {
    fn new(now: Duration) -> Sent {
        let fresh = Count { since: now, n: 0 };
        Sent { hour: fresh, day: fresh, strangers: fresh, told: None }
    }

    /// Not before so long; the administrator hears of it now and then.
    fn later(&mut self, wait: Duration, now: Duration) -> Sending {
        let news = self.told.is_none_or(|told| now >= told + TELL_AGAIN);
        if news {
            self.told = Some(now);
        }
        Sending::Later { wait, news }
    }
}

#[derive(Default)]
struct State {
    peers: HashMap<Source, Peer>,
    accounts: HashMap<AccountId, Sent>,
    /// Accounts that logged in from private addresses.
    gateways: HashMap<Source, BTreeSet<AccountId>>,
    /// How often the bans changed.
    changes: u64,
}

impl State {
    fn hides_clients(&self, source: Source) -> bool {
        self.gateways.get(&source).is_some_and(|accounts| accounts.len() >= HIDING_ACCOUNTS)
    }
}

/// The counts.
pub struct Guard {
    settings: Settings,
    /// Whose failures are those of others.
    proxies: Vec<Network>,
    state: Mutex<State>,
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

impl Guard {
    /// Nothing counted yet.
    pub fn new(settings: Settings) -> Guard {
        Guard { settings, proxies: Vec::new(), state: Mutex::default() }
    }

    /// Proxies, who are never slowed down and never banned.
    pub fn sparing(self, proxies: Vec<Network>) -> Guard {
        Guard { proxies, ..self }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before a password is looked at. `now` is monotonic time.
    pub fn before_login(&self, ip: IpAddr, now: Duration) -> Login {
        let state = self.state();
        let source = Source::from(ip);
        // Its neighbours in a /64 may be banned.
        if state.hides_clients(source) || self.is_proxy(ip) {
            return Login::Go;
        }
        let Some(peer) = state.peers.get(&source) else { return Login::Go };
        if peer.banned_until > now {
            return Login::Banned(peer.banned_until - now);
        }
        match peer.failures(now).checked_sub(FREE_FAILURES) {
            None | Some(0) => Login::Go,
            Some(over) => {
                let seconds = 1u64.checked_shl(over - 1).unwrap_or(u64::MAX);
                Login::Wait(Duration::from_secs(seconds).min(LOGIN_DELAY_MAX))
            }
        }
    }

    /// Connections of a banned address are not worth a session, but for port 25 (users.md S-21).
    pub fn is_banned(&self, ip: IpAddr, now: Duration) -> bool {
        matches!(self.before_login(ip, now), Login::Banned(_))
    }

    /// Somebody logged in: their address is known to be good for a while. Tells when it is found
    /// out that clients' addresses are hidden behind this one.
    pub fn login_succeeded(&self, ip: IpAddr, account: AccountId, now: Duration) -> bool {
        let mut state = self.state();
        make_room(&mut state.peers, now);
        let source = Source::from(ip);
        let known = state.gateways.contains_key(&source);
        let mut found = false;
        if source.is_gateway() && (known || state.gateways.len() < GATEWAYS_MAX) {
            let accounts = state.gateways.entry(source).or_default();
            let before = accounts.len();
            if before < HIDING_ACCOUNTS {
                accounts.insert(account);
                found = accounts.len() >= HIDING_ACCOUNTS;
            }
        }
        let peer = state.peers.entry(ip.into()).or_default();
        peer.failures = 0;
        peer.good_until = now + KNOWN_GOOD;
        found
    }

    /// Somebody failed to log in. Tells of the ban that follows, if one does.
    pub fn login_failed(&self, ip: IpAddr, now: Duration) -> Option<Ban> {
        let source = Source::from(ip);
        let mut state = self.state();
        if state.hides_clients(source) || self.is_proxy(ip) {
            return None;
        }
        make_room(&mut state.peers, now);
        let peer = state.peers.entry(source).or_default();
        peer.failures = peer.failures(now).saturating_add(1);
        peer.last = now;
        let Settings { ban_after, ban_for, .. } = self.settings;
        let spared = source.is_near() || peer.good_until > now || ban_after == 0;
        if spared || peer.failures < ban_after {
            return None;
        }
        peer.banned_until = now + ban_for;
        let failures = peer.failures;
        state.changes += 1;
        Some(Ban { source, failures, left: ban_for })
    }

    /// Bans that last, by address.
    pub fn bans(&self, now: Duration) -> Vec<Ban> {
        let state = self.state();
        let banned = state.peers.iter().filter(|(_, peer)| peer.banned_until > now);
        let mut bans: Vec<Ban> = banned
            .map(|(source, peer)| Ban {
                source: *source,
                failures: peer.failures,
                left: peer.banned_until - now,
            })
            .collect();
        bans.sort_by_key(|ban| ban.source);
        bans
    }

    /// A number that grows when a ban begins or is lifted.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// An operator bans an address. Not this machine and no proxy: everybody would be out.
    pub fn ban(&self, ip: IpAddr, how_long: Duration, now: Duration) -> bool {
        if self.is_spared(ip) {
            return false;
        }
        self.restore(&[Ban { source: ip.into(), failures: 0, left: how_long }], now);
        true
    }

    fn is_spared(&self, ip: IpAddr) -> bool {
        // The /64 of ::1 is the one of ::.
        ip.is_loopback() || ip.is_unspecified() || self.is_proxy(ip)
    }

    fn is_proxy(&self, ip: IpAddr) -> bool {
        self.proxies.iter().any(|proxy| proxy.contains(ip))
    }

    /// Bans of before a restart. Proxies may have been named since.
    pub fn restore(&self, bans: &[Ban], now: Duration) {
        let mut state = self.state();
        for ban in bans.iter().filter(|ban| !self.is_spared(ban.source.0)) {
            make_room(&mut state.peers, now);
            let peer = state.peers.entry(ban.source).or_default();
            let until = now.saturating_add(ban.left);
            (peer.failures, peer.last, peer.banned_until) = (ban.failures, now, until);
        }
        state.changes += 1;
    }

    /// An operator lifts a ban and forgives; whether there was one.
    pub fn lift(&self, ip: IpAddr, now: Duration) -> bool {
        let mut state = self.state();
        state.changes += 1;
        let gone = state.peers.remove(&ip.into());
        gone.is_some_and(|peer| peer.banned_until > now)
    }

    /// An account sends to one more recipient.
    pub fn recipient(&self, account: AccountId, now: Duration) -> Sending {
        let Settings { recipients_per_hour, recipients_per_day, .. } = self.settings;
        let mut state = self.state();
        let sent = state.accounts.entry(account).or_insert_with(|| Sent::new(now));
        sent.hour.roll(HOUR, now);
        sent.day.roll(DAY, now);
        let waits = [
            sent.hour.wait(HOUR, recipients_per_hour, now),
            sent.day.wait(DAY, recipients_per_day, now),
        ];
        if let Some(wait) = waits.into_iter().flatten().max() {
            return sent.later(wait, now);
        }
        sent.hour.n += 1;
        sent.day.n += 1;
        Sending::Go
    }

    /// Recipients whom an account never wrote to are counted.
    pub fn counts_strangers(&self) -> bool {
        self.settings.strangers_per_day > 0
    }

    /// An account sends to somebody elsewhere whom it never wrote to before.
    pub fn stranger(&self, account: AccountId, now: Duration) -> Sending {
        let most = self.settings.strangers_per_day;
        let mut state = self.state();
        let sent = state.accounts.entry(account).or_insert_with(|| Sent::new(now));
        sent.strangers.roll(DAY, now);
        if let Some(wait) = sent.strangers.wait(DAY, most, now) {
            return sent.later(wait, now);
        }
        sent.strangers.n += 1;
        Sending::Go
    }

    /// An operator lets an account send again.
    pub fn release(&self, account: AccountId) -> bool {
        self.state().accounts.remove(&account).is_some()
    }
}

/// Forgets what does not matter any more when there are too many; all but bans when all matter.
fn make_room(peers: &mut HashMap<Source, Peer>, now: Duration) {
    if peers.len() >= PEERS_MAX {
        peers.retain(|_, peer| peer.matters(now));
    }
    if peers.len() >= PEERS_MAX {
        peers.retain(|_, peer| peer.banned_until > now);
    }
    if peers.len() >= PEERS_MAX {
        peers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn au_2_failures_slow_down_then_ban_and_are_forgiven() {
        let guard = Guard::new(Settings::default());
        let peer = ip("192.0.2.1");
        for n in 1..=19 {
            assert_eq!(guard.login_failed(peer, at(n)), None);
            let verdict = guard.before_login(peer, at(n));
            let wait = match n {
                0..=3 => Login::Go,
                4..=7 => Login::Wait(at(1 << (n - 4))),
                _ => Login::Wait(LOGIN_DELAY_MAX),
            };
            assert_eq!(verdict, wait, "after {n}");
        }
        let ban = guard.login_failed(peer, at(20)).unwrap();
        assert_eq!((ban.failures, ban.left), (20, at(3600)));
        assert!(guard.is_banned(peer, at(3000)) && !guard.is_banned(ip("192.0.2.2"), at(3000)));
        assert_eq!(guard.bans(at(21)).len(), 1);
        assert!(!guard.is_banned(peer, at(3621)), "a ban ends by itself");
        assert!(guard.ban(peer, at(10), at(4000)));
        assert!(guard.lift(peer, at(4001)) && !guard.lift(peer, at(4001)));
        assert_eq!(guard.before_login(peer, at(4001)), Login::Go);
    }

    #[test]
    fn au_2_near_and_known_good_addresses_are_never_banned() {
        for near in ["127.0.0.1", "10.1.2.3", "192.168.0.1", "::1", "fe80::1", "fd00::1"] {
            let guard = Guard::new(Settings::default());
            assert!((0..100).all(|n| guard.login_failed(ip(near), at(n)).is_none()), "{near}");
        }
        let guard = Guard::new(Settings::default());
        guard.login_succeeded(ip("192.0.2.1"), AccountId(1), at(0));
        assert!((0..100).all(|n| guard.login_failed(ip("192.0.2.1"), at(n)).is_none()));
        // A whole /64 is one source.
        for n in 0..20 {
            guard.login_failed(ip(&format!("2001:db8::{n}")), at(n));
        }
        assert!(guard.is_banned(ip("2001:db8::ffff"), at(21)));
        assert!(!guard.is_banned(ip("2001:db8:0:1::1"), at(21)));
    }

    #[test]
    fn proxies_are_never_slowed_down() {
        let guard = Guard::new(Settings::default()).sparing(vec!["192.0.2.0/24".parse().unwrap()]);
        assert!((0..100).all(|n| guard.login_failed(ip("192.0.2.7"), at(n)).is_none()));
        assert_eq!(guard.before_login(ip("192.0.2.7"), at(100)), Login::Go);
        assert!((0..100).any(|n| guard.login_failed(ip("192.0.3.7"), at(n)).is_some()));
    }

    #[test]
    fn nobody_bans_this_machine_or_a_proxy() {
        let proxies = vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::7/128".parse().unwrap()];
        let guard = Guard::new(Settings::default()).sparing(proxies);
        for spared in ["127.0.0.1", "127.9.0.1", "::1", "192.0.2.7", "2001:db8::7"] {
            assert!(!guard.ban(ip(spared), at(60), at(0)), "{spared}");
            assert!(!guard.is_banned(ip(spared), at(1)), "{spared}");
        }
        assert!(guard.ban(ip("2001:db8::8"), at(60), at(0)), "a neighbour of the proxy");
        assert!(guard.is_banned(ip("2001:db8::8"), at(1)));
        assert!(!guard.is_banned(ip("2001:db8::7"), at(1)));
        assert!(guard.ban(ip("198.51.100.1"), Duration::MAX, at(0)), "for ever");
        assert!(guard.ban(ip("10.0.0.1"), at(60), at(0)), "an operator may");
        let before = Guard::new(Settings::default());
        assert!(before.ban(ip("192.0.2.7"), at(60), at(0)));
        guard.restore(&before.bans(at(1)), at(1));
        assert!(!guard.is_banned(ip("192.0.2.7"), at(2)), "it is a proxy now");
    }

    #[test]
    fn nobody_waits_behind_an_address_that_hides_its_clients() {
        let guard = Guard::new(Settings::default());
        let (gateway, user) = (ip("172.17.0.1"), AccountId);
        for n in 0..10 {
            guard.login_failed(gateway, at(n));
        }
        assert!(matches!(guard.before_login(gateway, at(10)), Login::Wait(_)));
        assert!((1..5).all(|n| !guard.login_succeeded(gateway, user(n), at(10))));
        assert!(!guard.login_succeeded(gateway, user(1), at(10)), "four accounts are a household");
        assert!(guard.login_succeeded(gateway, user(5), at(10)), "five are not");
        assert!(!guard.login_succeeded(gateway, user(6), at(10)), "that is said once");
        for n in 0..100 {
            assert_eq!(guard.login_failed(gateway, at(11 + n)), None);
        }
        assert_eq!(guard.before_login(gateway, at(111)), Login::Go);
        // Neither loopback nor the world is a gateway.
        for other in ["127.0.0.1", "::1", "192.0.2.1"] {
            assert!((1..20).all(|n| !guard.login_succeeded(ip(other), user(n), at(10))), "{other}");
        }
    }

    #[test]
    fn bans_go_from_one_guard_to_the_next() {
        let (old, new) = (Guard::new(Settings::default()), Guard::new(Settings::default()));
        let begun = old.changes();
        assert!(old.ban(ip("192.0.2.1"), at(600), at(50)));
        for n in 0..20 {
            old.login_failed(ip("2001:db8::1"), at(n));
        }
        assert!(old.changes() >= begun + 2);
        new.restore(&old.bans(at(100)), at(7));
        let left: Vec<Duration> = new.bans(at(7)).into_iter().map(|ban| ban.left).collect();
        assert_eq!(left, [at(550), at(3519)]);
        assert!(new.is_banned(ip("2001:db8::2"), at(3525)));
        let told = new.changes();
        assert!(new.lift(ip("192.0.2.1"), at(8)) && new.changes() > told);
    }

    #[test]
    fn au_2_memory_is_bounded() {
        let guard = Guard::new(Settings::default());
        for n in 0..(PEERS_MAX as u32 + 10) {
            guard.login_failed(IpAddr::from((0x0b00_0000 + n).to_be_bytes()), at(1));
        }
        assert!(guard.state().peers.len() <= PEERS_MAX);
    }

    #[test]
    fn recipients_are_counted_by_hour_and_day() {
        let settings =
            Settings { recipients_per_hour: 2, recipients_per_day: 3, ..Settings::default() };
        let guard = Guard::new(settings);
        let account = AccountId(1);
        assert_eq!(guard.recipient(account, at(10)), Sending::Go);
        assert_eq!(guard.recipient(account, at(20)), Sending::Go);
        let later = |wait, news| Sending::Later { wait: at(wait), news };
        assert_eq!(guard.recipient(account, at(30)), later(3580, true));
        assert_eq!(guard.recipient(account, at(31)), later(3579, false));
        assert_eq!(guard.recipient(AccountId(2), at(30)), Sending::Go);
        assert_eq!(guard.recipient(account, at(4000)), Sending::Go);
        assert_eq!(guard.recipient(account, at(4001)), later(86_410 - 4001, false));
        assert!(guard.release(account));
        assert_eq!(guard.recipient(account, at(4002)), Sending::Go);
    }

    #[test]
    fn strangers_are_counted_by_day() {
        let settings = Settings { strangers_per_day: 2, ..Settings::default() };
        let guard = Guard::new(settings);
        let account = AccountId(1);
        assert_eq!(guard.stranger(account, at(10)), Sending::Go);
        assert_eq!(guard.stranger(account, at(20)), Sending::Go);
        let later = |wait, news| Sending::Later { wait: at(wait), news };
        assert_eq!(guard.stranger(account, at(30)), later(86_380, true));
        assert_eq!(guard.stranger(account, at(40)), later(86_370, false));
        assert_eq!(guard.recipient(account, at(40)), Sending::Go, "known ones may get mail");
        assert!(guard.release(account));
        assert_eq!(guard.stranger(account, at(50)), Sending::Go);
        let guard = Guard::new(Settings { strangers_per_day: 0, ..settings });
        assert!(!guard.counts_strangers());
        assert!((0..2000).all(|n| guard.stranger(account, at(n)) == Sending::Go));
    }
}
