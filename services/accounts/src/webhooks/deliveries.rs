//! What was sent, or is to be.

use sqlx::{AnyConnection, AssertSqlSafe, Row as _, any::AnyRow};

use super::{Event, State, Webhook, Webhooks, endpoints, record};
use crate::{
    access::Asker,
    error::{Refusal, Result},
    page::Page,
    store::{Change, Store, Told},
};

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It was not sent yet, or is sent again.
    Waiting,
    /// It was taken.
    Delivered,
    /// It was given up.
    Dead,
}

impl DeliveryState {
    const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::Dead];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// A delivery, as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `torchmesh.accounts.v1.WebhookDelivery`")]
pub struct Delivery {
    pub id: String,
    pub webhook_id: String,
    /// Its event's place among all.
    pub revision: i64,
    pub message_id: String,
    pub event: String,
    pub state: DeliveryState,
    pub created_ms: i64,
    pub attempts: i64,
    pub last_ms: Option<i64>,
    pub next_ms: i64,
    pub status: i64,
    pub error: String,
    pub body: String,
}

const SELECTED: &str = "SELECT d.id, d.webhook_id, d.revision, d.state, d.created_ms, d.attempts, d.last_ms, d.next_ms, d.status, d.error, e.message_id, e.event, e.body \
                        FROM webhook_deliveries d JOIN webhook_events e ON e.revision = d.revision";

fn read(row: &AnyRow) -> Result<Delivery> {
    let word: String = row.try_get("state")?;
    Ok(Delivery {
        id: row.try_get("id")?,
        webhook_id: row.try_get("webhook_id")?,
        revision: row.try_get("revision")?,
        message_id: row.try_get("message_id")?,
        event: row.try_get("event")?,
        state: DeliveryState::ALL.into_iter().find(|state| state.as_str() == word).ok_or(Refusal::Fault)?,
        created_ms: row.try_get("created_ms")?,
        attempts: row.try_get("attempts")?,
        last_ms: row.try_get("last_ms")?,
        next_ms: row.try_get("next_ms")?,
        status: row.try_get("status")?,
        error: row.try_get("error")?,
        body: row.try_get("body")?,
    })
}

/// Those of a webhook, in one state or all, the newest first.
pub async fn list(store: &Store, webhook: &Webhook, state: Option<DeliveryState>, page: &Page) -> Result<Vec<Delivery>> {
    let before = match page.after.as_str() {
        "" => i64::MAX,
        text => text.parse().map_err(|_| Refusal::Invalid("page_token: is not one that was given".to_owned()))?,
    };
    let text =
        format!("{SELECTED} WHERE d.webhook_id = $1 AND d.revision < $2 AND ($3 = '' OR d.state = $3) ORDER BY d.revision DESC LIMIT $4");
    let query = sqlx::query(AssertSqlSafe(text)).bind(webhook.id.clone()).bind(before);
    let query = query.bind(state.map_or("", DeliveryState::as_str)).bind(page.limit());
    query.fetch_all(store.reads()?).await?.iter().map(read).collect()
}

async fn by_id(connection: &mut AnyConnection, id: &str) -> Result<Option<Delivery>> {
    let query = sqlx::query(AssertSqlSafe(format!("{SELECTED} WHERE d.id = $1"))).bind(id.to_owned());
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// The delivery with this id and its webhook, if whoever asks may see them.
pub async fn find(store: &Store, asker: &Asker, id: &str) -> Result<(Delivery, Webhook)> {
    let absent = || Refusal::Absent("there is no such delivery".to_owned());
    let found = by_id(&mut *store.reads()?.acquire().await?, id).await?.ok_or_else(absent)?;
    let webhook = endpoints::find(store, asker, &found.webhook_id).await.map_err(|refusal| match refusal {
        Refusal::Absent(_) => absent(),
        other => other,
    })?;
    Ok((found, webhook))
}

fn is_enabled(webhook: &Webhook) -> Result<()> {
    if webhook.state == State::Enabled {
        return Ok(());
    }
    Err(Refusal::State("the webhook is not enabled; enable it first".to_owned()))
}

/// Sends an event to one webhook, whatever it is registered for.
pub async fn test(webhooks: &Webhooks, store: &Store, asker: &Asker, id: &str, now: i64) -> Result<Delivery> {
    let webhook = endpoints::find(store, asker, id).await?;
    endpoints::may_change(webhooks, asker)?;
    is_enabled(&webhook)?;
    let mut change = Change::begin(store, asker, now).await?;
    let revision = change.revision();
    record::write(&mut change, webhook.tenant_id.as_deref(), &Event::test(), std::slice::from_ref(&webhook.id)).await?;
    let query = sqlx::query(AssertSqlSafe(format!("{SELECTED} WHERE d.revision = $1"))).bind(revision);
    let made = read(&query.fetch_one(change.connection()).await?)?;
    change.commit(Told { tenant_id: webhook.owner(), subject: id, what: "webhook tested", detail: &webhook.url }).await?;
    Ok(made)
}

const AGAIN: &str = "UPDATE webhook_deliveries SET state = 'waiting', attempts = 0, first_ms = NULL, next_ms = $2";

/// Sends one again, with the id that it had.
pub async fn redeliver(webhooks: &Webhooks, store: &Store, asker: &Asker, id: &str, now: i64) -> Result<i64> {
    let (delivery, webhook) = find(store, asker, id).await?;
    let query = sqlx::query(AssertSqlSafe(format!("{AGAIN} WHERE id = $1"))).bind(delivery.id).bind(now);
    again(webhooks, store, asker, &webhook, query, now).await
}

/// Sends all of a webhook's again that were given up.
pub async fn redeliver_dead(webhooks: &Webhooks, store: &Store, asker: &Asker, webhook_id: &str, now: i64) -> Result<i64> {
    let webhook = endpoints::find(store, asker, webhook_id).await?;
    let query = sqlx::query(AssertSqlSafe(format!("{AGAIN} WHERE webhook_id = $1 AND state = 'dead'"))).bind(webhook.id.clone()).bind(now);
    again(webhooks, store, asker, &webhook, query, now).await
}

type Query<'a> = sqlx::query::Query<'a, sqlx::Any, sqlx::any::AnyArguments>;

async fn again(webhooks: &Webhooks, store: &Store, asker: &Asker, webhook: &Webhook, query: Query<'_>, now: i64) -> Result<i64> {
    endpoints::may_change(webhooks, asker)?;
    is_enabled(webhook)?;
    let mut change = Change::begin(store, asker, now).await?;
    let count = i64::try_from(query.execute(change.connection()).await?.rows_affected()).unwrap_or(i64::MAX);
    let hold = sqlx::query("UPDATE webhooks SET not_before_ms = 0 WHERE id = $1").bind(webhook.id.clone());
    hold.execute(change.connection()).await?;
    let detail = format!("{count} to {}", webhook.url);
    change.commit(Told { tenant_id: webhook.owner(), subject: &webhook.id, what: "webhook redelivered", detail: &detail }).await?;
    Ok(count)
}
