//! Judging new mail by what its recipients taught (`learning`). users.md I-84.
//!
//! It is asked when a message is complete, and costs a look into a table for accounts that taught
//! nothing. What it finds is told in the journey and, when the message is for one account only, in
//! a header line: `X-Spam-Status`, SpamAssassin's, since that is what programs know (Thunderbird's
//! trust in headers, Sieve scripts, webmail). It is in front of any that came with the message.
//! A header line for one of several recipients would tell the others what he thinks of his mail.

use crate::Shared;
use crate::accept::Incoming;
use crate::fate::Filing;
use crate::limits::{JUDGED_ACCOUNTS_MAX, SPAM_FILED, SPAM_LINE_WORD_MAX};
use mail::AccountId;
use mail::summary::Summary;
use mail::tokens::tokens;
use policy::spam::{self, Judgement};
use std::fmt::Write;
use store::{Spool, StoreError};

/// What one account would say of a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub account: AccountId,
    judgement: Judgement,
}

/// There may be a header line for a message, once it is complete.
pub(crate) fn may_tell(shared: &Shared, incoming: &Incoming) -> bool {
    // What goes wrong here goes wrong again when it is judged, and is told then.
    let taught = |id| matches!(shared.store.taught_words(id), Ok(Some(_)));
    match incoming.recipients.as_slice() {
        [one] if shared.settings.judge_spam && incoming.authenticated.is_none() => {
            // Whose an alias is, is not known yet.
            one.account.is_none_or(taught)
        }
        _ => false,
    }
}

/// What accounts would say of a message, of those that taught enough. It never hinders delivery.
pub(crate) fn judge(
    shared: &Shared,
    accounts: &[AccountId],
    summary: &Summary,
    spool: &Spool,
) -> Vec<Verdict> {
    if !shared.settings.judge_spam {
        return Vec::new();
    }
    let judged = try_judge(shared, accounts, summary, spool);
    judged.unwrap_or_else(|error| {
        tracing::warn!(%error, "a message is delivered without being judged");
        Vec::new()
    })
}

fn try_judge(
    shared: &Shared,
    accounts: &[AccountId],
    summary: &Summary,
    spool: &Spool,
) -> Result<Vec<Verdict>, StoreError> {
    let mut words_of_message = None;
    let mut verdicts = Vec::new();
    for account in accounts.iter().take(JUDGED_ACCOUNTS_MAX) {
        let Some(taught) = shared.store.taught_words(*account)? else { continue };
        let words = match &words_of_message {
            Some(words) => words,
            None => &*words_of_message.insert(tokens(summary, |range| spool.read(range))?),
        };
        let judgement = spam::judge(&taught, words);
        verdicts.extend(judgement.map(|judgement| Verdict { account: *account, judgement }));
    }
    Ok(verdicts)
}

/// Files what accounts call spam into their Junk; the reasons of all verdicts.
pub(crate) fn file(shared: &Shared, filings: &mut [Filing], verdicts: Vec<Verdict>) -> Vec<String> {
    let mut reasons = Vec::new();
    for verdict in verdicts {
        let reason = verdict.reason();
        let filing = filings.iter_mut().find(|filing| filing.account == verdict.account);
        if let Some(filing) = filing
            && verdict.is_spam()
            && shared.settings.file_spam
        {
            filing.junk.get_or_insert_with(|| reason.clone());
        }
        reasons.push(reason);
    }
    reasons
}

impl Verdict {
    /// It belongs into Junk.
    pub fn is_spam(&self) -> bool {
        self.judgement.probability >= SPAM_FILED
    }

    /// Why, in words.
    pub fn reason(&self) -> String {
        let what = if self.is_spam() { "spam" } else { "not spam" };
        let mut text = format!(
            "{what} by what the account taught: probability {:.4}",
            self.judgement.probability
        );
        for (n, (word, by_itself)) in self.judgement.strongest.iter().enumerate() {
            let before = if n == 0 { "; by " } else { ", " };
            let _ = write!(text, "{before}{word} {by_itself:.2}");
        }
        text
    }

    /// The header line, with its line break. The score is ten times the probability, since readers
    /// of this field compare two numbers.
    pub fn line(&self) -> String {
        let what = if self.is_spam() { "Yes" } else { "No" };
        let probability = self.judgement.probability;
        // Rounded down: what is below the limit must not look as if it were not.
        let score = (probability * 1000.0).floor() / 100.0;
        let mut line = format!(
            "X-Spam-Status: {what}, score={score:.2} required={:.2} tests=LEARNED\r\n\t\
             (probability {probability:.4}",
            SPAM_FILED * 10.0
        );
        for (word, by_itself) in &self.judgement.strongest {
            // What would have to be encoded, or could end the comment, is in the journey only.
            let plain = |b: u8| b.is_ascii_graphic() && !b"()\\".contains(&b);
            if word.bytes().all(plain) && word.len() <= SPAM_LINE_WORD_MAX {
                let _ = write!(line, ",\r\n\t{word} {by_itself:.2}");
            }
        }
        line.push_str(")\r\n");
        line
    }
}
