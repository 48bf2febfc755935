//! Whether a copy is a database of the accounts that this version can go on with, and whether its books are right.

use std::{collections::BTreeMap, fmt};

use sqlx::{Row as _, sqlite::SqliteConnection};

use super::{Result, failure};
use crate::{
    secrets,
    store::{Kind, migrations},
};

/// What a copy holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The last change.
    pub revision: i64,
    /// Tenants.
    pub tenants: i64,
    /// Entries of the ledger.
    pub entries: i64,
    /// Calls.
    pub events: i64,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { revision, tenants, entries, events } = self;
        write!(f, "{tenants} tenants, {entries} entries of the ledger and {events} calls, up to change {revision}")
    }
}

/// Refuses a copy that is broken, of a newer version, or whose books are not right.
pub(super) async fn check(copy: &mut SqliteConnection) -> Result<Found> {
    let row = sqlx::query("PRAGMA integrity_check(1)").fetch_one(&mut *copy).await?;
    let said: String = row.try_get(0)?;
    if said != "ok" {
        return failure(format!("the copy is broken: {said}"));
    }
    version(copy).await?;
    books(copy).await?;
    Ok(Found {
        revision: number(copy, "SELECT value FROM revision").await?,
        tenants: number(copy, "SELECT COUNT(*) FROM tenants").await?,
        entries: number(copy, "SELECT COUNT(*) FROM ledger_entries").await?,
        events: number(copy, "SELECT COUNT(*) FROM usage_events").await?,
    })
}

async fn number(copy: &mut SqliteConnection, query: &'static str) -> Result<i64> {
    Ok(sqlx::query(query).fetch_one(copy).await?.try_get(0)?)
}

/// Its tables are those of this version, or of an earlier one, which are changed at the start.
async fn version(copy: &mut SqliteConnection) -> Result<()> {
    let known: BTreeMap<i64, Vec<u8>> = migrations(Kind::Sqlite).iter().map(|known| (known.version, known.checksum.to_vec())).collect();
    for row in sqlx::query("SELECT version, checksum FROM _sqlx_migrations ORDER BY version").fetch_all(copy).await? {
        let (version, checksum): (i64, Vec<u8>) = (row.try_get("version")?, row.try_get("checksum")?);
        match known.get(&version) {
            Some(known) if *known == checksum => {}
            Some(_) => return failure(format!("the copy has other tables of version {version}; another program made it")),
            None => return failure(format!("the copy has tables of version {version}, which a newer version of the accounts made")),
        }
    }
    Ok(())
}

async fn books(copy: &mut SqliteConnection) -> Result<()> {
    let unbalanced = "SELECT COUNT(*) FROM (SELECT 1 FROM ledger_postings GROUP BY entry_id, currency HAVING SUM(amount_minor) <> 0)";
    let strays = "SELECT COUNT(*) FROM ledger_postings WHERE entry_id NOT IN (SELECT id FROM ledger_entries)";
    if number(copy, unbalanced).await? + number(copy, strays).await? > 0 {
        return failure("the ledger of the copy does not balance");
    }
    for table in ["invoices", "credit_notes"] {
        let mut after = String::new();
        loop {
            let query = format!("SELECT number, content, sha256 FROM {table} WHERE number > $1 ORDER BY number LIMIT 100");
            let rows = sqlx::query(sqlx::AssertSqlSafe(query)).bind(after.clone()).fetch_all(&mut *copy).await?;
            let Some(last) = rows.last() else { break };
            after = last.try_get("number")?;
            for row in &rows {
                let (content, sha256): (&str, &str) = (row.try_get("content")?, row.try_get("sha256")?);
                if secrets::hash(content) != sha256 {
                    return failure(format!("{} of the copy is not what was issued", row.try_get::<String, _>("number")?));
                }
            }
        }
    }
    Ok(())
}
