//! The queue: messages for other servers, one row for each recipient. RFC 5321 §4.5.4.

use crate::error::Result;
use crate::rows::{Holder, Notify, QueueRow, QueuedRow, RecipientRow, Ret};
use crate::terms::Terms;
use crate::txn::ReadTxn;
use crate::write::Writing;
use mail::{AccountId, Address, ContentId, Domain, MessageId, ReversePath};

/// A message for the queue, with its recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewQueued {
    /// Envelope sender.
    pub sender: ReversePath,
    /// Recipients; not empty.
    pub recipients: Vec<NewRecipient>,
    /// RET.
    pub ret: Option<Ret>,
    /// ENVID, decoded.
    pub envid: Option<String>,
    /// What else the sender asked for.
    pub terms: Terms,
    /// SMTPUTF8 was said.
    pub smtputf8: bool,
    /// Octets at the start of the content that are not sent.
    pub skip: u32,
    /// When it came, seconds since 1970.
    pub arrived: i64,
    /// When we give up, seconds since 1970.
    pub expires: i64,
    /// Who submitted it.
    pub submitted_by: Option<AccountId>,
}

/// A recipient for the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecipient {
    /// The address.
    pub address: Address,
    /// The domain that routing goes by.
    pub domain: Domain,
    /// NOTIFY.
    pub notify: Notify,
    /// ORCPT, decoded.
    pub orcpt: Option<String>,
    /// The address that was given at RCPT, if an alias leads from it to here.
    pub named: Option<Address>,
}

/// ORCPT and the address that was given, as they are kept: in one text, with tabs, which neither
/// has.
pub(crate) fn origin(orcpt: Option<&str>, named: Option<&Address>) -> Option<String> {
    match named {
        Some(named) => Some(format!("\t{named}\t{}", orcpt.unwrap_or_default())),
        None => orcpt.map(str::to_owned),
    }
}

/// Both of what [`origin`] has made.
pub(crate) fn of_origin(text: Option<String>) -> (Option<String>, Option<Address>) {
    let Some(text) = text else { return (None, None) };
    let both = text.strip_prefix('\t').and_then(|both| both.split_once('\t'));
    let Some((named, orcpt)) = both else { return (Some(text), None) };
    let orcpt = (!orcpt.is_empty()).then(|| orcpt.to_owned());
    (orcpt, Address::parse(named).ok())
}

/// What became of a recipient in an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It is out of our hands: delivered, or reported as failed.
    Done,
    /// To be tried again.
    Retry {
        /// When, seconds since 1970.
        next_attempt: i64,
        /// What the other server said.
        reply: String,
        /// Which server.
        host: Option<String>,
        /// The sender is told of the delay by this commit.
        delay_told: bool,
    },
}

/// Puts a message into the queue. It holds the content.
pub(crate) fn add(
    w: &mut Writing<'_>,
    message: MessageId,
    content: ContentId,
    size: u64,
    new: &NewQueued,
) -> Result<()> {
    if let (Some(hold), Some(account)) = (new.terms.hold, new.submitted_by) {
        let of = Holder::Held(account);
        // Those whose time has come count no more, whatever has become of them.
        for old in w.unit.rows().property_names(of, HELD_PRUNED)? {
            if old < held_name(w.now, None) {
                w.unit.write()?.remove_property(of, &old)?;
            }
        }
        w.unit.write()?.put_property(of, &held_name(hold.at, Some(message)), b"")?;
    }
    w.unit.write()?.put_queued(&QueuedRow {
        message,
        content,
        size,
        skip: new.skip,
        sender: new.sender.clone(),
        ret: new.ret,
        envid: new.envid.clone(),
        terms: new.terms,
        smtputf8: new.smtputf8,
        arrived: new.arrived,
        expires: new.expires,
        submitted_by: new.submitted_by,
    })?;
    for (n, recipient) in (0..).zip(&new.recipients) {
        w.unit.write()?.put_recipient(
            message,
            &RecipientRow {
                n,
                address: recipient.address.clone(),
                domain: recipient.domain.clone(),
                held: false,
                attempts: 0,
                next_attempt: new.terms.release(new.arrived),
                last_reply: None,
                last_host: None,
                delay_told: false,
                notify: recipient.notify,
                orcpt: recipient.orcpt.clone(),
                named: recipient.named.clone(),
            },
        )?;
    }
    w.changes.queue = true;
    Ok(())
}

