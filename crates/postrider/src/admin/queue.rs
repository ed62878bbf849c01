//! `postrider queue`: what waits to leave, and what became of messages so far.

use super::{Outcome, Request, Response, domain, done, exit, fail, trouble};
use delivery::journey::Step;
use mail::MessageId;
use mail::date::format_rfc5322;
use serde_json::{Value, json};
use std::fmt::Write as _;
use store::{QueueFilter, QueueRow, Store};

/// Carries a command out.
pub(super) async fn execute(store: &Store, request: Request) -> Outcome {
    let id = |text: &str| {
        let parsed = MessageId::parse(text);
        parsed.ok_or_else(|| fail(exit::DATA, format!("'{text}' is no message id")))
    };
    let (id, found, what) = match request {
        Request::QueueList { domain: name, limit } => {
            let domain = name.as_deref().map(domain).transpose()?;
            let filter = QueueFilter { domain, limit, ..QueueFilter::default() };
            let rows = store.queue_list(&filter).map_err(trouble)?;
            let text: Vec<String> = rows.iter().map(summary).collect();
            let text =
                if text.is_empty() { "The queue is empty.".to_owned() } else { text.join("\n") };
            return Ok(Response { value: rows.iter().map(as_json).collect(), text });
        }
        Request::QueueShow { id: text } => return show(store, id(&text)?),
        Request::QueueRetry { id: text } => {
            let message = id(&text)?;
            let done = store.queue_retry(message).await;
            let row = store.queue_get(message).map_err(trouble)?;
            (text, done, retried(row.as_ref()))
        }
        Request::QueueHold { id: text } => {
            (text.clone(), store.queue_hold(id(&text)?).await, "is held".to_owned())
        }
        Request::QueueRelease { id: text } => {
            (text.clone(), store.queue_release(id(&text)?).await, "goes on".to_owned())
        }
        Request::QueueDrop { id: text } => {
            (text.clone(), store.queue_drop(id(&text)?).await, "is dropped".to_owned())
        }
        _ => return Err(fail(exit::SOFTWARE, "not a queue command")),
    };
    match found.map_err(trouble)? {
        true => done(format!("message {id} {what}")),
        false => Err(fail(exit::NO_USER, format!("message {id} is not queued"))),
    }
}

/// What becomes of a message that is to be tried: held ones stay.
fn retried(row: Option<&QueueRow>) -> String {
    let held = |row: &QueueRow| row.recipients.iter().all(|r| r.held);
    match row.and_then(|row| row.terms.hold) {
        _ if row.is_some_and(held) => "stays held: queue release lets it go".to_owned(),
        Some(hold) => {
            format!("is tried, not before {}, as its sender wants", format_rfc5322(hold.at))
        }
        None => "is tried now".to_owned(),
    }
}

fn as_json(row: &QueueRow) -> Value {
    let recipient = |r: &store::RecipientRow| {
        json!({ "address": r.address.to_string(), "held": r.held, "attempts": r.attempts,
                "next_attempt": r.next_attempt, "last_reply": r.last_reply, "last_host": r.last_host })
    };
    json!({ "id": row.message.to_string(), "sender": row.sender.to_string(), "size": row.size,
            "arrived": row.arrived, "expires": row.expires,
            "hold_until": row.terms.hold.map(|hold| hold.at),
            "recipients": row.recipients.iter().map(recipient).collect::<Vec<_>>() })
}

fn summary(row: &QueueRow) -> String {
    let mut text = format!(
        "{}  {} octets  from <{}>  since {}, tried until {}",
        row.message,
        row.size,
        row.sender,
        format_rfc5322(row.arrived),
        format_rfc5322(row.expires)
    );
    if let Some(hold) = row.terms.hold {
        let until = format_rfc5322(hold.at);
        text.push_str(&format!("\n    not before {until}, as its sender wants"));
    }
    for r in &row.recipients {
        let plural = if r.attempts == 1 { "" } else { "s" };
        let tries = format!("{} attempt{plural} so far", r.attempts);
        let state = match r.held {
            true => format!("held, {tries}"),
            false => format!("waiting, {tries}, next {}", format_rfc5322(r.next_attempt)),
        };
        text.push_str(&format!("\n    <{}>  {state}", r.address));
        if let Some(reply) = &r.last_reply {
            text.push_str(&format!("\n        {reply}"));
        }
    }
    text
}

/// The queue entry, if it is still there, and the journey so far.
fn show(store: &Store, id: MessageId) -> Outcome {
    let row = store.queue_get(id).map_err(trouble)?;
    let journey = store.journey(id).map_err(trouble)?;
    if row.is_none() && journey.is_empty() {
        return Err(fail(exit::NO_USER, format!("nothing is known of message {id}")));
    }
    let steps: Vec<Step> = journey.iter().filter_map(|entry| Step::decode(entry)).collect();
    let value = json!({ "queued": row.as_ref().map(as_json), "journey": steps });
    let mut text = row.as_ref().map_or("Not queued any more.".to_owned(), summary);
    for step in &steps {
        text.push_str("\n\n");
        told(step, &mut text);
    }
    Ok(Response { value, text })
}

/// A step of a journey, for people.
fn told(step: &Step, text: &mut String) {
    let at = |millis: &i64| format_rfc5322(millis.div_euclid(1000));
    let _ = match step {
        Step::Accepted { at: when, .. } => {
            text.push_str(&format!("{}  accepted", at(when)));
            accepted(step, text)
        }
        Step::Attempt { at: when, took, domain, .. } => {
            text.push_str(&format!("{}  attempt at {domain}, {took} ms", at(when)));
            attempted(step, text)
        }
        Step::Reported { at: when, what, to, report } => {
            write!(text, "{}  <{to}> was told that it is {what}: {report}", at(when))
        }
    };
}

fn accepted(step: &Step, text: &mut String) -> std::fmt::Result {
    #[rustfmt::skip]
    let Step::Accepted {
        helo, peer, protocol, tls, login, sender, recipients, size, mailboxes, queued, judged,
        junk, ..
    } = step else { return Ok(()) };
    write!(text, " from {helo} [{peer}] by {protocol}")?;
    if let Some(tls) = tls {
        write!(text, ", {tls}")?;
    }
    if let Some(login) = login {
        write!(text, ", logged in as {login}")?;
    }
    write!(text, "\n    from <{sender}>, {size} octets")?;
    for recipient in recipients {
        write!(text, "\n    to <{recipient}>")?;
    }
    write!(text, "\n    into mailboxes here: {mailboxes}, into the queue: {queued}")?;
    for found in judged {
        write!(text, "\n    {found}")?;
    }
    junk.iter().try_for_each(|why| write!(text, "\n    into Junk: {why}"))
}

fn attempted(step: &Step, text: &mut String) -> std::fmt::Result {
    let Step::Attempt { dns, host, tls, dialogue, outcomes, .. } = step else { return Ok(()) };
    for answer in dns {
        write!(text, "\n    DNS  {answer}")?;
    }
    if let Some(host) = host {
        write!(text, "\n    spoke to {host} under {}", tls.as_deref().unwrap_or("no TLS"))?;
    }
    for said in dialogue {
        write!(text, "\n      {}: {}", said.who, said.line)?;
    }
    for outcome in outcomes {
        write!(text, "\n    <{}>  {}: {}", outcome.recipient, outcome.result, outcome.reply)?;
    }
    Ok(())
}
