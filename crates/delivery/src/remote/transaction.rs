//! One transaction with another server: envelope, message, and what becomes of each recipient.

use super::*;
use crate::convert::{self, Fitted};
use crate::limits::PIECE_OCTETS;
use mail::mime::encode::Rewrite;
use protocol::smtp::body::DataWriter;
use protocol::smtp::client::{MailLine, rcpt_line};
use protocol::smtp::params;
use store::{ByMode, Notify, Reading, Ret, StoreError};

impl Connection {
    /// Recipients that it takes in one transaction. RFC 9422 §4.2.
    pub(super) fn recipients_most(&self) -> usize {
        let most = self.can.recipients_max.unwrap_or(RECIPIENTS_PER_TRANSACTION);
        most.clamp(1, RECIPIENTS_PER_TRANSACTION)
    }

    /// Transactions that it takes. RFC 9422 §4.1.
    pub(super) fn messages_most(&self) -> usize {
        self.can.messages_max.unwrap_or(MESSAGES_PER_CONNECTION).min(MESSAGES_PER_CONNECTION)
    }

    /// It takes no more.
    pub(super) fn is_used_up(&self) -> bool {
        self.sent >= self.messages_most()
    }

    /// One transaction: fills in the fates that are known when it ends.
    pub(super) async fn transaction(
        &mut self,
        shared: &Shared,
        row: &QueueRow,
        recipients: &[&RecipientRow],
        fates: &mut [(u32, Option<Fate>)],
    ) -> Result<(), Broken> {
        let host = self.host.name.clone();
        let now = shared.world.clock.unix_seconds();
        let reading = shared.store.reading_of(row.content, u64::from(row.skip)..row.size).await;
        let reading = reading.map_err(unreadable)?;
        let fitted = match fit(shared, row, self.can.eight_bit, &host).await? {
            Ok(fitted) => fitted,
            Err(fate) => {
                settle_open(fates, &fate);
                return Ok(());
            }
        };
        let octets = fitted.as_ref().map_or(row.size - u64::from(row.skip), |fit| fit.octets);
        let envelope = self.envelope((row, octets), now, recipients, fates);
        let Ok(settled) = tokio::time::timeout(ENVELOPE_WAIT, envelope).await else {
            return Err(Broken::Connection(
                "the server takes too long over the envelope".to_owned(),
            ));
        };
        let (accepted, go) = settled?;
        let go = match go {
            Some(go) => go,
            None if accepted == 0 => return self.reset().await,
            None => self.say(DATA).await?,
        };
        if accepted == 0 && go.code == 354 {
            // RFC 2920 §3.1: it takes a message for nobody, so it gets an empty one.
            return self.say(".\r\n").await.map(drop);
        } else if accepted == 0 {
            return self.reset().await;
        }
        // RFC 5321 §3.3: no other reply lets a message go.
        if go.code != 354 {
            settle_open(fates, &fate_of(&go, &host));
            return if go.code < 400 {
                Err(Broken::Connection("the reply to DATA makes no sense".to_owned()))
            } else {
                self.reset().await
            };
        }
        self.in_step()?;
        if let Err(broken) = self.message(shared, row, fitted, reading).await {
            // It may have said why it takes no more of it.
            if matches!(broken, Broken::Connection(_))
                && let Ok(why) = self.reply(LAST_WORDS_WAIT).await
                && !why.is_positive()
            {
                settle_open(fates, &fate_of(&why, &host));
            }
            return Err(broken);
        }
        let end = self.reply(FINAL_WAIT).await.map_err(|broken| match broken {
            Broken::Connection(why) => Broken::InDoubt(why),
            other => other,
        })?;
        let fate = if end.is_positive() {
            let (dsn, deliver_by) = (self.can.dsn, self.can.deliver_by.is_some());
            Fate::Delivered { host, reply: end.text(), dsn, deliver_by }
        } else {
            fate_of(&end, &host)
        };
        settle_open(fates, &fate);
        Ok(())
    }

