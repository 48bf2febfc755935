//! A code that somebody shows, which is good once.

use sqlx::Row as _;

use super::{super::attempts, code, owner, recovery};
use crate::{
    error::{Refusal, Result},
    sealing::Keys,
    store::{Change, Store},
};

/// What is longer is no code.
const LONGEST: usize = 64;

/// Says that a code is wrong: whether it was used already, or was never one, is not told.
pub(super) const WRONG: Refusal = Refusal::Unknown("the code is not good, or not any more; take the next one that is shown");

/// One more attempt to show a code of this address's: of those so many may fail, whatever else is known.
pub(in crate::people) async fn attempt(store: &Store, address: &str, now: i64) -> Result<()> {
    attempts::attempt(store, &attempts::of_codes(address), now).await
}

/// The attempt was a good one.
pub(in crate::people) async fn forgive(store: &Store, address: &str) -> Result<()> {
    attempts::forgive(store, &attempts::of_codes(address)).await
}

/// Takes a code of an authenticator, or a recovery code.
///
/// Error: it is wrong.
pub(in crate::people) async fn spend(change: &mut Change, keys: Option<&Keys>, member_id: &str, told: &str) -> Result<()> {
    let told: String = told.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').take(LONGEST).collect();
    let is_digits = told.len() == 6 && told.bytes().all(|byte| byte.is_ascii_digit());
    let good = if is_digits { step(change, keys, member_id, &told).await? } else { recovery::spend(change, member_id, &told).await? };
    if good { Ok(()) } else { Err(WRONG) }
}

async fn step(change: &mut Change, keys: Option<&Keys>, member_id: &str, told: &str) -> Result<bool> {
    let query = sqlx::query("SELECT sealed, last_step FROM second_factors WHERE member_id = $1 AND confirmed_ms IS NOT NULL");
    let Some(row) = query.bind(member_id.to_owned()).fetch_optional(change.connection()).await? else { return Ok(false) };
    let secret = open(keys, member_id, row.try_get("sealed")?)?;
    let Some(step) = code::step_of(&secret, told, row.try_get("last_step")?, change.now()) else { return Ok(false) };
    // Of two that come at once, one.
    let query = sqlx::query("UPDATE second_factors SET last_step = $2 WHERE member_id = $1 AND last_step < $2");
    let taken = query.bind(member_id.to_owned()).bind(step).execute(change.connection()).await?;
    Ok(taken.rows_affected() == 1)
}

/// The secret that was sealed.
pub(super) fn open(keys: Option<&Keys>, member_id: &str, sealed: &str) -> Result<Vec<u8>> {
    keys.and_then(|keys| keys.open(&owner(member_id), sealed)).ok_or_else(|| {
        tracing::error!(
            member = member_id,
            "the secret of a second factor cannot be opened; webhooks.key_file lacks the key that sealed it"
        );
        Refusal::Fault
    })
}
