//! Statements on domains, accounts, aliases, routes, properties and counters.

use super::{Handle, column, engine, parsed};
use crate::error::{Result, StoreError};
use crate::rows::{AccountRow, AliasRow, DomainRow, Holder};
use mail::{AccountId, Address, Domain, MailboxId};
use rusqlite::{Row, params};

fn domain_row(row: &Row<'_>) -> Result<DomainRow> {
    let catch_all: Option<String> = column(row, 1)?;
    Ok(DomainRow {
        domain: parsed(row, 0, |text| Domain::parse(text).ok())?,
        catch_all: catch_all.and_then(|text| Address::parse(&text).ok()),
    })
}

fn account_row(row: &Row<'_>) -> Result<AccountRow> {
    Ok(AccountRow {
        id: AccountId(column(row, 0)?),
        address: parsed(row, 1, |text| Address::parse(text).ok())?,
        secret: column(row, 2)?,
        disabled: column(row, 3)?,
        created: column(row, 4)?,
    })
}

fn alias_row(row: &Row<'_>) -> Result<AliasRow> {
    let targets: String = column(row, 1)?;
    Ok(AliasRow {
        address: parsed(row, 0, |text| Address::parse(text).ok())?,
        targets: targets.split('\n').filter_map(|text| Address::parse(text).ok()).collect(),
    })
}

const ACCOUNT: &str = "SELECT id, address, secret, disabled, created FROM account";

impl Handle {
    pub(super) fn domain_row(&self, name: &str) -> Result<Option<DomainRow>> {
        self.first("SELECT name, catch_all FROM domain WHERE name = ?1", [name], domain_row)
    }
    pub(super) fn domain_rows(&self) -> Result<Vec<DomainRow>> {
        self.all("SELECT name, catch_all FROM domain ORDER BY name", [], domain_row)
    }
    pub(super) fn account_row(&self, key: &str) -> Result<Option<AccountRow>> {
        self.first(&format!("{ACCOUNT} WHERE key = ?1"), [key], account_row)
    }
    pub(super) fn account_rows(&self) -> Result<Vec<AccountRow>> {
        self.all(&format!("{ACCOUNT} ORDER BY key"), [], account_row)
    }
    pub(super) fn alias_row(&self, key: &str) -> Result<Option<AliasRow>> {
        self.first("SELECT address, targets FROM alias WHERE key = ?1", [key], alias_row)
    }
    pub(super) fn alias_rows(&self) -> Result<Vec<AliasRow>> {
        self.all("SELECT address, targets FROM alias ORDER BY key", [], alias_row)
    }
    pub(super) fn route_target(&self, domain: &str) -> Result<Option<String>> {
        self.first("SELECT target FROM route WHERE domain = ?1", [domain], |row| column(row, 0))
    }
    pub(super) fn route_rows(&self) -> Result<Vec<(Domain, String)>> {
        self.all("SELECT domain, target FROM route ORDER BY domain", [], |row| {
            Ok((parsed(row, 0, |text| Domain::parse(text).ok())?, column(row, 1)?))
        })
    }
    pub(super) fn counter_value(&self, name: &str) -> Result<u64> {
        let found = self.first("SELECT value FROM counter WHERE name = ?1", [name], |row| {
            column::<i64>(row, 0)
        })?;
        Ok(found.unwrap_or(0) as u64)
    }

    pub(super) fn write_domain(&self, row: &DomainRow) -> Result<()> {
        let catch_all = row.catch_all.as_ref().map(Address::to_string);
        let sql = "INSERT OR REPLACE INTO domain(name, catch_all) VALUES(?1, ?2)";
        self.execute(sql, params![row.domain.as_str(), catch_all]).map(drop)
    }
    pub(super) fn write_account(&self, row: &AccountRow) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO account(key, id, address, secret, disabled, created)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
        let key = row.address.key();
        let address = row.address.to_string();
        self.execute(sql, params![key, row.id.0, address, row.secret, row.disabled, row.created])
            .map(drop)
    }
    pub(super) fn write_alias(&self, row: &AliasRow) -> Result<()> {
        let targets: Vec<String> = row.targets.iter().map(Address::to_string).collect();
        let sql = "INSERT OR REPLACE INTO alias(key, address, targets) VALUES(?1, ?2, ?3)";
        let address = row.address.to_string();
        self.execute(sql, params![row.address.key(), address, targets.join("\n")]).map(drop)
    }
    pub(super) fn write_route(&self, domain: &Domain, target: &str) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO route(domain, target) VALUES(?1, ?2)";
        self.execute(sql, params![domain.as_str(), target]).map(drop)
    }
    pub(super) fn write_counter(&self, name: &str, value: u64) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO counter(name, value) VALUES(?1, ?2)";
        self.execute(sql, params![name, value as i64]).map(drop)
    }
    pub(super) fn property_value(&self, of: Holder, name: &str) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT value FROM property WHERE kind = ?1 AND owner = ?2 AND name = ?3";
        let (kind, owner) = of.key();
        self.first(sql, (kind, owner, name), |row| column(row, 0))
    }
    pub(super) fn property_values(&self, of: Holder) -> Result<Vec<(String, Vec<u8>)>> {
        let sql = "SELECT name, value FROM property WHERE kind = ?1 AND owner = ?2 ORDER BY name";
        self.all(sql, of.key(), |row| Ok((column(row, 0)?, column(row, 1)?)))
    }
    pub(super) fn names_of_properties(&self, of: Holder, limit: usize) -> Result<Vec<String>> {
        let sql = "SELECT name FROM property WHERE kind = ?1 AND owner = ?2 ORDER BY name LIMIT ?3";
        let (kind, owner) = of.key();
        self.all(sql, (kind, owner, limit as i64), |row| column(row, 0))
    }
    pub(super) fn each_property_value(
        &self,
        of: Holder,
        from: &str,
        to: &str,
        each: &mut dyn FnMut(&str, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let sql = "SELECT name, value FROM property
            WHERE kind = ?1 AND owner = ?2 AND name BETWEEN ?3 AND ?4 ORDER BY name";
        let (kind, owner) = of.key();
        let mut statement = self.statement(sql)?;
        let mut rows = statement.query((kind, owner, from, to)).map_err(engine)?;
        let odd = |error: rusqlite::types::FromSqlError| StoreError::Corrupt(error.to_string());
        while let Some(row) = rows.next().map_err(engine)? {
            let name = row.get_ref(0).map_err(engine)?;
            let value = row.get_ref(1).map_err(engine)?;
            each(name.as_str().map_err(odd)?, value.as_blob().map_err(odd)?)?;
        }
        Ok(())
    }
    pub(super) fn property_owners(&self, of: Holder) -> Result<Vec<u32>> {
        let sql = "SELECT DISTINCT owner FROM property WHERE kind = ?1 ORDER BY owner";
        let (kind, _) = of.key();
        self.all(sql, [kind], |row| column(row, 0))
    }
    pub(super) fn access_of(&self, identifier: &str) -> Result<Vec<MailboxId>> {
        let sql = "SELECT owner FROM property WHERE kind = ?1 AND name = ?2 ORDER BY owner";
        let (kind, _) = Holder::Access(MailboxId(0)).key();
        self.all(sql, (kind, identifier), |row| column(row, 0).map(MailboxId))
    }
    pub(super) fn write_property(&self, of: Holder, name: &str, value: &[u8]) -> Result<()> {
        let sql =
            "INSERT OR REPLACE INTO property(kind, owner, name, value) VALUES(?1, ?2, ?3, ?4)";
        let (kind, owner) = of.key();
        self.execute(sql, (kind, owner, name, value)).map(drop)
    }
}
