//! People whose passwords a program proves, as PAM's do. It cannot say who there is: so somebody's
//! account is made at the first login, or by an administrator before.

use super::Told;
use crate::Unavailable;
use mail::{Address, Domain};
use sys::program::{ProgramClient, ProgramTrouble};

/// What the program is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramPlan {
    /// The name it is given: of `{address}`, `{local}`, `{domain}`, in lower case.
    pub name: String,
    /// Whose people `{local}` alone means; nobody else is asked about.
    pub domain: Option<Domain>,
}

/// A program, and what it is asked.
pub struct Program {
    client: ProgramClient,
    plan: ProgramPlan,
    /// The name alone does not tell of which domain somebody is.
    of_one_domain: bool,
}

impl From<ProgramTrouble> for Unavailable {
    fn from(error: ProgramTrouble) -> Unavailable {
        Unavailable(error.to_string())
    }
}

impl Program {
    /// The error says what is wrong with the plan.
    pub fn new(client: ProgramClient, plan: ProgramPlan) -> Result<Program, String> {
        let has = |place| plan.name.contains(place);
        if !has("{address}") && !has("{local}") {
            return Err("name has neither {address} nor {local}: it is anybody".to_owned());
        }
        let of_one_domain = !has("{address}") && !has("{domain}");
        Ok(Program { client, plan, of_one_domain })
    }

    /// Whose name and password it is. A program takes its own time with who is not there.
    pub(crate) async fn tell(&self, address: &Address, text: &str) -> Result<Told, Unavailable> {
        let Ok(own) = Address::parse(&address.to_string().to_lowercase()) else {
            return Ok(Told::Nobody);
        };
        if self.of_one_domain && self.plan.domain.as_ref() != Some(own.domain()) {
            return Ok(Told::Nobody);
        }
        let right = self.client.proves(&self.name(&own), text).await?;
        Ok(if right { Told::Right(own) } else { Told::Nobody })
    }

    /// What is put in is not looked at again: a local part may have braces.
    fn name(&self, address: &Address) -> String {
        let mut out = String::new();
        let mut rest = self.plan.name.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let (value, left) = match after.split_once('}') {
                Some(("address", left)) => (address.to_string(), left),
                Some(("local", left)) => (address.local().to_owned(), left),
                Some(("domain", left)) => (address.domain().to_string(), left),
                _ => ("{".to_owned(), after),
            };
            out.push_str(&value);
            rest = left;
        }
        out + rest
    }
}
