//! Tenants: who pays.

use sqlx::{AnyConnection, AssertSqlSafe, Row as _, any::AnyRow};
use torchmesh_api::{access::ModelGrants, ids::TenantId};

use crate::{
    access::Asker,
    billing,
    error::{Refusal, Result, is_taken},
    ids,
    page::Page,
    store::{Change, Store, Told},
};

/// A tenant, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `torchmesh.accounts.v1.Tenant`")]
pub struct Tenant {
    pub id: String,
    pub name: String,
    pub display_name: String,
    pub state: State,
    /// Patterns with blanks between.
    pub models: String,
    pub created_ms: i64,
    /// Why its calls are refused though it is active; empty: they are not.
    pub stopped: String,
    /// When who it was was removed.
    pub erased_ms: Option<i64>,
}

/// Whether its credentials are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They are.
    Active,
    /// They are not, for a time.
    Suspended,
    /// They are not, for good.
    Closed,
}

impl State {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Closed].into_iter().find(|state| state.as_str() == word)
    }
}

const COLUMNS: &str = "id, name, display_name, state, models, created_ms, stopped, erased_ms";

fn read(row: &AnyRow) -> Result<Tenant> {
    Ok(Tenant {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        display_name: row.try_get("display_name")?,
        state: State::parse(row.try_get("state")?).ok_or(Refusal::Fault)?,
        models: row.try_get("models")?,
        created_ms: row.try_get("created_ms")?,
        stopped: row.try_get("stopped")?,
        erased_ms: row.try_get("erased_ms")?,
    })
}

/// Patterns of models as they are kept: with blanks between, which none of them has.
pub fn models(patterns: &[String]) -> Result<String> {
    let grants = ModelGrants::parse(patterns.iter().map(String::as_str));
    let grants = grants.map_err(|error| Refusal::Invalid(format!("models: {error}")))?;
    Ok(grants.patterns().join(" "))
}

/// The tenant with this id or this name.
pub async fn find(store: &Store, id_or_name: &str) -> Result<Option<Tenant>> {
    let query = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM tenants WHERE id = $1 OR name = $1")));
    let row = query.bind(id_or_name.to_owned()).fetch_optional(store.reads()?).await?;
    row.as_ref().map(read).transpose()
}

/// The one with this id, as part of a change.
pub(crate) async fn by_id(connection: &mut AnyConnection, id: &str) -> Result<Tenant> {
    let query = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM tenants WHERE id = $1"))).bind(id.to_owned());
    read(&query.fetch_one(connection).await?)
}

/// The one with this id, if there is one, as part of a change.
pub(crate) async fn known(connection: &mut AnyConnection, id: &str) -> Result<Option<Tenant>> {
    let query = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM tenants WHERE id = $1"))).bind(id.to_owned());
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// Refuses what would say anew who a tenant is that was erased.
pub(crate) async fn refuse_erased(connection: &mut AnyConnection, id: &str) -> Result<()> {
    match by_id(connection, id).await?.erased_ms {
        None => Ok(()),
        Some(_) => Err(Refusal::State("the tenant was erased; make another one".to_owned())),
    }
}

/// Those that whoever asks may see, by their names.
pub async fn list(store: &Store, asker: &Asker, page: &Page) -> Result<Vec<Tenant>> {
    if let Asker::Member { tenant_id, .. } = asker {
        return Ok(find(store, tenant_id).await?.into_iter().collect());
    }
    asker.is_operator()?;
    let query = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM tenants WHERE name > $1 ORDER BY name LIMIT $2")));
    let rows = query.bind(page.after.clone()).bind(page.limit()).fetch_all(store.reads()?).await?;
    rows.iter().map(read).collect()
}

/// What a new tenant is to be.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// Its name.
    pub name: &'a str,
    /// Another one, for people.
    pub display_name: &'a str,
    /// What it may use; everything when absent.
    pub models: Option<&'a [String]>,
}

