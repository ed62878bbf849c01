//! Mail that an alias here sends on comes from us: SPF of its sender's domain (RFC 7208 §2.4) does
//! not name us, and so the envelope sender becomes an address here, by the Sender Rewriting Scheme
//! (M. Weng Wong and S. Quintin, "The Sender Rewriting Scheme", 2004; no RFC has it):
//!
//! - `SRS0=TAG=DAY=DOMAIN=LOCAL@here` for `LOCAL@DOMAIN`,
//! - `SRS1=TAG=FORWARDER=REST@here` for `SRS0REST@FORWARDER`, which another server made so, or for
//!   `SRS1=…=FORWARDER=REST@other`: however often it is sent on, a report takes two steps back.
//!
//! A report to such an address goes to whom it was made for; without a tag of ours it is nobody's,
//! so that nobody can send through us what others would not take from him (security.md SM-9).

use crate::limits::{
    FORWARDED_DAYS, FORWARDED_OCTETS_MAX, FORWARDING_KEY_DAYS, FORWARDING_KEY_OCTETS,
};
use crate::{Directory, Unavailable};
use aws_lc_rs::{constant_time, hmac};
use mail::{Address, Domain};

const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// The mark of a sender that was rewritten, and of one that was already.
const FIRST: &str = "SRS0";
const AGAIN: &str = "SRS1";
/// Digits of a tag: 50 bits.
const TAG_DIGITS: usize = 10;
/// The day is told modulo so many, as two digits.
const DAYS: i64 = 1024;

/// What is before the `@` of an envelope sender that somebody rewrote.
enum Rewritten<'a> {
    /// Tag, and what it vouches for: `DAY=DOMAIN=LOCAL`.
    First(&'a str, &'a str),
    /// Tag, and what it vouches for: `FORWARDER=REST`.
    Again(&'a str, &'a str),
}

impl Rewritten<'_> {
    fn read(local: &str) -> Option<Rewritten<'_>> {
        // The mark between the first two may be another one: some write `SRS0+` or `SRS0-`.
        let rest = local.get(4..)?.strip_prefix(['=', '+', '-'])?;
        let (tag, rest) = rest.split_once('=')?;
        match local.get(..4)? {
            kind if kind.eq_ignore_ascii_case(FIRST) => Some(Rewritten::First(tag, rest)),
            kind if kind.eq_ignore_ascii_case(AGAIN) => Some(Rewritten::Again(tag, rest)),
            _ => None,
        }
    }
}

/// Some of the octets in capital letters and digits: they survive who changes the case.
fn digits(octets: &[u8], count: usize) -> String {
    let bit = |n: usize| octets.get(n / 8).is_some_and(|octet| octet >> (7 - n % 8) & 1 == 1);
    let value =
        |at: usize| (at * 5..at * 5 + 5).fold(0, |value, n| value << 1 | usize::from(bit(n)));
    (0..count).filter_map(|at| DIGITS.get(value(at))).map(|digit| char::from(*digit)).collect()
}

/// What vouches for a text behind that mark at one of our domains, whatever the case. `SRS1` takes
/// over text of others, which must never do as that of an `SRS0` of ours.
fn tag(key: &[u8], mark: &str, text: &str, here: &Domain) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let tag = hmac::sign(&key, format!("{mark}={}@{here}", text.to_lowercase()).as_bytes());
    digits(tag.as_ref(), TAG_DIGITS)
}

/// Seconds since 1970 as two digits.
fn day(now: i64) -> String {
    let day = now.div_euclid(86_400).rem_euclid(DAYS) as u16;
    digits(&(day << 6).to_be_bytes(), 2)
}

/// Days since that day; none if it is no day.
fn days_since(text: &str, now: i64) -> Option<i64> {
    if text.len() != 2 {
        return None;
    }
    let mut day = 0;
    for octet in text.bytes() {
        let digit = DIGITS.iter().position(|d| *d == octet.to_ascii_uppercase())?;
        day = day * 32 + digit as i64;
    }
    let today = now.div_euclid(86_400).rem_euclid(DAYS);
    Some((today - day).rem_euclid(DAYS))
}

/// The new sender; none when it would be too long to be an address.
fn rewritten(key: &[u8], sender: &Address, here: &Domain, now: i64) -> Option<Address> {
    let (mark, text) = match Rewritten::read(sender.local()) {
        // The first one's tag is its own to check.
        Some(Rewritten::First(..)) => {
            (AGAIN, format!("{}={}", sender.domain(), sender.local().get(4..)?))
        }
        Some(Rewritten::Again(_, rest)) => (AGAIN, rest.to_owned()),
        None => (FIRST, format!("{}={}={}", day(now), sender.domain(), sender.local())),
    };
    let local = format!("{mark}={}={text}", tag(key, mark, &text, here));
    let address = Address::new(&local, here.clone()).ok()?;
    (local.len() + 1 + here.as_str().len() <= FORWARDED_OCTETS_MAX).then_some(address)
}

/// Whom a rewritten sender was made for, if one of the keys vouches for it and it is not too old.
fn original(keys: &[Vec<u8>], address: &Address, now: i64) -> Option<Address> {
    let read = Rewritten::read(address.local())?;
    let (mark, given, text) = match read {
        Rewritten::First(given, text) => (FIRST, given, text),
        Rewritten::Again(given, text) => (AGAIN, given, text),
    };
    let given = given.to_ascii_uppercase();
    let vouches = |key: &Vec<u8>| {
        let wanted = tag(key, mark, text, address.domain());
        constant_time::verify_slices_are_equal(wanted.as_bytes(), given.as_bytes()).is_ok()
    };
    if !keys.iter().any(vouches) {
        return None;
    }
    match read {
        Rewritten::First(..) => {
            let (day, rest) = text.split_once('=')?;
            let (domain, local) = rest.split_once('=')?;
            days_since(day, now).filter(|days| *days <= FORWARDED_DAYS)?;
            Address::new(local, Domain::parse(domain).ok()?).ok()
        }
        Rewritten::Again(..) => {
            let (forwarder, rest) = text.split_once('=')?;
            Address::new(&format!("{FIRST}{rest}"), Domain::parse(forwarder).ok()?).ok()
        }
    }
}

