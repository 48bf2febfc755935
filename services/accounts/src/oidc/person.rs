//! Which member somebody is whom a provider knows.

use sqlx::{AnyConnection, Row as _};

use super::{claims::Subject, provider::Provider};
use crate::{
    access::{Asker, Role},
    error::{Refusal, Result},
    people::{self, Member, Session},
    secrets,
    store::{Change, Store, Told},
    tenants::{self, New},
};

/// Begins a session for the member that somebody is. No code is asked for: how sure it is who they are is the provider's matter.
pub(super) async fn sign_in(store: &Store, provider: &Provider, subject: &Subject, sign_up: bool, now: i64) -> Result<Session> {
    let known = linked(&mut *store.reads()?.acquire().await?, provider, subject).await?;
    let member = match known {
        Some(member) => member,
        None => link(store, provider, subject, sign_up, now).await?,
    };
    let asker = Asker::Member { id: member.id.clone(), tenant_id: member.tenant_id.clone(), role: member.role };
    let mut change = Change::begin(store, &asker, now).await?;
    // Read again, now that nobody else changes anything.
    let member = linked(change.connection(), provider, subject).await?.ok_or_else(|| unknown(provider))?;
    people::begin(change, member, &format!("signed in through {}", provider.settings.name)).await
}

/// The member that is known by it.
async fn linked(connection: &mut AnyConnection, provider: &Provider, subject: &Subject) -> Result<Option<Member>> {
    let query = sqlx::query("SELECT member_id FROM member_identities WHERE issuer = $1 AND subject = $2");
    let query = query.bind(provider.settings.issuer.clone()).bind(subject.subject.clone());
    match query.fetch_optional(&mut *connection).await? {
        Some(row) => people::by_id(connection, row.try_get("member_id")?).await,
        None => Ok(None),
    }
}

/// Finds the member whose address it is, or makes one; from then on they are known by what the provider calls them, whatever their address is.
async fn link(store: &Store, provider: &Provider, subject: &Subject, sign_up: bool, now: i64) -> Result<Member> {
    let title = &provider.settings.title;
    let email = subject.email.as_deref().and_then(|email| people::address(email).ok()).ok_or_else(|| {
        Refusal::State(format!("{title} does not say that your address is confirmed; confirm it there, or sign in with your password"))
    })?;
    let name = if sign_up { Some(free_name(store, &email).await?) } else { None };
    let mut change = Change::begin(store, &Asker::Anybody, now).await?;
    // Somebody has come back twice at once.
    if let Some(member) = linked(change.connection(), provider, subject).await? {
        return Ok(member);
    }
    let (member, what) = match people::by_address(change.connection(), &email).await? {
        // Whoever has signed up or was invited with an address may be somebody else, until the letter says otherwise.
        Some(member) if member.verified_ms.is_none() => {
            return Err(Refusal::State(
                "there is a letter to your address that waits to be opened; open it first, or ask for another one".to_owned(),
            ));
        }
        Some(member) => (member, "identity linked"),
        None => (new_owner(&mut change, &email, name.ok_or_else(|| unknown(provider))?).await?, "signed up"),
    };
    is_free(&mut change, provider, &member).await?;
    let row = sqlx::query("INSERT INTO member_identities (issuer, subject, member_id, linked_ms) VALUES ($1, $2, $3, $4)");
    let row = row.bind(provider.settings.issuer.clone()).bind(subject.subject.clone()).bind(member.id.clone()).bind(now);
    row.execute(change.connection()).await?;
    let detail = format!("{email} {}", provider.settings.name);
    change.commit(Told { tenant_id: &member.tenant_id, subject: &member.id, what, detail: &detail }).await?;
    Ok(member)
}

fn unknown(provider: &Provider) -> Refusal {
    let title = &provider.settings.title;
    Refusal::State(format!("nobody here has the address that {title} knows you by; ask an owner of your tenant for an invitation"))
}

/// An address that a provider has given to somebody else is not the member's any more.
async fn is_free(change: &mut Change, provider: &Provider, member: &Member) -> Result<()> {
    let query = sqlx::query("SELECT subject FROM member_identities WHERE issuer = $1 AND member_id = $2");
    let query = query.bind(provider.settings.issuer.clone()).bind(member.id.clone());
    if query.fetch_optional(change.connection()).await?.is_none() {
        return Ok(());
    }
    let title = &provider.settings.title;
    Err(Refusal::State(format!("the member with your address is somebody else at {title}; ask an owner of your tenant")))
}

/// A tenant with its owner, whose address the provider has confirmed.
async fn new_owner(change: &mut Change, email: &str, name: String) -> Result<Member> {
    let tenant = tenants::add(change, New { name: &name, display_name: "", models: None }).await?;
    let member = people::add(change, &tenant, email, Role::Owner).await?;
    people::confirm(change, &member.id).await?;
    people::by_id(change.connection(), &member.id).await?.ok_or(Refusal::Fault)
}

/// A name for the tenant of somebody with this address that no tenant has.
async fn free_name(store: &Store, email: &str) -> Result<String> {
    let name = name_of(email);
    if tenants::find(store, &name).await?.is_none() {
        return Ok(name);
    }
    let drawn = secrets::hash(&secrets::draw(None)?.key);
    Ok(format!("{name}-{}", drawn.get(..8).unwrap_or_default()))
}

/// What stands before the `@`, as far as names have such letters.
fn name_of(email: &str) -> String {
    let own = email.split('@').next().unwrap_or_default();
    let plain: String = own.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).take(48).collect();
    if plain.is_empty() { "tenant".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use torchmesh_api::ids::TenantId;

    use super::*;

    proptest! {
        #[test]
        fn every_address_has_a_name_that_a_tenant_may_have(email in "\\PC{0,80}@example\\.org") {
            prop_assert!(TenantId::parse(&name_of(&email)).is_ok(), "{}", name_of(&email));
        }
    }
}
