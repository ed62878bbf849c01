//! Dates of mail: RFC 5322 §3.3 and the obsolete forms of §4.3, in the proleptic Gregorian
//! calendar.

/// A moment taken apart, in some time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year, as 2026.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 60.
    pub second: u32,
    /// 0 is Sunday. Ignored by [`Civil::to_unix`].
    pub weekday: u32,
}

/// English month names, as RFC 5322 and RFC 9051 abbreviate them.
pub const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const DAY_SECONDS: i64 = 86_400;

impl Civil {
    /// From seconds since 1970, UTC, shown `offset` minutes east of Greenwich.
    pub fn from_unix(seconds: i64, offset: i32) -> Civil {
        let local = seconds.saturating_add(i64::from(offset) * 60);
        let days = local.div_euclid(DAY_SECONDS);
        let second = local.rem_euclid(DAY_SECONDS) as u32;
        let (year, month, day) = civil_from_days(days);
        Civil {
            year,
            month,
            day,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            weekday: (days + 4).rem_euclid(7) as u32,
        }
    }

    /// Seconds since 1970, UTC, when this is the time `offset` minutes east of Greenwich. `None`
    /// for what no calendar has, such as 31 February.
    pub fn to_unix(self, offset: i32) -> Option<i64> {
        let days_in_month = days_in_month(self.year, self.month)?;
        let fine = (1..=9999).contains(&self.year)
            && (1..=days_in_month).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second <= 60;
        if !fine {
            return None;
        }
        let time = i64::from(self.hour * 3600 + self.minute * 60 + self.second);
        let days = days_from_civil(self.year, self.month, self.day);
        Some(days * DAY_SECONDS + time - i64::from(offset) * 60)
    }
}

fn days_in_month(year: i64, month: u32) -> Option<u32> {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

/// Days since 1970-01-01, counting years from March so that leap days come last.
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted = i64::from((month + 9) % 12);
    let day_of_year = (153 * shifted + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u32;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 } as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// `Mon, 23 Nov 2026 00:10:22 +0000`, in UTC. RFC 5322 §3.3.
pub fn format_rfc5322(unix_seconds: i64) -> String {
    let c = Civil::from_unix(unix_seconds, 0);
    let day = DAYS.get(c.weekday as usize).copied().unwrap_or("Sun");
    let month = MONTHS.get(c.month as usize - 1).copied().unwrap_or("Jan");
    format!(
        "{day}, {} {month} {:04} {:02}:{:02}:{:02} +0000",
        c.day, c.year, c.hour, c.minute, c.second
    )
}

/// `2026-11-23T00:10:22Z`. RFC 3339 §5.6.
pub fn format_rfc3339(unix_seconds: i64) -> String {
    let c = Civil::from_unix(unix_seconds, 0);
    let (hour, minute, second) = (c.hour, c.minute, c.second);
    format!("{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", c.year, c.month, c.day)
}

/// The month of an English name or its first three letters, 1 to 12.
pub fn month_number(name: &[u8]) -> Option<u32> {
    let start = name.get(..3)?;
    let at = MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(start))?;
    Some(at as u32 + 1)
}

/// Reads the value of a Date field: seconds since 1970, UTC. Comments, two-digit years and the
/// zones of RFC 5322 §4.3 are understood; an unknown zone counts as UTC.
pub fn parse_rfc5322(value: &[u8]) -> Option<i64> {
    let (civil, offset) = civil_rfc5322(value)?;
    civil.to_unix(offset)
}

/// The same, but by the sender's clock, as if its zone were UTC: SENTON and its kin disregard the
/// zone (RFC 3501 §6.4.4).
pub fn parse_rfc5322_local(value: &[u8]) -> Option<i64> {
    civil_rfc5322(value)?.0.to_unix(0)
}

fn civil_rfc5322(value: &[u8]) -> Option<(Civil, i32)> {
    let text = without_comments(value);
    let mut words = text.split(|b| b.is_ascii_whitespace() || *b == b',').filter(|w| !w.is_empty());
    let mut word = words.next()?;
    if !word.first()?.is_ascii_digit() {
        word = words.next()?;
    }
    let day = number(word)?;
    let month = month_number(words.next()?)?;
    let year_word = words.next()?;
    let year = i64::from(number(year_word)?);
    let year = match year_word.len() {
        2 if year < 50 => year + 2000,
        2 | 3 => year + 1900,
        _ => year,
    };
    let mut time = words.next()?.split(|b| *b == b':');
    let hour = number(time.next()?)?;
    let minute = number(time.next()?)?;
    let second = time.next().map_or(Some(0), number)?;
    let offset = words.next().map_or(0, zone);
    Some((Civil { year, month, day, hour, minute, second, weekday: 0 }, offset))
}

