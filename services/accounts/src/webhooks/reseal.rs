//! Seals anew what an older key has sealed, with the newest one, so that the older one can be taken out of the file.

use std::collections::BTreeMap;

use sqlx::Row as _;

use super::Webhooks;
use crate::{access::Asker, error::Result, store::Store};

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
pub(crate) async fn reseal(webhooks: &Webhooks, store: &Store) -> Result<()> {
    let (keys, mut after, mut sealed_anew) = (webhooks.keys()?, String::new(), 0);
    loop {
        let query = sqlx::query("SELECT id, webhook_id, sealed FROM webhook_secrets WHERE id > $1 ORDER BY id LIMIT $2");
        let rows = query.bind(after.clone()).bind(AT_ONCE).fetch_all(store.reads()?).await?;
        let Some(last) = rows.last() else { break };
        after = last.try_get("id")?;
        let mut transaction = store.begin().await?;
        for row in &rows {
            let (id, webhook_id, sealed): (String, String, String) =
                (row.try_get("id")?, row.try_get("webhook_id")?, row.try_get("sealed")?);
            if keys.is_newest(&sealed) {
                continue;
            }
            let Some(secret) = keys.open(&webhook_id, &sealed) else {
                tracing::error!(
                    webhook = webhook_id,
                    "the secret of a webhook cannot be opened; webhooks.key_file lacks the key that sealed it"
                );
                continue;
            };
            // Another process may have done so meanwhile, with a key that is newer still.
            let query = sqlx::query("UPDATE webhook_secrets SET sealed = $3 WHERE id = $1 AND sealed = $2");
            let query = query.bind(id).bind(sealed).bind(keys.seal(&webhook_id, &secret)?);
            sealed_anew += query.execute(&mut *transaction).await?.rows_affected();
        }
        transaction.commit().await?;
    }
    if sealed_anew > 0 {
        tracing::info!(secrets = sealed_anew, "secrets were sealed anew with the newest key of webhooks.key_file");
    }
    for key in state(webhooks, store).await?.iter().skip(1).filter(|key| key.secrets == 0) {
        tracing::info!(key = key.id, place = key.place, "nothing needs this key of webhooks.key_file any more; it can be removed");
    }
    Ok(())
}

/// The keys of the file in their order, then those that it lacks. Operators only.
pub async fn sealing_keys(webhooks: &Webhooks, store: &Store, asker: &Asker) -> Result<Vec<SealingKey>> {
    asker.is_operator()?;
    state(webhooks, store).await
}

async fn state(webhooks: &Webhooks, store: &Store) -> Result<Vec<SealingKey>> {
    let query =
        sqlx::query("SELECT SUBSTR(sealed, 1, 8) AS key_id, COUNT(*) AS secrets FROM webhook_secrets GROUP BY SUBSTR(sealed, 1, 8)");
    let mut used = BTreeMap::<String, i64>::new();
    for row in query.fetch_all(store.reads()?).await? {
        used.insert(row.try_get("key_id")?, row.try_get("secrets")?);
    }
    let mut all = Vec::new();
    for (at, id) in webhooks.keys()?.ids().into_iter().enumerate() {
        all.push(SealingKey { secrets: used.remove(&id).unwrap_or_default(), id, place: Some(at + 1) });
    }
    all.extend(used.into_iter().map(|(id, secrets)| SealingKey { id, place: None, secrets }));
    Ok(all)
}
