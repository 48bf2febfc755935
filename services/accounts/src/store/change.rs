//! One change: whatever it does, with who did it and the revision, in one transaction.

use sqlx::{Any, AnyConnection, Row as _, Transaction};

use super::Store;
use crate::{access::Asker, error::Result};

/// What is written down of a change.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// Whose it is.
    pub tenant_id: &'a str,
    /// The id of what was changed.
    pub subject: &'a str,
    /// Such as `credential revoked`.
    pub what: &'a str,
    /// What else there is to say; no secrets.
    pub detail: &'a str,
}

/// See the module. Nothing has happened until [`Self::commit`].
#[derive(Debug)]
pub struct Change {
    transaction: Transaction<'static, Any>,
    store: Store,
    actor: String,
    revision: i64,
    now: i64,
}

impl Change {
    /// Begins one.
    pub async fn begin(store: &Store, by: &Asker, now: i64) -> Result<Self> {
        let mut transaction = store.begin().await?;
        // Held until the commit: revisions are seen in their order, without gaps.
        let counted = sqlx::query("UPDATE revision SET value = value + 1 WHERE only_row = 1 RETURNING value");
        let revision = counted.fetch_one(&mut *transaction).await?.try_get("value")?;
        Ok(Self { transaction, store: store.clone(), actor: by.name(), revision, now })
    }

    /// Its revision.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// When it happens, in milliseconds since 1970.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// To do what it does.
    pub fn connection(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }

    /// Writes down what it was, makes it happen, and wakes the gateways' streams.
    pub async fn commit(mut self, told: Told<'_>) -> Result<()> {
        let row = "INSERT INTO changes (revision, time_ms, actor, tenant_id, subject, what, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let row = sqlx::query(row).bind(self.revision).bind(self.now).bind(self.actor).bind(told.tenant_id.to_owned());
        let row = row.bind(told.subject.to_owned()).bind(told.what.to_owned()).bind(told.detail.to_owned());
        row.execute(&mut *self.transaction).await?;
        self.transaction.commit().await?;
        self.store.tell(self.revision);
        Ok(())
    }
}
