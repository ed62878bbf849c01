//! Logging in at a smarthost, which is under TLS and proven by then. RFC 4954 §4.

use super::*;
use protocol::sasl;

impl Connection {
    /// By PLAIN, or LOGIN where that is all there is. What is said does not get into the record.
    pub(super) async fn log_in(&mut self, login: &Login) -> Result<(), Broken> {
        let Login { user, password } = login;
        let host = self.host.name.clone();
        let (mechanism, responses) = match self.can {
            Extensions { auth_plain: true, .. } => ("PLAIN", vec![format!("\0{user}\0{password}")]),
            Extensions { auth_login: true, .. } => ("LOGIN", vec![user.clone(), password.clone()]),
            _ => {
                let why = format!("{host} announces neither AUTH PLAIN nor AUTH LOGIN");
                return Err(Broken::Unsafe("4.7.4".to_owned(), why));
            }
        };
        let mut reply = self.say(&format!("AUTH {mechanism}\r\n")).await?;
        for response in responses {
            if reply.code != 334 {
                break;
            }
            self.in_step()?;
            self.dialogue.note('C', b"(secret)");
            self.write(format!("{}\r\n", sasl::encoded(response.as_bytes())).as_bytes()).await?;
            reply = self.reply(REPLY_WAIT).await?;
        }
        if reply.code == 235 {
            return Ok(());
        }
        // An operator set it, and mends it: the mail waits.
        let status = if reply.is_permanent() { "4.7.8".to_owned() } else { reply.status() };
        let why = format!("{host}, login of {user} by {mechanism}: {}", reply.text());
        Err(Broken::Unsafe(status, why))
    }
}
