//! Attempts to sign in that failed: after so many of one address, it is left alone for a while, whether it is known or not.

use std::time::Duration;

use sqlx::Row as _;

use crate::{
    error::{Refusal, Result},
    secrets,
    store::Store,
};

/// So many may fail within the window.
const MOST: i64 = 10;
/// How long a failure counts.
const WINDOW_MS: i64 = 15 * 60 * 1000;

/// How long one more has to wait, after so many failures since a moment.
fn wait(failures: i64, since_ms: i64, now: i64) -> Option<Duration> {
    let left = since_ms + WINDOW_MS - now;
    (failures >= MOST && left > 0).then(|| Duration::from_millis(left.unsigned_abs()))
}

/// Whose attempts are counted for an address, as they are kept: to sign in, to get letters, and to show codes.
pub(crate) fn subjects(address: &str) -> [String; 3] {
    [secrets::hash(address), secrets::hash(&of_resets(address)), secrets::hash(&of_codes(address))]
}

/// Letters cost attempts, too: nobody fills somebody else's letter box.
pub(super) fn of_resets(address: &str) -> String {
    format!("reset {address}")
}

/// Codes are counted apart: whoever knows the password, or reads the letters, must not begin anew with each.
pub(super) fn of_codes(address: &str) -> String {
    format!("code {address}")
}

/// What failed before this moment does not count any more.
pub(super) fn forgotten_before(now: i64) -> i64 {
    now - 2 * WINDOW_MS
}

/// Refuses one attempt too many; otherwise counts this one as failed, until [`forgive`].
///
/// It is counted before it is known how it ends: many that come at once must not all be the last one.
pub(super) async fn attempt(store: &Store, address: &str, now: i64) -> Result<()> {
    let mut transaction = store.begin().await?;
    let counted = "INSERT INTO attempts (subject, failures, since_ms) VALUES ($1, 1, $2) ON CONFLICT (subject) DO UPDATE SET \
                   failures = CASE WHEN attempts.since_ms <= $3 THEN 1 ELSE attempts.failures + 1 END, \
                   since_ms = CASE WHEN attempts.since_ms <= $3 THEN $2 ELSE attempts.since_ms END RETURNING failures, since_ms";
    let counted = sqlx::query(counted).bind(secrets::hash(address)).bind(now).bind(now - WINDOW_MS);
    let row = counted.fetch_one(&mut *transaction).await?;
    let (failures, since_ms): (i64, i64) = (row.try_get("failures")?, row.try_get("since_ms")?);
    sqlx::query("DELETE FROM attempts WHERE since_ms < $1").bind(forgotten_before(now)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    wait(failures - 1, since_ms, now).map_or(Ok(()), |wait| Err(Refusal::TooOften(wait)))
}

/// Forgets the failures: the attempt was a good one.
pub(super) async fn forgive(store: &Store, address: &str) -> Result<()> {
    let mut transaction = store.begin().await?;
    sqlx::query("DELETE FROM attempts WHERE subject = $1").bind(secrets::hash(address)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_are_let_pass_and_the_next_waits_for_the_windows_end() {
        assert_eq!(wait(MOST - 1, 0, 1), None);
        assert_eq!(wait(MOST, 0, WINDOW_MS - 5), Some(Duration::from_millis(5)));
        assert_eq!(wait(MOST, 0, WINDOW_MS), None);
    }
}
