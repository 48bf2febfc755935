//! Sends what waits for one webhook, in the order in which it happened.
//!
//! Whoever sends has a lease of the webhook, which other processes wait for: so its messages go one after the other, and a process that is killed is followed by another when the lease has run out.

use std::time::{Duration, Instant};

use sqlx::Row as _;
use torchmesh_runtime::lifecycle::Drain;

use super::{Webhooks, outcome, secrets, send::Message};
use crate::{
    error::{Refusal, Result},
    ids,
    people::Outbox,
    store::Store,
};

/// So much longer than an attempt a lease lasts: what is written down in between takes a moment.
const MARGIN: Duration = Duration::from_secs(10);
/// So many messages at most go with one lease, and none is begun after as long as one may take: then other webhooks have their turn.
const AT_A_TIME: usize = 100;
/// How long a webhook waits whose secrets cannot be opened.
const SEALED_FOR: Duration = Duration::from_secs(60);

/// What messages are sent with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Courier {
    /// How.
    pub webhooks: Webhooks,
    /// From where.
    pub store: Store,
    /// Where letters go.
    pub outbox: Outbox,
    /// What time it is, in milliseconds since 1970.
    pub clock: fn() -> i64,
}

/// The right to send to a webhook.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(super) webhook_id: String,
    /// Whoever has this token has it.
    pub(super) token: String,
    /// No other one has it until then.
    pub(super) until_ms: i64,
}

/// A message that is due.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) delivery_id: String,
    /// How many attempts there were.
    pub(super) attempts: i64,
    pub(super) first_ms: Option<i64>,
    url: String,
    message_id: String,
    body: String,
}

pub(super) fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl Courier {
    /// Until when a lease lasts that begins now.
    pub(super) fn lease_until(&self, now: i64) -> i64 {
        now + ms(self.webhooks.settings().timeout + MARGIN)
    }

    /// The webhooks that something is due for and nobody sends to, those first that have waited longest.
    pub(crate) async fn due(&self, most: usize) -> Result<Vec<String>> {
        let query = "SELECT w.id FROM webhooks w WHERE w.state = 'enabled' AND w.not_before_ms <= $1 AND w.leased_until_ms <= $1 \
                     AND EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.webhook_id = w.id AND d.state = 'waiting' AND d.next_ms <= $1) \
                     ORDER BY w.leased_until_ms, w.id LIMIT $2";
        let query = sqlx::query(query).bind((self.clock)()).bind(i64::try_from(most).unwrap_or(i64::MAX));
        let rows = query.fetch_all(self.store.reads()?).await?;
        rows.iter().map(|row| Ok(row.try_get("id")?)).collect()
    }

    /// Takes the lease of a webhook, unless somebody else has.
    pub(crate) async fn claim(&self, webhook_id: &str) -> Result<Option<Lease>> {
        let now = (self.clock)();
        let lease = Lease { webhook_id: webhook_id.to_owned(), token: ids::new(now), until_ms: self.lease_until(now) };
        let mut transaction = self.store.begin().await?;
        let query = "UPDATE webhooks SET leased_by = $2, leased_until_ms = $3 \
                     WHERE id = $1 AND state = 'enabled' AND not_before_ms <= $4 AND leased_until_ms <= $4";
        let query = sqlx::query(query).bind(lease.webhook_id.clone()).bind(lease.token.clone()).bind(lease.until_ms).bind(now);
        let is_ours = query.execute(&mut *transaction).await?.rows_affected() == 1;
        transaction.commit().await?;
        Ok(is_ours.then_some(lease))
    }

    /// Sends what is due, and gives the lease back.
    pub(crate) async fn work(&self, mut lease: Lease, drain: &Drain) {
        let began = Instant::now();
        for _ in 0..AT_A_TIME {
            if drain.is_draining() || began.elapsed() >= self.webhooks.settings().timeout {
                break;
            }
            match self.send_next(&mut lease).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(refusal) => {
                    tracing::warn!(?refusal, webhook = lease.webhook_id, "a webhook could not be worked off; it is tried again");
                    break;
                }
            }
        }
        // What cannot be given back runs out.
        if let Err(refusal) = self.give_back(&lease).await {
            tracing::warn!(?refusal, webhook = lease.webhook_id, "the lease of a webhook could not be given back");
        }
    }

    async fn give_back(&self, lease: &Lease) -> Result<()> {
        let mut transaction = self.store.begin().await?;
        let query = sqlx::query("UPDATE webhooks SET leased_by = '', leased_until_ms = $3 WHERE id = $1 AND leased_by = $2");
        let query = query.bind(lease.webhook_id.clone()).bind(lease.token.clone()).bind((self.clock)());
        query.execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Sends the next message; gives whether there may be another.
    async fn send_next(&self, lease: &mut Lease) -> Result<bool> {
        let now = (self.clock)();
        if now + ms(self.webhooks.settings().timeout) > lease.until_ms {
            return Ok(false);
        }
        let Some(due) = self.next(lease, now).await? else { return Ok(false) };
        let secrets = match secrets::of(&self.webhooks, &self.store, &lease.webhook_id, now).await {
            Ok(secrets) => secrets,
            Err(Refusal::Fault) => return self.hold(lease, now).await,
            Err(refusal) => return Err(refusal),
        };
        let message = Message { url: &due.url, id: &due.message_id, body: &due.body, secrets: &secrets };
        let answer = self.webhooks.sender()?.send(message, now).await;
        outcome::keep(self, lease, &due, &answer, now).await
    }

    async fn next(&self, lease: &Lease, now: i64) -> Result<Option<Due>> {
        let query = "SELECT w.url, d.id, d.attempts, d.first_ms, e.message_id, e.body FROM webhooks w \
                     JOIN webhook_deliveries d ON d.webhook_id = w.id JOIN webhook_events e ON e.revision = d.revision \
                     WHERE w.id = $1 AND w.leased_by = $2 AND w.state = 'enabled' AND d.state = 'waiting' AND d.next_ms <= $3 \
                     ORDER BY d.revision LIMIT 1";
        let query = sqlx::query(query).bind(lease.webhook_id.clone()).bind(lease.token.clone()).bind(now);
        let Some(row) = query.fetch_optional(self.store.reads()?).await? else { return Ok(None) };
        Ok(Some(Due {
            delivery_id: row.try_get("id")?,
            attempts: row.try_get("attempts")?,
            first_ms: row.try_get("first_ms")?,
            url: row.try_get("url")?,
            message_id: row.try_get("message_id")?,
            body: row.try_get("body")?,
        }))
    }

    /// What cannot be signed waits: it is no fault of the receiver's.
    async fn hold(&self, lease: &Lease, now: i64) -> Result<bool> {
        tracing::error!(
            webhook = lease.webhook_id,
            "the secret of a webhook cannot be opened; webhooks.key_file lacks the key that sealed it"
        );
        let mut transaction = self.store.begin().await?;
        let query = sqlx::query("UPDATE webhooks SET not_before_ms = $3 WHERE id = $1 AND leased_by = $2");
        let query = query.bind(lease.webhook_id.clone()).bind(lease.token.clone()).bind(now + ms(SEALED_FOR));
        query.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(false)
    }
}
