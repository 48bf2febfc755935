//! What messages are signed with: drawn here, told once, kept sealed.

use ring::rand::{SecureRandom as _, SystemRandom};
use sqlx::Row as _;

use super::{Webhook, Webhooks, endpoints, signature};
use crate::{
    access::Asker,
    error::{Refusal, Result},
    ids,
    store::{Change, Store, Told},
};

/// The bytes of a secret.
const BYTES: usize = 32;
/// The longest overlap of a rotation.
const LONGEST_OVERLAP_MS: i64 = 90 * 24 * 3600 * 1000;
/// The most secrets that sign at once.
const MOST: usize = 5;

/// Draws a secret for a webhook and keeps it; gives it as it is shown.
pub(super) async fn add(change: &mut Change, webhooks: &Webhooks, webhook_id: &str) -> Result<String> {
    let mut secret = [0; BYTES];
    SystemRandom::new().fill(&mut secret).map_err(|_| Refusal::Fault)?;
    let sealed = webhooks.keys()?.seal(webhook_id, &secret)?;
    let row = sqlx::query("INSERT INTO webhook_secrets (id, webhook_id, sealed, created_ms) VALUES ($1, $2, $3, $4)");
    let row = row.bind(ids::new(change.now())).bind(webhook_id.to_owned()).bind(sealed).bind(change.now());
    row.execute(change.connection()).await?;
    Ok(signature::shown(&secret))
}

/// The secrets that sign now, the newest first.
///
/// Error: one cannot be opened.
pub(super) async fn of(webhooks: &Webhooks, store: &Store, webhook_id: &str, now: i64) -> Result<Vec<Vec<u8>>> {
    let query = "SELECT sealed FROM webhook_secrets WHERE webhook_id = $1 AND (expires_ms IS NULL OR expires_ms > $2) ORDER BY id DESC";
    let rows = sqlx::query(query).bind(webhook_id.to_owned()).bind(now).fetch_all(store.reads()?).await?;
    let keys = webhooks.keys()?;
    rows.iter().map(|row| keys.open(webhook_id, row.try_get("sealed")?).ok_or(Refusal::Fault)).collect()
}

/// Makes a new secret; the old ones end after the overlap.
pub async fn rotate(webhooks: &Webhooks, store: &Store, asker: &Asker, id: &str, overlap_ms: i64, now: i64) -> Result<(Webhook, String)> {
    let webhook = endpoints::find(store, asker, id).await?;
    endpoints::may_change(webhooks, asker)?;
    if !(0..=LONGEST_OVERLAP_MS).contains(&overlap_ms) {
        return Err(Refusal::Invalid("overlap_ms: must be from 0 to 90 days".to_owned()));
    }
    let mut change = Change::begin(store, asker, now).await?;
    let ending = "UPDATE webhook_secrets SET expires_ms = CASE WHEN expires_ms < $2 THEN expires_ms ELSE $2 END \
                  WHERE webhook_id = $1 AND (expires_ms IS NULL OR expires_ms > $3)";
    let ending = sqlx::query(ending).bind(id.to_owned()).bind(now + overlap_ms).bind(now);
    let ending = ending.execute(change.connection()).await?.rows_affected();
    if overlap_ms > 0 && usize::try_from(ending).unwrap_or(MOST) >= MOST {
        return Err(Refusal::State(format!("overlap_ms: {MOST} secrets sign already; with 0 the older ones end now")));
    }
    let secret = add(&mut change, webhooks, id).await?;
    let told = Told { tenant_id: webhook.owner(), subject: id, what: "webhook secret rotated", detail: &webhook.url };
    change.commit(told).await?;
    Ok((webhook, secret))
}