/// Refuses a name that is taken, or that cannot be one.
pub async fn check_free(store: &Store, name: &str) -> Result<()> {
    TenantId::parse(name).map_err(|error| Refusal::Invalid(format!("name: {error}")))?;
    find(store, name).await?.map_or(Ok(()), |_| Err(taken(name)))
}

fn taken(name: &str) -> Refusal {
    Refusal::Exists(format!("name: there is a tenant named {name:?} already"))
}

/// Adds a tenant, as part of a change.
pub async fn add(change: &mut Change, new: New<'_>) -> Result<Tenant> {
    let name = TenantId::parse(new.name).map_err(|error| Refusal::Invalid(format!("name: {error}")))?;
    let display_name = if new.display_name.is_empty() { new.name } else { new.display_name };
    if display_name.len() > 256 || display_name.chars().any(char::is_control) {
        return Err(Refusal::Invalid("display_name: must have at most 256 characters, and none of control".to_owned()));
    }
    let tenant = Tenant {
        id: ids::new(change.now()),
        name: name.as_str().to_owned(),
        display_name: display_name.to_owned(),
        state: State::Active,
        models: new.models.map_or_else(|| Ok("*".to_owned()), models)?,
        created_ms: change.now(),
        stopped: String::new(),
        erased_ms: None,
    };
    let row = "INSERT INTO tenants (id, name, display_name, state, models, created_ms) VALUES ($1, $2, $3, $4, $5, $6)";
    let row = sqlx::query(row).bind(tenant.id.clone()).bind(tenant.name.clone()).bind(tenant.display_name.clone());
    let row = row.bind(tenant.state.as_str()).bind(tenant.models.clone()).bind(tenant.created_ms);
    row.execute(change.connection()).await.map_err(|error| if is_taken(&error) { taken(&tenant.name) } else { error.into() })?;
    Ok(tenant)
}

/// Makes one.
pub async fn create(store: &Store, asker: &Asker, new: New<'_>, now: i64) -> Result<Tenant> {
    asker.is_operator()?;
    let mut change = Change::begin(store, asker, now).await?;
    let tenant = add(&mut change, new).await?;
    change.commit(Told { tenant_id: &tenant.id, subject: &tenant.id, what: "tenant created", detail: &tenant.name }).await?;
    Ok(tenant)
}

/// Changes the state or the models of one, and with it all of its credentials.
pub async fn update(
    store: &Store,
    asker: &Asker,
    named: &str,
    state: Option<State>,
    patterns: Option<&[String]>,
    now: i64,
) -> Result<Tenant> {
    asker.is_operator()?;
    let patterns = patterns.map(models).transpose()?;
    let id = asker.tenant(store, named).await?.id;
    let mut change = Change::begin(store, asker, now).await?;
    let query = format!(
        "UPDATE tenants SET state = COALESCE($2, state), models = COALESCE($3, models) \
         WHERE id = $1 AND (state <> 'closed' OR COALESCE($2, 'closed') = 'closed') RETURNING {COLUMNS}"
    );
    let query = sqlx::query(AssertSqlSafe(query)).bind(id.clone()).bind(state.map(|state| state.as_str().to_owned())).bind(patterns);
    let row = query.fetch_optional(change.connection()).await?;
    let row = row.ok_or_else(|| Refusal::State("a tenant that was closed stays closed; make another one".to_owned()))?;
    let tenant = read(&row)?;
    if tenant.state == State::Closed {
        billing::end_subscription(&mut change, &tenant).await?;
    }
    let revision = change.revision();
    let query = sqlx::query("UPDATE credentials SET revision = $2 WHERE tenant_id = $1").bind(id).bind(revision);
    query.execute(change.connection()).await?;
    let detail = format!("{}; models {}", tenant.state.as_str(), tenant.models);
    change.commit(Told { tenant_id: &tenant.id, subject: &tenant.id, what: "tenant changed", detail: &detail }).await?;
    Ok(tenant)
}