/// A queued message with its recipients.
pub(crate) fn get(txn: &dyn ReadTxn, message: MessageId) -> Result<Option<QueueRow>> {
    let Some(queued) = txn.queued(message)? else { return Ok(None) };
    Ok(Some(QueueRow { queued, recipients: txn.recipients(message)? }))
}

/// Writes down what became of a recipient. The message leaves with its last recipient.
pub fn settle(
    w: &mut Writing<'_>,
    message: MessageId,
    n: u32,
    settlement: &Settlement,
) -> Result<()> {
    let mut recipients = w.unit.rows().recipients(message)?;
    let Some(at) = recipients.iter().position(|row| row.n == n) else { return Ok(()) };
    match settlement {
        Settlement::Done => {
            w.unit.write()?.remove_recipient(message, n)?;
            if recipients.len() == 1 {
                forget(w, message)?;
            }
        }
        Settlement::Retry { next_attempt, reply, host, delay_told } => {
            let mut row = recipients.swap_remove(at);
            row.attempts = row.attempts.saturating_add(1);
            row.next_attempt = *next_attempt;
            row.last_reply = Some(reply.clone());
            row.last_host = host.clone().or(row.last_host);
            row.delay_told |= delay_told;
            w.unit.write()?.put_recipient(message, &row)?;
            w.changes.queue = true;
        }
    }
    Ok(())
}

/// Makes a message due now, or when its sender lets it go. RFC 4865 §4.2.
pub(crate) fn retry(w: &mut Writing<'_>, message: MessageId) -> Result<bool> {
    let Some(queued) = w.unit.rows().queued(message)? else { return Ok(false) };
    let due = queued.terms.release(w.now);
    change_all(w, message, |row| row.next_attempt = due)
}

/// What the row of a message is called that waits for that time; without a message, what is before
/// all that wait longer.
fn held_name(at: i64, message: Option<MessageId>) -> String {
    match message {
        Some(message) => format!("{:020} {message}", at.max(0)),
        None => format!("{:020}", at.max(0).saturating_add(1)),
    }
}

/// Rows of messages whose time has come that one more message takes away.
const HELD_PRUNED: usize = 100;

/// How many messages of an account wait for the time that their sender named; `most` at most.
pub(crate) fn held_by(
    txn: &dyn ReadTxn,
    account: AccountId,
    now: i64,
    most: usize,
) -> Result<usize> {
    let (of, from) = (Holder::Held(account), held_name(now, None));
    // Those whose time has come are first, and few.
    let names = txn.property_names(of, most.saturating_add(HELD_PRUNED))?;
    Ok(names.into_iter().filter(|name| *name >= from).count().min(most))
}

/// Takes a message out of the queue, whatever has become of it.
pub(crate) fn forget(w: &mut Writing<'_>, message: MessageId) -> Result<bool> {
    let Some(row) = w.unit.rows().queued(message)? else { return Ok(false) };
    w.unit.write()?.remove_queued(message)?;
    if let (Some(hold), Some(account)) = (row.terms.hold, row.submitted_by) {
        let name = held_name(hold.at, Some(message));
        w.unit.write()?.remove_property(Holder::Held(account), &name)?;
    }
    w.release(row.content)?;
    Ok(true)
}

/// Changes every recipient of a message; whether there is such a message.
pub(crate) fn change_all(
    w: &mut Writing<'_>,
    message: MessageId,
    change: impl Fn(&mut RecipientRow),
) -> Result<bool> {
    if w.unit.rows().queued(message)?.is_none() {
        return Ok(false);
    }
    for mut row in w.unit.rows().recipients(message)? {
        change(&mut row);
        w.unit.write()?.put_recipient(message, &row)?;
    }
    w.changes.queue = true;
    Ok(true)
}
