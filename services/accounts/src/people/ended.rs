//! What is good no more: sessions, tokens of letters, challenges, who did not come back from a provider, and attempts that do not count.

use super::attempts;
use crate::{error::Result, store::Store};

/// Removes it.
pub(crate) async fn remove_ended(store: &Store, now: i64) -> Result<()> {
    let mut transaction = store.begin().await?;
    for (query, before) in [
        ("DELETE FROM sessions WHERE expires_ms <= $1", now),
        ("DELETE FROM letters WHERE expires_ms <= $1", now),
        ("DELETE FROM sign_in_challenges WHERE expires_ms <= $1", now),
        ("DELETE FROM oidc_attempts WHERE expires_ms <= $1", now),
        ("DELETE FROM attempts WHERE since_ms < $1", attempts::forgotten_before(now)),
    ] {
        sqlx::query(query).bind(before).execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}
