//! Changes of listings: each of them one transaction, in which nobody else changes anything.

use sqlx::AnyConnection;

use super::{Audience, By, Content, Listing, Standing, State, Step, content, find::by_model, find::find, notices};
use crate::{
    access::{Act, Asker},
    billing::Billing,
    error::{Refusal, Result, is_taken},
    ids,
    store::{Change, Store, Told},
    tenants::{self, Tenant},
};

/// What a new listing is to be.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// The model.
    pub model: &'a str,
    /// Whose it is, where an operator asks: a tenant's id or name; the platform's when empty.
    pub provider: &'a str,
    /// What is said.
    pub content: &'a Content,
    /// Who sees it; everybody when absent.
    pub audience: Option<&'a Audience>,
}

/// Whose the listing is to be; none: the platform's.
async fn provider(billing: &Billing, store: &Store, asker: &Asker, new: New<'_>) -> Result<Option<Tenant>> {
    asker.may(Act::ChangeListings)?;
    if asker.is_operator().is_ok() {
        return if new.provider.is_empty() { Ok(None) } else { asker.tenant(store, new.provider).await.map(Some) };
    }
    let own = asker.tenant(store, new.provider).await?;
    let sold = billing.sold_if_any(&mut *store.reads()?.acquire().await?).await?;
    // Nobody takes the name of somebody else's model.
    if sold.is_some_and(|sold| sold.catalogue.partner(new.model).is_some_and(|partner| partner.id == own.name)) {
        return Ok(Some(own));
    }
    Err(Refusal::Denied(
        "model: is not one of those that billing.file says are your tenant's; ask an operator to make the listing".to_owned(),
    ))
}

/// Makes a draft.
pub async fn create(billing: &Billing, store: &Store, asker: &Asker, new: New<'_>, now: i64) -> Result<Listing> {
    let (model, said) = (content::model(new.model)?, new.content.checked()?);
    let provider = provider(billing, store, asker, new).await?;
    let audience = audience(store, asker, new.audience).await?;
    let mut change = Change::begin(store, asker, now).await?;
    let (id, everyone) = (ids::new(now), audience.as_ref().is_none_or(|(everyone, _)| *everyone));
    let row = "INSERT INTO listings (id, model, provider_id, state, task, everyone, successor, created_ms, revision) VALUES ($1, $2, $3, 'draft', $4, $5, '', $6, $7)";
    let row = sqlx::query(row).bind(id.clone()).bind(model.clone()).bind(provider.map(|provider| provider.id)).bind(said.task.clone());
    let row = row.bind(i64::from(everyone)).bind(now).bind(change.revision());
    let taken = || Refusal::Exists(format!("model: {model} has a listing already"));
    row.execute(change.connection()).await.map_err(|error| if is_taken(&error) { taken() } else { error.into() })?;
    say(change.connection(), &id, &said).await?;
    if let Some((_, tenants)) = &audience {
        show_to(change.connection(), &id, tenants).await?;
    }
    finish(change, asker, &model, "listing created").await
}

/// Who is to see it, as ids; none: nothing was said of that.
async fn audience(store: &Store, asker: &Asker, told: Option<&Audience>) -> Result<Option<(bool, Vec<String>)>> {
    let Some(told) = told else { return Ok(None) };
    asker.is_operator().map_err(|_| Refusal::Denied("audience: who sees what is for operators to say; ask one".to_owned()))?;
    let mut tenants = Vec::new();
    for named in &told.checked()?.tenants {
        let found = tenants::find(store, named).await?;
        tenants.push(found.ok_or_else(|| Refusal::Invalid(format!("audience.tenants: there is no tenant {named:?}")))?.id);
    }
    tenants.sort();
    tenants.dedup();
    Ok(Some((told.everyone, tenants)))
}

