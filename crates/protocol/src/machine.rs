//! The shape that every line protocol's session has: a machine without I/O.
//!
//! Bytes go in by [`Machine::receive`], in any split; [`Machine::next`] says what the shell must do
//! now; replies collect in [`Machine::output`] and are written when the machine wants to read, so
//! that pipelined replies travel together (RFC 2920 §3.1). A machine that asks consumes no further
//! input until it is answered, so replies never change places. It knows no time: it only says how
//! long the shell should be patient.

use std::time::Duration;

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    Clear,
    /// By TLS.
    Tls,
    /// By TLS that SASL can bind to. RFC 9266.
    BoundTls,
    /// By TLS, and the client has shown a certificate that we believe.
    CertifiedTls,
    /// The same, and SASL can bind to it.
    CertifiedBoundTls,
}

impl Security {
    /// There is TLS.
    pub fn is_tls(self) -> bool {
        self != Security::Clear
    }

    /// SASL can bind to it.
    pub fn is_bound(self) -> bool {
        matches!(self, Security::BoundTls | Security::CertifiedBoundTls)
    }

    /// The client has shown a certificate.
    pub fn is_certified(self) -> bool {
        matches!(self, Security::CertifiedTls | Security::CertifiedBoundTls)
    }
}

/// What the shell must do now.
#[derive(Debug)]
pub enum Step<Q> {
    /// Flush the output, then wait for bytes from the peer.
    Read,
    /// Flush the output now: replies that may not wait for those behind them. RFC 2920 §3.2.
    Flush,
    /// Find the answer and give it to [`Machine::answer`].
    Ask(Q),
    /// Keep these octets of the message that is being received.
    Body(Vec<u8>),
    /// Flush the output, then start TLS; afterwards call [`Machine::tls_started`].
    StartTls,
    /// Flush the output, then compress in both directions. RFC 4978.
    Deflate,
    /// Flush the output, then compress no more. RFC 8437 §4.1.
    EndDeflate,
    /// Flush the output, then close the connection.
    Close,
}

/// One side of a protocol conversation.
pub trait Machine: Send {
    /// What it may ask the shell.
    type Question: Send;
    /// What it may be told.
    type Answer: Send;

    /// Bytes from the peer, however they were split.
    fn receive(&mut self, bytes: &[u8]);
    /// What to do now.
    fn next(&mut self) -> Step<Self::Question>;
    /// The answer to the question of the last [`Step::Ask`].
    fn answer(&mut self, answer: Self::Answer);
    /// Octets for the peer that are not written yet. The shell takes them out.
    fn output(&mut self) -> &mut Vec<u8>;
    /// TLS is up: forget everything learned before (RFC 3207 §4.2, RFC 9051 §6.2.1).
    fn tls_started(&mut self, security: Security);
    /// Octets received that no step has used yet. Not empty at [`Step::StartTls`] means that
    /// somebody put plain text before the handshake; the shell closes the connection then, if the
    /// machine has not said so and done it itself.
    fn has_unread_input(&self) -> bool;
    /// How long the peer may take to complete what it is doing now.
    fn patience(&self) -> Duration;
    /// Nothing has come of it yet, no login and no mail: the shell may be less patient with it.
    fn is_beginning(&self) -> bool;
    /// Grows each time the peer completes something; the patience starts anew then, and only then.
    fn progress(&self) -> u64;
    /// The patience ran out: say so and close.
    fn expire(&mut self);
    /// The server shuts down: say so and close, if the machine is between two commands.
    fn shutdown(&mut self);
    /// The login does not hold any more: say so and close, whatever is going on.
    fn revoke(&mut self);
    /// The shell's own failure (a panic in a handler): say so and close.
    fn fail(&mut self);
}
