//! How members come, and how they set their passwords: each by a letter.

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    Member, Outbox, Passwords, address, attempts,
    letters::{self, Purpose},
    members::{self, COLUMNS, read},
};
use crate::{
    access::{Act, Asker, Role},
    error::{Refusal, Result, is_taken},
    ids, secrets,
    store::{Change, Store, Told},
    tenants::{self, Tenant},
};

/// A tenant that signs up.
#[derive(Debug, Clone, Copy)]
pub struct NewTenant<'a> {
    /// Its owner's address.
    pub email: &'a str,
    /// Its owner's password.
    pub password: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its name for people.
    pub display_name: &'a str,
}

/// A member who is invited.
#[derive(Debug, Clone, Copy)]
pub struct NewMember<'a> {
    /// Where.
    pub tenant: &'a Tenant,
    /// Their address.
    pub email: &'a str,
    /// What they are to be.
    pub role: Role,
}

/// Makes a tenant and its owner, who can sign in when they have confirmed their address.
pub async fn sign_up(store: &Store, passwords: &Passwords, outbox: &Outbox, new: NewTenant<'_>, now: i64) -> Result<()> {
    let email = address(new.email)?;
    let hash = passwords.hash(new.password).await?;
    // First, so that a name that is taken does not tell which addresses are known.
    tenants::check_free(store, new.name).await?;
    if members::by_address(&mut *store.reads()?.acquire().await?, &email).await?.is_some() {
        // The answer is that of an address that is new; whoever has it is told by a letter.
        return outbox.known_already(&email).await;
    }
    let mut change = Change::begin(store, &Asker::Anybody, now).await?;
    let tenant = tenants::add(&mut change, tenants::New { name: new.name, display_name: new.display_name, models: None }).await?;
    let member = add(&mut change, &tenant, &email, Role::Owner).await?;
    let row = sqlx::query("UPDATE members SET password_hash = $2 WHERE id = $1").bind(member.id.clone()).bind(hash);
    row.execute(change.connection()).await?;
    let token = letters::token(&mut change, &member.id, Purpose::Verify).await?;
    change.commit(Told { tenant_id: &tenant.id, subject: &member.id, what: "signed up", detail: &email }).await?;
    outbox.letter(&email, Purpose::Verify, &token).await
}

/// Confirms an address.
pub async fn verify(store: &Store, token: &str, now: i64) -> Result<()> {
    let mut change = Change::begin(store, &Asker::Anybody, now).await?;
    let member = take(&mut change, token, &[Purpose::Verify]).await?;
    confirm(&mut change, &member.id).await?;
    change.commit(Told { tenant_id: &member.tenant_id, subject: &member.id, what: "address confirmed", detail: &member.email }).await
}

/// Invites somebody to a tenant.
pub async fn invite(store: &Store, outbox: &Outbox, asker: &Asker, new: NewMember<'_>, now: i64) -> Result<Member> {
    asker.may(if new.role == Role::Owner { Act::ChangeOwners } else { Act::ChangeMembers })?;
    let email = address(new.email)?;
    let mut change = Change::begin(store, asker, now).await?;
    tenants::refuse_erased(change.connection(), &new.tenant.id).await?;
    let member = add(&mut change, new.tenant, &email, new.role).await?;
    let token = letters::token(&mut change, &member.id, Purpose::Invite).await?;
    let detail = format!("{email} {}", new.role.as_str());
    change.commit(Told { tenant_id: &member.tenant_id, subject: &member.id, what: "member invited", detail: &detail }).await?;
    outbox.letter(&email, Purpose::Invite, &token).await?;
    Ok(member)
}

/// Sends a letter to set a new password with, if the address is a member's.
pub async fn request_reset(store: &Store, outbox: &Outbox, email: &str, now: i64) -> Result<()> {
    let email = address(email)?;
    attempts::attempt(store, &attempts::of_resets(&email), now).await?;
    let Some(member) = members::by_address(&mut *store.reads()?.acquire().await?, &email).await? else { return Ok(()) };
    let mut change = Change::begin(store, &Asker::Anybody, now).await?;
    let token = letters::token(&mut change, &member.id, Purpose::Reset).await?;
    change.commit(Told { tenant_id: &member.tenant_id, subject: &member.id, what: "password reset asked for", detail: "" }).await?;
    outbox.letter(&email, Purpose::Reset, &token).await
}

/// Sets a new password; all sessions and all other letters of the member end.
pub async fn reset(store: &Store, passwords: &Passwords, token: &str, password: &str, now: i64) -> Result<()> {
    let hash = passwords.hash(password).await?;
    let mut change = Change::begin(store, &Asker::Anybody, now).await?;
    let member = take(&mut change, token, &[Purpose::Reset, Purpose::Invite]).await?;
    // Whoever has the letter has the address.
    confirm(&mut change, &member.id).await?;
    for (query, bound) in [
        ("UPDATE members SET password_hash = $2 WHERE id = $1", Some(hash)),
        ("DELETE FROM sessions WHERE member_id = $1", None),
        ("DELETE FROM letters WHERE member_id = $1", None),
        ("DELETE FROM sign_in_challenges WHERE member_id = $1", None),
    ] {
        let query = sqlx::query(query).bind(member.id.clone());
        bound.into_iter().fold(query, sqlx::query::Query::bind).execute(change.connection()).await?;
    }
    change.commit(Told { tenant_id: &member.tenant_id, subject: &member.id, what: "password set", detail: "" }).await?;
    attempts::forgive(store, &member.email).await
}

/// Adds a member who has not confirmed their address yet.
pub(crate) async fn add(change: &mut Change, tenant: &Tenant, email: &str, role: Role) -> Result<Member> {
    let now = change.now();
    let member =
        Member { id: ids::new(now), tenant_id: tenant.id.clone(), email: email.to_owned(), role, verified_ms: None, created_ms: now };
    let row = sqlx::query("INSERT INTO members (id, tenant_id, email, role, created_ms) VALUES ($1, $2, $3, $4, $5)");
    let row = row.bind(member.id.clone()).bind(member.tenant_id.clone()).bind(member.email.clone()).bind(role.as_str()).bind(now);
    row.execute(change.connection()).await.map_err(|error| {
        if is_taken(&error) { Refusal::Exists("email: the address is a member's already".to_owned()) } else { error.into() }
    })?;
    Ok(member)
}

/// Takes a letter's token, which is good no more, and tells whose it was.
async fn take(change: &mut Change, token: &str, purposes: &[Purpose]) -> Result<Member> {
    let query = sqlx::query("DELETE FROM letters WHERE sha256 = $1 AND expires_ms > $2 RETURNING member_id, purpose");
    let query = query.bind(secrets::hash(token)).bind(change.now());
    let row = query.fetch_optional(change.connection()).await?;
    let wrong = || Refusal::Invalid("token: is not good, or not any more; ask for another letter".to_owned());
    let row = row.ok_or_else(wrong)?;
    let purpose: String = row.try_get("purpose")?;
    if !purposes.iter().any(|known| known.as_str() == purpose) {
        return Err(wrong());
    }
    let query =
        sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM members WHERE id = $1"))).bind(row.try_get::<String, _>("member_id")?);
    read(&query.fetch_one(change.connection()).await?)
}

/// Writes down that a member's address is theirs.
pub(crate) async fn confirm(change: &mut Change, member_id: &str) -> Result<()> {
    let query = sqlx::query("UPDATE members SET verified_ms = COALESCE(verified_ms, $2) WHERE id = $1");
    query.bind(member_id.to_owned()).bind(change.now()).execute(change.connection()).await?;
    Ok(())
}
