//! Whom to tell: addresses that tenants and operators register.

use sqlx::{AnyConnection, AssertSqlSafe, Row as _, any::AnyRow};

use super::{Kind, Webhooks, address, secrets};
use crate::{
    access::{Act, Asker},
    error::{Refusal, Result},
    ids,
    page::Page,
    store::{Change, Store, Told},
    tenants::{self, Tenant},
};

/// The most webhooks of a tenant, and of the operators.
const MOST: i64 = 16;
/// The longest description.
const LONGEST: usize = 256;

/// Whether it is told anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is.
    Enabled,
    /// Somebody said that it is not to be.
    Disabled,
    /// It failed for too long.
    SwitchedOff,
}

impl State {
    fn parse(word: &str) -> Result<Self> {
        match word {
            "enabled" => Ok(Self::Enabled),
            "disabled" => Ok(Self::Disabled),
            "switched_off" => Ok(Self::SwitchedOff),
            _ => Err(Refusal::Fault),
        }
    }
}

/// A webhook, as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `torchmesh.accounts.v1.Webhook`")]
pub struct Webhook {
    pub id: String,
    /// None: the operators' own.
    pub tenant_id: Option<String>,
    pub url: String,
    pub description: String,
    /// With blanks between.
    pub events: String,
    pub state: State,
    pub created_ms: i64,
    pub failing_since_ms: Option<i64>,
}

impl Webhook {
    /// Whose it is, as changes have it.
    pub(super) fn owner(&self) -> &str {
        self.tenant_id.as_deref().unwrap_or_default()
    }
}

/// What a new webhook is to be.
#[derive(Debug, Clone, Copy)]
pub struct NewWebhook<'a> {
    /// Where it is.
    pub url: &'a str,
    /// Of what it is told; of everything when empty.
    pub events: &'a [String],
    /// For people.
    pub description: &'a str,
}

/// What is to be changed; what is none stays.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "the fields are those of `torchmesh.accounts.v1.UpdateWebhookRequest`")]
pub struct Update<'a> {
    pub url: Option<&'a str>,
    pub events: Option<&'a [String]>,
    pub description: Option<&'a str>,
    pub enabled: Option<bool>,
}

const COLUMNS: &str = "id, tenant_id, url, description, events, state, created_ms, failing_since_ms";

fn read(row: &AnyRow) -> Result<Webhook> {
    Ok(Webhook {
        id: row.try_get("id")?,
        tenant_id: row.try_get("tenant_id")?,
        url: row.try_get("url")?,
        description: row.try_get("description")?,
        events: row.try_get("events")?,
        state: State::parse(row.try_get("state")?)?,
        created_ms: row.try_get("created_ms")?,
        failing_since_ms: row.try_get("failing_since_ms")?,
    })
}

/// Refuses whoever may not change webhooks, and everybody where they are off.
pub(super) fn may_change(webhooks: &Webhooks, asker: &Asker) -> Result<()> {
    asker.may(Act::ChangeWebhooks)?;
    webhooks.keys().map(|_| ())
}

/// Those of a tenant, or all of them, in the order in which they were made.
pub async fn list(store: &Store, tenant: Option<&Tenant>, page: &Page) -> Result<Vec<Webhook>> {
    let only = if tenant.is_some() { "AND tenant_id = $3" } else { "" };
    let text = format!("SELECT {COLUMNS} FROM webhooks WHERE id > $1 {only} ORDER BY id LIMIT $2");
    let query = sqlx::query(AssertSqlSafe(text)).bind(page.after.clone()).bind(page.limit());
    let query = tenant.map(|tenant| tenant.id.clone()).into_iter().fold(query, sqlx::query::Query::bind);
    query.fetch_all(store.reads()?).await?.iter().map(read).collect()
}

fn absent() -> Refusal {
    Refusal::Absent("there is no such webhook".to_owned())
}

/// The one with this id, if whoever asks may see it.
pub async fn find(store: &Store, asker: &Asker, id: &str) -> Result<Webhook> {
    let found = by_id(&mut *store.reads()?.acquire().await?, id).await?;
    found.filter(|found| asker.sees(found.owner())).ok_or_else(absent)
}

