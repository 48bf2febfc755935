//! What is done in the background: at the start, once an hour, and when a tenant was erased.

use std::time::{Duration, UNIX_EPOCH};

use sqlx::Row as _;
use tokio::time::sleep;
use torchmesh_runtime::lifecycle::Drain;

use super::{Privacy, retention::before};
use crate::{
    billing, changes,
    clock::now_ms,
    error::{Refusal, Result},
    people, usage,
};

/// How often it is done.
const EVERY: Duration = Duration::from_secs(3600);
/// How soon it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Does so until the process drains.
pub async fn attend(privacy: Privacy, drain: Drain) {
    loop {
        let wait = match privacy.tidy(now_ms()).await {
            Ok(()) => EVERY,
            Err(Refusal::Away) => AGAIN,
            Err(refusal) => {
                tracing::warn!(?refusal, "what is not to be kept could not be removed; it is tried again");
                60 * AGAIN
            }
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = privacy.wakes.notified() => {}
            () = drain.draining() => return,
        }
    }
}

impl Privacy {
    /// Does what there is to do at this moment, in steps that keep nobody waiting; whoever is killed goes on where it was.
    pub async fn tidy(&self, now: i64) -> Result<()> {
        self.erased(now).await?;
        people::remove_ended(&self.store, now).await?;
        let letters = u64::try_from(before(self.retention.letters, now)).unwrap_or_default();
        self.outbox.remove_older(UNIX_EPOCH + Duration::from_millis(letters)).await?;
        if let Some(span) = self.retention.changes {
            changes::remove_old(&self.store, before(span, now)).await?;
        }
        if let Some(span) = self.retention.usage_events {
            self.events(before(span, now), now).await?;
        }
        self.store.fold_log().await;
        Ok(())
    }

    /// Tenants that were erased.
    async fn erased(&self, now: i64) -> Result<()> {
        let erased = sqlx::query("SELECT id, name FROM tenants WHERE erased_ms IS NOT NULL ORDER BY id");
        for row in erased.fetch_all(self.store.reads()?).await? {
            // What gateways sent when the tenant had been erased already, too.
            usage::strip(&self.store, row.try_get("name")?).await?;
            let mut transaction = self.store.begin().await?;
            self.recipients(&mut transaction, row.try_get("id")?, now).await?;
            transaction.commit().await?;
        }
        Ok(())
    }

    /// Calls that are older, of every tenant: but those that an invoice may still be made of.
    async fn events(&self, before: i64, now: i64) -> Result<()> {
        let mut tenant = String::new();
        while let Some(next) = usage::next_tenant(&self.store, &tenant).await? {
            tenant = next;
            match billing::needed_since(&self.billing, &self.store, &tenant, now).await {
                Ok(needed) => usage::remove_old(&self.store, &tenant, before.min(needed)).await?,
                Err(Refusal::Away) => return Err(Refusal::Away),
                Err(refusal) => tracing::warn!(?refusal, tenant, "what is not invoiced cannot be reckoned; the tenant's calls are kept"),
            }
        }
        Ok(())
    }
}
