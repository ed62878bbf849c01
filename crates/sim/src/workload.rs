//! What users and other servers make a store do, as values; and what it then looks like.

use crate::random::Random;
use mail::summary::Parser;
use mail::{
    AccountId, Address, Annotation, Domain, Flag, MailboxId, MailboxName, MessageId, ReversePath,
    Rights, Scope, SpecialUse, Uid,
};
use std::path::Path;
use store::{
    Annotate, By, Change, ChangeFlags, Delivery, Holder, NewAccount, NewQueued, NewRecipient,
    Notify, Options, Placement, QueueFilter, Resource, Settlement, Store, StoreError, Which,
    settle,
};

/// The mailboxes that operations name.
pub const NAMES: [&str; 6] = ["INBOX", "Sent", "Work", "Work/2026", "Old", "Old/Work"];

/// Something that is done to a store.
#[derive(Clone, Debug)]
pub enum Op {
    /// A message comes for some mailboxes, and perhaps for the queue: SMTP.
    Deliver { to: Vec<usize>, queue: bool, octets: usize },
    /// A message comes for Junk, which is made first where there is none; then nothing comes.
    Junk { octets: usize },
    /// DELETE of Junk.
    DeleteJunk,
    /// A message is put into a mailbox with flags: IMAP APPEND.
    Append { to: usize, octets: usize },
    /// STORE.
    Flags { mailbox: usize, uids: Vec<u32>, change: Change, flag: usize },
    /// COPY.
    Copy { from: usize, uids: Vec<u32>, to: usize },
    /// MOVE.
    Move { from: usize, uids: Vec<u32>, to: usize },
    /// EXPUNGE of what has `\Deleted`.
    Expunge { mailbox: usize },
    /// POP3 QUIT: exactly these go.
    Quit { uids: Vec<u32> },
    /// CREATE.
    Create { mailbox: usize },
    /// DELETE.
    Delete { mailbox: usize },
    /// RENAME.
    Rename { from: usize, to: usize },
    /// SUBSCRIBE and UNSUBSCRIBE.
    Subscribe { mailbox: usize, is: bool },
    /// SETMETADATA of a mailbox; without a value the entry goes.
    Annotate { mailbox: usize, entry: usize, value: Option<usize> },
    /// STORE ANNOTATION; without a value the entry goes.
    Note { mailbox: usize, uids: Vec<u32>, entry: usize, value: Option<usize> },
    /// SETACL and DELETEACL.
    Access { mailbox: usize, rights: Rights },
    /// A limit to how many messages the account may have.
    Limit { messages: Option<u64> },
    /// A round of housekeeping.
    KeepHouse,
    /// A delivery attempt of the oldest queued message ends: done, or to be tried again.
    Attempt { done: bool },
}

impl Op {
    /// Some operation.
    pub fn random(random: &mut Random) -> Op {
        let mailbox = random.below(NAMES.len() as u64) as usize;
        let other = random.below(NAMES.len() as u64) as usize;
        let octets = random.below(3) as usize * 400 + random.below(700) as usize;
        let uids = (0..=random.below(5)).map(|_| 1 + random.below(12) as u32).collect();
        match random.below(26) {
            0..=4 => {
                let to = if random.below(3) == 0 { vec![0, mailbox] } else { vec![0] };
                Op::Deliver { to, queue: random.below(3) == 0, octets }
            }
            5 | 6 => Op::Append { to: mailbox, octets },
            7..=9 => {
                let change = *random.pick(&[Change::Add, Change::Remove, Change::Replace]);
                Op::Flags { mailbox, uids, change, flag: random.below(4) as usize }
            }
            10 | 11 => Op::Copy { from: mailbox, uids, to: other },
            12 | 13 => Op::Move { from: mailbox, uids, to: other },
            14 => Op::Expunge { mailbox },
            15 => Op::Quit { uids },
            16 => Op::Create { mailbox },
            17 => Op::Delete { mailbox },
            18 | 19 if random.below(2) == 0 => Op::KeepHouse,
            18..=20 => Op::Rename { from: mailbox, to: other },
            21 if random.below(2) == 0 => Op::Subscribe { mailbox, is: random.below(3) > 0 },
            21 => {
                // Mostly none, so that the other operations are seldom refused for it.
                let messages = (random.below(4) == 0).then(|| 20 + random.below(40));
                Op::Limit { messages }
            }
            22 if random.below(2) == 0 => {
                let value = (random.below(3) > 0).then(|| random.below(900) as usize);
                Op::Note { mailbox, uids, entry: random.below(4) as usize, value }
            }
            22 => {
                let value = (random.below(3) > 0).then(|| random.below(900) as usize);
                Op::Annotate { mailbox, entry: random.below(4) as usize, value }
            }
            23 => {
                let given = *random.pick(&["", "lr", "lrswi", "lrswipkxtean"]);
                Op::Access { mailbox, rights: Rights::parse(given).unwrap() }
            }
            24 if random.below(4) == 0 => Op::DeleteJunk,
            24 => Op::Junk { octets },
            _ => Op::Attempt { done: random.below(2) == 0 },
        }
    }
}