    /// MAIL and RCPTs; how many recipients were accepted. Where the server can (RFC 2920) a RSET
    /// that is due and DATA go along with them: then the reply to DATA is returned too.
    async fn envelope(
        &mut self,
        (row, octets): (&QueueRow, u64),
        now: i64,
        recipients: &[&RecipientRow],
        fates: &mut [(u32, Option<Fate>)],
    ) -> Result<(usize, Option<RemoteReply>), Broken> {
        let host = self.host.name.clone();
        if let Some(fate) = self.unfit(row, recipients, now) {
            settle_open(fates, &fate);
            return Ok((0, None));
        }
        let mut lines = vec![self.mail_line(row, octets, now)];
        let reports_delay = row.terms.by.is_some_and(|by| by.mode == ByMode::Notify && now < by.at)
            && self.can.deliver_by.is_none();
        for r in recipients {
            let mut notify = notify(r.notify);
            if reports_delay && !notify.never {
                // RFC 2852 §4.1.4.2: nobody else will tell of a delay.
                notify.failure |= r.notify.is_default();
                notify.delay = true;
            }
            lines.push(rcpt_line(&r.address, notify, r.orcpt.as_deref(), &self.can));
        }
        if self.can.pipelining {
            let reset = if self.reset_due { RSET } else { "" };
            self.send([reset, &lines.concat(), DATA].concat().as_bytes()).await?;
            if self.reset_due {
                self.was_reset().await?;
            }
        } else if let Some(first) = lines.first() {
            self.send(first.as_bytes()).await?;
        }
        let mut accepted = 0;
        let sender = self.reply(REPLY_WAIT).await?;
        if !sender.is_positive() {
            let mut fate = fate_of(&sender, &host);
            if let Some(why) = self.tls_failed.as_ref().filter(|_| sender.code == 530) {
                // RFC 3207 §4: it insists on TLS, which may work the next time.
                let text = format!("{host}: TLS failed ({why}), and without: {}", sender.text());
                fate = deferred("4.7.5", Some(host.clone()), &text);
            }
            settle_open(fates, &fate);
        }
        for ((_, fate), line) in fates.iter_mut().zip(lines.iter().skip(1)) {
            if !self.can.pipelining {
                if !sender.is_positive() {
                    break;
                }
                self.send(line.as_bytes()).await?;
            }
            let reply = self.reply(REPLY_WAIT).await?;
            if !sender.is_positive() {
                continue;
            }
            if reply.is_positive() {
                accepted += 1;
            } else {
                *fate = Some(fate_of_recipient(&reply, &host, accepted));
            }
        }
        let go = match self.can.pipelining {
            true => Some(self.reply(REPLY_WAIT).await?),
            false => None,
        };
        Ok((accepted, go))
    }

    /// Why this server cannot have the message.
    fn unfit(&self, row: &QueueRow, recipients: &[&RecipientRow], now: i64) -> Option<Fate> {
        let host = &self.host.name;
        let failed = |status: &str, reply| {
            Some(Fate::Failed { status: status.to_owned(), host: Some(host.clone()), reply })
        };
        if let Some(reply) = self.too_late(row, now) {
            return failed("5.4.7", reply);
        }
        let utf8 = row.smtputf8 && recipients.iter().any(|r| r.address.needs_utf8())
            || row.sender.address().is_some_and(mail::Address::needs_utf8);
        if utf8 && !self.can.smtputf8 {
            // RFC 6531 §3.2; only addresses ask for it (users.md S-10).
            return failed("5.6.7", format!("{host} cannot take addresses in UTF-8 (no SMTPUTF8)"));
        }
        None
    }

    /// Why a message that comes back when it is late may not go to this server. RFC 2852 §4.1.4.1.
    fn too_late(&self, row: &QueueRow, now: i64) -> Option<String> {
        let by = row.terms.by.filter(|by| by.mode == ByMode::Return)?;
        let left = by.at - now;
        match self.can.deliver_by {
            _ if left <= 0 => Some("delivery time expired".to_owned()),
            Some(least) if least <= left => None,
            Some(least) => Some(format!("it takes {least} seconds, and {left} are left (BY)")),
            None => Some("the server cannot deliver by a time (no DELIVERBY)".to_owned()),
        }
    }

