//! Questions to a SQLite database that somebody else keeps. It is opened for each question, for
//! reading only, so that it may be replaced at any time. Values travel beside the statement.

use crate::hands::{self, SystemHands};
use crate::postgres::{ROWS_MAX, SqlRow};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a database that somebody writes to may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// A client. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct SqliteClient {
    path: PathBuf,
}

impl SqliteClient {
    /// Of the database in this file.
    pub fn new(path: &Path) -> SqliteClient {
        SqliteClient { path: path.to_owned() }
    }

    /// Asks; the values are `$1`, `$2` and so on, as texts.
    pub async fn query(&self, statement: &str, values: &[&str]) -> Result<Vec<SqlRow>, String> {
        let (path, statement) = (self.path.clone(), statement.to_owned());
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        let asked = hands::blocking(&SystemHands, move || ask(&path, &statement, &values)).await;
        let named = |why: String| format!("{}: {why}", self.path.display());
        asked.map_err(named)?.map_err(|error| named(error.to_string()))
    }
}

fn ask(path: &Path, statement: &str, values: &[String]) -> rusqlite::Result<Vec<SqlRow>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(path, flags)?;
    database.busy_timeout(ANSWER_WAIT)?;
    let mut statement = database.prepare(statement)?;
    for (n, value) in (1..).zip(values) {
        if let Some(index) = statement.parameter_index(&format!("${n}"))? {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let text = |n| {
            Ok(match row.get_ref(n)? {
                ValueRef::Null => None,
                ValueRef::Integer(number) => Some(number.to_string()),
                ValueRef::Real(number) => Some(number.to_string()),
                ValueRef::Text(text) | ValueRef::Blob(text) => {
                    Some(String::from_utf8_lossy(text).into_owned())
                }
            })
        };
        found.push((0..columns).map(text).collect::<rusqlite::Result<SqlRow>>()?);
        if found.len() >= ROWS_MAX {
            break;
        }
    }
    Ok(found)
}
