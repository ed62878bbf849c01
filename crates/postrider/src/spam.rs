//! `account spam`: what an account taught about spam, and forgetting it.

use crate::admin::{Failure, Outcome, Request, Response, exit, known_account};
use clap::Subcommand;
use policy::limits::SPAM_LESSONS_MIN;
use policy::spam;
use serde_json::json;
use store::{Store, StoreError};

/// `account spam`
#[derive(Subcommand)]
pub enum AccountSpam {
    /// Tell how many messages an account taught by, and whether its mail is judged
    #[command(after_help = "Example:\n  postrider account spam show bob@example.org --json")]
    Show {
        /// The account
        address: String,
    },
    /// Forget all that an account taught; its mail is not judged then
    #[command(after_help = "Example:\n  postrider account spam forget bob@example.org")]
    Forget {
        /// The account
        address: String,
    },
}

/// The request of a command.
pub fn request(command: AccountSpam) -> Request {
    match command {
        AccountSpam::Show { address } => Request::SpamShow { address },
        AccountSpam::Forget { address } => Request::SpamForget { address },
    }
}

/// Carries it out.
pub async fn execute(store: &Store, request: Request) -> Outcome {
    let trouble = |error: StoreError| Failure { text: error.to_string(), code: exit::SOFTWARE };
    if let Request::SpamForget { address } = &request {
        let (address, id) = known_account(store, address)?;
        store.forget_taught(id).await.map_err(trouble)?;
        let text = format!("what {address} taught about spam is forgotten");
        return Ok(Response { value: json!({ "done": text }), text });
    }
    let Request::SpamShow { address } = &request else {
        let text = "not a command about spam".to_owned();
        return Err(Failure { text, code: exit::SOFTWARE });
    };
    let (address, id) = known_account(store, address)?;
    let taught = store.taught(id).map_err(trouble)?;
    let waiting = store.lessons(id).map_err(trouble)?.len();
    let (spam, other, words) = spam::counts(&taught.words);
    let judges = spam >= SPAM_LESSONS_MIN && other >= SPAM_LESSONS_MIN;
    let octets = taught.words.len() + taught.messages.len();
    let value = json!({
        "address": address.to_string(), "spam": spam, "other": other, "words": words,
        "octets": octets, "waiting": waiting, "judges": judges, "needed": SPAM_LESSONS_MIN,
    });
    let judged = match judges {
        true => "its mail is judged".to_owned(),
        false => format!("its mail is judged from {SPAM_LESSONS_MIN} of each on"),
    };
    let text = format!(
        "{address} taught by {spam} spams and {other} other messages: {judged}\n\
         {words} words are known, {octets} octets; {waiting} acts wait to be learned from"
    );
    Ok(Response { value, text })
}
