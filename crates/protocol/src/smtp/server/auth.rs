//! AUTH, and the responses to challenges. RFC 4954.

use super::{Pending, Phase, Question, Session};
use crate::line::Line;
use crate::machine::Step;
use crate::sasl::{self, Client, Mechanism, NoResponse, RESPONSE_OCTETS_MAX};
use crate::smtp::limits::{AUTH_OCTETS_MAX, COMMAND_OCTETS_MAX};
use crate::smtp::reply;

impl Session {
    /// Octets of the command that comes. Where nobody logs in, none is longer for it.
    pub(super) fn command_octets_max(&self) -> usize {
        let verb = self.input.rest().get(..5);
        let auth = verb.is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "));
        if auth && self.offer.login { AUTH_OCTETS_MAX } else { COMMAND_OCTETS_MAX }
    }

    pub(super) fn auth(
        &mut self,
        mechanism: &str,
        initial: Option<String>,
    ) -> Option<Step<Question>> {
        let refusal = match () {
            () if !self.offer.login => Some(reply::AUTH_ELSEWHERE),
            () if self.hello.is_none() => Some(self.hello_first()),
            () if self.authenticated || self.envelope.is_some() => Some(reply::BAD_SEQUENCE),
            () if !self.may_login() => Some(reply::TLS_FIRST),
            () => None,
        };
        if let Some(refusal) = refusal {
            self.say(&refusal);
            return None;
        }
        let Some(mechanism) = Mechanism::parse(mechanism, self.security, self.offer.sasl) else {
            let names: Vec<&str> = sasl::names(self.security, self.offer.sasl).collect();
            let text = format!("Unknown mechanism; there are {}", names.join(" "));
            self.say(&reply::UNKNOWN_MECHANISM.saying(text));
            return None;
        };
        match initial.map(|argument| sasl::initial(argument.as_bytes())).transpose() {
            Ok(first) => {
                Some(self.ask(Pending::Login, Question::Sasl(Client::Begins(mechanism, first))))
            }
            Err(why) => self.no_response(why),
        }
    }

    /// The client's response to a challenge.
    pub(super) fn response(&mut self) -> Option<Step<Question>> {
        let line = match self.input.line(RESPONSE_OCTETS_MAX) {
            Line::Partial => return Some(Step::Read),
            Line::Whole(line) => line,
            Line::TooLong => return self.no_response(NoResponse::TooLong),
            Line::Bare => {
                self.refuse_and_close(&reply::BARE_LINE_BREAK);
                return None;
            }
        };
        match sasl::response(&line) {
            Ok(octets) => Some(self.ask(Pending::Login, Question::Sasl(Client::Responds(octets)))),
            Err(why) => self.no_response(why),
        }
    }

    fn no_response(&mut self, why: NoResponse) -> Option<Step<Question>> {
        self.phase = Phase::Command;
        let reply = match why {
            NoResponse::Aborted => reply::AUTH_ABORTED,
            NoResponse::Broken => reply::BAD_BASE64,
            NoResponse::TooLong => reply::RESPONSE_TOO_LONG,
        };
        self.say(&reply);
        None
    }
}
