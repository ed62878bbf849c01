//! NOTIFY. RFC 5465 §8.

use super::fetch::{Item, items};
use super::{Command, Name};
use crate::imap::grammar::{Bad, Cursor, Read};

/// Groups of events in one command, and names in all of them.
const GROUPS_MAX: usize = 100;
const NAMES_MAX: usize = 1000;
/// Events of one group.
const EVENTS_MAX: usize = 100;

/// NOTIFY.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notify {
    /// SET, not NONE.
    pub set: bool,
    /// STATUS: what the mailboxes are now is told at once.
    pub status: bool,
    /// Of the selected mailbox.
    pub selected: Selected,
    /// Of other mailboxes.
    pub groups: Vec<Group>,
    /// Events that nobody knows, or that this server does not have.
    pub unknown: bool,
}

/// Events of the selected mailbox. RFC 5465 §6.1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selected {
    /// SELECTED-DELAYED: expunges wait for a command.
    pub delayed: bool,
    /// Which.
    pub events: Events,
    /// What is told of new messages.
    pub items: Vec<Item>,
}

/// Events of some mailboxes.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Which mailboxes.
    pub filter: Filter,
    /// Which events.
    pub events: Events,
}

/// Which mailboxes. RFC 5465 §6.2 to §6.6.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "they are the RFC's names")]
pub enum Filter {
    Inboxes,
    Personal,
    Subscribed,
    Subtree(Vec<Name>),
    Mailboxes(Vec<Name>),
}

/// Which events. RFC 5465 §5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// MessageNew and MessageExpunge, which only go together.
    pub messages: bool,
    /// FlagChange
    pub flags: bool,
    /// AnnotationChange. RFC 5257.
    pub annotations: bool,
    /// MailboxName
    pub names: bool,
    /// SubscriptionChange
    pub subscriptions: bool,
    /// MailboxMetadataChange
    pub metadata: bool,
    /// ServerMetadataChange
    pub server_metadata: bool,
}

impl Events {
    /// The events that this server has, as BADEVENT lists them.
    pub const NAMES: &str = "MessageNew MessageExpunge FlagChange AnnotationChange MailboxName \
                             SubscriptionChange MailboxMetadataChange ServerMetadataChange";

    /// Those of both.
    #[must_use]
    pub fn with(self, other: Events) -> Events {
        Events {
            messages: self.messages | other.messages,
            flags: self.flags | other.flags,
            annotations: self.annotations | other.annotations,
            names: self.names | other.names,
            subscriptions: self.subscriptions | other.subscriptions,
            metadata: self.metadata | other.metadata,
            server_metadata: self.server_metadata | other.server_metadata,
        }
    }
}

/// What the events of a group come to.
#[derive(Default)]
struct Found {
    events: Events,
    new: bool,
    expunge: bool,
    items: Option<Vec<Item>>,
    unknown: bool,
}

/// NOTIFY, behind the verb. `NONE` is `SET` of nothing.
pub(super) fn notify(from: &mut Cursor<'_>) -> Read<Command> {
    let mut notify = Notify::default();
    match from.keyword()?.as_str() {
        "NONE" => return Ok(Command::Notify(notify)),
        "SET" => notify.set = true,
        _ => return Err(Bad("SET or NONE")),
    }
    from.space()?;
    if from.eat_word("STATUS") {
        notify.status = true;
        from.space()?;
    }
    let mut selected = false;
    let mut names = 0;
    loop {
        group(from, &mut notify, &mut selected, &mut names)?;
        if notify.groups.len() > GROUPS_MAX {
            return Err(Bad("fewer groups of events"));
        }
        if !from.eat(b' ') || from.at_end() {
            return Ok(Command::Notify(notify));
        }
    }
}

fn group(
    from: &mut Cursor<'_>,
    notify: &mut Notify,
    selected: &mut bool,
    names: &mut usize,
) -> Read<()> {
    from.expect(b'(', "a group of events")?;
    let word = from.keyword()?;
    let filter = match word.as_str() {
        "SELECTED" | "SELECTED-DELAYED" => None,
        "INBOXES" => Some(Filter::Inboxes),
        "PERSONAL" => Some(Filter::Personal),
        "SUBSCRIBED" => Some(Filter::Subscribed),
        "SUBTREE" => Some(Filter::Subtree(mailboxes(from, names)?)),
        "MAILBOXES" => Some(Filter::Mailboxes(mailboxes(from, names)?)),
        _ => return Err(Bad("which mailboxes")),
    };
    from.space()?;
    let found = events(from)?;
    from.expect(b')', "a closing parenthesis")?;
    notify.unknown |= found.unknown;
    let Found { mut events, new, expunge, items, .. } = found;
    // RFC 5465 §5.
    if new != expunge || ((events.flags || events.annotations) && !new) {
        return Err(Bad("MessageNew and MessageExpunge together"));
    }
    events.messages = new;
    match filter {
        Some(_) if items.is_some() => return Err(Bad("FETCH items only with SELECTED")),
        Some(filter) => notify.groups.push(Group { filter, events }),
        None if std::mem::replace(selected, true) => return Err(Bad("SELECTED once")),
        None => {
            let Events { messages, flags, annotations, .. } = events;
            if events != (Events { messages, flags, annotations, ..Events::default() }) {
                return Err(Bad("only events of messages with SELECTED"));
            }
            let delayed = word == "SELECTED-DELAYED";
            notify.selected = Selected { delayed, events, items: items.unwrap_or_default() };
        }
    }
    Ok(())
}

