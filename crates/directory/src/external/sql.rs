//! People in PostgreSQL or SQLite: found by statements of the settings, whose only values are
//! addresses.

use super::{Found, Told};
use crate::Unavailable;
use mail::Address;
use sys::postgres::SqlClient;
use sys::sqlite::SqliteClient;

/// How people are found. `$1` is the address in lower case, `$2` its local part, `$3` its domain.
#[derive(Clone, Debug, Default)]
pub struct SqlPlan {
    /// Gives the account's own address and a hash of its password.
    pub login_query: String,
    /// Gives the addresses that an address stands for; itself for an account.
    pub address_query: String,
}

/// Which database.
pub enum Database {
    /// PostgreSQL.
    Postgres(SqlClient),
    /// A file.
    Sqlite(SqliteClient),
}

/// A database, and how people are found there.
pub struct Sql {
    database: Database,
    plan: SqlPlan,
}

impl Sql {
    /// The error says what is wrong with the plan.
    pub fn new(database: Database, plan: SqlPlan) -> Result<Sql, String> {
        for (name, query) in
            [("login_query", &plan.login_query), ("address_query", &plan.address_query)]
        {
            if !["$1", "$2"].iter().any(|place| query.contains(place)) {
                return Err(format!("{name} has neither $1 nor $2: it finds anybody"));
            }
        }
        Ok(Sql { database, plan })
    }

    async fn rows(
        &self,
        query: &str,
        address: &Address,
    ) -> Result<Vec<Vec<Option<String>>>, Unavailable> {
        let (whole, local) = (address.to_string().to_lowercase(), address.local().to_lowercase());
        let values = [whole.as_str(), local.as_str(), address.domain().as_str()];
        let asked = match &self.database {
            Database::Postgres(client) => client.query(query, &values).await,
            Database::Sqlite(client) => client.query(query, &values).await,
        };
        asked.map_err(|why| Unavailable(format!("SQL: {why}")))
    }

    /// Who gets mail for an address.
    pub async fn find(&self, address: &Address) -> Result<Option<Found>, Unavailable> {
        let rows = self.rows(&self.plan.address_query, address).await?;
        let texts = rows.into_iter().filter_map(|row| row.into_iter().next().flatten());
        let mut targets: Vec<Address> =
            texts.filter_map(|text| Address::parse(&text).ok()).collect();
        let itself = targets.iter().position(|target| target.key() == address.key());
        Ok(match (itself, targets.is_empty()) {
            (_, true) => None,
            (Some(n), _) if targets.len() == 1 => Some(Found::Account(targets.swap_remove(n))),
            _ => Some(Found::Members(targets)),
        })
    }

    /// Somebody of that name may log in.
    pub(crate) async fn is_there(&self, address: &Address) -> Result<bool, Unavailable> {
        Ok(!self.rows(&self.plan.login_query, address).await?.is_empty())
    }

    /// Whose name it is, and the hash that a password is compared with.
    pub(crate) async fn tell(&self, address: &Address) -> Result<Told, Unavailable> {
        let mut rows = self.rows(&self.plan.login_query, address).await?;
        if rows.len() > 1 {
            return Err(Unavailable(format!("SQL: login_query gives several rows for {address}")));
        }
        let mut row = rows.pop().unwrap_or_default().into_iter();
        let (own, hash) = (row.next().flatten(), row.next().flatten());
        let own = own.and_then(|own| Address::parse(&own).ok());
        Ok(match (own, hash) {
            (Some(own), Some(hash)) => Told::Hashes(own, vec![hash]),
            _ => Told::NobodyHashed,
        })
    }
}
