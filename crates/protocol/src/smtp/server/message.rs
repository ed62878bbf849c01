//! Message octets: DATA, BDAT and BURL, counted, checked and handed on. RFC 5321 §4.1.1.4,
//! RFC 3030, RFC 4468.
//!
//! Invariant: what nobody wants is read to its true end all the same, so that none of it is ever
//! taken for a command.

use super::{Envelope, Hello, Pending, Phase, Question, Session};
use crate::machine::Step;
use crate::smtp::body::{Bare, BareCheck};
use crate::smtp::limits::{PIECE_OCTETS, PROGRESS_OCTETS};
use crate::smtp::params::Body;
use crate::smtp::reply::{self, Reply};

impl Session {
    /// The envelope, if a message may come now.
    fn complete_envelope(&self) -> Result<(Hello, Envelope), Reply> {
        match (&self.hello, &self.envelope) {
            (Some(_), None) | (None, _) => Err(reply::MAIL_FIRST),
            (_, Some(envelope)) if envelope.recipients.is_empty() => Err(reply::RCPT_FIRST),
            (Some(hello), Some(envelope)) => Ok((hello.clone(), envelope.clone())),
        }
    }

    pub(super) fn data(&mut self) -> Option<Step<Question>> {
        // RFC 3030 §3: binary octets have no end that DATA could see.
        if self.chunks.is_some() || self.is_binary() {
            self.say(&reply::BAD_SEQUENCE);
            return None;
        }
        match self.complete_envelope() {
            Ok((hello, envelope)) => {
                Some(self.ask(Pending::BeginData, Question::Begin(hello, envelope)))
            }
            Err(refusal) => {
                self.say(&refusal);
                None
            }
        }
    }

    fn is_binary(&self) -> bool {
        self.envelope.as_ref().is_some_and(|envelope| envelope.mail.body == Body::Binary)
    }

    pub(super) fn bdat(&mut self, size: u64, last: bool) -> Option<Step<Question>> {
        let too_big = self.octets.saturating_add(size) > self.most();
        if self.chunks.is_some() {
            if too_big {
                self.discard(size, last, reply::TOO_BIG);
                return None;
            }
            self.phase = Phase::Chunk { left: size, last };
            return None;
        }
        match self.complete_envelope() {
            Err(refusal) => {
                self.discard(size, last, refusal);
                None
            }
            Ok(_) if too_big => {
                self.discard(size, last, reply::TOO_BIG);
                None
            }
            Ok((hello, envelope)) => {
                let pending = Pending::BeginChunk { size, last };
                Some(self.ask(pending, Question::Begin(hello, envelope)))
            }
        }
    }

    /// BURL. RFC 4468 §3.2.
    pub(super) fn burl(&mut self, url: String, last: bool) -> Option<Step<Question>> {
        if !self.offer.login {
            self.say(&reply::UNKNOWN_COMMAND);
            return None;
        }
        if self.chunks.is_some() {
            return Some(self.url(url, last));
        }
        match self.complete_envelope() {
            Ok((hello, envelope)) => {
                let pending = Pending::BeginUrl(url, last);
                Some(self.ask(pending, Question::Begin(hello, envelope)))
            }
            Err(refusal) => {
                self.say(&refusal);
                None
            }
        }
    }

    /// A message may begin with a URL, or the octets of one have come.
    pub(super) fn fetched(&mut self, pending: Pending, refusal: Option<Reply>) {
        match (pending, refusal) {
            (Pending::BeginUrl(url, last), None) => {
                self.chunks = Some(BareCheck::default());
                self.phase = Phase::Url(url, last);
            }
            (Pending::Url(true), None) => self.phase = Phase::Chunk { left: 0, last: true },
            (_, None) => self.say(&reply::URL_OK),
            // RFC 4468 §3.2: it fails the transaction.
            (_, Some(reply)) => self.phase = Phase::Discard { left: 0, reply, times: 1 },
        }
    }

    /// What a URL stands for becomes part of the message.
    pub(super) fn url(&mut self, url: String, last: bool) -> Step<Question> {
        let most = self.most().saturating_sub(self.octets);
        self.ask(Pending::Url(last), Question::Url(url, most))
    }

    /// A chunk nobody wants has to be read all the same. RFC 3030 §2.
    pub(super) fn discard(&mut self, size: u64, last: bool, reply: Reply) {
        if size > self.most() {
            return self.refuse_and_close(&reply::TOO_BIG);
        }
        // Only the last chunk of a message that began is answered for each recipient.
        let times = if last { self.replies_to_message() } else { 1 };
        self.phase = Phase::Discard { left: size, reply, times };
    }

