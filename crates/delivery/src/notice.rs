//! A notice of the server to a person: plain text, from nobody who could be answered. RFC 3834 §5.

use crate::{Delivery, DeliveryError, bounce};
use mail::date::format_rfc5322;
use mail::{Address, MessageId};
use store::Terms;

/// A notice.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// Who is told.
    pub to: &'a Address,
    /// ASCII, one line.
    pub subject: &'a str,
    /// Lines that end with CRLF.
    pub text: &'a str,
}

impl Delivery {
    /// Delivers a notice; its name, or `None` when nobody has the address.
    pub async fn notice(&self, notice: Notice<'_>) -> Result<Option<MessageId>, DeliveryError> {
        let world = &self.shared.world;
        let message = MessageId::new(world.clock.unix_millis() as u64, world.random.u32());
        let hostname = &self.shared.settings.hostname;
        let Notice { to, subject, text } = notice;
        let octets = format!(
            "From: Mail system <MAILER-DAEMON@{hostname}>\r\nTo: <{to}>\r\nSubject: {subject}\r\n\
             Date: {}\r\nMessage-ID: <{message}@{hostname}>\r\nAuto-Submitted: auto-generated\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n{text}",
            format_rfc5322(world.clock.unix_seconds())
        );
        let terms = Terms::default();
        let made = bounce::delivery(&self.shared, message, to, terms, octets.as_bytes()).await?;
        let Some(delivery) = made else { return Ok(None) };
        self.shared.store.deliver(delivery).await?;
        Ok(Some(message))
    }
}
