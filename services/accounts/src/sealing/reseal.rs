//! Seals anew what an older key has sealed, with the newest one, so that the older one can be taken out of the file.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Row as _};

use super::Keys;
use crate::{access::Asker, error::Result, store::Store};

/// Where something sealed is: the table, what a row is found by, and whose it is as it was sealed.
const SEALED: [(&str, &str, &str); 2] =
    [("webhook_secrets", "id", "webhook_id"), ("second_factors", "member_id", "'second factor ' || member_id")];

/// Secrets of one transaction.
const AT_ONCE: i64 = 200;

/// A key, and how much it seals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealingKey {
    /// The first 8 digits of its SHA-256.
    pub id: String,
    /// Its place among those of the file, from 1; none: the file lacks it, and what it seals cannot be opened.
    pub place: Option<usize>,
    /// How many secrets it seals.
    pub secrets: i64,
}

/// Seals all secrets with the newest key; those that cannot be opened stay as they are. Whoever is killed goes on where it was.
pub(crate) async fn reseal(keys: &Keys, store: &Store) -> Result<()> {
    let mut sealed_anew = 0;
    for (table, id, owner) in SEALED {
        sealed_anew += of_table(keys, store, table, id, owner).await?;
    }
    if sealed_anew > 0 {
        tracing::info!(secrets = sealed_anew, "secrets were sealed anew with the newest key of webhooks.key_file");
    }
    for key in state(keys, store).await?.iter().skip(1).filter(|key| key.secrets == 0) {
        tracing::info!(key = key.id, place = key.place, "nothing needs this key of webhooks.key_file any more; it can be removed");
    }
    Ok(())
}

async fn of_table(keys: &Keys, store: &Store, table: &str, id: &str, owner: &str) -> Result<u64> {
    let (mut after, mut sealed_anew) = (String::new(), 0);
    loop {
        let query = format!("SELECT {id} AS id, {owner} AS owner, sealed FROM {table} WHERE {id} > $1 ORDER BY {id} LIMIT $2");
        let rows = sqlx::query(AssertSqlSafe(query)).bind(after.clone()).bind(AT_ONCE).fetch_all(store.reads()?).await?;
        let Some(last) = rows.last() else { return Ok(sealed_anew) };
        after = last.try_get("id")?;
        let mut transaction = store.begin().await?;
        for row in &rows {
            let (row_id, owner, sealed): (String, String, String) = (row.try_get("id")?, row.try_get("owner")?, row.try_get("sealed")?);
            if keys.is_newest(&sealed) {
                continue;
            }
            let Some(secret) = keys.open(&owner, &sealed) else {
                tracing::error!(owner, "a secret cannot be opened; webhooks.key_file lacks the key that sealed it");
                continue;
            };
            // Another process may have done so meanwhile, with a key that is newer still.
            let query = sqlx::query(AssertSqlSafe(format!("UPDATE {table} SET sealed = $3 WHERE {id} = $1 AND sealed = $2")));
            let query = query.bind(row_id).bind(sealed).bind(keys.seal(&owner, &secret)?);
            sealed_anew += query.execute(&mut *transaction).await?.rows_affected();
        }
        transaction.commit().await?;
    }
}

/// The keys of the file in their order, then those that it lacks. Operators only.
pub async fn sealing_keys(keys: &Keys, store: &Store, asker: &Asker) -> Result<Vec<SealingKey>> {
    asker.is_operator()?;
    state(keys, store).await
}

async fn state(keys: &Keys, store: &Store) -> Result<Vec<SealingKey>> {
    let each = SEALED.map(|(table, ..)| format!("SELECT SUBSTR(sealed, 1, 8) AS key_id FROM {table}")).join(" UNION ALL ");
    let query = format!("SELECT key_id, COUNT(*) AS secrets FROM ({each}) AS every GROUP BY key_id");
    let mut used = BTreeMap::<String, i64>::new();
    for row in sqlx::query(AssertSqlSafe(query)).fetch_all(store.reads()?).await? {
        used.insert(row.try_get("key_id")?, row.try_get("secrets")?);
    }
    let mut all = Vec::new();
    for (at, id) in keys.ids().into_iter().enumerate() {
        all.push(SealingKey { secrets: used.remove(&id).unwrap_or_default(), id, place: Some(at + 1) });
    }
    all.extend(used.into_iter().map(|(id, secrets)| SealingKey { id, place: None, secrets }));
    Ok(all)
}
