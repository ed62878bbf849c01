//! RETURN of SEARCH and SORT: RFC 4731 §3.1, SAVE of RFC 5182, PARTIAL of RFC 9394, CONTEXT and
//! UPDATE of RFC 5267 and RFC 5465 §7, RELEVANCY of RFC 6203.

use super::fetch::{Item, items};
use crate::imap::grammar::{Bad, Cursor, Read};

/// RETURN (…). RFC 4731 §3.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Returns {
    /// MIN
    pub min: bool,
    /// MAX
    pub max: bool,
    /// ALL
    pub all: bool,
    /// COUNT
    pub count: bool,
    /// SAVE. RFC 5182 §2.1.
    pub save: bool,
    /// PARTIAL. RFC 9394 §3.1.
    pub partial: Option<Partial>,
    /// CONTEXT: the same will be asked again, a hint. RFC 5267 §4.2.
    pub context: bool,
    /// UPDATE: changes of the results are told. RFC 5267 §4.3.
    pub update: bool,
    /// RELEVANCY. RFC 6203 §4.
    pub relevancy: bool,
}

/// A window on results, counted from 1 or, backwards, from the last. RFC 9394 §3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// The numbers of the client, as it gave them.
    pub ends: (u32, u32),
    /// They count from the last.
    pub backwards: bool,
}

impl Partial {
    /// `1:500` or `-1:-100`.
    pub(super) fn read(from: &mut Cursor<'_>) -> Read<Partial> {
        let backwards = from.peek() == Some(b'-');
        let mut end = || {
            if from.eat(b'-') != backwards {
                return Err(Bad("both ends with the same sign"));
            }
            match u32::try_from(from.number()?) {
                Ok(0) | Err(_) => Err(Bad("a number from 1")),
                Ok(n) => {
                    from.eat(b':');
                    Ok(n)
                }
            }
        };
        Ok(Partial { ends: (end()?, end()?), backwards })
    }

    /// The items of the window.
    pub fn window<'a, T>(&self, items: &'a [T]) -> &'a [T] {
        let (first, last) = (self.ends.0.min(self.ends.1), self.ends.0.max(self.ends.1));
        let (from, to) = (first as usize - 1, (last as usize).min(items.len()));
        let len = items.len();
        match self.backwards {
            false => items.get(from..to),
            true => items.get(len - to..len.saturating_sub(from)),
        }
        .unwrap_or_default()
    }
}

impl std::fmt::Display for Partial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.backwards { "-" } else { "" };
        write!(f, "{sign}{}:{sign}{}", self.ends.0, self.ends.1)
    }
}

/// RETURN options, and what UPDATE wants to have of new messages.
pub(super) type Options = (Option<Returns>, Vec<Item>);

/// `RETURN (…)` and a blank, if it follows.
pub(super) fn returns(from: &mut Cursor<'_>) -> Read<Options> {
    let mut probe = *from;
    if !probe.eat_word("RETURN") || !probe.eat(b' ') {
        return Ok((None, Vec::new()));
    }
    let mut update_items = Vec::new();
    let mut returns = Returns::default();
    probe.list(|from| {
        match from.keyword()?.as_str() {
            "MIN" => returns.min = true,
            "MAX" => returns.max = true,
            "ALL" => returns.all = true,
            "COUNT" => returns.count = true,
            "SAVE" => returns.save = true,
            "CONTEXT" => returns.context = true,
            "RELEVANCY" => returns.relevancy = true,
            "UPDATE" => {
                returns.update = true;
                // RFC 5465 §7.
                let mut probe = *from;
                probe.eat(b' ');
                if probe.peek() == Some(b'(') {
                    *from = probe;
                    update_items = items(from)?;
                }
            }
            "PARTIAL" => {
                from.space()?;
                if returns.partial.replace(Partial::read(from)?).is_some() {
                    return Err(Bad("one PARTIAL"));
                }
            }
            _ => return Err(Bad("a RETURN option")),
        }
        Ok(())
    })?;
    // RFC 9394 §3.1: one PARTIAL or one ALL or neither.
    if returns.all && returns.partial.is_some() {
        return Err(Bad("either ALL or PARTIAL"));
    }
    if returns == Returns::default() {
        returns.all = true;
    }
    probe.space()?;
    *from = probe;
    Ok((Some(returns), update_items))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_count_from_either_end() {
        let read = |text: &str| Partial::read(&mut Cursor::new(text.as_bytes()));
        let all: Vec<u32> = (1..=10).collect();
        for (text, window) in [
            ("1:3", vec![1, 2, 3]),
            ("3:1", vec![1, 2, 3]),
            ("9:20", vec![9, 10]),
            ("11:20", vec![]),
            ("-1:-3", vec![8, 9, 10]),
            ("-9:-20", vec![1, 2]),
            ("-11:-12", vec![]),
        ] {
            let partial = read(text).unwrap();
            assert_eq!(partial.window(&all), window, "{text}");
            assert_eq!(partial.to_string(), text);
        }
        assert!(read("0:1").is_err() && read("1:-1").is_err() && read("x").is_err());
    }
}