/// The options of a store in a simulation: segments are short, so that many are begun.
pub fn options(folder: &Path) -> Options {
    let mut options = Options::new(folder);
    (options.min_free_octets, options.segment_octets) = (0, 4096);
    options
}

/// The account of the simulation.
pub fn account() -> (AccountId, Address) {
    (AccountId(1), Address::parse("a@x.test").unwrap())
}

/// Makes domain and account.
pub async fn prepare(store: &Store) -> Result<(), StoreError> {
    store.domain_add(Domain::parse("x.test").unwrap()).await?;
    let secret = "secret".to_owned();
    let id = store.account_add(NewAccount { address: account().1, secret }).await?;
    assert_eq!(id, account().0);
    Ok(())
}

fn name(n: usize) -> MailboxName {
    MailboxName::new(NAMES[n]).unwrap()
}

fn uids(numbers: &[u32]) -> Vec<Uid> {
    numbers.iter().copied().filter_map(Uid::new).collect()
}

fn delivery(store: &Store, n: usize, octets: usize) -> Result<Delivery, StoreError> {
    let text = format!("Subject: {n}\r\n\r\n{}\r\n", format!("{n:08}").repeat(octets / 8));
    let (mut spool, mut parser) = (store.spool(), Parser::new());
    spool.write(text.as_bytes())?;
    parser.feed(text.as_bytes());
    Ok(Delivery {
        message: MessageId::new(1_790_000_000_000 + n as u64, 0),
        content: spool.seal()?,
        summary: parser.finish().encode(),
        date: n as i64,
        placements: Vec::new(),
        queue: None,
        journey: format!("journey {n}").into_bytes(),
    })
}

/// Carries out the `n`th operation. The text says what it was answered.
pub async fn apply(store: &Store, n: usize, op: &Op) -> Result<String, StoreError> {
    let account = account().0;
    let find = |n: usize| mailbox_of(store, n);
    let said = match op {
        Op::Deliver { to, queue, octets } => {
            let mut delivery = delivery(store, n, *octets)?;
            for mailbox in to {
                let mailbox = find(*mailbox)?;
                delivery.placements.push(Placement {
                    mailbox,
                    flags: Vec::new(),
                    annotations: None,
                });
            }
            delivery.queue = queue.then(queued);
            format!("{:?}", store.deliver(delivery).await?.places)
        }
        Op::Junk { octets } => into_junk(store, n, *octets).await?,
        Op::Append { to, octets } => {
            let mut delivery = delivery(store, n, *octets)?;
            let flags = vec![Flag::Seen, keyword()];
            let annotations =
                (octets % 2 == 0).then(|| (account, notes(octets % 4, Some(*octets))));
            delivery.placements.push(Placement { mailbox: find(*to)?, flags, annotations });
            format!("{:?}", store.deliver_and(vec![delivery], |_| Ok(())).await?)
        }
        Op::Flags { mailbox, uids: numbers, change, flag } => {
            let flags = [Flag::Seen, Flag::Deleted, Flag::Flagged, keyword()];
            let change = ChangeFlags {
                uids: uids(numbers),
                change: *change,
                flags: vec![flags[*flag].clone()],
                unchanged_since: None,
                within: Rights::ALL,
            };
            format!("{:?}", store.change_flags(find(*mailbox)?, change).await?)
        }
        Op::Copy { from, uids: numbers, to } => {
            format!("{:?}", store.copy(find(*from)?, uids(numbers), find(*to)?, by()).await?)
        }
        Op::Move { from, uids: numbers, to } => {
            format!("{:?}", store.move_(find(*from)?, uids(numbers), find(*to)?, by()).await?)
        }
        Op::Expunge { mailbox } => {
            format!("{:?}", store.expunge(find(*mailbox)?, Which::Deleted).await?)
        }
        Op::Quit { uids: numbers } => {
            format!("{:?}", store.expunge(find(0)?, Which::Exactly(uids(numbers))).await?)
        }
        Op::Create { mailbox } => {
            format!("{:?}", store.mailbox_create(account, name(*mailbox), None).await?)
        }
        Op::Delete { mailbox } => {
            format!("{:?}", store.mailbox_delete(account, name(*mailbox)).await?)
        }
        Op::Rename { from, to } => {
            format!("{:?}", store.mailbox_rename(account, name(*from), name(*to)).await?)
        }
        Op::Note { .. }
        | Op::DeleteJunk
        | Op::Subscribe { .. }
        | Op::Annotate { .. }
        | Op::Access { .. }
        | Op::Limit { .. } => beside(store, op).await?,
        Op::KeepHouse => format!("{:?}", store.keep_house(100_000).await?),
        Op::Attempt { done } => attempt(store, n, *done).await?,
    };
    Ok(said)
}

