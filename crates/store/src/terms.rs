//! What a sender asked for beyond delivery itself, packed into two numbers.
//!
//! They stand where the first layouts had BODY=8BITMIME and SMTPUTF8 alone: bit 0 is still that,
//! and rows without further terms are the same as ever.

/// What happens when a message is late. RFC 2852 §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByMode {
    /// `N`: the sender is told.
    Notify,
    /// `R`: it comes back.
    Return,
}

/// BY. RFC 2852 §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliverBy {
    /// The deliver-by-time, seconds since 1970.
    pub at: i64,
    /// What happens then.
    pub mode: ByMode,
    /// `T`: the sender hears of every relay.
    pub trace: bool,
}

/// HOLDFOR, HOLDUNTIL. RFC 4865 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Not before then, seconds since 1970.
    pub at: i64,
    /// The sender named this time (HOLDUNTIL), not a span.
    pub until: bool,
}

/// The terms of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// BODY=8BITMIME was said. RFC 6152.
    pub body8: bool,
    /// REQUIRETLS was said. RFC 8689.
    pub require_tls: bool,
    /// MT-PRIORITY, -9 to 9. RFC 6710.
    pub priority: i8,
    /// BY. RFC 2852.
    pub by: Option<DeliverBy>,
    /// There are recipients here among those in the queue: their mailboxes were full.
    pub waits: bool,
    /// In mailboxes here it goes into Junk: so it was judged when it came.
    pub junk: bool,
    /// HOLDFOR, HOLDUNTIL. RFC 4865. In a number of its own: [`Terms::pack_hold`].
    pub hold: Option<Hold>,
}

const BODY8: i64 = 1;
const REQUIRE_TLS: i64 = 1 << 1;
/// Six bits of priority, in two's complement.
const PRIORITY: u32 = 2;
const BY: i64 = 1 << 8;
const BY_RETURN: i64 = 1 << 9;
const BY_TRACE: i64 = 1 << 10;
const WAITS: i64 = 1 << 11;
const JUNK: i64 = 1 << 12;
/// The seconds of the deliver-by-time take what is left.
const BY_AT: u32 = 16;

impl Terms {
    /// The number.
    pub fn pack(&self) -> i64 {
        let flag = |on: bool, bit| if on { bit } else { 0 };
        let priority = (i64::from(self.priority) & 0x3f) << PRIORITY;
        let by = self.by.map_or(0, |by| {
            let at = by.at.clamp(0, i64::MAX >> BY_AT) << BY_AT;
            BY | flag(by.mode == ByMode::Return, BY_RETURN) | flag(by.trace, BY_TRACE) | at
        });
        let flags = flag(self.body8, BODY8) | flag(self.require_tls, REQUIRE_TLS);
        flags | flag(self.waits, WAITS) | flag(self.junk, JUNK) | priority | by
    }

    /// The number of [`Terms::hold`]; 0 for none. It leaves the highest two bits free.
    pub fn pack_hold(&self) -> i64 {
        let form = |hold: Hold| if hold.until { 3 } else { 2 };
        self.hold.map_or(0, |hold| hold.at.clamp(0, i64::MAX >> 4) << 2 | form(hold))
    }

    /// These terms with what [`Terms::pack_hold`] made.
    pub fn with_hold(self, packed: i64) -> Terms {
        let hold = Hold { at: packed >> 2, until: packed & 1 != 0 };
        Terms { hold: (packed & 2 != 0).then_some(hold), ..self }
    }

    /// When a message that came at `arrived` may go.
    pub fn release(&self, arrived: i64) -> i64 {
        self.hold.map_or(arrived, |hold| hold.at.max(arrived))
    }

    /// Reads the number.
    pub fn unpack(packed: i64) -> Terms {
        let on = |bit| packed & bit != 0;
        let priority = ((packed >> PRIORITY) & 0x3f) as i8;
        let by = DeliverBy {
            at: packed >> BY_AT,
            mode: if on(BY_RETURN) { ByMode::Return } else { ByMode::Notify },
            trace: on(BY_TRACE),
        };
        Terms {
            body8: on(BODY8),
            require_tls: on(REQUIRE_TLS),
            priority: if priority >= 0x20 { priority - 0x40 } else { priority }.clamp(-9, 9),
            by: on(BY).then_some(by),
            waits: on(WAITS),
            junk: on(JUNK),
            hold: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_round_trip_and_rows_of_before_mean_the_same() {
        assert_eq!(Terms::unpack(0), Terms::default());
        assert_eq!(Terms::unpack(1), Terms { body8: true, ..Terms::default() });
        let by = DeliverBy { at: 1_800_000_000, mode: ByMode::Return, trace: true };
        for priority in -9..=9 {
            let told = DeliverBy { mode: ByMode::Notify, trace: false, ..by };
            for by in [None, Some(by), Some(told)] {
                let until = by.is_some();
                let hold = (priority > 3).then_some(Hold { at: 1_900_000_000, until });
                let (require_tls, waits) = (priority > 0, priority % 2 == 0);
                let junk = priority % 3 == 0;
                let terms = Terms { require_tls, priority, by, waits, junk, hold, body8: false };
                let read = Terms::unpack(terms.pack()).with_hold(terms.pack_hold());
                assert_eq!(read, terms);
                assert_eq!(read.release(7), if hold.is_some() { 1_900_000_000 } else { 7 });
            }
        }
    }
}