    /// The transaction ends without a message.
    pub(super) fn reset(&mut self, reply: Reply) -> Option<Step<Question>> {
        self.reset_saying(reply, 1)
    }

    /// A message that was sent to its end is refused: each recipient's reply says so.
    fn refuse_message(&mut self, reply: Reply) -> Option<Step<Question>> {
        let replies = self.replies_to_message();
        self.reset_saying(reply, replies)
    }

    fn reset_saying(&mut self, reply: Reply, times: usize) -> Option<Step<Question>> {
        self.envelope = None;
        self.octets = 0;
        if self.chunks.take().is_some() {
            let question = Question::Abort(reply.clone());
            return Some(self.ask(Pending::Abort(reply, times), question));
        }
        self.say_times(&reply, times);
        None
    }

    pub(super) fn data_octets(&mut self) -> Option<Step<Question>> {
        let Phase::Data(reader) = &mut self.phase else { return None };
        if self.input.is_empty() {
            return Some(Step::Read);
        }
        let mut piece = Vec::with_capacity(self.input.rest().len().min(PIECE_OCTETS));
        let rest = self.input.rest();
        let rest = rest.get(..rest.len().min(PIECE_OCTETS)).unwrap_or_default();
        let (used, ended) = reader.read(rest, &mut piece);
        let tainted = reader.tainted;
        self.input.consume(used);
        // RFC 1870 §3: doubled dots and the last one do not count.
        self.count(piece.len() as u64);
        let too_big = self.octets > self.most();
        if ended {
            self.phase = Phase::Command;
            if tainted {
                self.chunks = Some(BareCheck::default());
                return self.refuse_message(reply::BARE_IN_MESSAGE);
            }
            if too_big {
                self.chunks = Some(BareCheck::default());
                return self.refuse_message(reply::TOO_BIG);
            }
            // The last octets first; `next` comes back for the question.
            self.phase = Phase::Chunk { left: 0, last: true };
            self.chunks = Some(BareCheck::default());
            return Some(Step::Body(piece));
        }
        if too_big || tainted || piece.is_empty() {
            return None;
        }
        Some(Step::Body(piece))
    }

    pub(super) fn count(&mut self, octets: u64) {
        let before = self.octets / PROGRESS_OCTETS;
        self.octets += octets;
        self.progress += self.octets / PROGRESS_OCTETS - before;
    }

    pub(super) fn chunk_octets(&mut self, left: u64, last: bool) -> Option<Step<Question>> {
        if left > 0 {
            let rest = self.input.rest();
            if rest.is_empty() {
                return Some(Step::Read);
            }
            let take =
                rest.len().min(PIECE_OCTETS).min(usize::try_from(left).unwrap_or(usize::MAX));
            let piece = rest.get(..take).unwrap_or_default().to_vec();
            if let Some(check) = &mut self.chunks {
                check.feed(&piece);
            }
            self.input.consume(take);
            self.count(take as u64);
            self.phase = Phase::Chunk { left: left - take as u64, last };
            return Some(Step::Body(piece));
        }
        self.phase = Phase::Command;
        if !last {
            self.say(&reply::CHUNK_OK);
            return None;
        }
        // What is said to be binary is made lines of when all of it is here.
        let strict = self.bare() == Bare::Refuse && !self.is_binary();
        let tainted = self.chunks.as_mut().is_some_and(|check| {
            check.finish();
            check.tainted
        });
        if tainted && strict {
            return self.refuse_message(reply::BARE_IN_MESSAGE);
        }
        Some(self.ask(Pending::End, Question::End))
    }

    pub(super) fn discard_octets(&mut self) -> Option<Step<Question>> {
        let Phase::Discard { left, reply, times } = &mut self.phase else { return None };
        let used = self.input.rest().len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= used as u64;
        self.input.consume(used);
        if *left > 0 {
            return Some(Step::Read);
        }
        let (reply, times) = (reply.clone(), *times);
        self.phase = Phase::Command;
        self.reset_saying(reply, times)
    }

    /// How many replies a whole message gets: in LMTP one for each recipient that was accepted, as
    /// often as it was named, and none for nobody. RFC 2033 §4.2, §4.3.
    pub(super) fn replies_to_message(&self) -> usize {
        match &self.envelope {
            Some(envelope) if self.offer.lmtp => envelope.recipients.len(),
            _ => 1,
        }
    }

    /// The message is ours, or refused: the transaction is over. RFC 5321 §4.1.1.4.
    pub(super) fn end(&mut self, reply: &Reply) {
        let replies = self.replies_to_message();
        self.envelope = None;
        self.chunks = None;
        self.octets = 0;
        self.idle = 0;
        if reply.is_positive() {
            (self.errors, self.of_use) = (0, true);
        }
        self.say_times(reply, replies);
    }
}
