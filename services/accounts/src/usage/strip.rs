//! Takes out of a tenant's use by which credentials and from where it was: what is left says how much of which model, and when.
//!
//! A day is a step. Its sums go last, in one transaction with what they say: as long as one names a credential, the day is not done.

use std::collections::BTreeMap;

use sqlx::{AnyConnection, AssertSqlSafe, Row as _, any::AnyRow};

use super::{
    Period,
    insert::{SUM, added},
};
use crate::{error::Result, store::Store};

/// Events of one transaction, about.
const AT_ONCE: i64 = 2000;

/// Does so, whatever there is.
pub(crate) async fn strip(store: &Store, tenant: &str) -> Result<()> {
    while let Some(day) = next_day(store, tenant).await? {
        let end = day + Period::Day.ms();
        let mut from = day;
        while from < end {
            let to = some(store, tenant, from, end).await?;
            let mut transaction = store.begin().await?;
            events(&mut transaction, tenant, from, to).await?;
            transaction.commit().await?;
            from = to;
        }
        let mut transaction = store.begin().await?;
        for period in [Period::Hour, Period::Day] {
            sums(&mut transaction, period, tenant, day, end).await?;
        }
        // Those that came in between: behind their sums, which would not be looked at again.
        events(&mut transaction, tenant, day, end).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// The first day of which something says more.
async fn next_day(store: &Store, tenant: &str) -> Result<Option<i64>> {
    let query = sqlx::query("SELECT MIN(begin_ms) AS day FROM usage_daily WHERE tenant = $1 AND credential <> ''").bind(tenant.to_owned());
    Ok(query.fetch_one(store.reads()?).await?.try_get("day")?)
}

/// Up to where there are so many events that one transaction has enough of them.
async fn some(store: &Store, tenant: &str, from: i64, end: i64) -> Result<i64> {
    let query = "SELECT time_ms FROM usage_events WHERE tenant = $1 AND time_ms >= $2 AND time_ms < $3 ORDER BY time_ms LIMIT 1 OFFSET $4";
    let query = sqlx::query(query).bind(tenant.to_owned()).bind(from).bind(end).bind(AT_ONCE);
    let row = query.fetch_optional(store.reads()?).await?;
    row.map_or(Ok(end), |row| Ok(row.try_get::<i64, _>("time_ms")? + 1))
}

async fn events(connection: &mut AnyConnection, tenant: &str, from: i64, to: i64) -> Result<()> {
    let query = "UPDATE usage_events SET credential = '', request_id = '', trace_id = '', source = '' WHERE tenant = $1 AND time_ms >= $2 AND time_ms < $3 \
                 AND (credential <> '' OR request_id <> '' OR trace_id <> '' OR source <> '')";
    sqlx::query(query).bind(tenant.to_owned()).bind(from).bind(to).execute(connection).await?;
    Ok(())
}

/// Puts the sums of all credentials into one.
async fn sums(connection: &mut AnyConnection, period: Period, tenant: &str, from: i64, to: i64) -> Result<()> {
    let table = period.table();
    let taken = format!("DELETE FROM {table} WHERE tenant = $1 AND begin_ms >= $2 AND begin_ms < $3 AND credential <> '' RETURNING {SUM}");
    let taken = sqlx::query(AssertSqlSafe(taken)).bind(tenant.to_owned()).bind(from).bind(to);
    let mut all = BTreeMap::<(i64, String, String), [i64; 11]>::new();
    for row in taken.fetch_all(&mut *connection).await? {
        let (key, figures) = read(&row)?;
        let sum = all.entry(key).or_default();
        let [counts @ .., last] = sum;
        let [more @ .., at] = figures;
        for (count, more) in counts.iter_mut().zip(more) {
            *count += more;
        }
        *last = at.max(*last);
    }
    let places: Vec<String> = (1..=16).map(|at| format!("${at}")).collect();
    let text = format!("INSERT INTO {table} ({SUM}) VALUES ({}) {}", places.join(", "), added(table));
    for ((begin_ms, model, version), figures) in all {
        let row =
            sqlx::query(AssertSqlSafe(text.as_str())).bind(tenant.to_owned()).bind(begin_ms).bind(String::new()).bind(model).bind(version);
        figures.into_iter().fold(row, sqlx::query::Query::bind).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The begin, the model and the version of a sum, and its figures, of which the last is when its last call ended.
fn read(row: &AnyRow) -> Result<((i64, String, String), [i64; 11])> {
    let mut figures = [0; 11];
    for (at, figure) in figures.iter_mut().enumerate() {
        *figure = row.try_get(at + 5)?;
    }
    Ok(((row.try_get("begin_ms")?, row.try_get("model")?, row.try_get("version")?), figures))
}