/// Carries out an operation on what stands beside mailboxes and messages.
async fn beside(store: &Store, op: &Op) -> Result<String, StoreError> {
    let account = account().0;
    Ok(match op {
        Op::DeleteJunk => {
            let junk = junk_of(store)?.ok_or(StoreError::NoSuchMailbox)?;
            format!("{:?}", store.mailbox_delete(account, junk).await?)
        }
        Op::Subscribe { mailbox, is: true } => {
            format!("{:?}", store.subscribe(account, name(*mailbox)).await?)
        }
        Op::Subscribe { mailbox, is: false } => {
            format!("{:?}", store.unsubscribe(account, name(*mailbox)).await?)
        }
        Op::Annotate { mailbox, entry, value } => {
            let entry = ["/private/comment", "/shared/comment", "/private/a", "/shared/a"][*entry];
            let value = value.map(|octets| vec![b'x'; octets]);
            let of = Holder::Mailbox(mailbox_of(store, *mailbox)?);
            let kept = store.annotate(of, account, vec![(entry.to_owned(), value)]).await?;
            format!("{kept:?}")
        }
        Op::Note { mailbox, uids: numbers, entry, value } => {
            let wanted = Annotate {
                uids: uids(numbers),
                who: account,
                annotations: notes(*entry, *value),
                unchanged_since: None,
            };
            format!("{:?}", store.annotate_messages(mailbox_of(store, *mailbox)?, wanted).await?)
        }
        Op::Access { mailbox, rights } => {
            let (id, rights) = (mailbox_of(store, *mailbox)?, *rights);
            format!("{:?}", store.set_access(id, "b@x.test".to_owned(), move |_| rights).await?)
        }
        Op::Limit { messages } => {
            format!("{:?}", store.set_quota(account, Resource::Message, *messages).await?)
        }
        _ => String::new(),
    })
}

fn by() -> By {
    By { account: account().0, rights: Rights::ALL }
}

/// Annotations of a message; some are private, and some entries go.
fn notes(entry: usize, value: Option<usize>) -> Vec<Annotation> {
    let (entry, scope) = [
        ("/comment", Scope::Private),
        ("/comment", Scope::Shared),
        ("/1/comment", Scope::Private),
        ("/vendor/x/y", Scope::Shared),
    ][entry];
    vec![Annotation {
        entry: entry.to_owned(),
        scope,
        value: value.map(|octets| vec![b'x'; octets]),
    }]
}

fn mailbox_of(store: &Store, n: usize) -> Result<MailboxId, StoreError> {
    let row = store.mailbox(account().0, &name(n))?;
    row.map(|row| row.id).ok_or(StoreError::NoSuchMailbox)
}

/// What Junk is called, if there is one.
fn junk_of(store: &Store) -> Result<Option<MailboxName>, StoreError> {
    let rows = store.mailboxes(account().0)?;
    let junk = rows.into_iter().find(|row| row.special_use == Some(SpecialUse::Junk));
    Ok(junk.map(|row| row.name))
}

