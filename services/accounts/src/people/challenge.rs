//! Challenges: what somebody has whose password was right, and who is asked for a code. Alone they are worth nothing.

use sqlx::Row as _;

use super::{
    Session,
    members::{self, Member},
    second_factor,
    sign_in::begin,
};
use crate::{
    access::Asker,
    error::{Refusal, Result},
    sealing::Keys,
    secrets,
    store::{Change, Store},
};

/// How long one is good.
const GOOD_FOR_MS: i64 = 5 * 60 * 1000;

/// A challenge for a member, kept as its hash.
pub(super) async fn add(change: &mut Change, member_id: &str) -> Result<String> {
    let (token, now) = (secrets::draw(Some("challenge"))?.key, change.now());
    let row = sqlx::query("INSERT INTO sign_in_challenges (sha256, member_id, expires_ms) VALUES ($1, $2, $3)");
    let row = row.bind(secrets::hash(&token)).bind(member_id.to_owned()).bind(now + GOOD_FOR_MS);
    row.execute(change.connection()).await?;
    Ok(token)
}

/// Begins a session for whoever has a challenge and shows a code; gives how many recovery codes are left. A wrong code leaves the challenge as it was.
pub async fn complete(store: &Store, keys: Option<&Keys>, challenge: &str, code: &str, now: i64) -> Result<(Session, i64)> {
    let member = challenged(store, challenge, now).await?;
    second_factor::attempt(store, &member.email, now).await?;
    let asker = Asker::Member { id: member.id.clone(), tenant_id: member.tenant_id.clone(), role: member.role };
    let mut change = Change::begin(store, &asker, now).await?;
    let query = sqlx::query("DELETE FROM sign_in_challenges WHERE sha256 = $1 AND expires_ms > $2");
    let taken = query.bind(secrets::hash(challenge)).bind(now).execute(change.connection()).await?;
    // Read again, now that nobody else changes anything.
    let member = members::by_id(change.connection(), &member.id).await?.filter(|_| taken.rows_affected() == 1).ok_or_else(ended)?;
    second_factor::spend(&mut change, keys, &member.id, code).await?;
    let left = sqlx::query("SELECT COUNT(*) AS codes FROM recovery_codes WHERE member_id = $1").bind(member.id.clone());
    let left = left.fetch_one(change.connection()).await?.try_get("codes")?;
    let session = begin(change, member, "signed in").await?;
    second_factor::forgive(store, &session.member.email).await?;
    Ok((session, left))
}

/// Whose challenge it is.
async fn challenged(store: &Store, challenge: &str, now: i64) -> Result<Member> {
    let query = sqlx::query("SELECT member_id FROM sign_in_challenges WHERE sha256 = $1 AND expires_ms > $2");
    let row = query.bind(secrets::hash(challenge)).bind(now).fetch_optional(store.reads()?).await?.ok_or_else(ended)?;
    members::by_id(&mut *store.reads()?.acquire().await?, row.try_get("member_id")?).await?.ok_or_else(ended)
}

fn ended() -> Refusal {
    Refusal::Invalid("challenge: is not good, or not any more; sign in with the password again".to_owned())
}