/// Reads `1985-04-12T23:20:50.52Z` or with `-08:00` at its end: whole seconds since 1970, UTC.
/// RFC 3339 §5.6.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let (day, time) = text.split_once(['T', 't'])?;
    let mut day = day.splitn(3, '-').map(|word| number(word.as_bytes()));
    let (year, month, day) = (day.next()??, day.next()??, day.next()??);
    let at = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at_checked(at)?;
    let offset = match zone.strip_prefix(['Z', 'z']) {
        Some(rest) => rest.is_empty().then_some(0)?,
        None => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let minutes = number(hours.as_bytes())? * 60 + number(minutes.as_bytes())?;
            if zone.starts_with('-') { -(minutes as i32) } else { minutes as i32 }
        }
    };
    // A leap second counts as the one before it; parts of a second are passed over.
    let mut time = time.split_once('.').map_or(time, |(whole, _)| whole).splitn(3, ':');
    let mut next = || number(time.next()?.as_bytes());
    let (hour, minute, second) = (next()?, next()?, next()?.min(59));
    Civil { year: i64::from(year), month, day, hour, minute, second, weekday: 0 }.to_unix(offset)
}

fn without_comments(value: &[u8]) -> Vec<u8> {
    let mut depth = 0u32;
    let mut out = Vec::with_capacity(value.len().min(64));
    for byte in value.iter().take(512) {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => out.push(*byte),
            _ => {}
        }
    }
    out
}

fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 4 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')))
}

/// Minutes east of Greenwich.
fn zone(word: &[u8]) -> i32 {
    let sign = match word.first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return named_zone(word),
    };
    match word.get(1..).and_then(number) {
        Some(n) if word.len() == 5 => sign * (n / 100 * 60 + n % 100) as i32,
        _ => 0,
    }
}

fn named_zone(word: &[u8]) -> i32 {
    let hours = match word.to_ascii_uppercase().as_slice() {
        b"EST" | b"CDT" => -5,
        b"EDT" => -4,
        b"CST" | b"MDT" => -6,
        b"MST" | b"PDT" => -7,
        b"PST" => -8,
        _ => 0,
    };
    hours * 60
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internet_times_are_written() {
        assert_eq!(format_rfc3339(482_196_050), "1985-04-12T23:20:50Z");
    }

    #[test]
    fn dates_of_the_rfc_are_read() {
        // RFC 5322 Appendix A.1.1, A.5, A.6.2.
        let day = parse_rfc5322(b"Fri, 21 Nov 1997 09:55:06 -0600");
        assert_eq!(day, Some(880_127_706));
        let folded = b"Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n               -0330 (Newfoundland Time)";
        assert_eq!(parse_rfc5322(folded), Some(-27_723_480));
        assert_eq!(parse_rfc5322(b"21 Nov 97 09:55:06 GMT"), Some(880_106_106));
        assert_eq!(parse_rfc5322(b"31 Feb 2020 00:00:00 +0000"), None);
        assert_eq!(parse_rfc5322(b"garbage"), None);
        let local = parse_rfc5322_local(b"Fri, 21 Nov 1997 23:55:06 -0600");
        assert_eq!(local, parse_rfc5322(b"21 Nov 1997 23:55:06 +0000"));
    }

    #[test]
    fn timestamps_of_rfc_3339_are_read() {
        // RFC 3339 §5.8.
        assert_eq!(parse_rfc3339("1985-04-12T23:20:50.52Z"), Some(482_196_050));
        assert_eq!(
            parse_rfc3339("1996-12-19T16:39:57-08:00"),
            parse_rfc3339("1996-12-20T00:39:57Z")
        );
        assert_eq!(parse_rfc3339("1990-12-31T23:59:60Z"), Some(662_687_999));
        for bad in ["", "1985-04-12", "1985-04-12T23:20:50", "1985-04-12T23:20Z", "x-1-1T0:0:0Z"] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn civil_round_trips_over_four_centuries() {
        for day in (-100_000..50_000).step_by(13) {
            let seconds = day * DAY_SECONDS + 12_345;
            assert_eq!(Civil::from_unix(seconds, 90).to_unix(90), Some(seconds));
        }
        assert_eq!(format_rfc5322(880_127_706), "Fri, 21 Nov 1997 15:55:06 +0000");
    }
}
