//! Sessions.

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    Member, Passwords, address, attempts, challenge,
    members::{COLUMNS, read},
    second_factor,
};
use crate::{
    access::Asker,
    error::{Refusal, Result},
    secrets,
    store::{Change, Store, Told},
};

/// How long a session lasts.
const LASTS_MS: i64 = 12 * 3600 * 1000;

/// A session that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// For further calls; it is not kept.
    pub token: String,
    /// When it ends.
    pub expires_ms: i64,
    /// Whose it is.
    pub member: Member,
}

/// What a right password gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedIn {
    /// A session.
    Session(Session),
    /// Of a member with a second factor: what [`super::complete`] takes beside a code.
    Challenge(String),
}

/// Begins a session, or asks for a code. Whatever is wrong, the refusal is the same and takes as long.
pub async fn sign_in(store: &Store, passwords: &Passwords, email: &str, password: &str, now: i64) -> Result<SignedIn> {
    let email = address(email)?;
    attempts::attempt(store, &email, now).await?;
    let query = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS}, password_hash FROM members WHERE email = $1"))).bind(email.clone());
    let row = query.fetch_optional(store.reads()?).await?;
    let hash: Option<String> = row.as_ref().map(|row| row.try_get("password_hash")).transpose()?.flatten();
    let fits = passwords.fits(password, hash).await?;
    let member = row.as_ref().map(read).transpose()?.filter(|member| fits && member.verified_ms.is_some());
    let member = member.ok_or(Refusal::Unknown("the address or the password is wrong, or the address is not confirmed yet"))?;
    attempts::forgive(store, &email).await?;
    let asker = Asker::Member { id: member.id.clone(), tenant_id: member.tenant_id.clone(), role: member.role };
    let mut change = Change::begin(store, &asker, now).await?;
    if second_factor::is_asked(change.connection(), &member.id).await? {
        let challenge = challenge::add(&mut change, &member.id).await?;
        change.commit(Told { tenant_id: &member.tenant_id, subject: &member.id, what: "asked for a code", detail: "" }).await?;
        return Ok(SignedIn::Challenge(challenge));
    }
    begin(change, member, "signed in").await.map(SignedIn::Session)
}

/// Begins a session, and ends the change with it.
pub(crate) async fn begin(mut change: Change, member: Member, what: &str) -> Result<Session> {
    let (token, now) = (secrets::draw(Some("session"))?.key, change.now());
    let expires_ms = now + LASTS_MS;
    let old = sqlx::query("DELETE FROM sessions WHERE expires_ms <= $1").bind(now);
    old.execute(change.connection()).await?;
    let row = sqlx::query("INSERT INTO sessions (sha256, member_id, expires_ms) VALUES ($1, $2, $3)");
    row.bind(secrets::hash(&token)).bind(member.id.clone()).bind(expires_ms).execute(change.connection()).await?;
    change.commit(Told { tenant_id: &member.tenant_id, subject: &member.id, what, detail: "" }).await?;
    Ok(Session { token, expires_ms, member })
}

/// Ends the session with this token.
pub async fn sign_out(store: &Store, asker: &Asker, token: &str, now: i64) -> Result<()> {
    let Asker::Member { id, tenant_id, .. } = asker else {
        return Err(Refusal::Invalid("the token is not that of a session".to_owned()));
    };
    let mut change = Change::begin(store, asker, now).await?;
    sqlx::query("DELETE FROM sessions WHERE sha256 = $1").bind(secrets::hash(token)).execute(change.connection()).await?;
    change.commit(Told { tenant_id, subject: id, what: "signed out", detail: "" }).await
}
