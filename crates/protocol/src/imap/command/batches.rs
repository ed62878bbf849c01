//! UIDBATCHES. RFC 10022.

use crate::imap::grammar::{Bad, Cursor, Read};

/// UIDBATCHES: the UIDs that part a mailbox into batches of equal size, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UidBatches {
    /// The command's tag.
    pub tag: String,
    /// Messages of a batch.
    pub size: u32,
    /// Which batches, counted from 1; all of them without.
    pub batches: Option<(u32, u32)>,
}

/// UIDBATCHES, behind the verb: `2000`, `2000 1:20`.
pub(super) fn uid_batches(from: &mut Cursor<'_>) -> Read<UidBatches> {
    let size = positive(from)?;
    let mut batches = None;
    if from.eat(b' ') && !from.at_end() {
        let first = positive(from)?;
        from.expect(b':', "a range of batches")?;
        batches = Some((first, positive(from)?));
    }
    Ok(UidBatches { tag: String::new(), size, batches })
}

fn positive(from: &mut Cursor<'_>) -> Read<u32> {
    match u32::try_from(from.number()?) {
        Ok(0) | Err(_) => Err(Bad("a number from 1")),
        Ok(n) => Ok(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_counted_from_one() {
        let read = |text: &str| {
            let mut from = Cursor::new(text.as_bytes());
            uid_batches(&mut from).ok().filter(|_| from.at_end())
        };
        let batches = |size, batches| Some(UidBatches { tag: String::new(), size, batches });
        assert_eq!(read("2000"), batches(2000, None));
        assert_eq!(read("2000 10:20"), batches(2000, Some((10, 20))));
        for text in ["0", "500 10", "500 0:3", "500 1:*", "abc", "500 1:2,4:5", "4294967296"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
