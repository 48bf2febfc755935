//! Who is told that a model is deprecated or retired: the tenants that have used it of late. Written down with the step itself, and told to each in a change of its own.

use sqlx::{AnyConnection, Row as _};

use super::{Listing, State, find::by_model};
use crate::{
    access::{Asker, Role},
    error::{Refusal, Result},
    store::{Change, Store, Told},
    tenants::Tenant,
    webhooks::{self, Event},
};

/// Whoever has used a model within this time uses it.
const OF_LATE_MS: i64 = 30 * 24 * 3600 * 1000;
/// As many as a tenant is shown.
const MOST: i64 = 100;
/// As many as are told in one look.
const AT_ONCE: i64 = 100;

/// A model that a tenant has used, and that is deprecated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `torchmesh.accounts.v1.ListingNotice`")]
pub struct Notice {
    pub model: String,
    pub deprecated_ms: i64,
    pub retires_ms: i64,
    pub successor: String,
}

/// The ids of the tenants that have used a model of late, by the sums of days.
pub(super) async fn users(store: &Store, model: &str, now: i64) -> Result<Vec<String>> {
    let query = "SELECT DISTINCT t.id FROM usage_daily u JOIN tenants t ON t.name = u.tenant WHERE u.model = $1 AND u.begin_ms > $2";
    let rows = sqlx::query(query).bind(model.to_owned()).bind(now - OF_LATE_MS).fetch_all(store.reads()?).await?;
    rows.iter().map(|row| Ok(row.try_get("id")?)).collect()
}

/// Writes down whom a step concerns. Who was told of an earlier day is told of the new one.
pub(super) async fn write(connection: &mut AnyConnection, listing_id: &str, state: State, tenants: &[String]) -> Result<()> {
    let row = "INSERT INTO listing_notices (listing_id, tenant_id, state) VALUES ($1, $2, $3) ON CONFLICT (listing_id, tenant_id, state) DO UPDATE SET told_ms = NULL";
    for tenant in tenants {
        let row = sqlx::query(row).bind(listing_id.to_owned()).bind(tenant.clone()).bind(state.as_str());
        row.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Tells those who have not been; gives how many that were.
pub(super) async fn tell(store: &Store, now: i64) -> Result<usize> {
    let query = "SELECT n.tenant_id, n.state, l.model FROM listing_notices n JOIN listings l ON l.id = n.listing_id WHERE n.told_ms IS NULL LIMIT $1";
    let rows = sqlx::query(query).bind(AT_ONCE).fetch_all(store.reads()?).await?;
    for row in &rows {
        let (tenant_id, state, model): (String, String, String) = (row.try_get("tenant_id")?, row.try_get("state")?, row.try_get("model")?);
        tell_one(store, &tenant_id, &state, &model, now).await?;
    }
    Ok(rows.len())
}

/// Once: whoever else tells it at the same time waits here, and finds it told.
async fn tell_one(store: &Store, tenant_id: &str, state: &str, model: &str, now: i64) -> Result<()> {
    let mut change = Change::begin(store, &Asker::Itself, now).await?;
    let told = "UPDATE listing_notices SET told_ms = $4 WHERE tenant_id = $1 AND state = $2 AND told_ms IS NULL \
                AND listing_id = (SELECT id FROM listings WHERE model = $3)";
    let told = sqlx::query(told).bind(tenant_id.to_owned()).bind(state.to_owned()).bind(model.to_owned()).bind(now);
    if told.execute(change.connection()).await?.rows_affected() == 0 {
        return Ok(());
    }
    let listing = by_model(change.connection(), &Asker::Itself, model).await?;
    let successor = successor(change.connection(), &listing, tenant_id).await?;
    let retired = state == State::Retired.as_str();
    let event = Event::model(retired, model, listing.standing.retires_ms.unwrap_or(now), &successor);
    webhooks::happened(&mut change, tenant_id, &event).await?;
    let what = if retired { "model retired" } else { "model deprecated" };
    change.commit(Told { tenant_id, subject: &listing.id, what, detail: model }).await
}

/// What comes in a model's place, where the tenant may see that.
async fn successor(connection: &mut AnyConnection, listing: &Listing, tenant_id: &str) -> Result<String> {
    if listing.successor.is_empty() {
        return Ok(String::new());
    }
    let eyes = Asker::Member { id: String::new(), tenant_id: tenant_id.to_owned(), role: Role::Viewer };
    match by_model(connection, &eyes, &listing.successor).await {
        Err(Refusal::Absent(_)) => Ok(String::new()),
        found => found.map(|found| found.model),
    }
}

/// The models that a tenant was told are deprecated, those that are retired first before the others.
pub async fn list(store: &Store, tenant: &Tenant) -> Result<Vec<Notice>> {
    let query = "SELECT l.model FROM listing_notices n JOIN listings l ON l.id = n.listing_id \
                 WHERE n.tenant_id = $1 AND n.state = 'deprecated' AND l.state = 'deprecated' ORDER BY l.retires_ms, l.model LIMIT $2";
    let mut connection = store.reads()?.acquire().await?;
    let rows = sqlx::query(query).bind(tenant.id.clone()).bind(MOST).fetch_all(&mut *connection).await?;
    let mut notices = Vec::with_capacity(rows.len());
    for row in &rows {
        // Whoever has used a model knows of it, whoever its listing is for by now.
        let listing = by_model(&mut connection, &Asker::Itself, row.try_get("model")?).await?;
        notices.push(Notice {
            successor: successor(&mut connection, &listing, &tenant.id).await?,
            deprecated_ms: listing.standing.deprecated_ms.unwrap_or_default(),
            retires_ms: listing.standing.retires_ms.unwrap_or_default(),
            model: listing.model,
        });
    }
    Ok(notices)
}