    fn mail_line(&self, row: &QueueRow, octets: u64, now: i64) -> String {
        let line = MailLine {
            sender: &row.sender,
            size: octets,
            body8: row.terms.body8,
            smtputf8: row.smtputf8,
            ret: row.ret.map(|ret| match ret {
                Ret::Full => params::Ret::Full,
                Ret::Headers => params::Ret::Headers,
            }),
            envid: row.envid.as_deref(),
            require_tls: row.terms.require_tls,
            priority: row.terms.priority,
            by: row.terms.by.map(|by| params::By {
                seconds: by.at - now,
                returns: by.mode == ByMode::Return,
                trace: by.trace,
            }),
        };
        line.encode(&self.can)
    }

    /// The message, piece by piece, dots stuffed.
    async fn message(
        &mut self,
        shared: &Shared,
        row: &QueueRow,
        fitted: Option<Fitted>,
        mut reading: Reading,
    ) -> Result<(), Broken> {
        let skip = u64::from(row.skip);
        let octets = fitted.as_ref().map_or(row.size - skip, |fit| fit.octets);
        let mut rewrite = fitted.map(|fit| Rewrite::new(fit.plan));
        let mut writer = DataWriter::default();
        let (mut piece, mut out) = (Vec::new(), Vec::new());
        loop {
            piece.clear();
            let more = match &mut rewrite {
                Some(rewrite) => convert::next_piece(shared, row, rewrite, &mut piece),
                None => reading.next(&shared.store, PIECE_OCTETS, &mut piece),
            };
            // The message does not end here, and so it is not accepted: RFC 5321 §4.1.1.4.
            if !more.map_err(unreadable)? {
                break;
            }
            writer.write(&piece, &mut out);
            self.write(&out).await?;
            out.clear();
        }
        writer.finish(&mut out);
        self.dialogue.note('C', format!("({octets} octets of message)\n.").as_bytes());
        self.write(&out).await
    }
}

/// The message for a server that takes 7 bits only, when it has more. RFC 6152 §3: it is encoded,
/// or fails.
async fn fit(
    shared: &Shared,
    row: &QueueRow,
    eight_bit: bool,
    host: &str,
) -> Result<Result<Option<Fitted>, Fate>, Broken> {
    if eight_bit || !row.terms.body8 {
        return Ok(Ok(None));
    }
    let fitted = convert::in_seven_bits(shared, row).await.map_err(unreadable)?;
    Ok(fitted.map(Some).map_err(|why| Fate::Failed {
        status: "5.6.3".to_owned(),
        host: Some(host.to_owned()),
        reply: format!("{host} takes 7-bit messages only (no 8BITMIME), and {}", why.0),
    }))
}

fn unreadable(error: StoreError) -> Broken {
    Broken::Unreadable(error.to_string())
}

/// After others were accepted 552 may be the old way to say that they are too many, and is for
/// later then. RFC 5321 §4.5.3.1.10.
fn fate_of_recipient(reply: &RemoteReply, host: &str, accepted: usize) -> Fate {
    let too_many = matches!(reply.status().as_str(), "5.0.0" | "5.5.3");
    match reply.code == 552 && accepted > 0 && too_many {
        true => deferred("4.5.3", Some(host.to_owned()), &reply.text()),
        false => fate_of(reply, host),
    }
}

/// Gives a fate to all that have none.
fn settle_open(fates: &mut [(u32, Option<Fate>)], fate: &Fate) {
    for (_, open) in fates.iter_mut().filter(|(_, open)| open.is_none()) {
        *open = Some(fate.clone());
    }
}

fn notify(notify: Notify) -> params::Notify {
    params::Notify {
        never: notify.contains(Notify::NEVER),
        success: notify.contains(Notify::SUCCESS),
        failure: notify.contains(Notify::FAILURE),
        delay: notify.contains(Notify::DELAY),
    }
}