/// Each operation is one commit: Junk is made, or a message comes for it.
async fn into_junk(store: &Store, n: usize, octets: usize) -> Result<String, StoreError> {
    let there = junk_of(store)?.is_some();
    let mailbox = store.junk(account().0).await?;
    if !there {
        return Ok(format!("{mailbox:?}"));
    }
    let mut delivery = delivery(store, n, octets)?;
    delivery.placements.push(Placement { mailbox, flags: Vec::new(), annotations: None });
    Ok(format!("{:?}", store.deliver(delivery).await?.places))
}

fn keyword() -> Flag {
    Flag::Keyword(mail::Keyword::new("$Work").unwrap())
}

fn queued() -> NewQueued {
    let address = Address::parse("b@y.test").unwrap();
    let recipient = NewRecipient {
        domain: address.domain().clone(),
        address,
        notify: Notify::default(),
        orcpt: None,
        named: None,
    };
    NewQueued {
        sender: ReversePath::Null,
        recipients: vec![recipient],
        ret: None,
        envid: None,
        terms: store::Terms::default(),
        smtputf8: false,
        skip: 0,
        arrived: 1,
        expires: 2,
        submitted_by: None,
    }
}

async fn attempt(store: &Store, n: usize, done: bool) -> Result<String, StoreError> {
    let filter = QueueFilter { limit: 1, ..QueueFilter::default() };
    let Some(row) = store.queue_list(&filter)?.pop() else {
        return Err(StoreError::NotFound("a queued message".to_owned()));
    };
    let settlement = match done {
        true => Settlement::Done,
        false => Settlement::Retry {
            next_attempt: n as i64,
            reply: "451 later".to_owned(),
            host: None,
            delay_told: false,
        },
    };
    let message = row.message;
    let write = move |w: &mut store::Writing<'_>| {
        settle(w, message, 0, &settlement)?;
        w.add_journey(message, b"attempt")
    };
    store.write(write).await?;
    Ok(format!("attempt {message} {done}"))
}

/// Octets in short: their first line, their number and a checksum.
fn digest(octets: &[u8]) -> String {
    let sum = octets
        .iter()
        .fold(5381u64, |sum, octet| sum.wrapping_mul(33).wrapping_add(u64::from(*octet)));
    let first: Vec<u8> = octets.iter().copied().take_while(|octet| *octet != b'\r').collect();
    format!("{:?} {} {sum:x}", String::from_utf8_lossy(&first), octets.len())
}

/// Everything a user can see, as text: mailboxes with all counters, messages with flags and bytes,
/// history, annotations, access, subscriptions, limits, queue, journeys.
pub async fn picture(store: &Store) -> Result<String, StoreError> {
    let mut out = String::new();
    let mut line = |text: String| out.push_str(&(text + "\n"));
    for row in store.mailboxes(account().0)? {
        let selected = store.select(row.id).await?;
        let listing = selected.listing;
        assert_eq!(row.exists, listing.len(), "EXISTS of {}", row.name);
        let sizes = listing.iter().map(|entry| u64::from(entry.size)).sum::<u64>();
        assert_eq!(row.octets, sizes, "octets of {}", row.name);
        assert_eq!((row.modseq, row.uidnext), (listing.modseq, listing.uidnext));
        line(format!("{row:?}"));
        for entry in listing.iter() {
            let octets = store.content(entry.content, 0..u64::from(entry.size))?;
            let summary = store.summaries(&[entry.content])?.pop().flatten().unwrap_or_default();
            line(format!("{entry:?} {} {}", digest(&octets), digest(&summary)));
        }
        store.each_notes(row.id, account().0, (Uid::FIRST, Uid::MAX), |uid, scope, notes| {
            assert!(listing.get(uid).is_some(), "annotations of UID {uid}, which is gone");
            line(format!("{uid} {scope:?} {notes:?}"));
        })?;
        line(format!("{:?}", store.expunged(row.id, mail::ModSeq(0))?));
        line(format!("{:?}", store.annotations(Holder::Mailbox(row.id), account().0)?));
        line(format!("{:?}", store.access(&row)?));
    }
    line(format!("{:?}", store.subscriptions(account().0)?));
    line(format!("{:?}", store.quota(account().0)?));
    for row in store.queue_list(&QueueFilter::default())? {
        let octets = store.content(row.content, 0..row.size)?;
        line(format!("{row:?} {}", digest(&octets)));
        line(format!("{:?}", store.journey(row.message)?));
    }
    Ok(out)
}