pub(super) async fn by_id(connection: &mut AnyConnection, id: &str) -> Result<Option<Webhook>> {
    let query = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM webhooks WHERE id = $1"))).bind(id.to_owned());
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// An address that may be sent to.
async fn url(webhooks: &Webhooks, text: &str) -> Result<String> {
    let rules = webhooks.settings().rules;
    let url = address::parse(text, rules).map_err(|error| Refusal::Invalid(format!("url: {error}")))?;
    address::look_up(&url, rules).await.map_err(|error| Refusal::Invalid(format!("url: {error}")))?;
    Ok(url.into())
}

/// Names of events as they are kept.
fn events(names: &[String]) -> Result<String> {
    if names.is_empty() || names.iter().any(|name| name == "*") {
        return Ok("*".to_owned());
    }
    let known = |name: &str| Kind::ALL.iter().any(|kind| *kind != Kind::Test && kind.as_str() == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let all: Vec<_> = Kind::ALL.iter().filter(|kind| **kind != Kind::Test).map(|kind| kind.as_str()).collect();
        return Err(Refusal::Invalid(format!("events: {unknown:?} is none; there are {}, and * for all", all.join(", "))));
    }
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    Ok(names.join(" "))
}

fn description(text: &str) -> Result<&str> {
    if text.len() > LONGEST || text.chars().any(char::is_control) {
        return Err(Refusal::Invalid(format!("description: must have at most {LONGEST} characters, and none of control")));
    }
    Ok(text)
}

/// Makes one, of a tenant or of the operators; gives its secret, too, which is shown this once.
pub async fn create(
    webhooks: &Webhooks,
    store: &Store,
    asker: &Asker,
    tenant: Option<&Tenant>,
    new: NewWebhook<'_>,
    now: i64,
) -> Result<(Webhook, String)> {
    may_change(webhooks, asker)?;
    if tenant.is_none() {
        asker.is_operator()?;
    }
    let webhook = Webhook {
        id: ids::new(now),
        tenant_id: tenant.map(|tenant| tenant.id.clone()),
        events: events(new.events)?,
        description: description(new.description)?.to_owned(),
        url: url(webhooks, new.url).await?,
        state: State::Enabled,
        created_ms: now,
        failing_since_ms: None,
    };
    let mut change = Change::begin(store, asker, now).await?;
    if let Some(tenant) = tenant {
        tenants::refuse_erased(change.connection(), &tenant.id).await?;
    }
    let query = "SELECT COUNT(*) AS there FROM webhooks WHERE COALESCE(tenant_id, '') = $1";
    let there: i64 = sqlx::query(query).bind(webhook.owner().to_owned()).fetch_one(change.connection()).await?.try_get("there")?;
    if there >= MOST {
        return Err(Refusal::State(format!("there are {MOST} webhooks, which is the most; remove one first")));
    }
    let row =
        "INSERT INTO webhooks (id, tenant_id, url, description, events, state, created_ms) VALUES ($1, $2, $3, $4, $5, 'enabled', $6)";
    let row = sqlx::query(row).bind(webhook.id.clone()).bind(webhook.tenant_id.clone()).bind(webhook.url.clone());
    let row = row.bind(webhook.description.clone()).bind(webhook.events.clone()).bind(now);
    row.execute(change.connection()).await?;
    let secret = secrets::add(&mut change, webhooks, &webhook.id).await?;
    tell(change, &webhook, "webhook created").await?;
    Ok((webhook, secret))
}

/// Changes one.
pub async fn update(webhooks: &Webhooks, store: &Store, asker: &Asker, id: &str, new: Update<'_>, now: i64) -> Result<Webhook> {
    find(store, asker, id).await?;
    may_change(webhooks, asker)?;
    let new_url = match new.url {
        Some(text) => Some(url(webhooks, text).await?),
        None => None,
    };
    let new_events = new.events.map(events).transpose()?;
    let new_description = new.description.map(description).transpose()?.map(str::to_owned);
    let state = new.enabled.map(|enabled| if enabled { "enabled" } else { "disabled" }.to_owned());
    let mut change = Change::begin(store, asker, now).await?;
    if new.url.is_some() || new.enabled == Some(true) {
        begin_anew(&mut change, id).await?;
    }
    let text = format!(
        "UPDATE webhooks SET url = COALESCE($2, url), events = COALESCE($3, events), description = COALESCE($4, description), \
         state = COALESCE($5, state) WHERE id = $1 RETURNING {COLUMNS}"
    );
    let query = sqlx::query(AssertSqlSafe(text)).bind(id.to_owned()).bind(new_url).bind(new_events).bind(new_description).bind(state);
    let webhook = read(&query.fetch_optional(change.connection()).await?.ok_or_else(absent)?)?;
    tell(change, &webhook, "webhook changed").await?;
    Ok(webhook)
}

/// What failed so far does not count any more, and what waits is sent at once.
async fn begin_anew(change: &mut Change, id: &str) -> Result<()> {
    // Deliveries before their webhook, as whoever sends locks them.
    let query = "UPDATE webhook_deliveries SET next_ms = $2 WHERE webhook_id = $1 AND state = 'waiting' AND next_ms > $2";
    sqlx::query(query).bind(id.to_owned()).bind(change.now()).execute(change.connection()).await?;
    let query = sqlx::query("UPDATE webhooks SET failing_since_ms = NULL, not_before_ms = 0 WHERE id = $1").bind(id.to_owned());
    query.execute(change.connection()).await?;
    Ok(())
}

/// Removes one, with all that was to be sent to it.
pub async fn remove(webhooks: &Webhooks, store: &Store, asker: &Asker, id: &str, now: i64) -> Result<()> {
    let webhook = find(store, asker, id).await?;
    may_change(webhooks, asker)?;
    let mut change = Change::begin(store, asker, now).await?;
    // Before their webhook, as whoever sends locks them.
    let query = sqlx::query("DELETE FROM webhook_deliveries WHERE webhook_id = $1").bind(id.to_owned());
    query.execute(change.connection()).await?;
    let query = sqlx::query("DELETE FROM webhooks WHERE id = $1").bind(id.to_owned());
    if query.execute(change.connection()).await?.rows_affected() == 0 {
        return Err(absent());
    }
    tell(change, &webhook, "webhook removed").await
}

async fn tell(change: Change, webhook: &Webhook, what: &str) -> Result<()> {
    let detail = format!("{} {}", webhook.url, webhook.events);
    change.commit(Told { tenant_id: webhook.owner(), subject: &webhook.id, what, detail: &detail }).await
}
