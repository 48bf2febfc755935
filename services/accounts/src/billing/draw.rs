//! Numbers without gaps.

use sqlx::Row as _;

use crate::{error::Result, store::Change};

/// The next number of a counter, which is drawn with the change or not at all.
pub(super) async fn next(change: &mut Change, counter: &str) -> Result<i64> {
    let query = sqlx::query("UPDATE billing_counters SET value = value + 1 WHERE name = $1 RETURNING value").bind(counter.to_owned());
    Ok(query.fetch_one(change.connection()).await?.try_get("value")?)
}