impl Directory {
    /// The envelope sender of mail that an address at `here`, a domain of ours, sends on. It stays
    /// as it is when it is ours too, or would be too long.
    pub async fn forwarded_sender(
        &self,
        sender: &Address,
        here: &Domain,
    ) -> Result<Address, Unavailable> {
        if self.store.lookup(sender)?.domain.is_some() {
            return Ok(sender.clone());
        }
        let now = self.inner.clock.unix_seconds();
        let period = now.div_euclid(FORWARDING_KEY_DAYS * 86_400);
        let key = match self.store.forwarding_key(period)? {
            Some(key) => key,
            None => {
                let mut fresh = vec![0; FORWARDING_KEY_OCTETS];
                self.inner.random.fill(&mut fresh);
                self.store.make_forwarding_key(period, fresh).await?
            }
        };
        Ok(rewritten(&key, sender, here, now).unwrap_or_else(|| sender.clone()))
    }

    /// Whom a report to an address here is for, if it is a rewritten sender of ours.
    pub(crate) fn forwarded_for(&self, address: &Address) -> Result<Option<Address>, Unavailable> {
        if Rewritten::read(address.local()).is_none() {
            return Ok(None);
        }
        let keys = self.store.forwarding_keys()?;
        Ok(original(&keys, address, self.inner.clock.unix_seconds()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const NOW: i64 = 1_790_000_000;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }
    fn forward(sender: &Address, here: &str) -> Address {
        rewritten(&KEY, sender, &Domain::parse(here).unwrap(), NOW).unwrap()
    }
    fn back(address: &Address) -> Option<Address> {
        original(&[vec![9; 32], KEY.to_vec()], address, NOW)
    }

    #[test]
    fn a_report_finds_its_way_back_over_any_number_of_servers() {
        let sender = address("Ann=x@example.net");
        let first = forward(&sender, "one.example");
        assert!(first.local().starts_with("SRS0="), "{first}");
        assert!(first.local().ends_with("=example.net=Ann=x"), "{first}");
        assert_eq!(back(&first), Some(sender));
        let second = forward(&first, "two.example");
        assert!(second.local().starts_with("SRS1="), "{second}");
        assert_eq!(back(&second), Some(first.clone()));
        let third = forward(&second, "three.example");
        assert_eq!(third.local().len(), second.local().len());
        assert_eq!(back(&third), Some(first));
    }

    #[test]
    fn the_mark_of_other_programs_stays() {
        let theirs = address("srs0+abc=QQ=example.net=ann@other.example");
        let ours = forward(&theirs, "one.example");
        let returned = back(&ours).unwrap();
        assert_eq!(returned.to_string(), "SRS0+abc=QQ=example.net=ann@other.example");
    }

    #[test]
    fn case_is_not_looked_at() {
        let first = forward(&address("ann@example.net"), "one.example");
        assert_eq!(
            back(&address(&first.to_string().to_lowercase())),
            Some(address("ann@example.net"))
        );
    }

    #[test]
    fn what_is_forged_cut_off_or_old_leads_nowhere() {
        let good = forward(&address("ann@example.net"), "one.example").to_string();
        for at in 0..good.find('@').unwrap() {
            let mut cut = good.clone();
            cut.remove(at);
            assert_eq!(Address::parse(&cut).ok().and_then(|cut| back(&cut)), None, "{cut}");
        }
        for forged in [
            good.replace("example.net", "example.com"),
            good.replace("ann@", "bob@"),
            good.replace("one.example", "two.example"),
            "SRS0=@one.example".to_owned(),
            "SRS0==AA=example.net=ann@one.example".to_owned(),
            "SRS1=AAAAAAAAAA=one.example==x@one.example".to_owned(),
        ] {
            assert_eq!(back(&address(&forged)), None, "{forged}");
        }
        let good = address(&good);
        let days = |n: i64| original(&[KEY.to_vec()], &good, NOW + n * 86_400);
        assert_eq!(days(FORWARDED_DAYS), Some(address("ann@example.net")));
        assert_eq!(days(FORWARDED_DAYS + 1), None);
        assert_eq!(days(-1), None);
        assert_eq!(days(DAYS - 1), None);
        assert_eq!(original(&[vec![8; 32]], &good, NOW), None);
    }

    /// A stranger chooses the text that a tag of `SRS1` vouches for.
    #[test]
    fn a_tag_of_one_kind_is_none_of_the_other() {
        let today = day(NOW);
        for theirs in [
            format!("SRS1=x={today}=victim.example=ann@evil.example"),
            "SRS1=x=abcdefghijklmnopqrstuvwxyz=victim.example=ann@evil.example".to_owned(),
            "SRS0=x=y@abcdefghijklmnopqrstuvwxyz".to_owned(),
        ] {
            let ours = forward(&address(&theirs), "one.example");
            assert!(back(&ours).is_some(), "{ours}");
            let turned = ours.to_string().replacen("SRS1", "SRS0", 1);
            assert_eq!(back(&address(&turned)), None, "{turned}");
        }
    }

    #[test]
    fn an_address_too_long_stays() {
        let long = Address::new(&"x".repeat(230), Domain::parse("example.net").unwrap()).unwrap();
        assert_eq!(rewritten(&KEY, &long, &Domain::parse("one.example").unwrap(), NOW), None);
    }
}