/// Puts what is said in the place of what was.
async fn say(connection: &mut AnyConnection, id: &str, said: &Content) -> Result<()> {
    for table in ["DELETE FROM listing_texts WHERE listing_id = $1", "DELETE FROM listing_versions WHERE listing_id = $1"] {
        sqlx::query(table).bind(id.to_owned()).execute(&mut *connection).await?;
    }
    for text in &said.texts {
        let row = sqlx::query("INSERT INTO listing_texts (listing_id, language, summary, description, terms) VALUES ($1, $2, $3, $4, $5)");
        let row = row.bind(id.to_owned()).bind(text.language.clone()).bind(text.summary.clone()).bind(text.description.clone());
        row.bind(text.terms.clone()).execute(&mut *connection).await?;
    }
    for version in &said.versions {
        let row = sqlx::query("INSERT INTO listing_versions (listing_id, version, day_ms, text) VALUES ($1, $2, $3, $4)");
        let row = row.bind(id.to_owned()).bind(version.version.clone()).bind(version.day_ms).bind(version.text.clone());
        row.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn show_to(connection: &mut AnyConnection, id: &str, tenants: &[String]) -> Result<()> {
    sqlx::query("DELETE FROM listing_audience WHERE listing_id = $1").bind(id.to_owned()).execute(&mut *connection).await?;
    for tenant in tenants {
        let row = sqlx::query("INSERT INTO listing_audience (listing_id, tenant_id) VALUES ($1, $2)").bind(id.to_owned());
        row.bind(tenant.clone()).execute(&mut *connection).await?;
    }
    Ok(())
}

fn may_change(asker: &Asker, listing: &Listing) -> Result<()> {
    if !asker.sees(listing.owner()) {
        return Err(Refusal::Denied("a listing is changed by its provider and by operators".to_owned()));
    }
    asker.may(Act::ChangeListings)
}

/// A listing that is about to be changed, as nobody else changes it meanwhile.
///
/// Error: it is not there for whoever asks, not theirs to change, or not the one that they have read.
async fn begin(store: &Store, asker: &Asker, model: &str, revision: i64, now: i64) -> Result<(Change, Listing)> {
    let mut change = Change::begin(store, asker, now).await?;
    let listing = by_model(change.connection(), asker, model).await?;
    may_change(asker, &listing)?;
    if revision != 0 && revision != listing.revision {
        return Err(Refusal::Stale(
            "revision: somebody has changed the listing since it was read; read it again, and then change it".to_owned(),
        ));
    }
    Ok((change, listing))
}

/// Changes what is said of a model, and to whom.
pub async fn change(
    store: &Store,
    asker: &Asker,
    (model, revision): (&str, i64),
    said: &Content,
    audience_told: Option<&Audience>,
    now: i64,
) -> Result<Listing> {
    if revision == 0 {
        return Err(Refusal::Invalid("revision: must be that of the listing that was read".to_owned()));
    }
    let said = said.checked()?;
    let audience = audience(store, asker, audience_told).await?;
    let (mut change, listing) = begin(store, asker, model, revision, now).await?;
    if listing.standing.state == State::Retired {
        return Err(Refusal::State("the listing is retired, and stays as it is".to_owned()));
    }
    say(change.connection(), &listing.id, &said).await?;
    let everyone = audience.as_ref().map_or(listing.everyone, |(everyone, _)| *everyone);
    if let Some((_, tenants)) = &audience {
        show_to(change.connection(), &listing.id, tenants).await?;
    }
    let row = sqlx::query("UPDATE listings SET task = $2, everyone = $3, revision = $4 WHERE id = $1").bind(listing.id.clone());
    let row = row.bind(said.task.clone()).bind(i64::from(everyone)).bind(change.revision());
    row.execute(change.connection()).await?;
    finish(change, asker, model, if audience.is_some() { "listing changed, with its audience" } else { "listing changed" }).await
}

/// Takes a step; `successor` is what comes in the place of a model that is deprecated.
pub async fn step(store: &Store, asker: &Asker, (model, revision): (&str, i64), step: Step, successor: &str, now: i64) -> Result<Listing> {
    let used = match step {
        Step::Publish => Vec::new(),
        Step::Deprecate { .. } | Step::Retire => {
            // Before anybody waits for this change, and for those alone who may make it.
            may_change(asker, &find(store, asker, model).await?)?;
            notices::users(store, model, now).await?
        }
    };
    let (mut change, listing) = begin(store, asker, model, revision, now).await?;
    let by = match asker {
        Asker::Operator => By::Operator,
        Asker::Itself => By::Itself,
        Asker::Member { .. } | Asker::Anybody => By::Provider,
    };
    let next = listing.standing.after(step, by, now)?;
    if matches!(step, Step::Deprecate { .. }) {
        check_successor(change.connection(), asker, model, successor).await?;
    }
    put(&mut change, &listing.id, next, matches!(step, Step::Deprecate { .. }).then_some(successor)).await?;
    let what = match (step, next.state) {
        (Step::Publish, State::Draft) => "listing submitted",
        (Step::Publish, _) => "listing published",
        (Step::Deprecate { .. }, _) => "listing deprecated",
        (Step::Retire, _) => "listing retired",
    };
    notices::write(change.connection(), &listing.id, next.state, &used).await?;
    finish(change, asker, model, what).await
}

async fn check_successor(connection: &mut AnyConnection, asker: &Asker, model: &str, successor: &str) -> Result<()> {
    if successor.is_empty() {
        return Ok(());
    }
    let found = by_model(connection, asker, successor).await.map(|found| found.standing.state);
    match found {
        Ok(State::Published) if successor != model => Ok(()),
        Ok(_) | Err(Refusal::Absent(_)) => {
            Err(Refusal::Invalid("successor: must be another model, with a listing that is published".to_owned()))
        }
        Err(refusal) => Err(refusal),
    }
}

async fn put(change: &mut Change, id: &str, next: Standing, successor: Option<&str>) -> Result<()> {
    let row = "UPDATE listings SET state = $2, submitted_ms = $3, published_ms = $4, deprecated_ms = $5, retires_ms = $6, revision = $7, \
               successor = COALESCE($8, successor) WHERE id = $1";
    let row = sqlx::query(row).bind(id.to_owned()).bind(next.state.as_str()).bind(next.submitted_ms).bind(next.published_ms);
    let row = row.bind(next.deprecated_ms).bind(next.retires_ms).bind(change.revision()).bind(successor.map(str::to_owned));
    row.execute(change.connection()).await?;
    Ok(())
}

/// Removes a draft.
pub async fn delete(store: &Store, asker: &Asker, (model, revision): (&str, i64), now: i64) -> Result<()> {
    let (mut change, listing) = begin(store, asker, model, revision, now).await?;
    if listing.standing.state != State::Draft {
        return Err(Refusal::State("the listing was published; deprecate it, and it is retired in time".to_owned()));
    }
    sqlx::query("DELETE FROM listings WHERE id = $1").bind(listing.id.clone()).execute(change.connection()).await?;
    change.commit(Told { tenant_id: listing.owner(), subject: &listing.id, what: "listing removed", detail: model }).await
}

/// Commits, and gives the listing as it is then.
async fn finish(mut change: Change, asker: &Asker, model: &str, what: &str) -> Result<Listing> {
    let listing = by_model(change.connection(), asker, model).await?;
    change.commit(Told { tenant_id: listing.owner(), subject: &listing.id, what, detail: model }).await?;
    Ok(listing)
}