/// `one-or-more-mailbox`
pub(super) fn mailboxes(from: &mut Cursor<'_>, count: &mut usize) -> Read<Vec<Name>> {
    from.space()?;
    let mut names = Vec::new();
    if from.peek() == Some(b'(') {
        from.list(|from| {
            names.push(from.mailbox()?);
            if *count + names.len() > NAMES_MAX { Err(Bad("fewer mailboxes")) } else { Ok(()) }
        })?;
    } else {
        names.push(from.mailbox()?);
    }
    *count += names.len();
    match names.is_empty() || *count > NAMES_MAX {
        true => Err(Bad("some mailboxes")),
        false => Ok(names),
    }
}

/// In parentheses, NONE, or as the example of RFC 5465 §3.1 has them: without parentheses.
fn events(from: &mut Cursor<'_>) -> Read<Found> {
    let mut found = Found::default();
    let mut count = 0;
    if from.peek() == Some(b'(') {
        from.list(|from| event(from, &mut found, &mut count))?;
    } else if !from.eat_word("NONE") {
        event(from, &mut found, &mut count)?;
        while from.eat(b' ') {
            event(from, &mut found, &mut count)?;
        }
        return Ok(found);
    } else {
        return Ok(found);
    }
    if count == 0 { Err(Bad("an event")) } else { Ok(found) }
}

fn event(from: &mut Cursor<'_>, found: &mut Found, count: &mut usize) -> Read<()> {
    *count += 1;
    if *count > EVENTS_MAX {
        return Err(Bad("fewer events"));
    }
    match from.keyword()?.as_str() {
        "MESSAGENEW" => {
            found.new = true;
            let mut probe = *from;
            if probe.eat(b' ') && probe.peek() == Some(b'(') {
                *from = probe;
                found.items = Some(items(from)?);
            }
        }
        "MESSAGEEXPUNGE" => found.expunge = true,
        "FLAGCHANGE" => found.events.flags = true,
        "ANNOTATIONCHANGE" => found.events.annotations = true,
        "MAILBOXNAME" => found.events.names = true,
        "SUBSCRIPTIONCHANGE" => found.events.subscriptions = true,
        "MAILBOXMETADATACHANGE" => found.events.metadata = true,
        "SERVERMETADATACHANGE" => found.events.server_metadata = true,
        _ => found.unknown = true,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::imap::command::command;
    use crate::imap::grammar::Charset;

    #[test]
    fn groups_of_events_are_read() {
        let reads = |text: &str| command(text.as_bytes(), Charset::Ascii).is_ok();
        for text in [
            "NOTIFY NONE",
            "notify set status (selected MessageNew (uid body.peek[header.fields (from to subject)]) \
             MessageExpunge) (subtree Lists (MessageNew MessageExpunge))",
            "NOTIFY SET (mailboxes INBOX (Messagenew messageExpunge)) (personal (SubscriptionChange))",
            "NOTIFY SET (SELECTED-DELAYED NONE) (mailboxes (a \"b c\") (Frobbed MailboxName))",
        ] {
            assert!(reads(text), "{text}");
        }
        for text in [
            "NOTIFY SET (subtree Lists (MessageNew))",
            "NOTIFY SET (personal (FlagChange))",
            "NOTIFY SET (personal (MessageNew (UID) MessageExpunge))",
            "NOTIFY SET (selected (MailboxName))",
            "NOTIFY SET (selected NONE) (selected-delayed NONE)",
            "NOTIFY SET (personal ())",
            "NOTIFY SET (personal NONE",
            "NOTIFY SET",
        ] {
            assert!(!reads(text), "{text}");
        }
        let names = |n: usize| format!("NOTIFY SET (mailboxes ({}) NONE)", vec!["a"; n].join(" "));
        assert!(reads(&names(super::NAMES_MAX)) && !reads(&names(super::NAMES_MAX + 1)));
        let groups = |n: usize| format!("NOTIFY SET {}", vec!["(personal NONE)"; n].join(" "));
        assert!(reads(&groups(super::GROUPS_MAX)) && !reads(&groups(super::GROUPS_MAX + 1)));
    }
}
